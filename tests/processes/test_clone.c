/* clone, exec, closefrom: what a member does behind the library's back. */
#include "processes/peer.h"

#include "segment/store.h"

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
        is_no_member(s, a, SIZE);
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
            is_no_member(s, a, SIZE);
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

/* A thread of its parent's was inside the library at that moment: nothing that an allocator's hook calls waits for it. */
static void raw_child_of_a_busy_process(void)
{
    start();
    uint8_t *block = zct_memory_alloc(s, 5000, 1);
    plock_lock(&registry_lock);
    plock_lock(&s->stock_lock);
    pid_t pid = raw_clone();
    if (pid == 0) {
        char mine;
        zct_store *owner = NULL;
        zct_memory_stats m = {.size = sizeof m};
        CHECK(zct_memory_store(block) == s && zct_memory_store(block + 4999) == s);
        CHECK(zct_memory_store(&mine) == NULL && zct_memory_store(NULL) == NULL);
        CHECK(zct_memory_owns(block, &owner) >= 5000 && owner == s); /* as much may be copied to a block of its own */
        CHECK_EQ(zct_memory_owns(&mine, NULL), 0);
        CHECK(zct_memory_alloc(s, 5000, 0) == NULL);
        CHECK(zct_memory_realloc(s, block, 100) == NULL && zct_memory_realloc(s, block, 20000) == NULL);
        zct_memory_free(s, block);
        CHECK_RC(zct_memory_stats_get(s, &m), -ZCT_ENOTMEMBER);
        _exit(0);
    }
    test_join(pid);
    plock_unlock(&s->stock_lock);
    plock_unlock(&registry_lock);
    CHECK_EQ(zct_memory_owns(block, NULL), 5000);
    zct_memory_free(s, block);
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
            alarm((unsigned)test_patience(60));
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

TESTS({"a raw clone's child", raw_child}, {"a raw clone's child of a busy process", raw_child_of_a_busy_process},
      {"a raw clone outlives its parent", raw_child_outlives_its_parent}, {"exec", exec_ends_the_member},
      {"closefrom", closefrom_in_a_member})
