/* peer.h - another process of a test, that does what it is told: it runs functions of the test's own program, one at a time,
 * in its own memory. Forked before the body opens a store, it is a member that owes the body nothing. */
#ifndef ZCT_TESTS_PROCESSES_PEER_H
#define ZCT_TESTS_PROCESSES_PEER_H

#include "support/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct peer_board {
    uint32_t asked, answered; /* how many calls */
    int (*fn)(long argument);
    long argument;
    int result;
    char error[1536];
};

struct peer {
    pid_t pid;
    struct peer_board *board;
};

__attribute__((unused)) static struct peer peer_new(void)
{
    struct peer p = {.board = test_shared(sizeof *p.board)};
    p.pid = test_fork();
    if (p.pid)
        return p;
    for (uint32_t n = 1;; n++) {
        while (__atomic_load_n(&p.board->asked, __ATOMIC_ACQUIRE) != n)
            test_nap(50000);
        if (!p.board->fn)
            exit(0);
        p.board->result = p.board->fn(p.board->argument);
        memcpy(p.board->error, zct_last_error(), strlen(zct_last_error()) + 1);
        test_set(&p.board->answered, n);
    }
}

/* Tell it to run fn(argument) and go on. */
__attribute__((unused)) static void peer_ask(struct peer *p, int (*fn)(long), long argument)
{
    p->board->fn = fn;
    p->board->argument = argument;
    test_set(&p->board->asked, p->board->asked + 1);
}

__attribute__((unused)) static bool peer_answered(struct peer *p)
{
    return __atomic_load_n(&p->board->answered, __ATOMIC_ACQUIRE) == p->board->asked;
}

/* What the last one answered. */
__attribute__((unused)) static int peer_answer(struct peer *p)
{
    test_await(&p->board->answered, p->board->asked);
    return p->board->result;
}

__attribute__((unused)) static int peer_do(struct peer *p, int (*fn)(long), long argument)
{
    peer_ask(p, fn, argument);
    return peer_answer(p);
}

/* It ends by exit(): its exit handlers run. */
__attribute__((unused)) static void peer_end(struct peer *p)
{
    peer_ask(p, NULL, 0);
    test_join(p->pid);
}

__attribute__((unused)) static void peer_kill(struct peer *p)
{
    kill(p->pid, SIGKILL);
    CHECK_EQ(test_wait(p->pid), 256 + SIGKILL);
}

/* The sentence of the calling thread's last failure has this in it. */
#define SAYS(text) \
    (strstr(zct_last_error(), (text)) ? (void)0 : test_fail(__FILE__, __LINE__, "'%s' is not in: %s", (text), zct_last_error()))

__attribute__((unused)) static zct_create_options how(int exists, int lifetime)
{
    return (zct_create_options){.size = sizeof(zct_create_options), .exists = exists, .lifetime = lifetime};
}

__attribute__((unused)) static bool there(zct_store *s, const char *name)
{
    zct_stat st = {.size = sizeof st};
    return zct_stat_name(s, name, &st) == 0;
}

__attribute__((unused)) static zct_stat stat_of(zct_store *s, const char *name)
{
    zct_stat st = {.size = sizeof st};
    OK(zct_stat_name(s, name, &st));
    return st;
}

/* This process is no member of `store`, and every call says so. `t`, of the pattern 1, was inherited. */
__attribute__((unused)) static void is_no_member(zct_store *store, zct_tensor *t, size_t size)
{
    zct_tensor *b = NULL;
    zct_handle h;
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 10);
    CHECK_RC(zct_store_alive(store), -ZCT_ENOTMEMBER);
    CHECK_RC(zct_attach(store, "w", 0, 0, &b), -ZCT_ENOTMEMBER);
    SAYS("'s'");
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
    CHECK(test_is_pattern(zct_tensor_view(t)->data, size, 1)); /* as long as the parent has it */
}

#endif
