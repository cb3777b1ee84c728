/* watch.h - what the two ways of watching share: a screen that is drawn anew, and lines that say what changed. */
#ifndef ZCT_CLI_WATCH_H
#define ZCT_CLI_WATCH_H

#include "rows.h"
#include "target.h"

struct watch {
    const struct target *target;
    const char *pattern;
    enum rows_sort sort;
    bool reverse, all, exact;
    int64_t interval;
    zct_store *store; /* observed; NULL while there is none */
    uint64_t changes; /* zct_store_changes when the list was read last */
    struct rows seen; /* what was shown last, in the order of birth: of lines alone */
};

/* A screen: draw the list in place of the last one. `rows` is sorted by this, and stays the caller's. */
void screen_enter(void);
void screen_leave(void);
void screen_draw(const struct watch *watch, struct rows *rows);
/* In place of a list, while there is no store. */
void screen_absent(const char *sentence);

/* Lines: what `rows` has that watch->seen has not, and the other way round; rows take the place of seen. */
void lines_changes(struct watch *watch, struct rows *rows);
/* The store was found, or is not there any more: its tensors end with it. */
void lines_store(struct watch *watch, const char *event);

#endif
