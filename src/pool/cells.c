/* cells.c - tensors smaller than a page share pages: chunks of 64 pages are cut into cells of 64 bytes. */
#include "pool/bits.h"
#include "pool/pages.h"

#include <errno.h>

static sh64 *chunkmap(struct zct_store *s) { return REGION(s, sh64, s->g.chunkmap); }
static sh16 *chunkfree(struct zct_store *s, uint64_t chunk) { return &REGION(s, sh16, s->g.chunkfree)[chunk]; }
static sh64 *mask_of(struct zct_store *s, uint64_t page) { return &REGION(s, sh64, s->g.masks)[page]; }
static unsigned class_of(unsigned cells) { return 31u - (unsigned)__builtin_clz(cells); }

enum { CHUNK_CELLS = CHUNK_PAGES * CELLS_PER_PAGE };

bool chunk_is_cut(struct zct_store *s, uint64_t page)
{
    uint64_t chunk = page / CHUNK_PAGES;
    return (get_relaxed(&chunkmap(s)[chunk / 64]) >> (chunk % 64)) & 1;
}

static void count_warm(struct zct_store *s, uint64_t page, int64_t by)
{
    if (pool_count_reserved(s, page, 1))
        put_relaxed(&s->words->warm_free, get_relaxed(&s->words->warm_free) + (uint64_t)by);
}

/* Find room in the chunks from the hint on. */
static bool find(struct zct_store *s, unsigned cells, uint64_t *ret_page, unsigned *ret_cell)
{
    uint64_t from = get_relaxed(&s->words->from_cells[class_of(cells)]);
    uint64_t chunks = div_up(pages_high(s), CHUNK_PAGES);
    for (uint64_t chunk = from / CHUNK_PAGES; chunk < chunks; chunk++) {
        chunk = bits_find(chunkmap(s), chunk, chunks, true);
        if (chunk == chunks)
            break;
        if (get_relaxed(chunkfree(s, chunk)) < cells)
            continue;
        uint64_t first = max_u64(chunk * CHUNK_PAGES, from);
        for (uint64_t page = first; page < (chunk + 1) * CHUNK_PAGES; page++) {
            unsigned cell = word_run(get_relaxed(mask_of(s, page)), cells);
            if (cell < 64) {
                *ret_page = page;
                *ret_cell = cell;
                return true;
            }
        }
    }
    return false;
}

static int new_chunk(struct zct_store *s, uint64_t *ret_page, struct pool_want *want)
{
    uint64_t page;
    int rc = pages_take_chunk(s, &page, want);
    if (rc < 0)
        return rc;
    if (!control_present(s, s->g.masks + page * 8, CHUNK_PAGES * 8)) {
        pages_give(s, page, CHUNK_PAGES);
        want->masks = true;
        want->mask_page = page;
        return -EAGAIN;
    }
    fill_words(mask_of(s, page), 0, CHUNK_PAGES);
    put_relaxed(chunkfree(s, page / CHUNK_PAGES), CHUNK_CELLS);
    bits_set(chunkmap(s), page / CHUNK_PAGES, 1);
    for (unsigned class = 0; class < SEARCH_CELLS; class++) /* it may lie before where they search */
        if (page < get_relaxed(&s->words->from_cells[class]))
            put_relaxed(&s->words->from_cells[class], (uint32_t)page);
    /* its pages are free again, as cells */
    put_relaxed(&s->words->warm_free, get_relaxed(&s->words->warm_free) + pool_count_reserved(s, page, CHUNK_PAGES));
    *ret_page = page;
    return 0;
}

int cells_take(struct zct_store *s, unsigned cells, uint64_t *ret_ext, struct pool_want *want)
{
    uint64_t page;
    unsigned cell = 0, class = class_of(cells);
    bool found = find(s, cells, &page, &cell);
    if (!found) {
        int rc = new_chunk(s, &page, want);
        if (rc == -ZCT_EFULL) { /* no aligned run left: a page of its own */
            rc = pages_take(s, 1, &page, want);
            if (rc == 0)
                *ret_ext = ext_large(page, 1);
            return rc;
        }
        if (rc < 0)
            return rc;
    }
    if (cells == 1u << class) /* nothing of this class lies before it */
        put_relaxed(&s->words->from_cells[class], (uint32_t)page);
    uint64_t ext = ext_small(page, cell, cells), mask = get_relaxed(mask_of(s, page));
    if (mask == 0)
        count_warm(s, page, -1);
    put_relaxed(mask_of(s, page), mask | ext_mask(ext));
    put_relaxed(chunkfree(s, page / CHUNK_PAGES), (uint16_t)(get_relaxed(chunkfree(s, page / CHUNK_PAGES)) - cells));
    *ret_ext = ext;
    return 0;
}

void cells_give(struct zct_store *s, uint64_t ext)
{
    uint64_t page = ext_page(ext), chunk = page / CHUNK_PAGES;
    if (page >= pages_high(s) || !chunk_is_cut(s, page)) /* a rebuild left it out: it overlaps another */
        return;
    uint64_t mask = get_relaxed(mask_of(s, page)) & ~ext_mask(ext);
    unsigned free_cells = get_relaxed(chunkfree(s, chunk)) + ext_cells(ext);
    put_relaxed(mask_of(s, page), mask);
    put_relaxed(chunkfree(s, chunk), (uint16_t)free_cells);
    if (mask == 0)
        count_warm(s, page, 1);
    for (unsigned class = 0; class < SEARCH_CELLS; class++)
        if (page < get_relaxed(&s->words->from_cells[class]))
            put_relaxed(&s->words->from_cells[class], (uint32_t)page);
    if (free_cells == CHUNK_CELLS) {
        uint64_t first = chunk * CHUNK_PAGES;
        put_relaxed(&s->words->warm_free, get_relaxed(&s->words->warm_free) - pool_count_reserved(s, first, CHUNK_PAGES));
        bits_clear(chunkmap(s), chunk, 1);
        pages_give(s, first, CHUNK_PAGES);
    }
}

bool cells_mark(struct zct_store *s, uint64_t ext)
{
    uint64_t page = ext_page(ext), chunk = page / CHUNK_PAGES;
    if (!control_present(s, s->g.masks + chunk * CHUNK_PAGES * 8, CHUNK_PAGES * 8))
        return false;
    if (!chunk_is_cut(s, page)) {
        if (bits_count(REGION(s, sh64, s->g.used), chunk * CHUNK_PAGES, CHUNK_PAGES) != 0)
            return false;
        fill_words(mask_of(s, chunk * CHUNK_PAGES), 0, CHUNK_PAGES);
        put_relaxed(chunkfree(s, chunk), CHUNK_CELLS);
        bits_set(chunkmap(s), chunk, 1);
        bits_set(REGION(s, sh64, s->g.used), chunk * CHUNK_PAGES, CHUNK_PAGES);
    }
    uint64_t mask = get_relaxed(mask_of(s, page));
    if (mask & ext_mask(ext))
        return false;
    put_relaxed(mask_of(s, page), mask | ext_mask(ext));
    put_relaxed(chunkfree(s, chunk), (uint16_t)(get_relaxed(chunkfree(s, chunk)) - ext_cells(ext)));
    return true;
}

/* Count what is reserved and free in cut chunks (rebuild). */
void cells_finish(struct zct_store *s)
{
    uint64_t chunks = div_up(pages_high(s), CHUNK_PAGES), warm = 0;
    for (uint64_t c = bits_find(chunkmap(s), 0, chunks, true); c < chunks; c = bits_find(chunkmap(s), c + 1, chunks, true))
        for (uint64_t page = c * CHUNK_PAGES; page < (c + 1) * CHUNK_PAGES; page++)
            if (get_relaxed(mask_of(s, page)) == 0)
                warm += pool_count_reserved(s, page, 1);
    put_relaxed(&s->words->warm_free, get_relaxed(&s->words->warm_free) + warm);
}
