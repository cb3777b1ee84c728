/* 1,000,000 names: made, found, listed, checked, unlinked. TEST_QUICK: 50,000. */
#include "processes/peer.h"

#include <stdio.h>

static zct_store *s;
static long count;

static int name_of(long i, char *to) { return snprintf(to, 64, "layer.%ld.weight", i * 7919 % count); }

static int open_store(long unused)
{
    (void)unused;
    zct_store_options o = {.size = sizeof o, .capacity = 1ull << 30, .max_names = 1u << 20};
    return zct_store_open("s", &o, &s);
}

static double since(int64_t then) { return (double)(test_now() - then) / 1e9; }

/* Every step-th name can be had and says who it is. */
static int attach_all(long step)
{
    int wrong = 0;
    for (long i = 0; i < count; i += step) {
        char name[64];
        zct_tensor *a;
        int n = name_of(i, name);
        int rc = zct_attach_n(s, name, (size_t)n, ZCT_MODE_READ, 0, &a);
        if (rc < 0) {
            wrong++;
            continue;
        }
        long value;
        memcpy(&value, zct_tensor_view(a)->data, sizeof value);
        wrong += value != i;
        zct_release(a);
    }
    return wrong;
}

static void make_all(void)
{
    int64_t shape = 1;
    zct_spec spec = {.size = sizeof spec, .ndim = 1, .shape = &shape,
                     .dtype = {.code = ZCT_INT, .bits = 64, .lanes = 1, .itemsize = 8, .name = "int64"}};
    for (long i = 0; i < count; i++) {
        char name[64];
        zct_tensor *a;
        name_of(i, name);
        int64_t value = i;
        if (zct_create(s, name, &spec, &value, NULL, NULL, &a) < 0) {
            test_fail(__FILE__, __LINE__, "name %ld: %s", i, zct_last_error());
            return;
        }
        zct_release(a);
    }
}

static void list_all(uint32_t flags, long wanted)
{
    zct_list *list;
    zct_stat st = {.size = sizeof st};
    long n = 0;
    uint64_t last = 0;
    OK(zct_list_open(s, flags, &list));
    while (zct_list_next(list, &st) == 1) {
        n++;
        CHECK(n == 1 || st.index > last);
        last = st.index;
    }
    zct_list_close(list);
    CHECK_EQ(n, wanted);
}

static void many(void)
{
    count = test_quick() ? 50000 : 1000000;
    struct peer p = peer_new();
    OK(open_store(0));
    CHECK(zct_store_capacity(s) == 1ull << 30);
    int64_t at = test_now();
    make_all();
    test_say("# made %ld in %.1f s, %llu MB", count, since(at), (unsigned long long)(test_stats(s).resident >> 20));
    CHECK_EQ(test_stats(s).names, count);
    at = test_now();
    CHECK_EQ(attach_all(1), 0);
    test_say("# attached all in %.1f s", since(at));
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    CHECK_EQ(peer_do(&p, attach_all, 17), 0);
    at = test_now();
    list_all(ZCT_LIST_NO_HOLDERS, count);
    CHECK_STORE(s);
    test_say("# listed and checked in %.1f s", since(at));
    at = test_now();
    for (long i = 0; i < count; i += 2) {
        char name[64];
        name_of(i, name);
        OK(zct_unlink(s, name));
    }
    test_say("# unlinked half in %.1f s", since(at));
    CHECK_EQ(test_stats(s).names, count / 2);
    list_all(ZCT_LIST_NO_HOLDERS, count / 2);
    CHECK_EQ(attach_all(2), count / 2); /* those are gone */
    CHECK_STORE(s);
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    /* made again into the holes */
    zct_tensor *a;
    for (long i = 0; i < 1000; i++) {
        char name[64];
        snprintf(name, sizeof name, "again %ld", i);
        OK(test_create(s, name, 8, 1, NULL, &a));
        zct_release(a);
    }
    at = test_now();
    zct_gc_options unheld = {.size = sizeof unheld, .flags = ZCT_GC_UNHELD};
    zct_gc_result r = {.size = sizeof r};
    OK(zct_store_gc(s, &unheld, &r));
    CHECK_EQ(r.tensors, count / 2 + 1000);
    test_say("# ended the rest in %.1f s", since(at));
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).used, 0);
    CHECK_STORE(s);
    OK(zct_store_trim(s, 0, NULL));
    zct_store_close(s);
}

/* A process that holds very many dies: what it held is returned. */
static int hold_all(long unused)
{
    (void)unused;
    int rc = open_store(0);
    for (long i = 0; rc == 0 && i < count; i++) {
        zct_tensor *a;
        rc = test_create(s, NULL, 8, (uint64_t)i, NULL, &a);
    }
    return rc;
}

static void many_held_by_the_dead(void)
{
    count = test_quick() ? 5000 : 100000;
    struct peer p = peer_new();
    OK(open_store(0));
    CHECK_EQ(peer_do(&p, hold_all, 0), 0);
    CHECK_EQ(test_stats(s).names, count);
    int64_t at = test_now();
    pid_t pid = test_fork(); /* a fork beside it copies nothing of it */
    if (pid == 0)
        exit(zct_store_alive(s) != 0);
    test_join(pid);
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    test_say("# reaped %ld in %.2f s", count, since(at));
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_STORE(s);
    zct_store_close(s);
}

TESTS({"a million names", many, 240}, {"many held by the dead", many_held_by_the_dead, 120})
