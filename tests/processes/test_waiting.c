/* Waiting for a name: it comes, it does not come, a signal comes, the store goes. */
#include "processes/peer.h"

#include <stdio.h>

static zct_store *s;
static zct_tensor *a;

static int open_store(long unused)
{
    (void)unused;
    s = test_store("s");
    return 0;
}

static int wait_for(long ns)
{
    int rc = zct_attach(s, "late", ZCT_MODE_DEFAULT, ns, &a);
    if (rc == 0)
        CHECK(test_is_pattern(zct_tensor_view(a)->data, 1000, 5));
    return rc;
}

static int release(long unused)
{
    (void)unused;
    zct_release(a);
    a = NULL;
    return 0;
}

static struct peer waiter(int64_t ns)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    peer_ask(&p, wait_for, ns);
    test_nap(50000000);
    CHECK(!peer_answered(&p));
    return p;
}

static void comes(void)
{
    struct peer p = waiter(ZCT_FOREVER), q = peer_new();
    CHECK_EQ(peer_do(&q, open_store, 0), 0);
    peer_ask(&q, wait_for, 1000 * 1000000000l);
    /* other names wake nobody for good */
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "other %d", i);
        OK(test_create(s, name, 10, 1, NULL, &a));
        release(0);
        OK(zct_unlink(s, name));
    }
    test_nap(20000000);
    CHECK(!peer_answered(&p));
    OK(test_create(s, "late", 1000, 5, NULL, &a));
    CHECK_EQ(peer_answer(&p), 0);
    CHECK_EQ(peer_answer(&q), 0);
    release(0);
    OK(zct_unlink(s, "late"));
    peer_end(&q);
    peer_do(&p, release, 0);
    peer_end(&p);
    CHECK_STORE(s);
    zct_store_close(s);
}

static void comes_by_publish(void)
{
    struct peer p = waiter(ZCT_FOREVER);
    OK(test_create(s, NULL, 1000, 5, NULL, &a));
    test_nap(20000000);
    CHECK(!peer_answered(&p));
    OK(zct_publish(a, "late", NULL));
    CHECK_EQ(peer_answer(&p), 0);
    release(0);
    OK(zct_unlink(s, "late"));
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    zct_store_close(s);
}

static void does_not_come(void)
{
    open_store(0);
    int64_t began = test_now();
    CHECK_RC(zct_attach(s, "late", ZCT_MODE_DEFAULT, 30000000, &a), -ZCT_ENOTFOUND);
    SAYS("'late'");
    SAYS("timeout");
    CHECK(test_now() - began >= 30000000);
    CHECK_RC(zct_attach(s, "late", ZCT_MODE_DEFAULT, 0, &a), -ZCT_ENOTFOUND);
    SAYS("'late'");
    SAYS("zct ls");
    /* and it may come later still */
    OK(test_create(s, "late", 1000, 5, NULL, &a));
    release(0);
    CHECK_EQ(wait_for(30000000), 0);
    release(0);
    OK(zct_unlink(s, "late"));
    zct_store_close(s);
}

static void on_alarm(int signal) { (void)signal; }

static int wait_under_a_signal(long ns)
{
    struct sigaction act = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &act, NULL);
    ualarm(60000, 60000);
    int rc = wait_for(ns);
    ualarm(0, 0);
    return rc;
}

static void a_signal(void)
{
    open_store(0);
    CHECK_RC(wait_under_a_signal(ZCT_FOREVER), -ZCT_EINTERRUPTED);
    zct_store_close(s);
}

static void the_store_is_destroyed(void)
{
    struct peer p = waiter(ZCT_FOREVER);
    OK(zct_store_destroy("s", NULL));
    CHECK_EQ(peer_answer(&p), -ZCT_EGONE);
    CHECK(strstr(p.board->error, "'s'") != NULL);
    peer_end(&p);
    zct_store_close(s);
}

/* Its file was removed by hand: whoever waits is told too. */
static void the_file_is_removed(void)
{
    struct peer p = waiter(ZCT_FOREVER);
    unlink(zct_store_path(s));
    CHECK_EQ(peer_answer(&p), -ZCT_EGONE);
    peer_end(&p);
    zct_store_close(s);
}

/* ---- waiting for names, any ---- */

static uint32_t seen;

static int wait_names(long ns) { return zct_wait_names(s, &seen, ns); }

static void any_name(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    (void)peer_do(&p, wait_names, 0);
    CHECK_EQ(peer_do(&p, wait_names, 0), -ZCT_ETIMEDOUT);
    CHECK_EQ(peer_do(&p, wait_names, 30000000), -ZCT_ETIMEDOUT);
    for (int i = 0; i < 5; i++) {
        peer_ask(&p, wait_names, ZCT_FOREVER);
        if (i % 2) {
            test_nap(20000000); /* asleep, or not yet: both must do */
            CHECK(!peer_answered(&p));
        }
        OK(test_create(s, "late", 1000, 5, NULL, &a));
        CHECK_EQ(peer_answer(&p), 0);
        release(0);
        OK(zct_unlink(s, "late")); /* an end is no birth */
        CHECK_EQ(peer_do(&p, wait_names, 0), -ZCT_ETIMEDOUT);
        OK(test_create(s, "between", 1000, 5, NULL, &a)); /* between two calls */
        CHECK_EQ(peer_do(&p, wait_names, ZCT_FOREVER), 0);
        release(0);
        OK(zct_unlink(s, "between"));
    }
    peer_ask(&p, wait_names, ZCT_FOREVER);
    test_nap(20000000);
    CHECK(!peer_answered(&p));
    zct_wake_names(s);
    CHECK_EQ(peer_answer(&p), 0);
    peer_ask(&p, wait_names, ZCT_FOREVER);
    OK(zct_store_destroy("s", NULL));
    CHECK_EQ(peer_answer(&p), -ZCT_EGONE);
    peer_end(&p);
    zct_wake_names(s); /* gone: nothing to wake */
    zct_store_close(s);
}

/* A waiter that is killed takes nobody's wake-up with it. */
static void another_waiter_is_killed(void)
{
    for (int i = 0; i < 10; i++) {
        struct peer p = waiter(ZCT_FOREVER), q = peer_new();
        CHECK_EQ(peer_do(&q, open_store, 0), 0);
        peer_ask(&q, wait_for, ZCT_FOREVER);
        test_nap(5000000);
        peer_kill(&q);
        OK(test_create(s, "late", 1000, 5, NULL, &a));
        CHECK_EQ(peer_answer(&p), 0);
        release(0);
        OK(zct_unlink(s, "late"));
        peer_end(&p);
        zct_store_close(s);
    }
}

TESTS({"it comes", comes}, {"it comes by a publish", comes_by_publish}, {"it does not come", does_not_come},
      {"a signal comes", a_signal}, {"the store is destroyed", the_store_is_destroyed},
      {"the file is removed", the_file_is_removed}, {"another waiter is killed", another_waiter_is_killed},
      {"any name", any_name})
