/* The modes of an attachment, seal, publish: what may be written, by whom, and what it costs nobody. */
#include "processes/peer.h"

#include <stdio.h>

static zct_store *s;
static zct_tensor *a;

enum { SIZE = 20000 };

static int open_store(long unused)
{
    (void)unused;
    s = test_store("s");
    return 0;
}

static int attach(long mode) { return zct_attach(s, "w", (int)mode, 0, &a); }

static int release(long unused)
{
    (void)unused;
    zct_release(a);
    a = NULL;
    return 0;
}

static uint8_t *bytes(zct_tensor *t) { return zct_tensor_view(t)->data; }

/* A store into it ends the process by SIGSEGV. */
static void is_read_only(zct_tensor *t, size_t at)
{
    pid_t pid = test_fork();
    if (pid == 0) {
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(SIGSEGV, &plain, NULL);
        *(volatile uint8_t *)(bytes(t) + at) = 1;
        _exit(0);
    }
    CHECK_EQ(test_wait(pid), 256 + SIGSEGV);
}

static void end(void)
{
    if (there(s, "w"))
        OK(zct_unlink(s, "w"));
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).names, 0);
    zct_store_close(s);
}

static void read_only(void)
{
    open_store(0);
    static const int64_t sizes[] = {1, 100, 4096, SIZE, 3 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        zct_tensor *w;
        OK(test_create(s, "w", sizes[i], 1, NULL, &w));
        OK(attach(ZCT_MODE_READ));
        CHECK_EQ(zct_tensor_view(a)->mode, ZCT_MODE_READ);
        CHECK(bytes(a) != bytes(w));
        is_read_only(a, 0);
        is_read_only(a, (size_t)sizes[i] - 1);
        bytes(w)[0] = 99; /* it sees what is written */
        CHECK_EQ(bytes(a)[0], 99);
        zct_release(w);
        release(0);
        OK(zct_unlink(s, "w"));
    }
    end();
}

static int write_one(long value)
{
    bytes(a)[5] = (uint8_t)value;
    return 0;
}

static void copy_on_write(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    zct_tensor *w;
    OK(test_create(s, "w", SIZE, 1, NULL, &w));
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_WRITE), 0);
    OK(attach(ZCT_MODE_COW));
    CHECK_EQ(zct_tensor_view(a)->mode, ZCT_MODE_COW);
    CHECK(test_is_pattern(bytes(a), SIZE, 1));
    /* pages that were not written follow the writer */
    CHECK_EQ(peer_do(&p, write_one, 77), 0);
    CHECK_EQ(bytes(a)[5], 77);
    /* ours are ours */
    memset(bytes(a), 3, SIZE);
    CHECK_EQ(bytes(w)[5], 77);
    CHECK_EQ(peer_do(&p, write_one, 78), 0);
    CHECK_EQ(bytes(a)[5], 3);
    /* another one is another copy; a copy can be attached again, which starts anew */
    zct_tensor *b;
    OK(zct_attach(s, "w", ZCT_MODE_COW, 0, &b));
    CHECK_EQ(bytes(b)[5], 78);
    zct_release(b);
    OK(zct_attach_again(a, ZCT_MODE_READ, &b));
    CHECK_EQ(bytes(b)[5], 78);
    zct_release(b);
    /* small tensors and empty ones */
    for (int64_t n = 0; n < 200; n += 63) {
        zct_tensor *small;
        OK(test_create(s, "small", n, 4, NULL, &small));
        OK(zct_attach(s, "small", ZCT_MODE_COW, 0, &b));
        CHECK(test_is_pattern(bytes(b), (size_t)n, 4));
        memset(bytes(b), 1, (size_t)n);
        CHECK(test_is_pattern(bytes(small), (size_t)n, 4));
        zct_release(b);
        zct_release(small);
        OK(zct_unlink(s, "small"));
    }
    release(0);
    zct_release(w);
    peer_end(&p);
    end();
}

static void unknown_modes(void)
{
    open_store(0);
    OK(test_create(s, "w", 10, 1, NULL, &a));
    zct_tensor *b = NULL;
    CHECK_RC(zct_attach(s, "w", 4, 0, &b), -ZCT_EINVAL);
    CHECK_RC(zct_attach(s, "w", -1, 0, &b), -ZCT_EINVAL);
    CHECK_RC(zct_attach_again(a, 77, &b), -ZCT_EINVAL);
    CHECK(b == NULL);
    CHECK_EQ(stat_of(s, "w").holders, 1);
    release(0);
    end();
}

static int seal(long unused)
{
    (void)unused;
    return zct_seal(a);
}

static void sealed_is_read_only(void)
{
    OK(attach(ZCT_MODE_DEFAULT));
    CHECK_EQ(zct_tensor_view(a)->mode, ZCT_MODE_READ);
    CHECK_EQ(zct_tensor_view(a)->sealed, 1);
    CHECK_EQ(zct_tensor_is_sealed(a), 1);
    is_read_only(a, 17);
    release(0);
    CHECK_RC(attach(ZCT_MODE_WRITE), -ZCT_EACCES);
    SAYS("sealed");
    OK(attach(ZCT_MODE_COW));
    memset(bytes(a), 1, 100);
    release(0);
    OK(attach(ZCT_MODE_READ));
    release(0);
    CHECK_EQ(stat_of(s, "w").sealed, 1);
}

static void sealed(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    zct_tensor *w;
    OK(test_create(s, "w", SIZE, 1, NULL, &w));
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_READ), 0); /* any hold of another is in the way */
    CHECK_RC(zct_seal(w), -ZCT_EBUSY);
    SAYS("zct stat");
    CHECK_EQ(zct_tensor_is_sealed(w), 0);
    CHECK_EQ(peer_do(&p, release, 0), 0);
    OK(zct_seal(w));
    OK(zct_seal(w)); /* again is nothing */
    bytes(w)[0] ^= 1; /* an older attachment of this process stays writable */
    bytes(w)[0] ^= 1;
    sealed_is_read_only();
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_WRITE), -ZCT_EACCES);
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_DEFAULT), 0);
    CHECK_EQ(peer_do(&p, seal, 0), 0);
    /* the dead are not in the way */
    zct_release(w);
    zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
    OK(test_create(s, "w", SIZE, 1, &o, &w));
    CHECK_EQ(zct_tensor_is_sealed(w), 0);
    CHECK_EQ(peer_do(&p, release, 0), 0);
    CHECK_EQ(peer_do(&p, attach, ZCT_MODE_WRITE), 0);
    peer_kill(&p);
    OK(zct_seal(w));
    zct_release(w);
    sealed_is_read_only();
    end();
}

static void born_sealed(void)
{
    open_store(0);
    zct_create_options o = how(ZCT_EXISTS_ERROR, ZCT_PERSISTENT);
    o.sealed = 1;
    zct_tensor *w;
    OK(test_create(s, "w", SIZE, 1, &o, &w));
    CHECK_EQ(zct_tensor_view(w)->mode, ZCT_MODE_READ);
    CHECK(test_is_pattern(bytes(w), SIZE, 1));
    is_read_only(w, 0);
    sealed_is_read_only();
    zct_release(w);
    OK(zct_unlink(s, "w"));
    OK(test_create(s, NULL, SIZE, 1, &o, &w)); /* nameless too */
    CHECK_EQ(zct_tensor_is_sealed(w), 1);
    zct_release(w);
    end();
}

TESTS({"read only", read_only}, {"copy on write", copy_on_write}, {"unknown modes", unknown_modes}, {"sealed", sealed},
      {"born sealed", born_sealed})
