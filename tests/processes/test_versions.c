/* Versions: counting, and waiting for one tensor or for many: it comes, it does not, the tensor goes, a process is killed. */
#include "processes/peer.h"

#include <stdio.h>

enum { MANY = 128 };

static zct_store *s;
static zct_tensor *a, *many[MANY];

static int open_store(long unused)
{
    (void)unused;
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 512, .max_members = 16};
    return zct_store_open("s", &o, &s);
}

static int attach(long mode)
{
    zct_release(a); /* of the body's, where this process was forked behind it */
    a = NULL;
    int rc = open_store(0);
    return rc < 0 ? rc : zct_attach(s, "w", (int)mode, 0, &a);
}

static int commit(long times)
{
    int rc = 0;
    while (rc == 0 && times-- > 0)
        rc = zct_commit(a, NULL);
    return rc;
}

/* Returns the version, or the code. */
static int wait_beyond(long version)
{
    uint64_t now = 0;
    int rc = zct_wait(a, (uint64_t)version, ZCT_FOREVER, &now);
    return rc < 0 ? rc : (int)now;
}

static struct peer waiter(long newer_than)
{
    struct peer p = peer_new();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_READ), 0);
    peer_ask(&p, wait_beyond, newer_than);
    return p;
}

static void make(void)
{
    REQUIRE_OK(open_store(0));
    REQUIRE_OK(test_create(s, "w", 100, 1, NULL, &a));
}

static void end(void)
{
    zct_release(a);
    if (there(s, "w"))
        OK(zct_unlink(s, "w"));
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).used, 0);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

static void counting(void)
{
    uint64_t v = 9;
    zct_tensor *b;
    make();
    CHECK_EQ(zct_tensor_version(a), 0);
    OK(zct_commit(a, &v));
    CHECK_EQ(v, 1);
    OK(zct_commit(a, NULL));
    OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &b));
    CHECK_EQ(zct_tensor_version(b), 2);
    CHECK_EQ(stat_of(s, "w").version, 2);
    CHECK_RC(zct_commit(b, NULL), -ZCT_EACCES);
    SAYS("read-only");
    zct_release(b);
    OK(zct_attach(s, "w", ZCT_MODE_COW, 0, &b));
    CHECK_RC(zct_commit(b, NULL), -ZCT_EACCES);
    SAYS("copy-on-write");
    OK(zct_wait(b, 1, 0, &v));
    CHECK_EQ(v, 2);
    CHECK_RC(zct_wait(b, 2, 0, NULL), -ZCT_ETIMEDOUT);
    SAYS("'w'");
    CHECK_RC(zct_wait(b, 2, 1000000, NULL), -ZCT_ETIMEDOUT);
    zct_release(b);
    /* the next tensor in the same descriptor starts from nothing */
    zct_release(a);
    OK(zct_unlink(s, "w"));
    REQUIRE_OK(test_create(s, "w", 100, 1, NULL, &a));
    CHECK_EQ(zct_tensor_version(a), 0);
    end();
}

static void comes(void)
{
    struct peer p = peer_new(), q = peer_new(), r = peer_new();
    make();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_READ), 0);
    CHECK_EQ(peer_do(&q, attach, ZCT_MODE_READ), 0);
    CHECK_EQ(peer_do(&r, attach, ZCT_MODE_WRITE), 0);
    peer_ask(&p, wait_beyond, 0);
    peer_ask(&q, wait_beyond, 2);
    test_nap(20000000);
    CHECK(!peer_answered(&p) && !peer_answered(&q));
    CHECK_EQ(peer_do(&r, commit, 1), 0);
    CHECK_EQ(peer_answer(&p), 1);
    CHECK(!peer_answered(&q));
    CHECK_EQ(peer_do(&r, commit, 2), 0);
    CHECK_EQ(peer_answer(&q), 3);
    peer_end(&p);
    peer_end(&q);
    peer_end(&r);
    end();
}

/* Two processes that answer each other: no wake-up is lost, or this takes a second each time. */
static int answer(long rounds)
{
    for (long i = 0; i < rounds; i++) {
        int rc = zct_wait(a, (uint64_t)(2 * i), ZCT_FOREVER, NULL);
        rc = rc < 0 ? rc : zct_commit(a, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void in_turn(void)
{
    struct peer p = peer_new();
    long rounds = test_quick() ? 500 : 5000;
    make();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_WRITE), 0);
    peer_ask(&p, answer, rounds);
    for (long i = 0; i < rounds; i++) {
        OK(zct_commit(a, NULL));
        OK(zct_wait(a, (uint64_t)(2 * i + 1), ZCT_FOREVER, NULL));
    }
    CHECK_EQ(peer_answer(&p), 0);
    CHECK_EQ(zct_tensor_version(a), 2 * rounds);
    peer_end(&p);
    end();
}

static void goes(void)
{
    zct_tensor *b;
    make();
    struct peer p = waiter(0);
    test_nap(20000000);
    zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
    OK(test_create(s, "w", 50, 2, &o, &b));
    CHECK_EQ(peer_answer(&p), -ZCT_EREPLACED);
    CHECK(strstr(p.board->error, "'w'") && strstr(p.board->error, "attach again"));
    struct peer q = waiter(0);
    test_nap(20000000);
    OK(zct_unlink(s, "w"));
    CHECK_EQ(peer_answer(&q), -ZCT_ENOTFOUND);
    /* what was counted before the end is still told; and who holds it may go on counting */
    CHECK_RC(zct_wait(b, 0, 0, NULL), -ZCT_ENOTFOUND);
    OK(zct_commit(b, NULL));
    OK(zct_wait(b, 0, ZCT_FOREVER, NULL));
    CHECK_RC(zct_wait(a, 0, ZCT_FOREVER, NULL), -ZCT_EREPLACED);
    zct_release(b);
    peer_end(&p);
    peer_end(&q);
    end();
}

static void nameless(void)
{
    REQUIRE_OK(open_store(0));
    REQUIRE_OK(test_create(s, NULL, 100, 1, NULL, &a));
    OK(zct_commit(a, NULL));
    OK(zct_wait(a, 0, ZCT_FOREVER, NULL));
    CHECK_RC(zct_wait(a, 1, 1000, NULL), -ZCT_ETIMEDOUT);
    OK(zct_publish(a, "w", NULL));
    CHECK_EQ(zct_tensor_version(a), 1);
    end();
}

/* A waiter that is killed leaves nothing that hurts; so does a process that counts. */
static void killed(void)
{
    make();
    for (int i = 0; i < 5; i++) {
        struct peer p = waiter(1000), q = peer_new();
        CHECK_EQ(peer_do(&q, attach, ZCT_MODE_WRITE), 0);
        uint64_t before = zct_tensor_version(a);
        peer_ask(&q, commit, 1000000000);
        while (zct_tensor_version(a) == before)
            test_nap(1000000);
        peer_kill(&p);
        peer_kill(&q);
    }
    uint64_t before = zct_tensor_version(a);
    CHECK(before > 0);
    struct peer p = waiter((long)before);
    OK(commit(1));
    CHECK(peer_answer(&p) > (int)before);
    peer_end(&p);
    end();
}

/* ---- many ---- */

static void make_many(void)
{
    REQUIRE_OK(open_store(0));
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        REQUIRE_OK(test_create(s, name, 16, 1, NULL, &many[i]));
    }
}

static void end_many(void)
{
    for (int i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        zct_release(many[i]);
        if (there(s, name))
            OK(zct_unlink(s, name));
    }
    end();
}

/* Returns the index, or 1000 + index when it ended. */
static int wait_for_any(long unused)
{
    uint64_t seen[MANY];
    int index = -1;
    (void)unused;
    for (int i = 0; i < MANY; i++)
        seen[i] = zct_tensor_version(many[i]);
    int rc = zct_wait_any(many, seen, MANY, ZCT_FOREVER, &index);
    return rc == -ZCT_ENOTFOUND ? 1000 + index : rc < 0 ? rc : index;
}

static int attach_many(long unused)
{
    (void)unused;
    int rc = open_store(0);
    for (int i = 0; rc == 0 && i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        rc = zct_attach(s, name, ZCT_MODE_READ, 0, &many[i]);
    }
    return rc;
}

static void any(void)
{
    struct peer p = peer_new(), q = peer_new();
    make_many();
    CHECK_EQ(peer_do(&p, attach_many, 0), 0);
    CHECK_EQ(peer_do(&q, attach_many, 0), 0);
    for (int i = 0; i < MANY; i += 42) {
        peer_ask(&p, wait_for_any, 0);
        peer_ask(&q, wait_for_any, 0);
        test_nap(10000000);
        CHECK(!peer_answered(&p));
        OK(zct_commit(many[i], NULL));
        CHECK_EQ(peer_answer(&p), i);
        CHECK_EQ(peer_answer(&q), i);
    }
    peer_ask(&p, wait_for_any, 0);
    test_nap(10000000);
    OK(zct_unlink(s, "m7"));
    CHECK_EQ(peer_answer(&p), 1007);
    peer_kill(&p);
    peer_end(&q);
    end_many();
}

static void any_arguments(void)
{
    uint64_t seen[2] = {0, 0};
    int index = -1;
    zct_store *other;
    make_many();
    CHECK_RC(zct_wait_any(many, seen, 0, 0, &index), -ZCT_EINVAL);
    CHECK_RC(zct_wait_any(many, seen, 2, 0, &index), -ZCT_ETIMEDOUT);
    CHECK_RC(zct_wait_any(many, seen, 2, 1000000, &index), -ZCT_ETIMEDOUT);
    OK(zct_commit(many[1], NULL));
    OK(zct_wait_any(many, seen, 2, 0, &index));
    CHECK_EQ(index, 1);
    other = test_store("other");
    OK(test_create(other, NULL, 10, 1, NULL, &a));
    zct_tensor *two[2] = {many[0], a};
    CHECK_RC(zct_wait_any(two, seen, 2, 0, &index), -ZCT_EINVAL);
    SAYS("'other'");
    zct_release(a);
    a = NULL;
    zct_store_close(other);
    end_many();
}

static void bell(void)
{
    uint64_t v = 0;
    make();
    uint32_t heard = zct_bell(s);
    CHECK_RC(zct_bell_wait(s, heard, 0), -ZCT_ETIMEDOUT);
    OK(zct_bell_ring(s));
    OK(zct_bell_wait(s, heard, ZCT_FOREVER));
    heard = zct_bell(s);
    CHECK_RC(zct_listen(a, 0, &v), 0);
    OK(zct_commit(a, NULL));
    OK(zct_bell_wait(s, heard, ZCT_FOREVER));
    CHECK_RC(zct_listen(a, 0, &v), 1);
    CHECK_EQ(v, 1);
    /* rung once: who wants more registers again */
    heard = zct_bell(s);
    OK(zct_commit(a, NULL));
    OK(zct_commit(a, NULL));
    CHECK(zct_bell(s) - heard <= 1);
    end();
}

static void on_signal(int number) { (void)number; }
static int catch_signals(long unused)
{
    struct sigaction action = {.sa_handler = on_signal};
    (void)unused;
    return sigaction(SIGUSR1, &action, NULL);
}
static int wait_interrupted(long which)
{
    int index;
    uint64_t seen = 0;
    return which ? zct_wait_any(&a, &seen, 1, ZCT_FOREVER, &index) : wait_beyond(0);
}

static void interrupted(void)
{
    make();
    for (long which = 0; which < 2; which++) {
        struct peer p = peer_new();
        CHECK_EQ(peer_do(&p, attach, ZCT_MODE_READ), 0);
        CHECK_EQ(peer_do(&p, catch_signals, 0), 0);
        peer_ask(&p, wait_interrupted, which);
        while (!peer_answered(&p)) { /* until it sleeps, and is hit */
            test_nap(5000000);
            kill(p.pid, SIGUSR1);
            if (test_failed())
                break;
        }
        CHECK_EQ(peer_answer(&p), -ZCT_EINTERRUPTED);
        peer_end(&p);
    }
    end();
}

TESTS({"counting", counting}, {"it comes", comes}, {"in turn", in_turn}, {"it goes", goes}, {"nameless", nameless},
      {"killed", killed}, {"any of many", any}, {"arguments of any", any_arguments}, {"the bell", bell},
      {"interrupted", interrupted})
