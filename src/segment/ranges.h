/* ranges.h - in which open store's memory does an address lie? Asked without a lock. */
#ifndef ZCT_SEGMENT_RANGES_H
#define ZCT_SEGMENT_RANGES_H

#include <stdbool.h>
#include <stdint.h>

struct zct_store;

/* From now on [base, base + size) is `s`'s. false: out of memory. Any thread. */
bool range_add(struct zct_store *s, const uint8_t *base, uint64_t size);
/* Before the memory is unmapped: another mapping may get its addresses. Nothing if it was never added. Any thread. */
void range_remove(const struct zct_store *s);
/* Whose, or NULL. Waits for nobody and takes no lock, so it may be asked anywhere, also in the child of a raw clone. The
 * address must be one that the caller may use: then somebody's use keeps that store open, and the answer stays true. */
struct zct_store *range_find(const void *address);

#endif
