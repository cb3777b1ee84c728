/* How long a tensor lives: the four lifetimes, names that end before their bytes, and the last leaver. */
#include "processes/peer.h"

static zct_store *s;
static zct_tensor *a;

enum { SIZE = 5000 };

static int open_store(long unused)
{
    (void)unused;
    s = test_store("s");
    return 0;
}

static int make(long lifetime)
{
    zct_create_options o = how(ZCT_EXISTS_ERROR, (int)lifetime);
    if (!s)
        open_store(0);
    return test_create(s, "w", SIZE, 7, &o, &a);
}

static int make_and_release(long lifetime)
{
    int rc = make(lifetime);
    zct_release(a);
    a = NULL;
    return rc;
}

static int attach(long unused)
{
    (void)unused;
    if (!s)
        open_store(0);
    return zct_attach(s, "w", ZCT_MODE_DEFAULT, 0, &a);
}

static int release(long unused)
{
    (void)unused;
    zct_release(a);
    a = NULL;
    return 0;
}

static int fork_and_stay(long unused)
{
    (void)unused;
    pid_t pid = fork();
    if (pid == 0) {
        alarm((unsigned)test_patience(60));
        for (;;)
            pause();
    }
    return pid;
}

static void bytes_are_there(void)
{
    OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &a));
    CHECK_EQ(zct_tensor_view(a)->nbytes, SIZE);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 7));
    release(0);
}

static void gone(void)
{
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_RC(zct_attach(s, "w", ZCT_MODE_DEFAULT, 0, &a), -ZCT_ENOTFOUND);
    SAYS("'w'");
    SAYS("'s'");
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).used, 0);
}

static void stays(int lifetime, bool killed)
{
    struct peer p = peer_new();
    CHECK_EQ(peer_do(&p, make, lifetime), 0);
    if (killed)
        peer_kill(&p);
    else
        peer_end(&p);
    CHECK_EQ(test_files(), 1); /* a name keeps its store */
    open_store(0);
    bytes_are_there();
    CHECK_EQ(stat_of(s, "w").lifetime, lifetime);
    OK(zct_store_gc(s, NULL, NULL));
    bytes_are_there();
    OK(zct_unlink(s, "w"));
    gone();
    zct_store_close(s);
}

static void persistent_exit(void) { stays(ZCT_PERSISTENT, false); }
static void persistent_kill(void) { stays(ZCT_PERSISTENT, true); }
static void pinned_exit(void) { stays(ZCT_PINNED, false); }
static void pinned_kill(void) { stays(ZCT_PINNED, true); }

static void ends_with_maker(int (*how_made)(long), bool killed)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, how_made, ZCT_OWNER), 0);
    bytes_are_there(); /* also when the maker has it attached no more */
    if (killed)
        peer_kill(&p);
    else
        peer_end(&p);
    gone();
    zct_store_close(s);
}

static void owner_exit(void) { ends_with_maker(make, false); }
static void owner_kill(void) { ends_with_maker(make, true); }
static void owner_exit_unheld(void) { ends_with_maker(make_and_release, false); }
static void owner_kill_unheld(void) { ends_with_maker(make_and_release, true); }

/* The holders keep the bytes of an owner that went. */
static void owner_gone_bytes_stay(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, make, ZCT_OWNER), 0);
    OK(attach(0));
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK(!there(s, "w"));
    CHECK(!zct_tensor_is_linked(a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 7));
    CHECK_STORE(s);
    release(0);
    gone();
    zct_store_close(s);
}

static void forked_child_is_no_owner(void)
{
    OK(make(ZCT_OWNER));
    zct_tensor *mine = a;
    CHECK_EQ(zct_tensor_is_maker(a), 1);
    pid_t pid = test_fork();
    if (pid == 0) {
        CHECK_EQ(zct_tensor_is_maker(a), 0);
        OK(zct_tensor_unlink(a)); /* does nothing */
        CHECK(there(s, "w"));
        exit(0);
    }
    test_join(pid);
    OK(zct_store_gc(s, NULL, NULL));
    bytes_are_there();
    /* and killed */
    pid = test_fork();
    if (pid == 0)
        raise(SIGKILL);
    test_wait(pid);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK(there(s, "w"));
    zct_release(mine);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK(there(s, "w")); /* the maker lives */
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

/* The owner goes while its forked child lives: the name ends, the child's bytes stay. */
static void owner_goes_child_stays(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, make, ZCT_OWNER), 0);
    int child = peer_do(&p, fork_and_stay, 0);
    REQUIRE(child > 0);
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK(!there(s, "w"));
    CHECK_EQ(test_stats(s).names, 1);
    CHECK(test_stats(s).used > 0);
    kill(child, SIGKILL);
    for (int i = 0; i < 2000 && test_stats(s).names; i++) { /* it is nobody's child now: its death cannot be awaited */
        test_nap(5000000);
        OK(zct_store_gc(s, NULL, NULL));
    }
    gone();
    zct_store_close(s);
}

static void last_holder(void)
{
    struct peer p = peer_new();
    OK(make(ZCT_LAST));
    CHECK_EQ(peer_do(&p, attach, 0), 0);
    release(0);
    bytes_are_there();
    CHECK_EQ(peer_do(&p, release, 0), 0);
    gone();
    /* the last holder dies */
    OK(make(ZCT_LAST));
    CHECK_EQ(peer_do(&p, attach, 0), 0);
    release(0);
    peer_kill(&p);
    gone();
    zct_store_close(s);
}

static void nameless(void)
{
    open_store(0);
    OK(test_create(s, NULL, SIZE, 1, NULL, &a));
    char name[8] = "x";
    OK(zct_tensor_name(a, name, sizeof name));
    CHECK_STR(name, "");
    CHECK_EQ(zct_tensor_is_linked(a), 0);
    CHECK_EQ(test_stats(s).nameless, 1);
    zct_tensor *b;
    OK(zct_attach_again(a, ZCT_MODE_READ, &b));
    release(0);
    CHECK(test_is_pattern(zct_tensor_view(b)->data, SIZE, 1));
    zct_release(b);
    gone();
    zct_store_close(s);
}

static void unlink_keeps_bytes(void)
{
    struct peer p = peer_new();
    OK(make(ZCT_PERSISTENT));
    CHECK_EQ(peer_do(&p, attach, 0), 0);
    OK(zct_unlink(s, "w"));
    CHECK_EQ(zct_tensor_is_linked(a), 0);
    CHECK_RC(zct_unlink(s, "w"), -ZCT_ENOTFOUND);
    SAYS("'w'");
    char name[256];
    OK(zct_tensor_name(a, name, sizeof name));
    CHECK_STR(name, "w");
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 7));
    /* the name is free: another tensor is made under it, disjoint from the first */
    zct_tensor *first = a;
    OK(make(ZCT_PERSISTENT));
    CHECK(zct_tensor_view(a)->data != zct_tensor_view(first)->data);
    CHECK_EQ(zct_tensor_view(a)->generation, 1);
    CHECK_EQ(zct_tensor_is_linked(first), 0);
    OK(zct_tensor_unlink(first)); /* not this name's tensor any more: nothing */
    CHECK(there(s, "w"));
    release(0);
    zct_release(first);
    CHECK_EQ(test_stats(s).names, 2); /* the peer has the first one still */
    CHECK_EQ(peer_do(&p, release, 0), 0);
    CHECK_EQ(test_stats(s).names, 1);
    CHECK_STORE(s);
    OK(zct_unlink(s, "w"));
    peer_end(&p);
    zct_store_close(s);
}

static void last_leaver_removes_the_file(void)
{
    struct peer p = peer_new(), q = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    CHECK_EQ(peer_do(&q, open_store, 0), 0);
    CHECK_EQ(test_stats(s).members, 3);
    zct_store_close(s);
    CHECK_EQ(test_files(), 1);
    peer_end(&p);
    CHECK_EQ(test_files(), 1);
    peer_end(&q);
    CHECK_EQ(test_files(), 0);
    /* the last one was killed: its file stays, the next open and close removes it */
    struct peer r = peer_new();
    CHECK_EQ(peer_do(&r, open_store, 0), 0);
    peer_kill(&r);
    CHECK_EQ(test_files(), 1);
    open_store(0);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

/* Live attachments keep a closed store's member: the bytes stay, opening it again cancels the leave. */
static void close_while_attached(void)
{
    OK(make(ZCT_LAST));
    zct_store_close(s);
    CHECK_EQ(test_files(), 1);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, SIZE, 7));
    zct_store *again = test_store("s");
    CHECK(again == s);
    zct_tensor *b;
    OK(zct_attach(again, "w", ZCT_MODE_DEFAULT, 0, &b));
    zct_release(b);
    zct_store_close(again);
    CHECK_EQ(test_files(), 1);
    release(0);
    CHECK_EQ(test_files(), 0);
}

TESTS({"persistent stays after exit", persistent_exit}, {"persistent stays after SIGKILL", persistent_kill},
      {"pinned stays after exit", pinned_exit}, {"pinned stays after SIGKILL", pinned_kill},
      {"owner's ends with its exit", owner_exit}, {"owner's ends with SIGKILL", owner_kill},
      {"owner's ends with its exit, released before", owner_exit_unheld},
      {"owner's ends with SIGKILL, released before", owner_kill_unheld},
      {"owner's bytes stay for their holders", owner_gone_bytes_stay},
      {"a forked child is not the owner", forked_child_is_no_owner},
      {"the owner goes, its child stays", owner_goes_child_stays},
      {"last ends with the last holder", last_holder},
      {"nameless ends with its holder", nameless},
      {"unlink keeps the bytes", unlink_keeps_bytes},
      {"the last leaver removes the file", last_leaver_removes_the_file},
      {"closed while attached", close_while_attached})
