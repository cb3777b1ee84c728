/* Threads that copy large tensors at once, into memory that is trimmed beside them; with forks in the midst, and with a
 * member that is killed in the midst of its copy. */
#include "threads/crew.h"

#include "tensor/tensor.h"

#include <signal.h>
#include <stdio.h>

static zct_store *s;

static zct_store *open_large(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 64u << 20, .max_names = 64, .max_members = 16};
    zct_store *store = NULL;
    REQUIRE_OK(zct_store_open("large", &o, &store));
    return store;
}

static void close_large(void)
{
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).used, 0);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

static void copy_large(struct hand *hand)
{
    char name[16];
    snprintf(name, sizeof name, "of %u", hand->number);
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        int64_t n = (8 << 20) + (int64_t)(test_random(&hand->random) % (2 << 20)), seed = i * 16 + hand->number;
        zct_tensor *t;
        if (OK(test_create(s, name, n, (uint64_t)seed, NULL, &t)) < 0)
            return;
        CHECK(test_is_pattern(zct_tensor_view(t)->data, (size_t)n, (uint64_t)seed));
        OK(zct_unlink(s, name));
        zct_release(t);
        if (test_random(&hand->random) % 2)
            OK(zct_store_trim(s, 0, NULL));
        pv_put(&s->huge_rest, 0ull); /* do not wait to try again */
    }
}

static void beside_each_other(void)
{
    s = open_large();
    (void)crew_run(4, 60, copy_large);
    close_large();
}

/* A child's copies are its own, and what its parent was copying does not matter to it. */
static void copy_or_fork(struct hand *hand)
{
    if (hand->number) {
        copy_large(hand);
        return;
    }
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        pid_t child = test_fork();
        if (child == 0) {
            zct_tensor *t;
            if (OK(test_create(s, NULL, 9 << 20, 99, NULL, &t)) == 0)
                CHECK(test_is_pattern(zct_tensor_view(t)->data, 9 << 20, 99));
            _exit(test_failed());
        }
        test_join(child);
    }
}

static void beside_forks(void)
{
    s = open_large();
    (void)crew_run(3, 30, copy_or_fork);
    close_large();
}

/* Killed in the midst of a copy: what it had goes back, and the next one finds memory that is half made. */
static void killed(void)
{
    for (int round = 0; round < (test_quick() ? 10 : 60) && !test_failed(); round++) {
        uint32_t *started = test_shared(sizeof *started);
        pid_t child = test_fork();
        if (child == 0) {
            s = open_large();
            test_set(started, 1);
            for (int i = 0;; i++) {
                zct_tensor *t;
                if (OK(test_create(s, "w", 16 << 20, (uint64_t)i, NULL, &t)) < 0)
                    _exit(1);
                OK(zct_unlink(s, "w"));
                zct_release(t);
                OK(zct_store_trim(s, 0, NULL));
            }
        }
        test_await(started, 1);
        test_nap(round * 700000L);
        kill(child, SIGKILL);
        CHECK_EQ(test_wait(child), 256 + SIGKILL);
        zct_tensor *t;
        s = open_large();
        OK(zct_store_gc(s, NULL, NULL));
        CHECK_STORE(s);
        CHECK(test_create(s, "w", 20 << 20, 7, NULL, &t) >= 0);
        CHECK(test_is_pattern(zct_tensor_view(t)->data, 20 << 20, 7));
        zct_release(t);
        OK(zct_unlink(s, "w"));
        close_large();
    }
}

TESTS({"large copies beside each other", beside_each_other, .seconds = 120}, {"large copies beside forks", beside_forks, .seconds = 120},
      {"killed in a large copy", killed, .seconds = 120})
