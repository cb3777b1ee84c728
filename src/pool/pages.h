/* pages.h - runs of whole pages: pool's own. All under AL. */
#ifndef ZCT_POOL_PAGES_H
#define ZCT_POOL_PAGES_H

#include "pool/pool.h"

uint64_t pages_high(struct zct_store *s); /* words.high, never beyond the payload */
int pages_take(struct zct_store *s, uint64_t n, uint64_t *ret_page, struct pool_want *want);
/* A free, aligned run of CHUNK_PAGES. */
int pages_take_chunk(struct zct_store *s, uint64_t *ret_page, struct pool_want *want);
void pages_give(struct zct_store *s, uint64_t page, uint64_t pages);
void pages_lower_hints(struct zct_store *s, uint64_t page);
bool pages_tables_present(struct zct_store *s, uint64_t high);

/* cells.c: an extent of 1 to 63 cells of one page. */
int cells_take(struct zct_store *s, unsigned cells, uint64_t *ret_ext, struct pool_want *want);
void cells_give(struct zct_store *s, uint64_t ext);
bool cells_mark(struct zct_store *s, uint64_t ext);
void cells_finish(struct zct_store *s);
bool chunk_is_cut(struct zct_store *s, uint64_t page);

#endif
