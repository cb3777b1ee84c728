/* gather.h - the elements of a tensor in the order that a file wants, whatever order they lie in. */
#ifndef ZCT_CLI_GATHER_H
#define ZCT_CLI_GATHER_H

#include <stdbool.h>
#include <stddef.h>

#include <zct/zct.h>

/* Takes the next bytes. False ends the walk. */
typedef bool (*gather_fn)(void *context, const void *bytes, uint64_t len);

/* ZCT_ORDER_C if the elements lie so, else ZCT_ORDER_F if they lie so, else ZCT_ORDER_STRIDED. */
int gather_order(const zct_view *view);
/* Walk in C or F order. With swap > 1 each number of so many bytes is turned around. What lies as it is wanted goes to
 * `fn` in one piece from where it lies; the rest through a buffer. True if fn never said false. */
bool gather(const zct_view *view, int order, size_t swap, gather_fn fn, void *context);

#endif
