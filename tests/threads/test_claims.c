/* Threads that make tensors and keep them: two that want the same descriptor, and forks in between. */
#include "threads/crew.h"

#include <unistd.h>

static zct_store *s;
enum { KEPT = 200 };
static zct_tensor *kept[CREW_MOST][KEPT];

static void make_and_keep(struct hand *hand)
{
    for (int i = 0; i < KEPT && !test_failed(); i++) {
        zct_create_options soon = {.size = sizeof soon, .timeout_ns = 20000000000};
        zct_tensor *passing = NULL;
        OK(crew_create(s, NULL, 16, 1, &soon, &passing)); /* its descriptor comes free in between */
        OK(crew_create(s, NULL, 16 + i, hand->number, &soon, &kept[hand->number][i]));
        zct_release(passing);
    }
}

static void let_go(struct hand *hand)
{
    for (int i = 0; i < KEPT; i++) {
        if (!kept[hand->number][i])
            continue;
        CHECK(crew_whole(kept[hand->number][i]));
        zct_release(kept[hand->number][i]);
        kept[hand->number][i] = NULL;
    }
}

static void kept_ones(void)
{
    for (int round = 0; round < (test_quick() ? 5 : 30) && !test_failed(); round++) {
        zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 1024, .max_members = 4};
        REQUIRE_OK(zct_store_open("s", &o, &s));
        crew_run(4, 1, make_and_keep);
        CHECK_EQ(test_stats(s).names, 4 * KEPT);
        CHECK_STORE(s);
        crew_run(4, 1, let_go);
        CHECK_EQ(test_stats(s).names, 0);
        zct_store_close(s);
    }
}

/* To the last descriptor: none is lost between threads that wanted the same one. */
static void all_of_them(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 640, .max_members = 4};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    for (int round = 0; round < (test_quick() ? 3 : 20) && !test_failed(); round++) {
        zct_tensor *rest[64] = {0};
        crew_run(3, 1, make_and_keep);
        unsigned n = 0;
        for (; n < 64 && crew_create(s, NULL, 64, n, NULL, &rest[n]) >= 0; n++) {
        }
        CHECK_EQ(test_stats(s).names, 3 * KEPT + n);
        for (unsigned i = 0; i < n; i++)
            zct_release(rest[i]);
        crew_run(3, 1, let_go);
    }
    CHECK_STORE(s);
    zct_store_close(s);
}

/* A child has its parent's references, also those that a thread was about to take or to drop: it makes tensors all the same. */
static volatile uint32_t stop;

static void fork_or_make(struct hand *hand)
{
    if (hand->number == 0) {
        for (long i = 0; i < hand->rounds && !test_failed(); i++) {
            pid_t pid = test_fork();
            if (pid == 0) {
                zct_create_options soon = {.size = sizeof soon, .timeout_ns = 20000000000};
                zct_tensor *t[5] = {0};
                for (int k = 0; k < 5; k++)
                    OK(crew_create(s, NULL, 64, 1, &soon, &t[k]));
                for (int k = 0; k < 5; k++)
                    zct_release(t[k]);
                _exit(0);
            }
            CHECK_EQ(test_wait(pid), 0);
        }
        __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    }
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE) && !test_failed()) {
        zct_tensor *t = NULL;
        OK(crew_create(s, NULL, 64, 1, NULL, &t));
        zct_release(t);
    }
}

static void children(void)
{
    if (TEST_ASAN)
        test_skip("AddressSanitizer's allocator may be locked in a child that is forked beside threads");
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 1024, .max_members = 512};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    crew_run(4, 300, fork_or_make);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_STORE(s);
    zct_store_close(s);
}

TESTS({"kept ones", kept_ones, 120}, {"all of them", all_of_them, 120}, {"children", children, 120})
