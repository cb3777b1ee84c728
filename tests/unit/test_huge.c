/* Huge pages: made where they can be, marked when they are there, not asked for again where they were slow; and given back
 * with what was stored beside them left as it is. */
#include "support/deny.h"
#include "support/test.h"

#include "platform/file.h"
#include "pool/huge.h"
#include "tensor/tensor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BIG = 9 << 20 };

static zct_store *s;

static uint64_t ext; /* an extent of ours, from page 0 on */

static void start(const char *huge_pages, uint64_t pages)
{
    struct pool_want want;
    int rc = -EAGAIN;
    setenv("ZCT_HUGE_PAGES", huge_pages, 1);
    s = test_store("s");
    REQUIRE(window_need(s, &s->rw, s->g.capacity, OS_WRITE) == 0);
    ext = 0;
    while (pages && rc == -EAGAIN) {
        REQUIRE(al_lock(s, deadline_in(NS_PER_S)) == 0);
        rc = pool_take(s, pages * PAGE, &ext, &want);
        al_unlock(s);
        if (rc == -EAGAIN)
            REQUIRE(pool_reserve_tables(s, &want) == 0);
    }
    REQUIRE(!ext || ext_page(ext) == 0);
}

static void stop(void)
{
    REQUIRE(al_lock(s, deadline_in(NS_PER_S)) == 0);
    pool_give(s, ext);
    al_unlock(s);
    CHECK_STORE(s);
    zct_store_close(s);
}

/* Ask as a create does that has not been told to wait. */
static uint64_t ask(uint64_t page, uint64_t pages)
{
    pv_put(&s->huge_rest, 0ull);
    return pool_huge(s, page, pages);
}

static uint64_t marked(uint64_t page, uint64_t pages) { return pool_count_reserved(s, page, pages); }

static uint64_t occupied(void)
{
    struct os_stat st = {0};
    int fd = store_file(s, false);
    CHECK_EQ(os_fstat(fd, &st), 0);
    os_close(fd);
    return st.occupied;
}

static void made_and_marked(void)
{
    start("", 6 * HUGE_PAGES);
    uint8_t *first = payload_at(s, 0);
    REQUIRE(os_populate(first + 3 * PAGE, PAGE) == 0); /* as a creator left it that was killed before it marked it */
    memset(first + 3 * PAGE, 7, PAGE);
    uint64_t before = occupied();
    if (!ask(0, HUGE_PAGES))
        test_skip("no huge pages are to be had here");
    CHECK_EQ(marked(0, HUGE_PAGES), HUGE_PAGES);
    CHECK_EQ(marked(HUGE_PAGES, HUGE_PAGES), 0);
    CHECK_EQ(occupied() - before, (HUGE_PAGES - 1) * PAGE);
    for (uint64_t i = 0; i < HUGE_PAGES * PAGE && !test_failed(); i++)
        CHECK_EQ(first[i], i / PAGE == 3 ? 7 : 0);
    /* those that are there are left alone, and those beside them that cannot be huge */
    CHECK_EQ(ask(0, 3 * HUGE_PAGES), 0);
    CHECK_EQ(ask(HUGE_PAGES + 1, 2 * HUGE_PAGES), 0);
    CHECK_EQ(ask(HUGE_PAGES, HUGE_PAGES - 1), 0);
    CHECK_EQ(marked(HUGE_PAGES, 3 * HUGE_PAGES), 0);
    /* several at once, up to one that has a page already */
    pool_set_reserved(s, 4 * HUGE_PAGES - 1, 1);
    pv_put(&s->huge_step, 16u);
    uint64_t made = ask(HUGE_PAGES, 5 * HUGE_PAGES);
    CHECK(made == 2 * HUGE_PAGES || made == 0);
    CHECK_EQ(marked(HUGE_PAGES, 2 * HUGE_PAGES), made);
    pool_clear_reserved(s, 4 * HUGE_PAGES - 1, 1);
    stop();
}

/* Where it cannot be had, or was slow, it is asked for again only after many plain pages, twice as many each time. */
static void not_asked_in_vain(void)
{
    start("", HUGE_PAGES);
    if (!deny_collapse())
        test_skip("no seccomp filter can be set here");
    uint64_t wait = 256 * MiB;
    for (int i = 0; i < 8; i++, wait = min_u64(2 * wait, 8 * GiB)) {
        CHECK_EQ(ask(0, HUGE_PAGES), 0);
        CHECK_EQ(pv_get(&s->huge_rest), wait);
    }
    CHECK_EQ(marked(0, HUGE_PAGES), 0);
    pv_put(&s->huge_rest, 4 * MiB - PAGE);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pool_huge(s, 0, HUGE_PAGES), 0); /* waits */
    CHECK_EQ(pv_get(&s->huge_rest), 0);
    CHECK_EQ(pool_huge(s, 0, HUGE_PAGES), 0); /* asks */
    CHECK_EQ(pv_get(&s->huge_rest), 8 * GiB);
    stop();
}

static void not_wanted(void)
{
    start("never", HUGE_PAGES);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pool_huge(s, 0, HUGE_PAGES), 0);
    CHECK_EQ(pv_get(&s->huge_rest), HUGE_NEVER);
    stop();
}

static void copy_and_check(int64_t n, uint64_t seed, bool zero)
{
    zct_create_options o = {.size = sizeof o, .zero = zero};
    int64_t shape;
    zct_spec spec = test_bytes(&shape, n);
    zct_tensor *t;
    if (zero)
        REQUIRE_OK(zct_create(s, "w", &spec, NULL, NULL, &o, &t));
    else
        REQUIRE_OK(test_create(s, "w", n, seed, NULL, &t));
    const uint8_t *data = zct_tensor_view(t)->data;
    CHECK(zero ? data[0] == 0 && !memcmp(data, data + 1, (size_t)n - 1) : test_is_pattern(data, (size_t)n, seed));
    zct_release(t);
    OK(zct_unlink(s, "w"));
}

/* Copies are right with huge pages, without them, and in what somebody left half made, wherever the extent begins. */
static void copies(void)
{
    static const int64_t sizes[] = {8 << 20, (8 << 20) + 1, BIG, BIG + 4097, (10 << 20) - 1};
    zct_tensor *before[4] = {0};
    start("", 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int zero = 0; zero < 2; zero++) {
                test_case("round %d, %lld bytes, zero %d", round, (long long)sizes[i], zero);
                pv_put(&s->huge_rest, round == 2 ? HUGE_NEVER : 0ull);
                pv_put(&s->huge_step, (uint32_t)i);
                OK(zct_store_trim(s, 0, NULL));
                copy_and_check(sizes[i], i + 1, zero);
                copy_and_check(sizes[i], i + 10, !zero); /* warm */
            }
        OK(test_create(s, NULL, 300000 + round * 4096, 3, NULL, &before[round])); /* moves what follows */
    }
    for (int i = 0; i < 3; i++)
        zct_release(before[i]);
    stop();
}

/* Small tensors in what was a huge page, beside memory that goes back to the system. */
static void given_back_in_part(void)
{
    enum { MANY = 100, N = 40000 };
    char name[16];
    zct_tensor *t;
    start("", 0);
    OK(test_create(s, "first", N, 1000, NULL, &t));
    zct_release(t);
    copy_and_check(BIG, 1, false);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "%d", i);
        REQUIRE_OK(test_create(s, name, N, (uint64_t)i, NULL, &t));
        zct_release(t);
    }
    for (int i = 0; i < MANY; i += 2) {
        snprintf(name, sizeof name, "%d", i);
        OK(zct_unlink(s, name));
    }
    uint64_t before = occupied();
    OK(zct_store_trim(s, 0, NULL));
    CHECK(before - occupied() >= 4 << 20); /* what lies behind them all, at least */
    CHECK_EQ(test_stats(s).warm_free, 0);
    CHECK_STORE(s);
    for (int i = 1; i < MANY; i += 2) {
        test_case("tensor %d", i);
        snprintf(name, sizeof name, "%d", i);
        OK(zct_attach(s, name, ZCT_MODE_READ, 0, &t));
        CHECK(test_is_pattern(zct_tensor_view(t)->data, N, (uint64_t)i));
        zct_release(t);
        OK(zct_unlink(s, name));
    }
    OK(zct_unlink(s, "first"));
    copy_and_check(BIG, 2, true);
    stop();
}

TESTS({"made and marked", made_and_marked}, {"not asked for in vain", not_asked_in_vain}, {"not wanted", not_wanted},
      {"copies", copies}, {"given back in part", given_back_in_part})
