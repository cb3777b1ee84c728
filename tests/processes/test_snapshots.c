/* Snapshots: whole while somebody writes, refused when a writer died; and what write locks do to versions. */
#include "processes/peer.h"

#include <stdlib.h>

enum { SIZE = 700000 }; /* several pieces, and a rest */

static zct_store *s;
static zct_tensor *a;
static zct_lock_guard guard;
static char *copy;

static int attach(long mode)
{
    s = test_store("s");
    return zct_attach(s, "w", (int)mode, 0, &a);
}

static void make(void)
{
    s = test_store("s");
    REQUIRE_OK(test_create(s, "w", SIZE, 1, NULL, &a));
    copy = malloc(SIZE);
    REQUIRE(copy != NULL);
}

static void end(void)
{
    free(copy);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

static int lock(long unused)
{
    (void)unused;
    return zct_tensor_write_lock(a, ZCT_FOREVER, 0, &guard);
}
static int half_written(long unused)
{
    (void)unused;
    int rc = lock(0);
    test_pattern(zct_tensor_view(a)->data, SIZE / 16 * 8, 2);
    return rc;
}
static int unlock(long unused)
{
    (void)unused;
    return zct_lock_release(&guard);
}

static void alone(void)
{
    uint64_t version = 9;
    make();
    OK(zct_snapshot(a, copy, SIZE, 0, &version));
    CHECK(test_is_pattern(copy, SIZE, 1));
    CHECK_EQ(version, 0);
    OK(zct_snapshot(a, copy, SIZE, ZCT_FOREVER, NULL));
    CHECK_RC(zct_snapshot(a, copy, SIZE - 1, 0, NULL), -ZCT_EINVAL);
    SAYS("700000");
    OK(lock(0));
    CHECK_RC(zct_snapshot(a, copy, SIZE, ZCT_FOREVER, NULL), -ZCT_EDEADLOCK);
    OK(unlock(0));
    OK(zct_snapshot(a, copy, SIZE, 0, &version));
    CHECK_EQ(version, 1); /* the release counted it */
    end();
}

static int write_on(long rounds)
{
    int rc = 0;
    for (long i = 1; rc == 0 && i <= rounds; i++) {
        rc = lock(0);
        test_pattern(zct_tensor_view(a)->data, SIZE, (uint64_t)i);
        rc = rc < 0 ? rc : unlock(0);
    }
    return rc;
}

/* Every snapshot is one of the contents that were ever complete, and they do not go back. */
static void beside_a_writer(void)
{
    long rounds = test_quick() ? 200 : 2000, taken = 0;
    uint64_t last = 0;
    struct peer p = peer_new();
    make();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_WRITE), 0);
    peer_ask(&p, write_on, rounds);
    while (!peer_answered(&p) && !test_failed()) {
        uint64_t version;
        OK(zct_snapshot(a, copy, SIZE, ZCT_FOREVER, &version));
        uint64_t seed = version < 1 ? 1 : version;
        bool whole = test_is_pattern(copy, SIZE, seed);
        for (uint64_t next = seed + 1; !whole && next <= (uint64_t)rounds; next++) /* written since the version was read */
            whole = test_is_pattern(copy, SIZE, next);
        CHECK(whole);
        CHECK(version >= last);
        last = version;
        taken++;
    }
    CHECK_EQ(peer_answer(&p), 0);
    CHECK_EQ(zct_tensor_version(a), rounds);
    OK(zct_snapshot(a, copy, SIZE, 0, NULL));
    CHECK(test_is_pattern(copy, SIZE, (uint64_t)rounds));
    test_say("# %ld snapshots of %ld versions", taken, rounds);
    peer_end(&p);
    end();
}

static void while_it_is_locked(void)
{
    struct peer p = peer_new();
    make();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_WRITE), 0);
    CHECK_EQ(peer_do(&p, half_written, 0), 0);
    CHECK_RC(zct_snapshot(a, copy, SIZE, 0, NULL), -ZCT_ETIMEDOUT);
    CHECK_RC(zct_snapshot(a, copy, SIZE, 1000000, NULL), -ZCT_ETIMEDOUT);
    CHECK_RC(zct_commit(a, NULL), -ZCT_ENOTOWNER);
    SAYS("locked for writing");
    CHECK_EQ(peer_do(&p, unlock, 0), 0);
    OK(zct_commit(a, NULL));
    OK(zct_snapshot(a, copy, SIZE, 0, NULL));
    peer_end(&p);
    end();
}

static int wait_beyond(long version) { return zct_wait(a, (uint64_t)version, ZCT_FOREVER, NULL); }
static int snapshot_waiting(long unused)
{
    (void)unused;
    copy = malloc(SIZE);
    int rc = zct_snapshot(a, copy, SIZE, ZCT_FOREVER, NULL);
    free(copy);
    return rc;
}

/* Who waits for a version, or for a snapshot, of a tensor whose writer dies is told so. */
static void the_writer_dies(void)
{
    struct peer p = peer_new(), waiter = peer_new(), other = peer_new();
    make();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_WRITE), 0);
    CHECK_EQ(peer_do(&waiter, attach, ZCT_MODE_READ), 0);
    CHECK_EQ(peer_do(&other, attach, ZCT_MODE_READ), 0);
    CHECK_EQ(peer_do(&p, half_written, 0), 0);
    peer_ask(&waiter, wait_beyond, 0);
    peer_ask(&other, snapshot_waiting, 0);
    test_nap(10000000);
    CHECK(!peer_answered(&waiter) && !peer_answered(&other));
    peer_kill(&p);
    CHECK_EQ(peer_answer(&waiter), -ZCT_EWRITERDIED);
    CHECK_EQ(peer_answer(&other), -ZCT_EWRITERDIED);
    CHECK_RC(zct_snapshot(a, copy, SIZE, 0, NULL), -ZCT_EWRITERDIED);
    CHECK_RC(zct_commit(a, NULL), -ZCT_EWRITERDIED);
    CHECK_RC(zct_wait(a, 0, 0, NULL), -ZCT_EWRITERDIED);
    CHECK_RC(zct_tensor_write_lock(a, 0, ZCT_RECOVER, &guard), ZCT_RECOVERED);
    test_pattern(zct_tensor_view(a)->data, SIZE, 3);
    OK(zct_lock_mark_consistent(&guard));
    OK(unlock(0));
    OK(zct_snapshot(a, copy, SIZE, 0, NULL));
    CHECK(test_is_pattern(copy, SIZE, 3));
    OK(zct_wait(a, 0, 0, NULL));
    peer_end(&waiter);
    peer_end(&other);
    end();
}

/* A write under the lock wakes who waits for its version, also one that waits with a bell. */
static int wait_any(long unused)
{
    uint64_t seen = 0;
    int index;
    (void)unused;
    return zct_wait_any(&a, &seen, 1, ZCT_FOREVER, &index);
}

static void a_release_wakes(void)
{
    struct peer p = peer_new(), q = peer_new();
    make();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_READ), 0);
    CHECK_EQ(peer_do(&q, attach, ZCT_MODE_READ), 0);
    peer_ask(&p, wait_beyond, 0);
    peer_ask(&q, wait_any, 0);
    test_nap(10000000);
    OK(lock(0));
    CHECK(!peer_answered(&p) && !peer_answered(&q));
    OK(unlock(0));
    CHECK_EQ(peer_answer(&p), 0);
    CHECK_EQ(peer_answer(&q), 0);
    CHECK_EQ(zct_tensor_version(a), 1);
    CHECK_RC(unlock(0), -ZCT_ENOTOWNER);
    CHECK_EQ(zct_tensor_version(a), 1);
    peer_end(&p);
    peer_end(&q);
    end();
}

TESTS({"alone", alone}, {"beside a writer", beside_a_writer}, {"while it is locked", while_it_is_locked},
      {"the writer dies", the_writer_dies}, {"a release wakes", a_release_wakes})
