/* fork: a child is a member of its own, with what its parent held; and where it cannot be. */
#include "processes/peer.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static zct_store *s;
static zct_tensor *a;
static volatile uint32_t *word;

enum { SIZE = 6000 };

static void start(void)
{
    word = test_shared(64);
    s = test_store("s");
    OK(test_create(s, "w", SIZE, 1, NULL, &a));
}

static void finish(void)
{
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).members, 1);
    zct_release(a);
    zct_unlink(s, "w");
    CHECK_EQ(test_stats(s).names, 0);
    zct_store_close(s);
}

static void child_is_a_member(void)
{
    start();
    pid_t pid = test_fork();
    if (pid == 0) {
        OK(zct_store_alive(s));
        CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
        zct_holder h[4] = {{.size = sizeof h[0]}};
        CHECK_EQ(zct_members(s, h, 4), 2);
        bool self = false;
        for (int i = 0; i < 2; i++)
            if (h[i].is_self)
                self = h[i].pid == getpid() && h[i].holds == 1;
        CHECK(self);
        CHECK_EQ(stat_of(s, "w").holders, 2);
        zct_tensor *t;
        OK(zct_attach(s, "w", ZCT_MODE_DEFAULT, 0, &t));
        OK(zct_unlink(s, "w"));
        zct_release(t);
        OK(test_create(s, "made by the child", 100, 2, NULL, &t));
        zct_release(t);
        CHECK_STORE(s);
        exit(0);
    }
    test_join(pid);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
    CHECK(!there(s, "w"));
    OK(zct_unlink(s, "made by the child"));
    finish();
}

/* Each dies alone: the parent is killed, the child goes on and keeps what both held; then the child. */
static void parent_is_killed(void)
{
    word = test_shared(64);
    s = test_store("s");
    pid_t parent = fork(); /* no death signal: its child must outlive it */
    if (parent == 0) {
        OK(test_create(s, NULL, SIZE, 1, NULL, &a));
        pid_t child = fork();
        if (child == 0) {
            alarm((unsigned)test_patience(60));
            test_await(word, 1);
            CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
            test_nap(1000000);
            OK(zct_store_gc(s, NULL, NULL)); /* reaps its parent */
            CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
            zct_tensor *t;
            OK(zct_attach_again(a, ZCT_MODE_WRITE, &t));
            OK(zct_publish(t, "kept", NULL));
            zct_release(t);
            test_set(word, 2);
            for (;;)
                pause();
        }
        word[1] = (uint32_t)child;
        raise(SIGKILL);
    }
    test_wait(parent);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(test_stats(s).names, 1);
    test_set(word, 1);
    test_await(word, 2);
    CHECK_EQ(test_stats(s).members, 2);
    OK(zct_attach(s, "kept", ZCT_MODE_READ, 0, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
    kill((pid_t)word[1], SIGKILL);
    for (int i = 0; i < 4000 && test_stats(s).members > 1; i++)
        test_nap(2000000);
    OK(zct_unlink(s, "kept"));
    finish();
}

/* A child of a process whose stores are all closed may open them. */
static void after_close(void)
{
    start();
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
    pid_t pid = test_fork();
    if (pid == 0) {
        start();
        finish();
        exit(0);
    }
    test_join(pid);
    CHECK_EQ(test_files(), 0);
}

static void grandchildren(void)
{
    start();
    for (int depth = 0; depth < 8; depth++) {
        pid_t pid = test_fork();
        if (pid) {
            test_join(pid);
            if (depth) /* a link of the chain; its attachment ends with it */
                exit(0);
            break;
        }
        CHECK_EQ(stat_of(s, "w").holders, depth + 2);
        CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
        if (depth == 7)
            exit(0);
    }
    finish();
}

static void no_free_slot(void)
{
    word = test_shared(64);
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 64, .max_members = 2};
    struct peer p = peer_new();
    REQUIRE_OK(zct_store_open("s", &o, &s));
    OK(test_create(s, "w", SIZE, 1, NULL, &a));
    pid_t member = test_fork();
    if (member == 0) {
        OK(zct_store_alive(s));
        test_set(word, 1);
        test_await(word, 2);
        _exit(0);
    }
    test_await(word, 1);
    pid_t none = test_fork();
    if (none == 0) {
        is_no_member(s, a, SIZE);
        zct_store *again = NULL;
        CHECK_RC(zct_store_open("s", NULL, &again), -ZCT_ETOOMANYMEMBERS);
        SAYS("2 member");
        zct_release(a);
        zct_store_close(s);
        CHECK_RC(zct_store_open("s", NULL, &again), -ZCT_ETOOMANYMEMBERS);
        /* another store is no matter */
        zct_store *other = test_store("other");
        OK(test_create(other, "x", 10, 1, NULL, &a));
        zct_release(a);
        OK(zct_unlink(other, "x"));
        zct_store_close(other);
        exit(0);
    }
    test_join(none);
    CHECK_STORE(s);
    CHECK_EQ(stat_of(s, "w").holders, 2);
    /* a slot comes free: such a child may open the store anew */
    none = test_fork();
    if (none == 0) {
        CHECK_RC(zct_store_alive(s), -ZCT_ENOTMEMBER);
        test_set(word, 3);
        test_await(word, 4);
        zct_store *again = NULL;
        OK(zct_store_open("s", NULL, &again));
        zct_tensor *t;
        OK(zct_attach(again, "w", 0, 0, &t));
        CHECK(test_is_pattern(zct_tensor_view(t)->data, SIZE, 1));
        zct_release(t);
        zct_store_close(again);
        exit(0);
    }
    test_await(word, 3);
    test_set(word, 2);
    test_join(member);
    test_set(word, 4);
    test_join(none);
    peer_end(&p);
    finish();
}

static void fork_of_a_dead_member_slot(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 64, .max_members = 2};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    OK(test_create(s, "w", SIZE, 1, NULL, &a));
    for (int i = 0; i < 5; i++) {
        pid_t pid = test_fork();
        if (pid == 0)
            raise(SIGKILL);
        test_wait(pid);
        OK(zct_store_gc(s, NULL, NULL));
        pid = test_fork();
        if (pid == 0) {
            OK(zct_store_alive(s));
            exit(0);
        }
        test_join(pid);
        OK(zct_store_gc(s, NULL, NULL));
    }
    finish();
}

/* A pool of workers that end by _exit, one after the other and four at a time: nobody runs out of slots, without a gc. */
static void workers_that_exit(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 64, .max_members = 8};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    OK(test_create(s, "w", SIZE, 1, NULL, &a));
    for (int i = 0; i < 60; i++) {
        pid_t pids[4];
        for (int k = 0; k < 4; k++) {
            pids[k] = test_fork();
            if (pids[k] == 0) {
                zct_tensor *t;
                OK(zct_attach(s, "w", 0, 0, &t));
                _exit(0);
            }
        }
        for (int k = 0; k < 4; k++)
            test_join(pids[k]);
    }
    finish();
}

/* fork while the store is on its way out, and of closed stores with live attachments. */
static void fork_after_close_while_attached(void)
{
    start();
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
    pid_t pid = test_fork();
    if (pid == 0) {
        CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
        test_set(word, 1);
        test_await(word, 2);
        CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
        zct_release(a);
        exit(0);
    }
    test_await(word, 1);
    zct_release(a);
    test_set(word, 2);
    test_join(pid);
    CHECK_EQ(test_files(), 0);
}

TESTS({"a child is a member", child_is_a_member}, {"the parent is killed", parent_is_killed},
      {"fork after close", after_close}, {"grandchildren", grandchildren},
      {"no free slot", no_free_slot},
      {"the dead's slots", fork_of_a_dead_member_slot}, {"workers that exit", workers_that_exit},
      {"fork after close while attached", fork_after_close_while_attached})
