/* pages.c - runs of whole pages. */
#include "pool/pages.h"

#include "pool/bits.h"
#include "pool/pool.h"

#include <errno.h>

static sh64 *used_map(struct zct_store *s) { return REGION(s, sh64, s->g.used); }
static sh64 *reserved_map(struct zct_store *s) { return REGION(s, sh64, s->g.reserved); }

uint64_t pages_high(struct zct_store *s) { return min_u64(get_relaxed(&s->words->high), s->g.pages); }

void pages_lower_hints(struct zct_store *s, uint64_t page)
{
    for (unsigned k = 0; k < SEARCH_PAGES; k++) {
        uint64_t from = page > (1ull << k) ? page - (1ull << k) : 0;
        if (from < get_relaxed(&s->words->from_pages[k]))
            put_relaxed(&s->words->from_pages[k], (uint32_t)from);
    }
}

/* The first run of n free pages from `from` on, below the high mark or ending beyond it. */
static uint64_t find_run(struct zct_store *s, uint64_t n, uint64_t from)
{
    uint64_t high = pages_high(s);
    for (uint64_t at = from; at < high;) {
        uint64_t first = bits_find(used_map(s), at, high, false);
        if (first == high)
            break;
        uint64_t limit = min_u64(high, first + n), end = bits_find(used_map(s), first, limit, true);
        if (end == limit)
            return first; /* long enough, or it reaches the high mark and goes on beyond */
        at = end;
    }
    return max_u64(from, high);
}

int pages_take(struct zct_store *s, uint64_t n, uint64_t *ret_page, struct pool_want *want)
{
    unsigned k = 63u - (unsigned)__builtin_clzll(n);
    uint64_t page = find_run(s, n, get_relaxed(&s->words->from_pages[k]));
    if (page > s->g.pages || n > s->g.pages - page)
        return -ZCT_EFULL;
    if (page + n > pages_high(s)) {
        want->high = page + n;
        if (!pages_tables_present(s, page + n))
            return -EAGAIN;
        put_release(&s->words->high, page + n);
    }
    if (n == 1ull << k)
        put_relaxed(&s->words->from_pages[k], (uint32_t)min_u64(page + n, UINT32_MAX));
    pool_take_run(s, page, n);
    *ret_page = page;
    return 0;
}

int pages_take_chunk(struct zct_store *s, uint64_t *ret_page, struct pool_want *want)
{
    uint64_t words = pages_high(s) / CHUNK_PAGES, w = get_relaxed(&s->words->from_pages[6]) / CHUNK_PAGES;
    while (w < words && get_relaxed(&used_map(s)[w]) != 0)
        w++;
    uint64_t page = w * CHUNK_PAGES;
    if (page + CHUNK_PAGES > s->g.pages)
        return -ZCT_EFULL;
    if (page + CHUNK_PAGES > pages_high(s)) {
        want->high = page + CHUNK_PAGES;
        if (!pages_tables_present(s, want->high))
            return -EAGAIN;
        if (get_relaxed(&used_map(s)[w]) != 0) { /* the last, partial word below the high mark */
            page += CHUNK_PAGES;
            want->high = page + CHUNK_PAGES;
            if (want->high > s->g.pages)
                return -ZCT_EFULL;
            if (!pages_tables_present(s, want->high))
                return -EAGAIN;
        }
        put_release(&s->words->high, want->high);
    }
    pool_take_run(s, page, CHUNK_PAGES);
    *ret_page = page;
    return 0;
}

static void count_warm(struct zct_store *s, int64_t pages)
{
    if (pages)
        put_relaxed(&s->words->warm_free, get_relaxed(&s->words->warm_free) + (uint64_t)pages);
}

void pool_take_run(struct zct_store *s, uint64_t page, uint64_t pages)
{
    count_warm(s, -(int64_t)bits_count(reserved_map(s), page, pages));
    bits_set(used_map(s), page, pages);
}

void pages_give(struct zct_store *s, uint64_t page, uint64_t pages)
{
    bits_clear(used_map(s), page, pages);
    count_warm(s, (int64_t)bits_count(reserved_map(s), page, pages));
    pages_lower_hints(s, page);
}

bool pool_warm_run(struct zct_store *s, uint64_t page, uint64_t most, uint64_t *ret_page, uint64_t *ret_pages)
{
    uint64_t high = pages_high(s);
    while (page < high) {
        uint64_t warm = bits_find(reserved_map(s), page, high, true);
        if (warm == high)
            return false;
        uint64_t busy = bits_find(used_map(s), warm, min_u64(high, round_down(warm + most, most)), true);
        if (busy > warm) {
            *ret_page = warm;
            *ret_pages = busy - warm;
            return true;
        }
        page = bits_find(used_map(s), warm, high, false);
    }
    return false;
}

/* ---- the tables' own pages ---- */

/* The byte range of a table that covers pages [0, pages). */
static uint64_t table_bytes(uint64_t pages, uint64_t per, uint64_t bytes) { return div_up(pages, per) * bytes; }

static int each_table(struct zct_store *s, uint64_t from, uint64_t to,
                      int (*fn)(struct zct_store *s, uint64_t offset, uint64_t length))
{
    const struct { uint64_t offset, per, bytes; } tables[] = {
        {s->g.used, 64, 8}, {s->g.reserved, 64, 8}, {s->g.chunkmap, 64 * CHUNK_PAGES, 8},
        {s->g.chunkfree, CHUNK_PAGES, 2}, {s->g.epochs, EPOCH_PAGES, 4},
    };
    for (size_t i = 0; i < COUNT(tables); i++) {
        uint64_t first = from / tables[i].per * tables[i].bytes, end = table_bytes(to, tables[i].per, tables[i].bytes);
        int rc = fn(s, tables[i].offset + first, end - first);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int missing(struct zct_store *s, uint64_t offset, uint64_t length)
{
    return control_present(s, offset, length) ? 0 : -EAGAIN;
}

bool pages_tables_present(struct zct_store *s, uint64_t high)
{
    return each_table(s, pages_high(s), high, missing) == 0;
}

int pool_reserve_tables(struct zct_store *s, const struct pool_want *want)
{
    int rc = 0;
    if (want->high > pages_high(s))
        rc = each_table(s, pages_high(s), min_u64(want->high, s->g.pages), control_reserve);
    if (rc == 0 && want->masks)
        rc = control_reserve(s, s->g.masks + want->mask_page * 8, CHUNK_PAGES * 8);
    return rc;
}
