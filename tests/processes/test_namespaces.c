/* Containers: members in PID namespaces of their own, where numbers of processes mean nothing to each other. */
#include "processes/peer.h"

#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static zct_store *s;
static zct_tensor *a;
static volatile uint32_t *word;

enum { SIZE = 3000 };

/* A process that is pid 1 of a PID namespace of its own; it runs fn. Returns the pid of its parent here, which ends when it
 * does, with the same status. */
static pid_t contain(void (*fn)(void))
{
    pid_t outer = test_fork();
    if (outer)
        return outer;
    if (unshare(CLONE_NEWPID) < 0)
        _exit(77);
    pid_t inner = fork();
    if (inner == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fn();
        exit(0);
    }
    int status;
    waitpid(inner, &status, 0);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void need_namespaces(void)
{
    word = test_shared(64);
    pid_t pid = test_fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWPID) < 0 ? 77 : 0);
    if (test_wait(pid) == 77)
        test_skip("PID namespaces are not permitted here");
}

static void hold_until_told(void)
{
    CHECK_EQ(getpid(), 1);
    test_await(&word[2], 1);
    s = test_store("s");
    REQUIRE_OK(zct_attach(s, "w", 0, 0, &a));
    __atomic_fetch_add(word, 1, __ATOMIC_ACQ_REL);
    test_await(&word[1], 1);
    zct_release(a);
    zct_store_close(s);
}

static void all_are_number_one(void)
{
    need_namespaces();
    pid_t p = contain(hold_until_told), q = contain(hold_until_told);
    s = test_store("s");
    OK(test_create(s, "w", SIZE, 1, NULL, &a));
    test_set(&word[2], 1);
    test_await(word, 2);
    CHECK_EQ(test_stats(s).members, 3);
    zct_gc_result r = {.size = sizeof r};
    OK(zct_store_gc(s, NULL, &r));
    CHECK_EQ(r.members, 0);
    zct_holder h[4] = {{.size = sizeof h[0]}};
    CHECK_EQ(zct_members(s, h, 4), 3);
    int strangers = 0;
    for (int i = 0; i < 3; i++)
        strangers += !h[i].same_pid_ns && h[i].pid == 1;
    CHECK_EQ(strangers, 2);
    zct_release(a);
    zct_tensor *b;
    CHECK_RC(test_create(s, "w", SIZE, 2, NULL, &b), -ZCT_EEXISTS);
    SAYS("PID namespace");
    SAYS("and 1 more");
    kill(p, SIGKILL); /* its child, the namespace's first process, dies with it */
    test_wait(p);
    for (int i = 0; i < 4000 && test_stats(s).members > 2; i++)
        test_nap(2000000);
    CHECK_EQ(test_stats(s).members, 2);
    OK(zct_store_gc(s, NULL, &r));
    CHECK_EQ(r.members, 1);
    CHECK_EQ(stat_of(s, "w").holders, 1);
    test_set(&word[1], 1);
    test_join(q);
    CHECK_RC(test_create(s, "w", SIZE, 2, NULL, &b), ZCT_REPLACED);
    zct_release(b);
    OK(zct_unlink(s, "w"));
    CHECK_STORE(s);
    zct_store_close(s);
}

TESTS({"all are number one", all_are_number_one})
