/* fork, clone, exec, closefrom: what happens to a member that does such things. */
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
            alarm(60);
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

static void refused(zct_store *store, zct_tensor *t)
{
    zct_tensor *b = NULL;
    zct_handle h;
    char text[512];
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 10);
    CHECK_RC(zct_store_alive(store), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_attach(store, "w", 0, 0, &b), -ZCT_ENOTMEMBER);
    SAYS("'s'");
    snprintf(text, sizeof text, "%s", zct_last_error());
    CHECK_RC(zct_attach(store, "nothing", 0, 1000000, &b), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_attach_again(t, 0, &b), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_create(store, "x", &spec, NULL, NULL, NULL, &b), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_publish(t, "y", NULL), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_unlink(store, "w"), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_tensor_unlink(t), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_seal(t), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_handle_make(t, &h), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_store_gc(store, NULL, NULL), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_store_trim(store, 0, NULL), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_check(store, NULL, NULL), -ZCT_ENOTMEMBER);
    CHECK(zct_memory_alloc(store, 100, 0) == NULL);
    CHECK(b == NULL);
    CHECK(test_is_pattern(zct_tensor_view(t)->data, SIZE, 1)); /* as long as the parent has it */
}

static pid_t raw_clone(void)
{
#if defined(__x86_64__)
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
#else
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, 0, NULL);
#endif
}

static void raw_child(void)
{
    start();
    void *idle = zct_memory_alloc(s, 5000, 0), *live = zct_memory_alloc(s, 5000, 0);
    REQUIRE(idle && live);
    memset(live, 7, 5000);
    zct_memory_free(s, idle); /* stays in the stock */
    zct_store_stats before = test_stats(s);
    pid_t pid = raw_clone();
    if (pid == 0) {
        refused(s, a);
        zct_store *other = NULL;
        CHECK_RC(zct_store_open("other", NULL, &other), -ZCT_ENOTMEMBER);
        zct_memory_free(s, live);
        zct_release(a);
        zct_store_close(s);
        _exit(0);
    }
    test_join(pid);
    pid = raw_clone();
    if (pid == 0) { /* one that forks properly, and one that exits */
        pid_t more = fork();
        if (more == 0) {
            refused(s, a);
            exit(0);
        }
        int status;
        waitpid(more, &status, 0);
        exit(status != 0);
    }
    test_join(pid);
    zct_store_stats after = test_stats(s);
    CHECK_EQ(after.names, before.names);
    CHECK_EQ(after.used, before.used);
    CHECK_EQ(after.members, 1);
    CHECK_EQ(((uint8_t *)live)[4999], 7);
    CHECK_STORE(s);
    zct_memory_free(s, live);
    void *again = zct_memory_alloc(s, 5000, 0);
    CHECK(again != NULL);
    zct_memory_free(s, again);
    finish();
}

/* A parent whose raw child lives on is dead when it is dead. */
static void raw_child_outlives_its_parent(void)
{
    word = test_shared(64);
    s = test_store("s");
    struct peer p = peer_new();
    (void)p;
    pid_t parent = fork();
    if (parent == 0) {
        OK(test_create(s, NULL, SIZE, 1, NULL, &a));
        pid_t child = raw_clone();
        if (child == 0) {
            alarm(60);
            for (;;)
                pause();
        }
        word[1] = (uint32_t)child;
        raise(SIGKILL);
    }
    test_wait(parent);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(test_stats(s).names, 0);
    kill((pid_t)word[1], SIGKILL);
    peer_end(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    zct_store_close(s);
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
        refused(s, a);
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

static void exec_ends_the_member(void)
{
    start();
    pid_t pid = test_fork();
    if (pid == 0) {
        OK(zct_store_alive(s));
        int fd = open("/dev/null", O_WRONLY);
        if (fd >= 0)
            dup2(fd, 1);
        execl("/bin/sh", "sh", "-c", "exec sleep 30", (char *)NULL);
        _exit(1);
    }
    for (int i = 0; i < 4000 && test_stats(s).members > 1; i++)
        test_nap(2000000);
    CHECK_EQ(test_stats(s).members, 1); /* though the process lives */
    CHECK_EQ(kill(pid, 0), 0);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(stat_of(s, "w").holders, 1);
    kill(pid, SIGKILL);
    test_wait(pid);
    finish();
}

/* A daemon closes all its descriptors, and opens others in their place: it goes on living, and writes into no file of the
 * user's. */
static void closefrom_in_a_member(void)
{
    start();
    pid_t pid = test_fork();
    if (pid == 0) {
        char path[4200];
        snprintf(path, sizeof path, "%s/victim", test_directory());
        syscall(SYS_close_range, 3, ~0u, 0);
        for (int i = 3; i < 40; i++) {
            int fd = open(path, O_RDWR | O_CREAT, 0600);
            CHECK(fd >= 0);
        }
        test_set(word, 1);
        test_await(word, 2);
        OK(zct_store_alive(s));
        zct_tensor *t;
        zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
        OK(test_create(s, "large", 6 << 20, 2, &o, &t));
        zct_release(t);
        OK(test_create(s, "small", 100, 2, &o, &t));
        zct_release(t);
        OK(zct_store_gc(s, NULL, NULL));
        OK(zct_attach(s, "w", ZCT_MODE_COW, 0, &t));
        CHECK(test_is_pattern(zct_tensor_view(t)->data, SIZE, 1));
        zct_release(t);
        OK(zct_unlink(s, "large"));
        OK(zct_store_trim(s, 0, NULL));
        CHECK_EQ(lseek(3, 0, SEEK_END), 0);
        char byte;
        CHECK_EQ(pread(3, &byte, 1, 0), 0);
        unlink(path);
        test_set(word, 3);
        test_await(word, 4);
        exit(0);
    }
    test_await(word, 1);
    zct_gc_result r = {.size = sizeof r};
    OK(zct_store_gc(s, NULL, &r));
    CHECK_EQ(r.members, 0); /* no false death */
    CHECK_EQ(test_stats(s).members, 2);
    test_set(word, 2);
    test_await(word, 3);
    CHECK_EQ(test_stats(s).members, 2);
    OK(zct_store_gc(s, NULL, &r));
    CHECK_EQ(r.members, 0);
    test_set(word, 4);
    test_join(pid);
    OK(zct_unlink(s, "small"));
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
      {"fork after close", after_close}, {"grandchildren", grandchildren}, {"a raw clone's child", raw_child},
      {"a raw clone outlives its parent", raw_child_outlives_its_parent}, {"no free slot", no_free_slot},
      {"the dead's slots", fork_of_a_dead_member_slot}, {"workers that exit", workers_that_exit}, {"exec", exec_ends_the_member},
      {"closefrom", closefrom_in_a_member}, {"fork after close while attached", fork_after_close_while_attached})
