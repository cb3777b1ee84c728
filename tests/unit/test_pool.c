/* The pool: pages and cells, taken, given and rebuilt at random beside a trivial model. */
#include "support/test.h"

#include "pool/bits.h"
#include "pool/pages.h"
#include "tensor/tensor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES = 4096, LIVE = 3000 };

static zct_store *s;
static uint32_t owner[PAGES];  /* of a whole page: extent + 1, 0: free */
static uint64_t cells[PAGES];  /* cells of a page that small extents have */
static uint64_t extents[LIVE];
static uint64_t state;

static void lock(void) { REQUIRE(al_lock(s, deadline_in(NS_PER_S)) == 0); }

static void start(void)
{
    s = test_store("s"); /* 16 MiB: 4096 pages */
    CHECK_EQ(s->g.pages, PAGES);
    state = (uint64_t)test_env("TEST_SEED", (long)(test_now() & 0x7fffffff));
    test_say("# seed %llu", (unsigned long long)state);
    memset(owner, 0, sizeof owner);
    memset(cells, 0, sizeof cells);
    memset(extents, 0, sizeof extents);
}

/* As a create does: what is wanted is reserved without the lock. */
static int take(uint64_t nbytes, uint64_t *ret_ext)
{
    struct pool_want want;
    for (;;) {
        int rc = pool_take(s, nbytes, ret_ext, &want);
        if (rc != -EAGAIN)
            return rc;
        al_unlock(s);
        REQUIRE(pool_reserve_tables(s, &want) == 0);
        lock();
    }
}

static bool chunk_of_cells(uint64_t page)
{
    for (uint64_t p = page / CHUNK_PAGES * CHUNK_PAGES, i = 0; i < CHUNK_PAGES; i++)
        if (cells[p + i])
            return true;
    return false;
}

static bool page_is_free(uint64_t page) { return !owner[page] && !chunk_of_cells(page); }

/* Could the model find room for so many bytes? */
static bool there_is_room(uint64_t nbytes)
{
    uint64_t want = nbytes <= LARGEST_SMALL ? 1 : div_up(nbytes, PAGE), run = 0;
    for (uint64_t page = 0; page < PAGES; page++) {
        run = page_is_free(page) ? run + 1 : 0;
        if (run >= want)
            return true;
    }
    for (uint64_t page = 0; nbytes <= LARGEST_SMALL && page < PAGES; page++)
        if (!owner[page] && chunk_of_cells(page) && word_run(cells[page], (unsigned)div_up(nbytes, CELL)) < 64)
            return true;
    return false;
}

static void model_take(unsigned i, uint64_t ext, uint64_t nbytes)
{
    CHECK(ext != 0 && ext_valid(ext, PAGES));
    CHECK(ext_bytes(ext).length >= nbytes);
    CHECK(ext_bytes(ext).length < nbytes + PAGE);
    extents[i] = ext;
    if (ext_is_small(ext)) {
        CHECK_EQ(owner[ext_page(ext)], 0);
        CHECK((cells[ext_page(ext)] & ext_mask(ext)) == 0);
        cells[ext_page(ext)] |= ext_mask(ext);
        return;
    }
    for (uint64_t page = ext_page(ext); page < ext_page(ext) + ext_pages(ext); page++) {
        CHECK_EQ(owner[page], 0);
        CHECK_EQ(cells[page], 0);
        owner[page] = i + 1;
    }
}

static void model_give(unsigned i)
{
    uint64_t ext = extents[i];
    extents[i] = 0;
    if (ext_is_small(ext))
        cells[ext_page(ext)] &= ~ext_mask(ext);
    else
        memset(&owner[ext_page(ext)], 0, ext_pages(ext) * sizeof *owner);
}

/* The pool's own maps say what the model says. */
static void compare(void)
{
    sh64 *used = REGION(s, sh64, s->g.used);
    uint64_t high = pages_high(s), wrong = 0, free_cells;
    for (uint64_t page = 0; page < high; page++) {
        bool is = (get_relaxed(&used[page / 64]) >> (page % 64)) & 1;
        wrong += is != !page_is_free(page);
        wrong += chunk_is_cut(s, page) != chunk_of_cells(page);
        if (chunk_of_cells(page))
            wrong += get_relaxed(&REGION(s, sh64, s->g.masks)[page]) != cells[page];
    }
    for (uint64_t page = high; page < PAGES; page++)
        wrong += !page_is_free(page);
    for (uint64_t chunk = 0; chunk < high / CHUNK_PAGES; chunk++) {
        if (!chunk_of_cells(chunk * CHUNK_PAGES))
            continue;
        free_cells = 0;
        for (uint64_t page = chunk * CHUNK_PAGES; page < (chunk + 1) * CHUNK_PAGES; page++)
            free_cells += 64 - (uint64_t)__builtin_popcountll(cells[page]);
        wrong += get_relaxed(&REGION(s, sh16, s->g.chunkfree)[chunk]) != free_cells;
    }
    CHECK_EQ(wrong, 0);
}

static uint64_t a_size(unsigned kind)
{
    uint64_t r = test_random(&state);
    switch (kind) {
    case 0: return 1 + r % 64;
    case 1: return 1 + r % LARGEST_SMALL;
    case 2: return LARGEST_SMALL + 1 + r % (8 * PAGE);
    case 3: return (1ull << (r % 7)) * PAGE; /* powers of two: what the hints know best */
    default: return 1 + r % (PAGES * PAGE / 3);
    }
}

/* Everything again from the extents alone. */
static void rebuild(void)
{
    uint64_t warm = get_relaxed(&s->words->warm_free);
    pool_clear(s);
    for (unsigned i = 0; i < LIVE; i++)
        CHECK(pool_mark(s, extents[i]));
    pool_finish(s);
    CHECK_EQ(get_relaxed(&s->words->warm_free), warm);
    compare();
}

static void at_random(unsigned kinds, long steps)
{
    long refused = 0, wrongly = 0;
    for (long n = 0; n < steps && !test_failed(); n++) {
        unsigned i = (unsigned)(test_random(&state) % LIVE);
        if (extents[i]) {
            pool_give(s, extents[i]);
            model_give(i);
        } else {
            uint64_t ext = 0, nbytes = a_size((unsigned)(test_random(&state) % kinds));
            int rc = take(nbytes, &ext);
            if (rc == 0) {
                model_take(i, ext, nbytes);
                if (test_random(&state) % 4 == 0) /* as if it had been written */
                    pool_set_reserved(s, ext_page(ext), ext_pages(ext));
            } else {
                CHECK_EQ(rc, -ZCT_EFULL);
                refused++;
                wrongly += there_is_room(nbytes);
            }
        }
        if (n % 500 == 0)
            compare();
        if (n % 5000 == 0)
            rebuild();
    }
    CHECK_EQ(wrongly, 0);
    test_say("# %ld refused", refused);
    compare();
    rebuild();
}

static void end(void)
{
    for (unsigned i = 0; i < LIVE; i++)
        if (extents[i]) {
            pool_give(s, extents[i]);
            model_give(i);
        }
    compare();
    CHECK_EQ(get_relaxed(&s->words->warm_free), pool_count_reserved(s, 0, pages_high(s)));
    al_unlock(s);
    CHECK_STORE(s);
    zct_store_close(s);
}

static void small_ones(void)
{
    start();
    lock();
    at_random(2, test_quick() ? 10000 : 100000);
    end();
}

static void all_sizes(void)
{
    start();
    lock();
    at_random(4, test_quick() ? 10000 : 100000);
    end();
}

static void with_huge_ones(void)
{
    start();
    lock();
    at_random(5, test_quick() ? 10000 : 60000);
    end();
}

/* To the last page, by each size; then all of it again as one. */
static void filled(void)
{
    static const uint64_t sizes[] = {64, 4032, 4096, 8192, 65536, 3 * 4096, 1 << 20};
    start();
    lock();
    for (size_t k = 0; k < COUNT(sizes); k++) {
        uint64_t ext, n = 0, most = sizes[k] <= LARGEST_SMALL ? PAGES * (4096 / sizes[k]) : PAGES * 4096ull / sizes[k];
        uint64_t *got = calloc(most + 1, sizeof *got);
        test_case("%llu bytes", (unsigned long long)sizes[k]);
        while (take(sizes[k], &ext) == 0 && n < most)
            got[n++] = ext;
        CHECK_EQ(n, most);
        for (uint64_t i = 0; i < n; i++)
            pool_give(s, got[(i * 7919) % n]);
        compare();
        free(got);
        CHECK_EQ(take(PAGES * 4096ull, &ext), 0);
        CHECK(ext == ext_large(0, PAGES));
        CHECK_EQ(take(1, &ext), -ZCT_EFULL);
        pool_give(s, ext_large(0, PAGES));
    }
    CHECK_EQ(take(PAGES * 4096ull + 1, &state), -ZCT_EFULL);
    test_case("%s", "");
    end();
}

/* What overlaps or lies outside is left out of a rebuild. */
static void damaged_extents(void)
{
    start();
    lock();
    uint64_t ext;
    CHECK_EQ(take(100 * 4096, &ext), 0);
    pool_clear(s);
    CHECK(pool_mark(s, ext_large(3, 5)));
    CHECK(!pool_mark(s, ext_large(3, 5)));
    CHECK(!pool_mark(s, ext_large(7, 1)));
    CHECK(pool_mark(s, ext_large(8, 1)));
    CHECK(!pool_mark(s, ext_large(PAGES - 1, 1))); /* beyond the highest page ever used */
    CHECK(!pool_mark(s, ext_large(0, 0x7fffffff)));
    CHECK(!pool_mark(s, ext_small(1, 60, 8)));
    CHECK(!pool_mark(s, ext_small(70, 0, 0)));
    CHECK(!pool_mark(s, ext_small(5, 0, 4))); /* a page of another's, in a chunk that is not cut */
    pool_clear(s);
    CHECK(pool_mark(s, 0));
    pool_finish(s);
    pool_clear(s);
    pool_finish(s);
    end();
}

/* ---- bits ---- */

static void bit_runs(void)
{
    sh64 map[4];
    uint64_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        uint8_t model[256];
        for (int w = 0; w < 4; w++) {
            uint64_t word = test_random(&seed) & (round % 3 ? test_random(&seed) : ~0ull) & (round % 5 ? ~0ull : 0);
            put_relaxed(&map[w], word);
            for (int b = 0; b < 64; b++)
                model[w * 64 + b] = word >> b & 1;
        }
        uint64_t first = test_random(&seed) % 256, count = test_random(&seed) % (257 - first), ones = 0, at;
        for (uint64_t i = first; i < first + count; i++)
            ones += model[i];
        CHECK_EQ(bits_count(map, first, count), ones);
        for (int value = 0; value < 2; value++) {
            for (at = first; at < first + count && model[at] != value; at++) {
            }
            CHECK_EQ(bits_find(map, first, first + count, value), at);
        }
        for (unsigned n = 1; n <= 64; n++) {
            unsigned want = 64;
            for (unsigned start_at = 0; start_at + n <= 64 && want == 64; start_at++) {
                unsigned have = 0;
                while (have < n && !model[start_at + have])
                    have++;
                want = have == n ? start_at : 64;
            }
            CHECK_EQ(word_run(get_relaxed(&map[0]), n), want);
        }
        bool on = round & 1;
        on ? bits_set(map, first, count) : bits_clear(map, first, count);
        for (uint64_t i = 0; i < 256; i++) {
            bool is = get_relaxed(&map[i / 64]) >> (i % 64) & 1;
            CHECK_EQ(is, i >= first && i < first + count ? on : model[i]);
        }
    }
}

TESTS({"small ones", small_ones}, {"all sizes", all_sizes}, {"with huge ones", with_huge_ones}, {"filled", filled},
      {"damaged extents", damaged_extents}, {"runs of bits", bit_runs})
