/* A file system that is full, at every step: -ZCT_EFULL with a sentence, never a signal, the store as it was.
 *
 * A tmpfs of its own in a mount namespace of its own. A file beside the store takes all but N pages, for each N from 0 on,
 * until the step under test succeeds: so each of its reservations fails once, those of the control part included. */
#include "processes/peer.h"

#include "platform/file.h"
#include "pool/huge.h"
#include "tensor/tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/resource.h>

static char room[4200], ballast[4300];
static zct_store *s;
static zct_tensor *a;

static void mount_room(const char *size)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0)
        test_skip("no mount namespace of one's own here");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        test_skip("mounts cannot be made private here");
    char options[64];
    snprintf(room, sizeof room, "%s/room", test_directory());
    snprintf(ballast, sizeof ballast, "%s/ballast", room);
    snprintf(options, sizeof options, "size=%s,mode=1777", size);
    CHECK_EQ(mkdir(room, 0777), 0);
    if (mount("none", room, "tmpfs", 0, options) < 0)
        test_skip("no tmpfs can be mounted here (%s)", strerror(errno));
}

static void leave_room(void)
{
    umount2(room, MNT_DETACH);
    rmdir(room);
}

static uint64_t pages_free(void)
{
    struct statvfs v;
    CHECK_EQ(statvfs(room, &v), 0);
    return v.f_bfree;
}

/* All but `pages` pages are taken by somebody else. */
static void leave_free(uint64_t pages)
{
    int fd = open(ballast, O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0);
    CHECK_EQ(ftruncate(fd, 0), 0);
    uint64_t now = pages_free();
    if (now > pages)
        CHECK_EQ(posix_fallocate(fd, 0, (off_t)((now - pages) * 4096)), 0);
    close(fd);
}

static void all_free(void) { unlink(ballast); }

static int open_in_room(const char *name, uint64_t capacity, zct_store **ret)
{
    zct_store_options o = {.size = sizeof o, .directory = room, .capacity = capacity, .max_names = 1024, .max_members = 8};
    return zct_store_open(name, &o, ret);
}

static void is_full(int rc)
{
    CHECK_RC(rc, -ZCT_EFULL);
    SAYS("'");
    SAYS("--shm-size");
}

/* ---- open, and the first create, in a store that is just being made ---- */

static void births(void)
{
    mount_room("1m");
    uint64_t n;
    for (n = 0; n < 100; n++) {
        test_case("%llu pages", (unsigned long long)n);
        leave_free(n);
        int rc = open_in_room("s", 2 << 20, &s);
        if (rc == 0)
            break;
        is_full(rc);
        struct stat st;
        char path[4400];
        snprintf(path, sizeof path, "%s/zct1-0-s", room);
        if (n < 3)
            CHECK(stat(path, &st) < 0); /* half a store is never seen */
    }
    CHECK(n > 2 && n < 100);
    CHECK_STORE(s);
    for (; n < 200; n++) { /* the same store, page by page */
        test_case("%llu pages", (unsigned long long)n);
        int rc = test_create(s, "w", 10000, n, NULL, &a);
        if (rc >= 0)
            break;
        is_full(rc);
        CHECK_STORE(s);
        CHECK_EQ(test_stats(s).names, 0);
        zct_tensor *b;
        CHECK_RC(zct_attach(s, "w", 0, 0, &b), -ZCT_ENOTFOUND);
        leave_free(1);
    }
    CHECK(n < 200);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 10000, n));
    CHECK_STORE(s);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
    all_free();
    leave_room();
}

/* ---- each step in a store that has had time to grow ---- */

struct step {
    const char *name;
    int (*before)(void); /* with room */
    int (*run)(void);
    void (*after)(void); /* with room, after success */
};

static zct_tensor *other;
static zct_handle handle;
static uint64_t seed;

static int nothing(void) { return 0; }

static int create_named(long bytes, const char *name)
{
    zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
    return test_create(s, name, bytes, seed, &o, &a);
}

static int create_tiny(void) { return create_named(10, "x"); }
static int create_page(void) { return create_named(4096, "x"); }
static int create_large(void) { return create_named(600000, "x"); }
static int create_larger(void) { return create_named(1500000, "x"); }

static int create_long_name(void)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    int64_t shape[9] = {1, 2, 3, 1, 2, 3, 1, 1, 5};
    zct_spec spec = {.size = sizeof spec, .ndim = 9, .shape = shape, .dtype = {.code = ZCT_UINT, .bits = 8, .lanes = 1,
                     .itemsize = 1, .name = "uint8"}, .metadata = name, .metadata_len = 255};
    return zct_create(s, name, &spec, NULL, NULL, NULL, &a);
}

static void end_long_name(void)
{
    char name[256];
    OK(zct_tensor_name(a, name, sizeof name));
    OK(zct_unlink(s, name));
    zct_release(a);
}

static void end_nameless(void)
{
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 5000, seed));
    zct_release(a);
}

static void end_block(void) { OK(zct_store_gc(s, NULL, NULL)); /* which empties the stock */ }

static void end_x(void)
{
    CHECK(test_is_pattern(zct_tensor_view(a)->data, zct_tensor_view(a)->nbytes, seed));
    OK(zct_unlink(s, "x"));
    zct_release(a);
}

/* A name far behind: the tables, rows and descriptors grow by many pages. */
static int many(void)
{
    for (int i = 0; i < 700; i++) {
        char name[16];
        snprintf(name, sizeof name, "many %d", i);
        zct_tensor *t = NULL;
        zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
        int rc = test_create(s, name, 100, 1, &o, &t);
        zct_release(t);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void end_many(void)
{
    for (int i = 0; i < 700; i++) {
        char name[16];
        snprintf(name, sizeof name, "many %d", i);
        OK(zct_unlink(s, name));
    }
}

static int make_nameless(void) { return test_create(s, NULL, 5000, seed, NULL, &a); }

static int publish_long(void)
{
    char name[201];
    memset(name, 'p', 200);
    name[200] = 0;
    return zct_publish(a, name, NULL);
}

static int make_w(void) { return test_create(s, "w", 5000, 1, NULL, &a); }
static void end_w(void)
{
    zct_release(a);
    OK(zct_unlink(s, "w"));
}
static int send_handle(void) { return zct_handle_make(a, &handle); }
static void end_handle(void)
{
    OK(zct_handle_cancel(s, &handle));
    end_w();
}
static int allocate_block(void)
{
    void *block = zct_memory_alloc(s, 50000, 0);
    if (!block)
        return -ZCT_EFULL;
    memset(block, 1, 50000);
    zct_memory_free(s, block);
    return 0;
}
static int trim(void) { return zct_store_trim(s, 0, NULL); }
static int fork_one(void)
{
    /* a child that found no room is no member, and does no harm */
    pid_t pid = test_fork();
    if (pid == 0) {
        int rc = zct_store_alive(s);
        if (rc == 0) {
            zct_tensor *t;
            rc = zct_attach(s, "kept", 0, 0, &t);
            if (rc == 0)
                zct_release(t);
            else
                CHECK_EQ(rc, -ZCT_EFULL);
        } else {
            CHECK_EQ(rc, -ZCT_ENOTMEMBER);
        }
        exit(rc == 0 ? 0 : 3);
    }
    int status = test_wait(pid);
    CHECK(status == 0 || status == 3);
    return status == 0 ? 0 : -ZCT_EFULL;
}

static const struct step steps[] = {
    {"create tiny", nothing, create_tiny, end_x},
    {"create a page", nothing, create_page, end_x},
    {"create large", nothing, create_large, end_x},
    {"create larger", nothing, create_larger, end_x},
    {"create with a long name", nothing, create_long_name, end_long_name},
    {"create nameless", nothing, make_nameless, end_nameless},
    {"publish", make_nameless, publish_long, end_long_name},
    {"handle", make_w, send_handle, end_handle},
    {"block", nothing, allocate_block, end_block},
    {"trim", nothing, trim, NULL},
    {"fork", nothing, fork_one, NULL},
    {"many", nothing, many, end_many},
};

static void one_step(const struct step *step)
{
    mount_room("4m");
    if (test_quick() && !strcmp(step->name, "many"))
        test_skip("quick");
    uint64_t n = 0, most = 1200;
    for (; n < most; n += 1 + n / 16) {
        test_case("%s, %llu pages", step->name, (unsigned long long)n);
        seed = n;
        if (open_in_room("s", 2 << 20, &s) < 0 || test_create(s, "kept", 3000, 42, NULL, &other) < 0) {
            test_fail(__FILE__, __LINE__, "no room to begin with: %s", zct_last_error());
            break;
        }
        OK(step->before());
        leave_free(n);
        zct_store_stats before = test_stats(s);
        int rc = step->run();
        if (rc < 0) {
            CHECK_EQ(rc, -ZCT_EFULL);
            if (step->run != allocate_block && step->run != fork_one)
                is_full(rc);
            if (step->run != many) {
                CHECK_EQ(test_stats(s).names, before.names);
                CHECK_EQ(test_stats(s).used, before.used);
            }
        }
        CHECK_STORE(s);
        CHECK(test_is_pattern(zct_tensor_view(other)->data, 3000, 42));
        zct_tensor *t;
        OK(zct_attach(s, "kept", ZCT_MODE_READ, 0, &t)); /* what was there can be had, also on a full disk */
        CHECK(test_is_pattern(zct_tensor_view(t)->data, 3000, 42));
        zct_release(t);
        all_free();
        int again = rc < 0 ? step->run() : rc; /* and it goes on where there is room again */
        CHECK(again >= 0);
        if (again >= 0 && step->after)
            step->after();
        zct_release(other);
        OK(zct_unlink(s, "kept"));
        CHECK_EQ(test_stats(s).names, 0);
        CHECK_STORE(s);
        zct_store_close(s);
        if (rc >= 0 || test_failed())
            break;
    }
    test_say("# %s: done with %llu pages free", step->name, (unsigned long long)n);
    CHECK(n < most);
    leave_room();
}

#define STEP_TEST(i)                                                                                                   \
    static void step_##i(void) { one_step(&steps[i]); }
STEP_TEST(0) STEP_TEST(1) STEP_TEST(2) STEP_TEST(3) STEP_TEST(4) STEP_TEST(5) STEP_TEST(6) STEP_TEST(7) STEP_TEST(8)
STEP_TEST(9) STEP_TEST(10) STEP_TEST(11)

/* ---- a container's 64 KiB ---- */

static void tiny_file_system(void)
{
    mount_room("64k");
    zct_store_options o = {.size = sizeof o, .directory = room};
    CHECK_RC(zct_store_open("s", &o, &s), 0); /* its default capacity is the least there is */
    int made = 0;
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        int rc = test_create(s, name, 100, 1, NULL, &a);
        if (rc >= 0) {
            made++;
            zct_release(a);
        } else {
            is_full(rc);
        }
        CHECK_STORE(s);
    }
    test_say("# %d tensors of 100 bytes in 64 KiB", made);
    for (int i = 0; i < made; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        OK(zct_unlink(s, name));
    }
    zct_store_close(s);
    leave_free(0);
    CHECK_RC(zct_store_open("s", &o, &s), -ZCT_EFULL);
    SAYS("no room to make store");
    SAYS(room);
    SAYS("--shm-size");
    all_free();
    leave_room();
}

/* Fill it to the last page with tensors of ever smaller sizes; each that was made is whole. How many. */
static int fill_up(zct_tensor **made, int most)
{
    static const int64_t sizes[] = {5 << 20, 300000, 4096, 100};
    int n = 0;
    for (int i = 0; i < 4; i++) {
        int rc = 0;
        while (n < most && (rc = test_create(s, NULL, sizes[i], (uint64_t)n + 1, NULL, &made[n])) == 0)
            n++;
        if (n < most)
            is_full(rc);
        CHECK_STORE(s);
    }
    for (int i = 0; i < n; i++) {
        const zct_view *v = zct_tensor_view(made[i]);
        CHECK(test_is_pattern(v->data, v->nbytes, (uint64_t)i + 1));
    }
    return n;
}

/* What a container has by default, with a store of default size in it: filled, emptied, and filled again beside other files. */
static void container(void)
{
    enum { MOST = 4000 };
    mount_room("64m");
    zct_store_options o = {.size = sizeof o, .directory = room};
    zct_tensor **made = calloc(MOST, sizeof *made);
    REQUIRE(made != NULL);
    REQUIRE_OK(zct_store_open("s", &o, &s));
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            leave_free(9000);
        int n = fill_up(made, MOST);
        CHECK(n > 10);
        test_say("# round %d: %d tensors, %llu KiB of %llu used", round, n, (unsigned long long)test_stats(s).used / 1024,
                 (unsigned long long)test_stats(s).capacity / 1024);
        for (int i = 0; i < n; i++)
            zct_release(made[i]);
        OK(zct_store_gc(s, NULL, NULL));
        OK(zct_store_trim(s, 0, NULL));
        CHECK_EQ(test_stats(s).used, 0);
        CHECK_STORE(s);
        all_free();
    }
    free(made);
    zct_store_close(s);
    leave_room();
}

/* Members that attach, release, unlink and leave need no new page: on a full disk all goes on. */
static int peer_lives(long unused)
{
    (void)unused;
    if (open_in_room("s", 8 << 20, &s) < 0)
        return 1;
    for (int i = 0; i < 200; i++) {
        int rc = zct_attach(s, "w", ZCT_MODE_DEFAULT, 0, &a);
        if (rc < 0)
            return rc;
        CHECK(test_is_pattern(zct_tensor_view(a)->data, 100000, 1));
        zct_release(a);
    }
    return zct_attach(s, "w", ZCT_MODE_DEFAULT, 0, &a);
}

static void members_of_a_full_store(void)
{
    mount_room("8m");
    struct peer p = peer_new();
    REQUIRE(open_in_room("s", 8 << 20, &s) == 0);
    OK(test_create(s, "w", 100000, 1, NULL, &a));
    leave_free(0);
    int rc = peer_do(&p, peer_lives, 0);
    test_say("# a member joins a full store: %d", rc);
    if (rc == -ZCT_EFULL) /* its row may need one page */
        leave_free(1), rc = peer_do(&p, peer_lives, 0);
    CHECK_EQ(rc, 0);
    leave_free(0);
    /* filled until nothing goes any more, emptied, filled again */
    for (int round = 0; round < 3; round++) {
        int n = 0;
        zct_tensor *t;
        char name[16];
        all_free();
        for (;; n++) {
            snprintf(name, sizeof name, "fill %d", n);
            rc = test_create(s, name, 70000 + round * 3000, (uint64_t)n, NULL, &t);
            if (rc < 0)
                break;
            zct_release(t);
        }
        CHECK_EQ(rc, -ZCT_EFULL);
        CHECK(n > 20);
        CHECK_STORE(s);
        for (int i = 0; i < n; i++) {
            snprintf(name, sizeof name, "fill %d", i);
            OK(zct_attach(s, name, ZCT_MODE_READ, 0, &t));
            CHECK(test_is_pattern(zct_tensor_view(t)->data, (size_t)(70000 + round * 3000), (uint64_t)i));
            zct_release(t);
            OK(zct_unlink(s, name));
        }
    }
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    zct_release(a);
    OK(zct_unlink(s, "w"));
    CHECK_STORE(s);
    zct_store_close(s);
    leave_room();
}

/* A full store makes room of what only the dead held. */
static int fill_and_hold(long bytes)
{
    if (open_in_room("s", 8 << 20, &s) < 0)
        return 1;
    return test_create(s, NULL, bytes, 1, NULL, &a);
}

static void the_dead_make_room(void)
{
    mount_room("8m");
    struct peer p = peer_new();
    REQUIRE(open_in_room("s", 8 << 20, &s) == 0);
    OK(test_create(s, "small", 10, 1, NULL, &a));
    zct_release(a);
    CHECK_EQ(peer_do(&p, fill_and_hold, 6 << 20), 0);
    CHECK_RC(test_create(s, "w", 6 << 20, 2, NULL, &a), -ZCT_EFULL);
    SAYS("capacity");
    peer_kill(&p);
    OK(test_create(s, "w", 6 << 20, 2, NULL, &a)); /* without a gc */
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 6 << 20, 2));
    zct_release(a);
    /* and a leftover of the same name makes room for its successor */
    CHECK_RC(test_create(s, "w", 6 << 20, 3, NULL, &a), ZCT_REPLACED);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 6 << 20, 3));
    zct_release(a);
    /* but a create that cannot be loses nothing */
    for (int64_t more = 1; more < 64 << 20; more *= 64) {
        CHECK_RC(test_create(s, "w", (6 << 20) + (1 << 20) + more, 4, NULL, &a), -ZCT_EFULL);
        CHECK_RC(test_create(s, "small", (8 << 20) + more, 4, NULL, &a), -ZCT_EFULL);
        zct_create_options swap = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
        CHECK_RC(test_create(s, "small", 6 << 20, 4, &swap, &a), -ZCT_EFULL);
        OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &a));
        CHECK(test_is_pattern(zct_tensor_view(a)->data, 6 << 20, 3));
        zct_release(a);
        CHECK(there(s, "small"));
    }
    OK(zct_unlink(s, "w"));
    OK(zct_unlink(s, "small"));
    CHECK_STORE(s);
    zct_store_close(s);
    leave_room();
}

/* No room for huge pages: no signal, and what plain ones cannot make is an error. */
static void no_room_for_huge_pages(void)
{
    mount_room("32m");
    REQUIRE(open_in_room("s", 16 << 20, &s) == 0);
    OK(test_create(s, "w", 8 << 20, 1, NULL, &a));
    uint64_t ext = get_relaxed(&desc_at(s, a->desc)->ext), first = ext_page(ext), pages = ext_pages(ext), made = 0;
    CHECK_EQ(first % HUGE_PAGES, 0);
    pool_clear_reserved(s, first, pages);
    int fd = store_file(s, true);
    CHECK_EQ(os_punch(fd, s->g.payload_offset + first * PAGE, pages * PAGE), 0);
    os_close(fd);
    leave_free(HUGE_PAGES + HUGE_PAGES / 2);
    for (uint64_t at = first; at < first + pages; at += HUGE_PAGES) {
        pv_put(&s->huge_rest, 0ull);
        made += pool_huge(s, at, HUGE_PAGES);
    }
    CHECK(made <= HUGE_PAGES);
    CHECK_EQ(pool_count_reserved(s, first, pages), made);
    CHECK_RC(pool_reserve(s, ext, pages * PAGE), -EAGAIN);
    all_free();
    pv_put(&s->huge_rest, 0ull);
    CHECK_RC(pool_reserve(s, ext, pages * PAGE), 0);
    CHECK_EQ(pool_count_reserved(s, first, pages), pages);
    memset(payload_at(s, first * PAGE), 1, pages * PAGE);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    CHECK_STORE(s);
    zct_store_close(s);
    leave_room();
}

TESTS({"a store is made page by page", births}, {"create tiny", step_0}, {"create a page", step_1}, {"create large", step_2},
      {"create larger", step_3}, {"create with a long name", step_4}, {"create nameless", step_5}, {"publish", step_6},
      {"handle", step_7}, {"block", step_8}, {"trim", step_9}, {"fork", step_10}, {"many", step_11},
      {"64 KiB", tiny_file_system}, {"64 MB", container}, {"members of a full store", members_of_a_full_store},
      {"the dead make room", the_dead_make_room}, {"no room for huge pages", no_room_for_huge_pages})
