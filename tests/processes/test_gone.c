/* Stores that go while they are in use: destroyed, unlinked or replaced behind our back; use after close. */
#include "processes/peer.h"

#include <fcntl.h>
#include <stdio.h>

static zct_store *s;
static zct_tensor *a;
static char path[4300];

enum { SIZE = 5000 };

static void start(void)
{
    s = test_store("s");
    snprintf(path, sizeof path, "%s", zct_store_path(s));
    OK(test_create(s, "w", SIZE, 1, NULL, &a));
}

static int open_and_attach(long unused)
{
    (void)unused;
    s = test_store("s");
    return zct_attach(s, "w", ZCT_MODE_DEFAULT, 0, &a);
}

static int close_all(long unused)
{
    (void)unused;
    zct_release(a);
    zct_store_close(s);
    return 0;
}

/* Whatever needs the store is EGONE; what we have stays valid. */
static int is_gone(long unused)
{
    (void)unused;
    zct_tensor *b = NULL;
    zct_handle h;
    zct_store_stats stats = {.size = sizeof stats};
    CHECK_RC(zct_store_alive(s), -ZCT_EGONE);
    CHECK_RC(zct_attach(s, "w", 0, 0, &b), -ZCT_EGONE);
    SAYS("'s'");
    SAYS("stay valid");
    CHECK_RC(zct_attach(s, "nothing", 0, 10000000, &b), -ZCT_EGONE);
    CHECK_RC(test_create(s, "x", 100, 1, NULL, &b), -ZCT_EGONE);
    CHECK_RC(test_create(s, NULL, 5 << 20, 1, NULL, &b), -ZCT_EGONE);
    CHECK_RC(zct_unlink(s, "w"), -ZCT_EGONE);
    CHECK_RC(zct_tensor_unlink(a), -ZCT_EGONE);
    CHECK_RC(zct_seal(a), -ZCT_EGONE);
    CHECK_RC(zct_publish(a, "y", NULL), -ZCT_EGONE);
    CHECK_RC(zct_handle_make(a, &h), -ZCT_EGONE);
    CHECK_RC(zct_store_gc(s, NULL, NULL), -ZCT_EGONE);
    CHECK_RC(zct_store_trim(s, 0, NULL), -ZCT_EGONE);
    CHECK_RC(zct_store_stats_get(s, &stats), -ZCT_EGONE);
    CHECK(zct_memory_alloc(s, 100, 0) == NULL);
    CHECK(b == NULL);
    CHECK_EQ(zct_tensor_is_linked(a), 0);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
    OK(zct_attach_again(a, ZCT_MODE_WRITE, &b));
    CHECK(test_is_pattern(zct_tensor_view(b)->data, SIZE, 1));
    ((uint8_t *)zct_tensor_view(b)->data)[0] ^= 1;
    ((uint8_t *)zct_tensor_view(b)->data)[0] ^= 1;
    zct_release(b);
    return 0;
}

static void destroyed(void)
{
    struct peer p = peer_new();
    start();
    CHECK_EQ(peer_do(&p, open_and_attach, 0), 0);
    OK(zct_store_destroy("s", NULL));
    CHECK_EQ(test_files(), 0);
    CHECK_RC(zct_store_destroy("s", NULL), -ZCT_ENOTFOUND);
    SAYS("zct1-");
    is_gone(0);
    CHECK_EQ(peer_do(&p, is_gone, 0), 0);
    /* a new one of the same name is another store */
    zct_store *next = test_store("s");
    CHECK(next != s);
    CHECK(memcmp(zct_store_uuid(next), zct_store_uuid(s), 16) != 0);
    zct_tensor *b;
    CHECK_RC(zct_attach(next, "w", 0, 0, &b), -ZCT_ENOTFOUND);
    OK(test_create(next, "w", SIZE, 2, NULL, &b));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
    is_gone(0);
    CHECK_EQ(peer_do(&p, is_gone, 0), 0);
    CHECK_EQ(peer_do(&p, close_all, 0), 0);
    CHECK_EQ(peer_do(&p, open_and_attach, 0), 0); /* joins the new one */
    peer_end(&p);
    close_all(0);
    zct_release(b);
    OK(zct_unlink(next, "w"));
    CHECK_STORE(next);
    zct_store_close(next);
    CHECK_EQ(test_files(), 0);
}

/* By hand: found out at a miss, by this process for all. */
static void unlinked(void)
{
    struct peer p = peer_new();
    start();
    CHECK_EQ(peer_do(&p, open_and_attach, 0), 0);
    unlink(path);
    zct_tensor *b;
    OK(zct_attach(s, "w", 0, 0, &b)); /* a hit does not look */
    zct_release(b);
    CHECK_RC(zct_attach(s, "nothing", 0, 0, &b), -ZCT_EGONE);
    is_gone(0);
    CHECK_EQ(peer_do(&p, is_gone, 0), 0);
    peer_end(&p);
    close_all(0);
    CHECK_EQ(test_files(), 0);
}

static void replaced(void)
{
    struct peer p = peer_new();
    start();
    CHECK_EQ(peer_do(&p, open_and_attach, 0), 0);
    char aside[4400];
    snprintf(aside, sizeof aside, "%s.aside", path);
    CHECK_EQ(rename(path, aside), 0);
    zct_store *next = test_store("s");
    CHECK(next != s);
    zct_tensor *b;
    CHECK_RC(zct_attach(next, "w", 0, 0, &b), -ZCT_ENOTFOUND);
    CHECK_RC(zct_attach(s, "nothing", 0, 0, &b), -ZCT_EGONE);
    is_gone(0);
    CHECK_EQ(peer_do(&p, is_gone, 0), 0);
    peer_end(&p);
    close_all(0);
    CHECK_EQ(test_files(), 2); /* ours is not removed under another's name, nor is the new one */
    unlink(aside);
    zct_store_close(next);
    CHECK_EQ(test_files(), 0);
}

/* The same by something that is no store. */
static void replaced_by_junk(void)
{
    start();
    unlink(path);
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, "junk", 4), 4);
    close(fd);
    zct_tensor *b;
    CHECK_RC(test_create(s, "large", 5 << 20, 1, NULL, &b), -ZCT_EGONE);
    is_gone(0);
    CHECK_RC(zct_store_destroy("s", NULL), -ZCT_ECORRUPT);
    close_all(0);
    CHECK_EQ(access(path, F_OK), 0);
    unlink(path);
}

/* A forked child of a member of a gone store. */
static void fork_when_gone(void)
{
    start();
    OK(zct_store_destroy("s", NULL));
    pid_t pid = test_fork();
    if (pid == 0) {
        zct_tensor *b = NULL;
        CHECK(zct_store_alive(s) < 0);
        CHECK(zct_attach(s, "w", 0, 0, &b) < 0);
        CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 1));
        close_all(0);
        zct_store *next = test_store("s");
        zct_store_close(next);
        exit(0);
    }
    test_join(pid);
    is_gone(0);
    close_all(0);
}

static void blocks_of_a_gone_store(void)
{
    s = test_store("s");
    uint8_t *block = zct_memory_alloc(s, 100000, 1), *idle = zct_memory_alloc(s, 100000, 0);
    REQUIRE(block && idle);
    zct_memory_free(s, idle);
    OK(zct_store_destroy("s", NULL));
    memset(block, 3, 100000);
    CHECK_EQ(zct_memory_owns(block, NULL), 100000);
    CHECK(zct_memory_alloc(s, 100000, 0) == NULL);
    zct_memory_free(s, block);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

/* ---- after close ---- */

static void references(void)
{
    s = test_store("s");
    zct_store *again = test_store("s");
    CHECK(again == s);
    CHECK(zct_store_ref(s) == s);
    zct_store_close(s);
    zct_store_close(s);
    OK(zct_store_alive(s));
    OK(test_create(s, "w", SIZE, 1, NULL, &a));
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
    zct_store_close(NULL);
    zct_release(NULL);
}

/* What an attachment says of itself after its store was closed: it keeps the membership. */
static void attachments_after_close(void)
{
    start();
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
    zct_stat st = {.size = sizeof st};
    OK(zct_stat_tensor(a, &st));
    CHECK_EQ(st.nbytes, SIZE);
    CHECK_EQ(st.state, ZCT_STATE_ENDING);
    CHECK(zct_tensor_store(a) == s);
    zct_tensor *b;
    OK(zct_attach_again(a, ZCT_MODE_READ, &b));
    zct_handle h;
    OK(zct_handle_make(b, &h));
    zct_release(a);
    CHECK(test_is_pattern(zct_tensor_view(b)->data, SIZE, 1));
    zct_release(b);
    CHECK_EQ(test_files(), 0); /* the handle went with its maker */
}

TESTS({"destroyed", destroyed}, {"unlinked", unlinked}, {"replaced", replaced}, {"replaced by junk", replaced_by_junk},
      {"fork when gone", fork_when_gone}, {"blocks of a gone store", blocks_of_a_gone_store}, {"references", references},
      {"attachments after close", attachments_after_close})
