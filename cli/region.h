/* region.h - a part of an array: "0,5:10,:", one entry an axis, as in NumPy's brackets. */
#ifndef ZCT_CLI_REGION_H
#define ZCT_CLI_REGION_H

#include <stdbool.h>
#include <stdint.h>

#include <zct/zct.h>

struct axis {
    int64_t first, step, count; /* the indices first, first + step, ... on this axis */
    bool single;                /* a plain index: the axis is gone from the result */
};

/* Numbers, a:b, a:b:c with negative ones as NumPy has them, and one "..."; axes that are not named are whole. With
 * `text` NULL: all of the array. Returns an exit code; the sentence has been said. */
int region_parse(const char *text, int ndim, const int64_t *shape, struct axis *ret_axes);

#endif
