/* huge.h - huge pages: 2 MiB that the system allocates, maps and gives back as one. */
#ifndef ZCT_POOL_HUGE_H
#define ZCT_POOL_HUGE_H

#include "pool/pool.h"

enum { HUGE_PAGES = (2 << 20) / PAGE };

/* An extent of fewer bytes has none: asking costs every processor an interrupt. */
#define HUGE_LEAST (8 * MiB)

/* Make pages of an extent of ours exist as huge ones, from `page` on, at most `pages`, as long as that is quicker than
 * plain ones: the number that exist now and are marked reserved. 0: make the next ones in another way, and ask again at
 * the next multiple of HUGE_PAGES. Contents that were there stay, the rest is zeros. No sentence; never a signal. */
uint64_t pool_huge(struct zct_store *s, uint64_t page, uint64_t pages);

#endif
