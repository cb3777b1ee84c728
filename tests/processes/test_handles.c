/* Handles: references that are sent as bytes. */
#include "processes/peer.h"

#include <stdio.h>

static zct_store *s;
static zct_tensor *a;
static zct_handle *sent; /* shared by all processes of a test */

enum { SIZE = 4000 };

static int open_store(long unused)
{
    (void)unused;
    s = test_store("s");
    return 0;
}

static int make(long named) { return test_create(s, named ? "w" : NULL, SIZE, 3, NULL, &a); }
static int send_it(long at) { return zct_handle_make(a, &sent[at]); }
static int cancel(long at) { return zct_handle_cancel(s, &sent[at]); }

static int take(long at)
{
    int rc = zct_handle_take(s, &sent[at], ZCT_MODE_DEFAULT, &a);
    if (rc == 0)
        CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 3));
    return rc;
}

static int release(long unused)
{
    (void)unused;
    zct_release(a);
    a = NULL;
    return 0;
}

static struct peer sender(void)
{
    sent = test_shared(8192 * sizeof *sent);
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    CHECK_EQ(peer_do(&p, make, 0), 0);
    CHECK_EQ(peer_do(&p, send_it, 0), 0);
    return p;
}

static void nothing_is_left(void)
{
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).handles, 0);
    CHECK_STORE(s);
    zct_store_close(s);
}

static void taken(void)
{
    struct peer p = sender();
    CHECK_EQ(peer_do(&p, release, 0), 0); /* the handle alone keeps it */
    CHECK_EQ(test_stats(s).names, 1);
    CHECK_EQ(test_stats(s).handles, 1);
    OK(take(0));
    CHECK_EQ(test_stats(s).handles, 0);
    /* again, while somebody holds it */
    zct_tensor *first = a;
    OK(take(0));
    release(0);
    zct_release(first);
    CHECK_RC(take(0), -ZCT_ENOTFOUND);
    SAYS("gone");
    peer_end(&p);
    nothing_is_left();
}

static void by_the_sender_itself(void)
{
    open_store(0);
    sent = test_shared(sizeof *sent);
    OK(make(1));
    OK(send_it(0));
    release(0);
    zct_stat st = stat_of(s, "w");
    CHECK_EQ(st.handles, 1);
    CHECK_EQ(st.holders, 0);
    zct_holder h = {.size = sizeof h};
    CHECK_EQ(zct_holders(s, &st, &h, 1), 1);
    CHECK_EQ(h.handles, 1);
    CHECK_EQ(h.holds, 0);
    CHECK(h.oldest_handle_ns > 0);
    CHECK_EQ(h.is_self, 1);
    OK(take(0));
    CHECK_EQ(zct_tensor_view(a)->mode, ZCT_MODE_WRITE);
    CHECK_EQ(stat_of(s, "w").handles, 0);
    release(0);
    OK(zct_unlink(s, "w"));
    nothing_is_left();
}

static void the_sender_is_killed(void)
{
    struct peer p = sender();
    CHECK_EQ(peer_do(&p, release, 0), 0);
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_RC(take(0), -ZCT_ENOTFOUND);
    nothing_is_left();
}

static void the_sender_leaves(void)
{
    struct peer p = sender();
    CHECK_EQ(peer_do(&p, release, 0), 0);
    peer_end(&p);
    CHECK_RC(take(0), -ZCT_ENOTFOUND);
    nothing_is_left();
}

/* Killed after it was taken: the taker has it. */
static void killed_after_the_take(void)
{
    struct peer p = sender();
    OK(take(0));
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 3));
    zct_tensor *first = a;
    OK(take(0));
    zct_release(first);
    CHECK_EQ(test_stats(s).names, 1);
    release(0);
    nothing_is_left();
}

static void cancelled(void)
{
    struct peer p = sender();
    CHECK_RC(cancel(0), -ZCT_ENOTOWNER);
    CHECK_EQ(peer_do(&p, release, 0), 0);
    CHECK_EQ(peer_do(&p, cancel, 0), 0);
    CHECK_EQ(peer_do(&p, cancel, 0), 0); /* again is nothing */
    CHECK_RC(take(0), -ZCT_ENOTFOUND);
    peer_end(&p);
    nothing_is_left();
}

/* The descriptor has another tensor by now. */
static void stale_generation(void)
{
    open_store(0);
    sent = test_shared(2 * sizeof *sent);
    OK(make(0));
    uint64_t serial = zct_tensor_view(a)->serial;
    OK(send_it(0));
    OK(cancel(0));
    release(0);
    for (int i = 0; i < 5; i++) { /* the same descriptor again */
        OK(make(1));
        CHECK_EQ(stat_of(s, "w").index, sent[0].desc);
        CHECK(zct_tensor_view(a)->serial > serial);
        zct_tensor *b;
        CHECK_RC(zct_handle_take(s, &sent[0], 0, &b), -ZCT_ENOTFOUND);
        OK(zct_unlink(s, "w"));
        release(0);
    }
    nothing_is_left();
}

static void another_store(void)
{
    struct peer p = sender();
    zct_store *other = test_store("other");
    zct_tensor *b;
    CHECK_RC(zct_handle_take(other, &sent[0], 0, &b), -ZCT_EMISMATCH);
    SAYS("'other'");
    CHECK_RC(zct_handle_cancel(other, &sent[0]), -ZCT_EMISMATCH);
    zct_store_close(other);
    peer_end(&p);
    nothing_is_left();
}

static void damaged(void)
{
    struct peer p = sender();
    for (size_t i = 0; i < sizeof *sent; i++)
        for (int bit = 0; bit < 8; bit++) {
            zct_handle h = sent[0];
            ((uint8_t *)&h)[i] ^= (uint8_t)(1 << bit);
            zct_tensor *b = NULL;
            test_case("byte %zu bit %d", i, bit);
            CHECK_RC(zct_handle_take(s, &h, 0, &b), -ZCT_EINVAL);
            CHECK(b == NULL);
            CHECK_RC(zct_handle_cancel(s, &h), -ZCT_EINVAL);
        }
    test_case("%s", "");
    CHECK_EQ(test_stats(s).handles, 1);
    OK(take(0));
    release(0);
    peer_end(&p);
    nothing_is_left();
}

static void modes(void)
{
    open_store(0);
    sent = test_shared(4 * sizeof *sent);
    OK(make(1));
    zct_tensor *b;
    OK(send_it(0));
    CHECK_RC(zct_handle_take(s, &sent[0], 99, &b), -ZCT_EINVAL);
    CHECK_RC(zct_handle_take(s, &sent[0], -1, &b), -ZCT_EINVAL);
    CHECK_EQ(test_stats(s).handles, 1); /* a take that failed took nothing */
    for (int mode = ZCT_MODE_READ; mode <= ZCT_MODE_COW; mode++) {
        OK(zct_handle_take(s, &sent[0], mode, &b));
        CHECK_EQ(zct_tensor_view(b)->mode, mode);
        zct_handle h;
        OK(zct_handle_make(b, &h));
        zct_release(b);
        OK(zct_handle_take(s, &h, ZCT_MODE_DEFAULT, &b)); /* the sender's mode */
        CHECK_EQ(zct_tensor_view(b)->mode, mode);
        zct_release(b);
    }
    OK(send_it(1));
    CHECK_RC(zct_seal(a), -ZCT_EBUSY); /* somebody may take it any moment, and write */
    SAYS("handle");
    OK(cancel(1));
    OK(zct_seal(a));
    OK(send_it(1));
    CHECK_RC(zct_handle_take(s, &sent[1], ZCT_MODE_WRITE, &b), -ZCT_EACCES);
    CHECK_EQ(test_stats(s).handles, 1);
    OK(zct_handle_take(s, &sent[1], ZCT_MODE_DEFAULT, &b));
    CHECK_EQ(zct_tensor_view(b)->mode, ZCT_MODE_READ);
    zct_release(b);
    release(0);
    OK(zct_unlink(s, "w"));
    nothing_is_left();
}

static void too_many(uint64_t capacity, unsigned limit)
{
    zct_store_options o = {.size = sizeof o, .capacity = capacity, .max_names = 64, .max_members = 4};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    sent = test_shared((limit + 1) * sizeof *sent);
    OK(make(0));
    for (unsigned i = 0; i < limit; i++)
        if (zct_handle_make(a, &sent[i]) < 0) {
            CHECK_RC(zct_handle_make(a, &sent[i]), 0);
            test_fail(__FILE__, __LINE__, "handle %u of %u", i, limit);
            break;
        }
    CHECK_EQ(test_stats(s).handles, limit);
    CHECK_RC(zct_handle_make(a, &sent[limit]), -ZCT_ETOOMANYHANDLES);
    char text[16];
    snprintf(text, sizeof text, "%u", limit);
    SAYS(text);
    SAYS("'s'");
    SAYS("gc(");
    OK(zct_handle_cancel(s, &sent[limit / 2]));
    OK(zct_handle_make(a, &sent[limit]));
    test_nap(2000000);
    zct_gc_options old = {.size = sizeof old, .own_handles_ns = 1000000};
    zct_gc_result result = {.size = sizeof result};
    OK(zct_store_gc(s, &old, &result));
    CHECK_EQ(result.handles, limit);
    CHECK_EQ(test_stats(s).handles, 0);
    release(0);
    nothing_is_left();
}

static void too_many_small(void) { too_many(16u << 20, 512); }
static void too_many_large(void) { too_many(1ull << 30, 4096); }

/* A copied handle object in a forked child drops nothing of its parent's. */
static void a_forked_child(void)
{
    open_store(0);
    sent = test_shared(sizeof *sent);
    OK(make(0));
    OK(send_it(0));
    pid_t pid = test_fork();
    if (pid == 0) {
        CHECK_RC(cancel(0), -ZCT_ENOTOWNER);
        release(0);
        exit(0);
    }
    test_join(pid);
    CHECK_EQ(test_stats(s).handles, 1);
    release(0);
    OK(take(0));
    release(0);
    nothing_is_left();
}

TESTS({"taken", taken}, {"taken by the sender itself", by_the_sender_itself}, {"the sender is killed", the_sender_is_killed},
      {"the sender leaves", the_sender_leaves}, {"killed after the take", killed_after_the_take}, {"cancelled", cancelled},
      {"stale generation", stale_generation}, {"of another store", another_store}, {"damaged", damaged}, {"modes", modes},
      {"512 of a small store", too_many_small}, {"4096 of a large store", too_many_large},
      {"copied to a forked child", a_forked_child})
