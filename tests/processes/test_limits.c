/* Limits of the system and of a store: what is too much is an error with a sentence, and nothing is lost. */
#include "processes/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

static zct_store *s;
static zct_tensor *a;

static void limit(int which, uint64_t value)
{
    struct rlimit r = {value, value};
    CHECK_EQ(setrlimit((__rlimit_resource_t)which, &r), 0);
}

static uint64_t blocks(void)
{
    struct stat st;
    CHECK_EQ(stat(zct_store_path(s), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static zct_store *open_large(uint64_t capacity)
{
    zct_store_options o = {.size = sizeof o, .capacity = capacity};
    zct_store *got = NULL;
    REQUIRE_OK(zct_store_open("s", &o, &got));
    return got;
}

/* ---- of a store ---- */

static void too_many_names(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 64, .max_members = 4};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    char name[32];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 64; i++) {
            snprintf(name, sizeof name, "%d of %d", i, round);
            OK(test_create(s, name, i * 50, (uint64_t)i, NULL, &a));
            zct_release(a);
        }
        CHECK_RC(test_create(s, "one more", 10, 1, NULL, &a), -ZCT_EFULL);
        SAYS("64");
        SAYS("'s'");
        SAYS("max_names");
        CHECK_RC(test_create(s, NULL, 10, 1, NULL, &a), -ZCT_EFULL);
        CHECK(zct_memory_alloc(s, 10, 0) == NULL);
        CHECK_EQ(test_stats(s).names, 64);
        CHECK_STORE(s);
        for (int i = 0; i < 64; i++) {
            snprintf(name, sizeof name, "%d of %d", i, round);
            OK(zct_attach(s, name, ZCT_MODE_READ, 0, &a));
            CHECK(test_is_pattern(zct_tensor_view(a)->data, (size_t)i * 50, (uint64_t)i));
            zct_release(a);
            OK(zct_unlink(s, name));
        }
        CHECK_EQ(test_stats(s).names, 0);
    }
    CHECK_STORE(s);
    zct_store_close(s);
}

static void too_many_bytes(void)
{
    s = test_store("s");
    CHECK_RC(test_create(s, "w", (16 << 20) + 1, 1, NULL, &a), -ZCT_EFULL);
    SAYS("16777217");
    SAYS("'s'");
    SAYS("capacity");
    OK(test_create(s, "w", 9 << 20, 1, NULL, &a));
    zct_tensor *b;
    CHECK_RC(test_create(s, "v", 9 << 20, 1, NULL, &b), -ZCT_EFULL);
    SAYS("'s'");
    SAYS("unlink");
    CHECK_EQ(test_stats(s).names, 1);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 9 << 20, 1));
    zct_release(a);
    OK(zct_unlink(s, "w"));
    OK(test_create(s, "v", 16 << 20, 1, NULL, &b)); /* all of it */
    zct_release(b);
    OK(zct_unlink(s, "v"));
    CHECK_STORE(s);
    zct_store_close(s);
}

static int join(long unused)
{
    (void)unused;
    return zct_store_open("s", NULL, &s);
}

static void too_many_members(void)
{
    struct peer p[3] = {peer_new(), peer_new(), peer_new()};
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 64, .max_members = 3};
    REQUIRE_OK(zct_store_open("s", &o, &s));
    CHECK_EQ(peer_do(&p[0], join, 0), 0);
    CHECK_EQ(peer_do(&p[1], join, 0), 0);
    CHECK_EQ(peer_do(&p[2], join, 0), -ZCT_ETOOMANYMEMBERS);
    CHECK(strstr(p[2].board->error, "3 member") != NULL);
    CHECK(strstr(p[2].board->error, "'s'") != NULL);
    CHECK(strstr(p[2].board->error, "max_members") != NULL);
    CHECK_STORE(s);
    peer_kill(&p[0]);
    CHECK_EQ(peer_do(&p[2], join, 0), 0); /* the dead's slot is had without a gc */
    peer_end(&p[1]);
    peer_end(&p[2]);
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).members, 1);
    zct_store_close(s);
}

static void other_geometry(void)
{
    s = test_store("s");
    zct_store *b = NULL;
    zct_store_options o = {.size = sizeof o, .capacity = 32u << 20};
    CHECK_RC(zct_store_open("s", &o, &b), -ZCT_EMISMATCH);
    SAYS("16777216");
    o = (zct_store_options){.size = sizeof o, .max_names = 512};
    CHECK_RC(zct_store_open("s", &o, &b), -ZCT_EMISMATCH);
    SAYS("256");
    o = (zct_store_options){.size = sizeof o, .max_members = 17};
    CHECK_RC(zct_store_open("s", &o, &b), -ZCT_EMISMATCH);
    SAYS("16");
    zct_store_close(s);
    o = (zct_store_options){.size = sizeof o, .max_members = 1025};
    CHECK_RC(zct_store_open("t", &o, &b), -ZCT_EINVAL);
    o = (zct_store_options){.size = sizeof o, .max_members = 1};
    CHECK_RC(zct_store_open("t", &o, &b), -ZCT_EINVAL);
    o = (zct_store_options){.size = sizeof o, .max_names = 1 << 30};
    CHECK_RC(zct_store_open("t", &o, &b), -ZCT_EINVAL);
    o = (zct_store_options){.size = sizeof o, .capacity = 1ull << 50};
    CHECK_RC(zct_store_open("t", &o, &b), -ZCT_EINVAL);
    o = (zct_store_options){.size = 8};
    CHECK_RC(zct_store_open("t", &o, &b), -ZCT_EINVAL);
    CHECK_EQ(test_files(), 0);
    setenv("ZCT_CAPACITY", "12X", 1);
    CHECK_RC(zct_store_open("t", NULL, &b), -ZCT_EINVAL);
    SAYS("ZCT_CAPACITY");
    setenv("ZCT_CAPACITY", "8M", 1);
    OK(zct_store_open("t", NULL, &b));
    CHECK_EQ(zct_store_capacity(b), 8 << 20);
    zct_store_close(b);
}

/* ---- of the process ---- */

static void file_size(void)
{
    s = test_store("s");
    limit(RLIMIT_FSIZE, 1 << 20);
    signal(SIGXFSZ, SIG_DFL);
    zct_store *b = NULL;
    zct_store_options o = {.size = sizeof o, .capacity = 64u << 20};
    CHECK_RC(zct_store_open("t", &o, &b), -ZCT_EFULL);
    SAYS("RLIMIT_FSIZE");
    SAYS("ulimit -f");
    CHECK_EQ(test_files(), 1);
    /* a store that is there may be used: nothing is written through its descriptor */
    OK(test_create(s, "small", 100, 1, NULL, &a));
    zct_release(a);
    OK(test_create(s, "large", 9 << 20, 2, NULL, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 9 << 20, 2));
    zct_release(a);
    OK(zct_unlink(s, "large"));
    OK(test_create(s, "large", 9 << 20, 3, NULL, &a));
    zct_release(a);
    OK(zct_unlink(s, "large"));
    OK(zct_unlink(s, "small"));
    OK(zct_store_trim(s, 0, NULL));
    CHECK_STORE(s);
    zct_store_close(s);
}

static void address_space(void)
{
    if (TEST_ASAN || TEST_TSAN)
        test_skip("sanitizers need all the addresses there are");
    limit(RLIMIT_AS, 1ull << 30);
    zct_store_options o = {.size = sizeof o, .capacity = 4ull << 30};
    CHECK_RC(zct_store_open("s", &o, &s), -ZCT_ENOMEM);
    SAYS("RLIMIT_AS");
    SAYS("capacity=");
    /* the store is there and sound for others; a smaller one can be had */
    CHECK_EQ(test_files(), 1);
    zct_store *t = test_store("t");
    OK(test_create(t, "w", 1 << 20, 1, NULL, &a));
    zct_tensor *r;
    OK(zct_attach(t, "w", ZCT_MODE_READ, 0, &r));
    zct_release(r);
    zct_release(a);
    OK(zct_unlink(t, "w"));
    zct_store_close(t);
    OK(zct_store_destroy("s", NULL));
}

static void descriptors(void)
{
    limit(RLIMIT_NOFILE, 64);
    s = open_large(64u << 20);
    enum { N = 500 };
    zct_tensor *t[2 * N], *cow[N];
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        OK(test_create(s, name, 5000, (uint64_t)i, NULL, &t[2 * i]));
        OK(zct_attach(s, name, ZCT_MODE_READ, 0, &t[2 * i + 1]));
        OK(zct_attach(s, name, ZCT_MODE_COW, 0, &cow[i]));
    }
    int fd = open("/dev/null", O_RDONLY);
    CHECK(fd >= 0 && fd < 20); /* none of ours is open */
    /* not one left: what needs none works, and the rest says so or does without */
    while (dup(fd) >= 0) {
    }
    CHECK_EQ(errno, EMFILE);
    zct_tensor *b;
    OK(zct_attach(s, "17", ZCT_MODE_WRITE, 0, &b));
    zct_release(b);
    OK(test_create(s, "small", 100, 1, NULL, &b));
    zct_release(b);
    OK(zct_unlink(s, "small"));
    OK(test_create(s, "large", 9 << 20, 1, NULL, &b));
    CHECK(test_is_pattern(zct_tensor_view(b)->data, 9 << 20, 1));
    zct_release(b);
    OK(zct_unlink(s, "large"));
    CHECK(zct_attach(s, "17", ZCT_MODE_COW, 0, &b) < 0);
    SAYS("open files");
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        test_wait(pid);
    }
    for (fd = 3; fd < 64; fd++)
        close(fd);
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        CHECK(test_is_pattern(zct_tensor_view(t[2 * i])->data, 5000, (uint64_t)i));
        CHECK(test_is_pattern(zct_tensor_view(cow[i])->data, 5000, (uint64_t)i));
        zct_release(t[2 * i]);
        zct_release(t[2 * i + 1]);
        zct_release(cow[i]);
        OK(zct_unlink(s, name));
    }
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    zct_store_close(s);
}

/* ---- memory ---- */

static void sparse(void)
{
    s = open_large(1ull << 30);
    uint64_t empty = blocks();
    CHECK(empty < 1 << 20); /* of 1 GiB */
    OK(test_create(s, "w", 10 << 20, 1, NULL, &a));
    CHECK(blocks() >= 10u << 20);
    CHECK(blocks() < 14u << 20);
    CHECK_EQ(test_stats(s).resident, blocks());
    zct_release(a);
    OK(zct_unlink(s, "w"));
    CHECK(blocks() >= 10u << 20); /* it stays warm */
    CHECK(test_stats(s).warm_free >= 10u << 20);
    uint64_t given = 0;
    OK(zct_store_trim(s, 4 << 20, &given));
    CHECK(given > 0);
    CHECK(test_stats(s).warm_free <= 4u << 20);
    OK(zct_store_trim(s, 0, &given));
    CHECK(blocks() < 4u << 20);
    CHECK(test_stats(s).warm_free < 1 << 20);
    CHECK_STORE(s);
    /* what was given back can be had again */
    OK(test_create(s, "w", 10 << 20, 2, NULL, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 10 << 20, 2));
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

/* Much that was freed is given back without being asked. */
static void surplus(void)
{
    s = open_large(1ull << 30);
    for (int i = 0; i < 3; i++) {
        OK(test_create(s, "w", 300 << 20, 1, NULL, &a));
        zct_release(a);
        OK(zct_unlink(s, "w"));
    }
    OK(test_create(s, "v", 2 << 20, 1, NULL, &a));
    zct_release(a);
    CHECK(blocks() < 200u << 20);
    OK(zct_unlink(s, "v"));
    zct_store_close(s);
}

static void need_lockable(uint64_t bytes)
{
    struct rlimit r;
    CHECK_EQ(getrlimit(RLIMIT_MEMLOCK, &r), 0);
    if (geteuid() != 0 && r.rlim_cur < bytes)
        test_skip("this user may lock %llu KiB of memory (RLIMIT_MEMLOCK), and %llu KiB are needed",
                  (unsigned long long)r.rlim_cur / 1024, (unsigned long long)bytes / 1024);
}

static void locked_before(void)
{
    need_lockable(256 << 20);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        test_skip("memory cannot be locked here (%s)", strerror(errno));
    s = open_large(1ull << 30);
    CHECK(blocks() < 1 << 20);
    OK(test_create(s, "w", 3 << 20, 1, NULL, &a));
    zct_tensor *r;
    OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &r));
    CHECK(blocks() < 8u << 20); /* nothing that is not used */
    zct_release(r);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

static void locked_after(void)
{
    need_lockable(512 << 20);
    s = open_large(1ull << 30);
    OK(test_create(s, "w", 3 << 20, 1, NULL, &a));
    if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
        test_skip("memory cannot be locked here (%s)", strerror(errno));
    /* the kernel fills the holes of what this process can reach: the control part and the part of the payload in use */
    CHECK(blocks() < 300u << 20);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 3 << 20, 1));
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

static void nobody_under_a_small_lock_limit(void)
{
    if (geteuid() != 0)
        test_skip("only root can become another user");
    if (TEST_ASAN || TEST_TSAN)
        test_skip("sanitizers lock no memory");
    limit(RLIMIT_MEMLOCK, 8 << 20);
    CHECK_EQ(chmod(test_directory(), 01777), 0);
    REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
    if (access(test_directory(), W_OK | X_OK) != 0)
        test_skip("user nobody does not reach %s; set ZCT_DIR", test_directory());
    if (mlockall(MCL_FUTURE) < 0)
        test_skip("memory cannot be locked here (%s)", strerror(errno));
    zct_store_options o = {.size = sizeof o, .capacity = 1ull << 30};
    CHECK_RC(zct_store_open("s", &o, &s), -ZCT_ENOMEM);
    SAYS("RLIMIT_MEMLOCK");
    SAYS("s'");
    munlockall();
    OK(zct_store_destroy("s", NULL));
}

TESTS({"too many names", too_many_names}, {"too many bytes", too_many_bytes}, {"too many members", too_many_members},
      {"another geometry", other_geometry}, {"RLIMIT_FSIZE", file_size}, {"RLIMIT_AS", address_space},
      {"RLIMIT_NOFILE", descriptors}, {"sparse, and trimmed", sparse}, {"surplus", surplus},
      {"mlockall before", locked_before}, {"mlockall after", locked_after},
      {"RLIMIT_MEMLOCK", nobody_under_a_small_lock_limit})
