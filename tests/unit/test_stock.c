/* malloc in the store, at random beside a model: contents, alignment, sizes, what is kept and what is given back. */
#include "support/test.h"

#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIVE = 300 };

static zct_store *s;
static struct { uint8_t *at; size_t size; uint64_t seed; } blocks[LIVE];

static zct_memory_stats stats(void)
{
    zct_memory_stats m = {.size = sizeof m};
    OK(zct_memory_stats_get(s, &m));
    return m;
}

static bool whole(int i)
{
    return test_is_pattern(blocks[i].at, blocks[i].size, blocks[i].seed) &&
           zct_memory_owns(blocks[i].at, NULL) == (blocks[i].size ? blocks[i].size : 1);
}

static size_t a_size(uint64_t *state)
{
    uint64_t r = test_random(state);
    return r % 10 == 0 ? 0 : (r >> 8) % (1ull << (3 + r % 16));
}

static void check_totals(void)
{
    uint64_t bytes = 0, count = 0;
    for (int i = 0; i < LIVE; i++)
        if (blocks[i].at) {
            bytes += blocks[i].size;
            count++;
            CHECK(whole(i));
        }
    zct_memory_stats m = stats();
    CHECK_EQ(m.live_bytes, bytes);
    CHECK_EQ(m.live_blocks, count);
    CHECK_EQ(m.live_blocks + m.idle_blocks, test_stats(s).nameless);
    CHECK(m.idle_bytes <= (16 << 20) / 16);
}

static void at_random(void)
{
    uint64_t state = (uint64_t)test_env("TEST_SEED", (long)(test_now() & 0x7fffffff));
    test_say("# seed %llu", (unsigned long long)state);
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 2048, .max_members = 4};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    for (int step = 0; step < (test_quick() ? 10000 : 80000) && !test_failed(); step++) {
        int i = (int)(test_random(&state) % LIVE);
        size_t size = a_size(&state);
        if (!blocks[i].at) {
            bool zero = step % 3 == 0;
            uint8_t *at = zct_memory_alloc(s, size, zero);
            if (!at)
                continue; /* the store is full: allowed */
            CHECK_EQ((uintptr_t)at % (size >= PAGE ? PAGE : 64), 0);
            CHECK(!zero || size == 0 || (at[0] == 0 && !memcmp(at, at + 1, size - 1)));
            blocks[i].at = at;
        } else if (step % 4 == 0) {
            uint8_t *at = zct_memory_realloc(s, blocks[i].at, size);
            if (!at) {
                CHECK(whole(i));
                continue;
            }
            size_t kept = size < blocks[i].size ? size : blocks[i].size;
            CHECK(test_is_pattern(at, kept / 8 * 8, blocks[i].seed));
            blocks[i].at = at;
        } else {
            CHECK(whole(i));
            zct_memory_free(s, blocks[i].at);
            blocks[i].at = NULL;
            continue;
        }
        blocks[i].size = size;
        blocks[i].seed = (uint64_t)step;
        test_pattern(blocks[i].at, size, blocks[i].seed);
        if (step % 1000 == 0) {
            check_totals();
            CHECK_STORE(s);
        }
    }
    check_totals();
    zct_memory_stats m = stats();
    CHECK(m.hits > m.misses); /* the stock is of use */
    for (int i = 0; i < LIVE; i++)
        zct_memory_free(s, blocks[i].at);
    CHECK_EQ(stats().live_blocks, 0);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(stats().idle_blocks, 0);
    CHECK_EQ(stats().idle_bytes, 0);
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_STORE(s);
    zct_store_close(s);
}

/* An idle block is had again, by the same size and by sizes of its class. */
static void idle_blocks(void)
{
    s = test_store("s");
    for (size_t size = 1; size < 100000; size = size * 5 / 4 + 1) {
        uint8_t *a = zct_memory_alloc(s, size, 0);
        uint64_t births = test_stats(s).births;
        zct_memory_free(s, a);
        CHECK_EQ(zct_memory_owns(a, NULL), 0);
        uint8_t *b = zct_memory_alloc(s, size, 1);
        CHECK(a == b);
        CHECK_EQ(test_stats(s).births, births); /* nothing was made */
        CHECK(b[0] == 0 && !memcmp(b, b + 1, size - 1));
        zct_memory_free(s, b);
    }
    /* what is too much to keep is given back at once */
    uint8_t *large = zct_memory_alloc(s, 8 << 20, 0);
    CHECK(large != NULL);
    zct_memory_free(s, large);
    CHECK(stats().idle_bytes <= (16 << 20) / 16);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0); /* idle blocks are no reason to stay */
}

/* A full store refuses, is counted, and uses what is idle before it does. */
static void full(void)
{
    s = test_store("s");
    void *at[300];
    int n = 0;
    while (n < 300 && (at[n] = zct_memory_alloc(s, 1 << 20, 0)))
        n++;
    CHECK(n >= 12 && n <= 16);
    CHECK_EQ(stats().refused, 1);
    CHECK(zct_memory_alloc(s, ~0ull, 0) == NULL);
    CHECK(zct_memory_alloc(s, 17 << 20, 0) == NULL);
    CHECK(zct_memory_realloc(s, at[0], 17 << 20) == NULL);
    CHECK(stats().refused >= 3);
    for (int i = 0; i < n; i++)
        zct_memory_free(s, at[i]);
    void *all = zct_memory_alloc(s, 15 << 20, 0); /* idle ones make way */
    CHECK(all != NULL);
    zct_memory_free(s, all);
    zct_store_close(s);
}

/* A process that does not go on has the allocator's lock: one call waits for it, those after it do not, and what is idle is
 * still had. */
static void in_the_way(void)
{
    volatile uint32_t *word = test_shared(64);
    s = test_store("s");
    void *idle = zct_memory_alloc(s, 1000, 0), *other;
    zct_memory_free(s, idle);
    pid_t pid = test_fork();
    if (pid == 0) {
        REQUIRE_OK(al_lock(s, deadline_in(NS_PER_S)));
        test_set(word, 1);
        test_await(word, 2);
        al_unlock(s);
        _exit(0);
    }
    test_await(word, 1);
    CHECK(zct_memory_alloc(s, 100000, 0) == NULL);
    CHECK(pv_get(&s->stock_busy_until) > 0);
    pv_put(&s->stock_busy_until, (uint64_t)INT64_MAX);
    test_set(word, 2);
    test_join(pid);
    CHECK(zct_memory_alloc(s, 100000, 0) == NULL); /* not even tried */
    CHECK_EQ(stats().refused, 2);
    CHECK((other = zct_memory_alloc(s, 1000, 0)) != NULL);
    zct_memory_free(s, other);
    pv_put(&s->stock_busy_until, 0u); /* as after a second */
    CHECK((other = zct_memory_alloc(s, 100000, 0)) != NULL);
    zct_memory_free(s, other);
    zct_store_close(s);
}

/* Not ours: nothing happens. */
static void strangers(void)
{
    s = test_store("s");
    char mine[64];
    zct_store *owner = NULL;
    uint8_t *at = zct_memory_alloc(s, 1000, 0);
    CHECK_EQ(zct_memory_owns(mine, &owner), 0);
    CHECK(owner == NULL);
    CHECK_EQ(zct_memory_owns(at + 64, NULL), 0);
    CHECK_EQ(zct_memory_owns(NULL, NULL), 0);
    CHECK(zct_memory_store(at) == s && zct_memory_store(at + 999) == s);
    CHECK(zct_memory_store(mine) == NULL && zct_memory_store(NULL) == NULL);
    CHECK(zct_memory_realloc(s, mine, 10) == NULL);
    CHECK(zct_memory_realloc(s, at + 64, 10) == NULL);
    zct_memory_free(s, mine);
    zct_memory_free(s, at + 64);
    zct_memory_free(s, NULL);
    CHECK_EQ(stats().live_blocks, 1);
    zct_store *other = test_store("other");
    zct_memory_free(other, at);
    CHECK_EQ(zct_memory_owns(at, &owner), 1000);
    CHECK(owner == s);
    zct_store_close(other);
    zct_memory_free(s, at);
    zct_memory_free(s, at); /* twice is nothing */
    CHECK_EQ(stats().live_blocks, 0);
    zct_store_close(s);
}

/* A block keeps its closed store's membership until it is freed. */
static void after_close(void)
{
    s = test_store("s");
    uint8_t *at = zct_memory_alloc(s, 5000, 0);
    zct_store_close(s);
    CHECK_EQ(test_files(), 1);
    memset(at, 1, 5000);
    CHECK_EQ(zct_memory_owns(at, NULL), 5000);
    CHECK(zct_memory_store(at) == s);
    zct_memory_free(s, at);
    CHECK_EQ(test_files(), 0);
    CHECK(zct_memory_store(at) == NULL);
}

TESTS({"at random", at_random}, {"idle blocks", idle_blocks}, {"full", full}, {"in the way", in_the_way},
      {"strangers", strangers}, {"after close", after_close})
