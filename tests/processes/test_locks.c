/* The lock of a tensor between processes: who gets in, who waits, what is refused; and what its holders' deaths do. */
#include "processes/peer.h"

#include <stdio.h>
#include <sys/wait.h>

static zct_store *s;
static zct_tensor *t;
static zct_lock_guard guard, more[300];

enum { BYTES = 5000, LONG = 30000 };
static const int64_t ms = 1000000;

static int enter(long unused)
{
    (void)unused;
    s = test_store("s");
    return zct_attach(s, "w", ZCT_MODE_WRITE, 0, &t);
}
static int leave(long unused)
{
    (void)unused;
    zct_release(t);
    zct_store_close(s);
    return 0;
}
static int read_for(long wait_ms) { return zct_tensor_read_lock(t, wait_ms * ms, 0, &guard); }
static int write_for(long wait_ms) { return zct_tensor_write_lock(t, wait_ms * ms, 0, &guard); }
static int unlock(long unused)
{
    (void)unused;
    return zct_lock_release(&guard);
}

/* The body makes "w"; the peers attach to it. */
static void begin(struct peer *peers, int count)
{
    for (int i = 0; i < count; i++)
        peers[i] = peer_new();
    s = test_store("s");
    REQUIRE_OK(test_create(s, "w", BYTES, 1, NULL, &t));
    for (int i = 0; i < count; i++)
        CHECK_EQ(peer_do(&peers[i], enter, 0), 0);
}
static void end(struct peer *peers, int count)
{
    CHECK_STORE(s);
    for (int i = 0; i < count; i++) {
        peer_do(&peers[i], leave, 0);
        peer_end(&peers[i]);
    }
    OK(zct_unlink(s, "w"));
    zct_release(t);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    zct_store_close(s);
}

/* Locked for writing, at once and without a note: nobody has it and nobody died in it. */
static void is_free(void)
{
    OK(zct_tensor_write_lock(t, 0, 0, &guard));
    OK(zct_lock_release(&guard));
}

static void many_read_one_writes(void)
{
    struct peer p[2];
    begin(p, 2);
    CHECK_EQ(peer_do(&p[0], read_for, 0), 0);
    CHECK_EQ(peer_do(&p[1], read_for, 0), 0);
    CHECK_EQ(read_for(0), 0);
    OK(unlock(0));
    CHECK_RC(write_for(0), -ZCT_ETIMEDOUT);
    SAYS("reads");
    CHECK_RC(write_for(20), -ZCT_ETIMEDOUT);
    SAYS("'w'");
    SAYS("pid ");
    CHECK_EQ(read_for(0), 0); /* a writer that gave up keeps nobody out */
    OK(unlock(0));
    peer_do(&p[0], unlock, 0);
    CHECK_RC(write_for(20), -ZCT_ETIMEDOUT);
    peer_do(&p[1], unlock, 0);
    is_free();
    CHECK_EQ(peer_do(&p[0], write_for, 0), 0);
    CHECK_EQ(peer_do(&p[1], write_for, 5), -ZCT_ETIMEDOUT);
    CHECK_EQ(peer_do(&p[1], read_for, 5), -ZCT_ETIMEDOUT);
    CHECK_RC(read_for(0), -ZCT_ETIMEDOUT);
    SAYS("writes");
    peer_do(&p[0], unlock, 0);
    CHECK_EQ(peer_do(&p[1], read_for, 0), 0);
    peer_do(&p[1], unlock, 0);
    end(p, 2);
}

/* Who sleeps is woken by the release; readers sleep beside each other; a draining writer is woken by the last reader. */
static void sleepers_are_woken(void)
{
    struct peer p[3];
    begin(p, 3);
    CHECK_EQ(write_for(0), 0);
    for (int i = 0; i < 3; i++)
        peer_ask(&p[i], i == 1 ? write_for : read_for, LONG);
    test_nap(30 * ms);
    for (int i = 0; i < 3; i++)
        CHECK(!peer_answered(&p[i]));
    OK(unlock(0));
    for (int left = 3; left > 0;)
        for (int i = 0; i < 3; i++)
            if (peer_answered(&p[i]) && p[i].board->fn != unlock) {
                CHECK_EQ(peer_answer(&p[i]), 0);
                CHECK_EQ(peer_do(&p[i], unlock, 0), 0);
                left--;
            }
    CHECK_EQ(read_for(0), 0);
    peer_ask(&p[0], write_for, LONG);
    test_nap(20 * ms);
    CHECK(!peer_answered(&p[0]));
    OK(zct_tensor_read_lock(t, 0, 0, &more[0])); /* once more by who has it */
    CHECK_EQ(peer_do(&p[1], read_for, 0), -ZCT_ETIMEDOUT); /* writers go before those who come later */
    OK(zct_lock_release(&more[0]));
    test_nap(10 * ms);
    CHECK(!peer_answered(&p[0]));
    OK(unlock(0));
    CHECK_EQ(peer_answer(&p[0]), 0);
    peer_do(&p[0], unlock, 0);
    end(p, 3);
}

static void waits_for_itself(void)
{
    begin(NULL, 0);
    CHECK_EQ(read_for(0), 0);
    CHECK_RC(zct_tensor_write_lock(t, 0, 0, &more[0]), -ZCT_EDEADLOCK);
    CHECK_RC(zct_tensor_write_lock(t, ZCT_FOREVER, 0, &more[0]), -ZCT_EDEADLOCK);
    SAYS("reads");
    OK(unlock(0));
    CHECK_EQ(write_for(0), 0);
    CHECK_RC(zct_tensor_write_lock(t, ZCT_FOREVER, 0, &more[0]), -ZCT_EDEADLOCK);
    CHECK_RC(zct_tensor_read_lock(t, ZCT_FOREVER, 0, &more[0]), -ZCT_EDEADLOCK);
    SAYS("writes");
    OK(unlock(0));
    end(NULL, 0);
}

static void refused(void)
{
    zct_tensor *reads, *copies, *sealed;
    begin(NULL, 0);
    OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &reads));
    OK(zct_attach(s, "w", ZCT_MODE_COW, 0, &copies));
    CHECK_RC(zct_tensor_write_lock(reads, 0, 0, &guard), -ZCT_EACCES);
    SAYS("r+");
    CHECK_RC(zct_tensor_write_lock(copies, 0, 0, &guard), -ZCT_EACCES);
    OK(zct_tensor_read_lock(reads, 0, 0, &guard));
    OK(zct_tensor_read_lock(copies, 0, 0, &more[0]));
    OK(zct_lock_release(&more[0]));
    OK(zct_lock_release(&guard));
    OK(test_create(s, "sealed", 100, 1, NULL, &sealed));
    OK(zct_seal(sealed));
    CHECK_RC(zct_tensor_write_lock(sealed, 0, 0, &guard), -ZCT_EACCES);
    SAYS("sealed");
    OK(zct_tensor_read_lock(sealed, 0, 0, &guard));
    OK(zct_lock_release(&guard));
    CHECK_RC(zct_tensor_read_lock(t, 0, 2, &guard), -ZCT_EINVAL);
    CHECK_RC(zct_tensor_write_lock(t, 0, 4, &guard), -ZCT_EINVAL);
    zct_release(reads), zct_release(copies), zct_release(sealed);
    OK(zct_unlink(s, "sealed"));
    end(NULL, 0);
}

static void guards(void)
{
    begin(NULL, 0);
    zct_lock_guard copy, empty = {0};
    CHECK(!zct_lock_held(&empty));
    CHECK_RC(zct_lock_release(&empty), -ZCT_ENOTOWNER);
    CHECK_RC(zct_lock_mark_consistent(&empty), -ZCT_ENOTOWNER);
    for (int writes = 0; writes < 2; writes++) {
        CHECK_EQ(writes ? write_for(0) : read_for(0), 0);
        CHECK(zct_lock_held(&guard));
        CHECK_RC(zct_lock_mark_consistent(&guard), writes ? 0 : -ZCT_ENOTOWNER);
        copy = guard;
        OK(zct_lock_release(&guard));
        CHECK(!zct_lock_held(&guard));
        CHECK(!zct_lock_held(&copy));
        CHECK_RC(zct_lock_release(&guard), -ZCT_ENOTOWNER);
        CHECK_RC(zct_lock_release(&copy), -ZCT_ENOTOWNER);
        is_free();
    }
    end(NULL, 0);
}

/* More locks than a line has, of one tensor and of many; and given back in any order. */
static void many_at_once(void)
{
    struct peer p;
    zct_tensor *many[40];
    char name[16];
    begin(&p, 1);
    for (int i = 0; i < 300; i++) /* more often than a mark can count */
        OK(zct_tensor_read_lock(t, 0, 0, &more[i]));
    CHECK_EQ(peer_do(&p, write_for, 0), -ZCT_ETIMEDOUT);
    for (int i = 0; i < 300; i++) {
        OK(zct_lock_release(&more[(i * 7) % 300]));
        if (i % 60 == 0)
            CHECK_EQ(peer_do(&p, write_for, 0), i == 299 ? 0 : -ZCT_ETIMEDOUT);
    }
    is_free();
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "m%d", i);
        OK(test_create(s, name, 64, 1, NULL, &many[i]));
        OK(zct_tensor_read_lock(many[i], 0, 0, &more[i]));
    }
    CHECK_STORE(s);
    for (int i = 39; i >= 0; i--) {
        CHECK(zct_lock_held(&more[i]));
        CHECK_RC(zct_tensor_write_lock(many[i], 0, 0, &guard), -ZCT_EDEADLOCK);
        OK(zct_lock_release(&more[i]));
        OK(zct_tensor_write_lock(many[i], 0, 0, &guard));
        OK(zct_lock_release(&guard));
        zct_release(many[i]);
        snprintf(name, sizeof name, "m%d", i);
        OK(zct_unlink(s, name));
    }
    end(&p, 1);
}

/* ---- deaths ---- */

static void a_reader_dies(void)
{
    struct peer p[3];
    begin(p, 3);
    CHECK_EQ(peer_do(&p[0], read_for, 0), 0);
    CHECK_EQ(peer_do(&p[1], read_for, 0), 0);
    peer_ask(&p[2], write_for, LONG);
    test_nap(20 * ms);
    peer_kill(&p[0]);
    peer_kill(&p[1]);
    CHECK_EQ(peer_answer(&p[2]), 0); /* no note: nothing was written */
    peer_do(&p[2], unlock, 0);
    is_free();
    end(&p[2], 1);
}

static int scribble(long wait_ms)
{
    int rc = write_for(wait_ms);
    if (rc >= 0)
        memset(zct_tensor_view(t)->data, 7, BYTES / 2);
    return rc;
}

static void poisoned(void)
{
    CHECK_RC(read_for(0), -ZCT_EWRITERDIED);
    SAYS("died while writing");
    CHECK_RC(write_for(LONG), -ZCT_EWRITERDIED);
    CHECK_EQ(stat_of(s, "w").lock, ZCT_LOCK_POISONED);
    CHECK_RC(zct_tensor_read_lock(t, 0, ZCT_RECOVER, &guard), ZCT_RECOVERED);
    OK(unlock(0));
    CHECK_RC(zct_tensor_write_lock(t, 0, ZCT_RECOVER, &guard), ZCT_RECOVERED);
    OK(unlock(0)); /* not mended */
    CHECK_RC(read_for(0), -ZCT_EWRITERDIED);
}

static void mend(void)
{
    CHECK_RC(zct_tensor_write_lock(t, LONG * ms, ZCT_RECOVER, &guard), ZCT_RECOVERED);
    test_pattern(zct_tensor_view(t)->data, BYTES, 1);
    OK(zct_lock_mark_consistent(&guard));
    OK(unlock(0));
    is_free();
    CHECK_RC(zct_tensor_write_lock(t, 0, ZCT_RECOVER, &guard), 0); /* nobody died */
    OK(unlock(0));
}

static void a_writer_dies(void)
{
    struct peer p[3];
    begin(p, 3);
    CHECK_EQ(peer_do(&p[0], scribble, 0), 0);
    peer_ask(&p[1], read_for, LONG);
    peer_ask(&p[2], write_for, LONG);
    test_nap(20 * ms);
    peer_kill(&p[0]);
    CHECK_EQ(peer_answer(&p[1]), -ZCT_EWRITERDIED);
    CHECK_EQ(peer_answer(&p[2]), -ZCT_EWRITERDIED);
    poisoned();
    mend();
    end(&p[1], 2);
}

/* Who asks without waiting finds out, too: somebody reaped. */
static void a_writer_dies_unawaited(void)
{
    struct peer p;
    begin(&p, 1);
    CHECK_EQ(peer_do(&p, scribble, 0), 0);
    peer_kill(&p);
    CHECK_RC(read_for(0), -ZCT_ETIMEDOUT); /* nobody has looked yet */
    OK(zct_store_gc(s, NULL, NULL));
    poisoned();
    mend();
    end(NULL, 0);
}

/* A recoverer that dies, or one that does not say that all is well, leaves the poison. */
static int recover_and_stay(long unused)
{
    (void)unused;
    return zct_tensor_write_lock(t, LONG * ms, ZCT_RECOVER, &guard);
}
static void a_recoverer_dies(void)
{
    struct peer p[2];
    begin(p, 2);
    CHECK_EQ(peer_do(&p[0], scribble, 0), 0);
    peer_kill(&p[0]);
    CHECK_EQ(peer_do(&p[1], recover_and_stay, 0), ZCT_RECOVERED);
    peer_kill(&p[1]);
    CHECK_RC(write_for(LONG), -ZCT_EWRITERDIED);
    poisoned();
    mend();
    end(NULL, 0);
}

/* A writer that dies, or gives up, while it waits for readers poisons nothing, and lets others in. */
static void a_waiting_writer_dies(void)
{
    struct peer p[2];
    begin(p, 2);
    CHECK_EQ(read_for(0), 0);
    peer_ask(&p[0], write_for, LONG);
    while (!(stat_of(s, "w").lock & ZCT_LOCK_WANTED))
        test_nap(ms);
    CHECK_EQ(stat_of(s, "w").lock, ZCT_LOCK_WANTED | ZCT_LOCK_READ);
    peer_ask(&p[1], read_for, LONG);
    test_nap(10 * ms);
    CHECK(!peer_answered(&p[1]));
    peer_kill(&p[0]);
    CHECK_EQ(peer_answer(&p[1]), 0);
    OK(unlock(0));
    peer_do(&p[1], unlock, 0);
    is_free();
    end(&p[1], 1);
}

/* A writer waits for one nap, not for one nap a dead reader. */
static void a_hundred_readers_die(void)
{
    enum { MANY = 100 };
    pid_t pids[MANY];
    uint32_t *ready = test_shared(sizeof *ready);
    zct_store_options o = {.size = sizeof o, .capacity = 2u << 20, .max_names = 64, .max_members = 200};
    for (int i = 0; i < MANY; i++)
        if ((pids[i] = test_fork()) == 0) {
            test_await(&ready[0], (uint32_t)i + 1);
            REQUIRE_OK(zct_store_open("big", &o, &s));
            REQUIRE_OK(zct_attach(s, "w", ZCT_MODE_READ, LONG * ms, &t));
            OK(read_for(0));
            test_set(ready, (uint32_t)i + 2);
            for (;;)
                test_nap(1000 * ms);
        }
    REQUIRE_OK(zct_store_open("big", &o, &s));
    REQUIRE_OK(test_create(s, "w", BYTES, 1, NULL, &t));
    test_set(ready, 1);
    test_await(ready, MANY + 1);
    CHECK_STORE(s);
    CHECK_EQ(stat_of(s, "w").holders, MANY + 1);
    for (int i = 0; i < MANY; i++) {
        kill(pids[i], SIGKILL);
        CHECK_EQ(test_wait(pids[i]), 256 + SIGKILL);
    }
    int64_t start = test_now();
    OK(write_for(LONG));
    test_say("# a writer got past %d dead readers in %.1f ms", MANY, (double)(test_now() - start) / 1e6);
    OK(unlock(0));
    end(NULL, 0);
}

/* ---- forks, leaving, the next tenant ---- */

static void fork_inside(void)
{
    begin(NULL, 0);
    for (int writes = 0; writes < 2; writes++) {
        CHECK_EQ(writes ? write_for(0) : read_for(0), 0);
        pid_t pid = test_fork();
        if (pid == 0) {
            CHECK(!zct_lock_held(&guard));
            CHECK_RC(zct_lock_mark_consistent(&guard), -ZCT_ENOTOWNER);
            CHECK_RC(zct_lock_release(&guard), -ZCT_ENOTOWNER);
            SAYS("fork");
            CHECK_RC(zct_tensor_write_lock(t, 20 * ms, 0, &more[0]), -ZCT_ETIMEDOUT); /* the parent has it */
            CHECK_RC(zct_tensor_read_lock(t, 0, 0, &more[0]), writes ? -ZCT_ETIMEDOUT : 0);
            if (!writes)
                OK(zct_lock_release(&more[0]));
            CHECK(test_is_pattern(zct_tensor_view(t)->data, BYTES, 1));
            exit(0);
        }
        test_join(pid);
        CHECK(zct_lock_held(&guard));
        if ((pid = test_fork()) == 0)
            _exit(0); /* dies with what it has: nothing */
        test_join(pid);
        CHECK(zct_lock_held(&guard));
        OK(unlock(0));
        is_free();
    }
    /* and a child's lock is its own */
    pid_t pid = test_fork();
    if (pid == 0) {
        OK(write_for(0));
        _exit(0);
    }
    test_join(pid);
    CHECK_RC(write_for(LONG), -ZCT_EWRITERDIED);
    mend();
    end(NULL, 0);
}

static int read_and_leave(long writes)
{
    int rc = writes ? write_for(0) : read_for(0);
    zct_release(t);
    zct_store_close(s);
    return rc;
}
static void left_behind(void)
{
    struct peer p[2];
    begin(p, 2);
    CHECK_EQ(peer_do(&p[0], read_and_leave, 0), 0); /* out of contract, but nobody else's trouble */
    is_free();
    CHECK_EQ(peer_do(&p[1], read_and_leave, 1), 0);
    CHECK_RC(read_for(LONG), -ZCT_EWRITERDIED);
    mend();
    peer_end(&p[0]);
    peer_end(&p[1]);
    end(NULL, 0);
}

static void next_tenant(void)
{
    struct peer p;
    begin(&p, 1);
    CHECK_EQ(peer_do(&p, scribble, 0), 0);
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_RC(read_for(0), -ZCT_EWRITERDIED);
    uint32_t index = stat_of(s, "w").index;
    OK(zct_unlink(s, "w"));
    zct_release(t);
    bool again = false;
    zct_tensor *others[20];
    int n = 0;
    for (; n < 20 && !again; n++) { /* the descriptor comes back */
        REQUIRE_OK(test_create(s, n ? NULL : "w", BYTES, 1, NULL, &others[n]));
        zct_stat st = {.size = sizeof st};
        OK(zct_stat_tensor(others[n], &st));
        again = st.index == index;
        OK(zct_tensor_write_lock(others[n], 0, 0, &guard));
        OK(unlock(0));
    }
    CHECK(again);
    t = others[0];
    for (int i = 1; i < n; i++)
        zct_release(others[i]);
    end(NULL, 0);
}

/* ---- looking, signals, fairness ---- */

static void who_has_it(void)
{
    struct peer p[2];
    zct_holder holders[4] = {{.size = sizeof holders[0]}};
    begin(p, 2);
    zct_stat st = stat_of(s, "w");
    CHECK_EQ(st.lock, 0);
    CHECK_EQ(peer_do(&p[0], read_for, 0), 0);
    CHECK_EQ(stat_of(s, "w").lock, ZCT_LOCK_READ);
    REQUIRE(zct_holders(s, &st, holders, 4) == 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(holders[i].lock, holders[i].pid == p[0].pid ? ZCT_LOCK_READ : 0);
    peer_do(&p[0], unlock, 0);
    CHECK_EQ(peer_do(&p[1], write_for, 0), 0);
    CHECK_EQ(stat_of(s, "w").lock, ZCT_LOCK_WRITTEN);
    REQUIRE(zct_holders(s, &st, holders, 4) == 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(holders[i].lock, holders[i].pid == p[1].pid ? ZCT_LOCK_WRITTEN : 0);
    peer_do(&p[1], unlock, 0);
    end(p, 2);
}

static void hear(int signal) { (void)signal; }
static void interrupted(void)
{
    struct peer p;
    begin(&p, 1);
    struct sigaction act = {.sa_handler = hear};
    sigaction(SIGUSR1, &act, NULL);
    for (int writes = 0; writes < 2; writes++) {
        CHECK_EQ(peer_do(&p, writes ? read_for : write_for, 0), 0);
        pid_t self = getpid(), pid = test_fork();
        if (pid == 0)
            for (;;) {
                test_nap(5 * ms);
                kill(self, SIGUSR1);
            }
        CHECK_RC(writes ? write_for(LONG) : read_for(LONG), -ZCT_EINTERRUPTED);
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0)
            continue;
        peer_do(&p, unlock, 0);
        is_free();
    }
    end(&p, 1);
}

/* Two writers that never rest let a reader in. */
static uint32_t *rest;
static int write_on_and_on(long unused)
{
    (void)unused;
    while (!__atomic_load_n(rest, __ATOMIC_ACQUIRE)) {
        OK(write_for(LONG));
        OK(unlock(0));
    }
    return 0;
}
static void readers_are_not_starved(void)
{
    struct peer p[2];
    rest = test_shared(sizeof *rest);
    begin(p, 2);
    peer_ask(&p[0], write_on_and_on, 0);
    peer_ask(&p[1], write_on_and_on, 0);
    for (int i = 0; i < (test_quick() ? 50 : 300) && !test_failed(); i++) {
        OK(read_for(LONG));
        OK(unlock(0));
    }
    test_set(rest, 1);
    CHECK_EQ(peer_answer(&p[0]), 0);
    CHECK_EQ(peer_answer(&p[1]), 0);
    end(p, 2);
}

/* A store whose file is gone: locks that are free are still to be had; who waits is told. */
static void store_goes(void)
{
    struct peer p;
    begin(&p, 1);
    CHECK_EQ(peer_do(&p, write_for, 0), 0);
    OK(zct_store_destroy("s", NULL));
    CHECK_RC(read_for(LONG), -ZCT_EGONE);
    peer_do(&p, unlock, 0);
    is_free();
    peer_do(&p, leave, 0);
    peer_end(&p);
    zct_release(t);
    zct_store_close(s);
}

TESTS({"many read, one writes", many_read_one_writes}, {"sleepers are woken", sleepers_are_woken},
      {"a thread that would wait for itself", waits_for_itself}, {"what may not be written", refused},
      {"guards", guards}, {"many locks at once", many_at_once}, {"a reader dies", a_reader_dies},
      {"a writer dies", a_writer_dies}, {"a writer dies and nobody waits", a_writer_dies_unawaited},
      {"a recoverer dies", a_recoverer_dies}, {"a waiting writer dies", a_waiting_writer_dies},
      {"a hundred readers die", a_hundred_readers_die}, {"fork inside", fork_inside}, {"left behind", left_behind},
      {"the descriptor's next tenant", next_tenant}, {"who has it", who_has_it}, {"interrupted", interrupted},
      {"readers are not starved", readers_are_not_starved}, {"the store goes", store_goes})
