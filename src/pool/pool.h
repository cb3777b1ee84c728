/* pool.h - which bytes of the payload belong to whom, and which of them exist.
 *
 * The truth is the extents in the descriptors. Everything here but the RES bits is a cache of it, changed only under the
 * allocator's lock (AL) and rebuilt by its next owner when one died inside:
 *   used[page]      1: in a large extent, or in a chunk of cells, or such a chunk itself
 *   chunkmap[chunk] 1: its 64 pages are cut into cells of 64 bytes;  chunkfree: its free cells;  masks[page]: cells in use
 *   from_*          where a search may start
 * RES[page] is a fact: 1 only if the page is allocated in the file, so touching it is no SIGBUS. 0 is always safe. It is set
 * by the owner of the extent after the reservation, cleared by a trim before the punch.
 *
 * Invariant: below words.high all these tables' own pages are present. */
#ifndef ZCT_POOL_POOL_H
#define ZCT_POOL_POOL_H

#include "segment/store.h"

/* What must be reserved, without AL, before a take can be tried again. */
struct pool_want { uint64_t high, mask_page; bool masks; };

/* Take an extent of nbytes > 0. Under AL. 0 with *ret_ext; -EAGAIN: reserve *want (pool_reserve_tables) and try again;
 * -ZCT_EFULL without a sentence. */
int pool_take(struct zct_store *s, uint64_t nbytes, uint64_t *ret_ext, struct pool_want *want);
/* Make the bookkeeping for *want exist. Without AL. */
int pool_reserve_tables(struct zct_store *s, const struct pool_want *want);
/* Return an extent. Under AL. ext == 0 is allowed. */
void pool_give(struct zct_store *s, uint64_t ext);
/* Take this very run of free pages (for a trim). Under AL; the caller knows that it is free. */
void pool_take_run(struct zct_store *s, uint64_t page, uint64_t pages);
/* The first run of free pages from `page` on that has a reserved page in it, up to a multiple of `most` (a power of two):
 * huge pages are whole in it, mostly. Under AL. False: none. */
bool pool_warm_run(struct zct_store *s, uint64_t page, uint64_t most, uint64_t *ret_page, uint64_t *ret_pages);

/* Rebuild: clear all, mark each extent (false: out of range or overlapping, and then it is left out), finish. Under AL. */
void pool_clear(struct zct_store *s);
bool pool_mark(struct zct_store *s, uint64_t ext);
void pool_finish(struct zct_store *s);

/* Are all pages of the extent known to exist? */
bool pool_reserved(struct zct_store *s, uint64_t ext);
/* Is there room for what of these pages does not exist yet? Asked of the file system (-EAGAIN) and the memory cgroup
 * (-ZCT_EFULL with its sentence), for more than 1 MiB. */
int pool_room(struct zct_store *s, uint64_t page, uint64_t pages);
/* Make them exist. The caller owns the extent; without AL. -ZCT_EFULL with its sentence; -EAGAIN: the file system is full
 * (the caller may free something and try again). */
int pool_reserve(struct zct_store *s, uint64_t ext, uint64_t nbytes);
void pool_set_reserved(struct zct_store *s, uint64_t page, uint64_t pages);
void pool_clear_reserved(struct zct_store *s, uint64_t page, uint64_t pages);
uint64_t pool_count_reserved(struct zct_store *s, uint64_t page, uint64_t pages);

/* Bytes [offset, offset + length) of the payload for reading and writing; window_need has been called. */
static inline uint8_t *payload_at(struct zct_store *s, uint64_t offset) { return s->rw.base + offset; }

#endif
