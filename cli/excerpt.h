/* excerpt.h - the elements of a tensor that are shown: a part of it, of whose long axes the two ends. */
#ifndef ZCT_CLI_EXCERPT_H
#define ZCT_CLI_EXCERPT_H

#include "region.h"
#include "value.h"

struct excerpt {
    struct layout layout; /* of the elements; the caller's to free */
    const uint8_t *data;
    int64_t first; /* bit at which the part begins */
    int ndim;      /* axes that are left of it */
    struct axis axes[ZCT_MAX_DIMS];
    int64_t stride[ZCT_MAX_DIMS]; /* bits */
    int64_t shown[ZCT_MAX_DIMS];  /* from each end; more than half of the axis: all of it */
};

enum { EXCERPT_ALL = 0, EXCERPT_FEW = -1 };

/* The part `index` (NULL: all) of an attached tensor; of each axis `ends` from each end, or all, or few if they are
 * many. Its elements are `layout`. Returns an exit code; the sentence has been said. */
int excerpt_take(struct excerpt *excerpt, const zct_view *view, const struct layout *layout, const char *index,
                 int64_t ends);
/* As NumPy prints arrays. */
void excerpt_text(const struct excerpt *excerpt);
/* Members "part", "shown", "values": docs/CLI.md. */
void excerpt_json(const struct excerpt *excerpt);

#endif
