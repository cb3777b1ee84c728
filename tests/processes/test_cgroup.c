/* In a memory cgroup of one's own: what does not fit is an error before anything is touched, and nobody is killed. */
#include "processes/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { LIMIT = 96 << 20 };

static char outer[256], inner[300];
static bool v1;
static zct_store *s;
static zct_tensor *a;

static bool write_to(const char *folder, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

static bool set_limit(long long bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", bytes);
    return write_to(outer, v1 ? "memory.limit_in_bytes" : "memory.max", text);
}

static void remove_groups(void)
{
    for (int i = 0; i < 1000 && rmdir(inner) < 0 && errno == EBUSY; i++)
        test_nap(5000000); /* whoever was in it is still on the way out */
    for (int i = 0; i < 1000 && rmdir(outer) < 0 && errno == EBUSY; i++)
        test_nap(5000000);
}

/* A group with a limit, and one without in it; or the test is skipped. */
static void make_groups(void)
{
    static const char *const tops[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/memory"};
    int why = 0;
    for (size_t i = 0; i < 2; i++) {
        v1 = i == 1;
        snprintf(outer, sizeof outer, "%s/zct-test-%d", tops[i], (int)getpid());
        snprintf(inner, sizeof inner, "%s/inner", outer);
        if (mkdir(outer, 0755) < 0) {
            why = errno;
            continue;
        }
        if (set_limit(LIMIT) && (v1 || write_to(outer, "cgroup.subtree_control", "+memory")) && mkdir(inner, 0755) == 0)
            return;
        why = errno;
        remove_groups();
    }
    test_skip("no memory cgroup can be made here (%s)", strerror(why));
}

static void join_group(void)
{
    char text[16];
    snprintf(text, sizeof text, "%d", (int)getpid());
    if (!write_to(inner, "cgroup.procs", text))
        _exit(77);
}

static void live_in_it(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 1u << 30, .max_names = 64, .max_members = 4};
    zct_tensor *b;
    join_group();
    REQUIRE_OK(zct_store_open("s", &o, &s));
    zct_create_options empty = {.size = sizeof empty};
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 300 << 20);
    CHECK_RC(zct_create(s, "w", &spec, NULL, NULL, &empty, &a), -ZCT_EFULL);
    SAYS("memory cgroup");
    SAYS("'s'");
    SAYS("--memory");
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).used, 0);
    CHECK_STORE(s);
    shape = 40 << 20;
    OK(zct_create(s, "w", &spec, NULL, NULL, &empty, &a));
    OK(zct_create(s, "v", &spec, NULL, NULL, &empty, &b));
    CHECK_RC(zct_create(s, "u", &spec, NULL, NULL, &empty, &b), -ZCT_EFULL); /* what is in use counts */
    SAYS("memory cgroup");
    CHECK_EQ(test_stats(s).names, 2);
    OK(zct_unlink(s, "w"));
    zct_release(a);
    OK(zct_create(s, "u", &spec, NULL, NULL, &empty, &a)); /* into pages that are paid for already */
    CHECK(set_limit(3ll * LIMIT));
    OK(zct_create(s, "t", &spec, NULL, NULL, &empty, &b));
    CHECK_STORE(s);
    _exit(test_failed());
}

/* Read and written files fill the group up to its limit. False: there is no disk here to do that with. */
static bool fill_page_cache(void)
{
    char path[] = "/var/tmp/zct-test-XXXXXX";
    static char block[1 << 20];
    struct statfs fs;
    int fd = mkstemp(path);
    if (fd < 0)
        return false;
    unlink(path);
    bool disk = fstatfs(fd, &fs) == 0 && fs.f_type != TMPFS_MAGIC;
    for (int64_t done = 0; disk && done < 2ll * LIMIT; done += (int64_t)sizeof block)
        disk = write(fd, block, sizeof block) == (ssize_t)sizeof block;
    disk = disk && fsync(fd) == 0 && lseek(fd, 0, SEEK_SET) == 0;
    while (disk && read(fd, block, sizeof block) > 0) {
    }
    return disk; /* the file stays open, and its pages in memory */
}

/* Page cache is no use of memory: the kernel gives it up for a tensor. */
static void live_beside_files(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 1u << 30, .max_names = 64, .max_members = 4};
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 30 << 20);
    join_group();
    REQUIRE_OK(zct_store_open("s", &o, &s));
    if (!fill_page_cache())
        _exit(78);
    OK(test_create(s, "w", 30 << 20, 1, NULL, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 30 << 20, 1));
    OK(zct_create(s, "v", &spec, NULL, NULL, NULL, &a));
    CHECK_STORE(s);
    _exit(test_failed());
}

static void in_a_group(void (*live)(void))
{
    make_groups();
    pid_t pid = test_fork();
    if (pid == 0)
        live();
    int status = test_wait(pid);
    if (status != 77 && status != 78)
        CHECK_EQ(status, 0); /* 256 + 9: the OOM killer */
    OK(zct_store_destroy("s", NULL));
    remove_groups();
    CHECK(access(outer, F_OK) < 0);
    if (status == 77)
        test_skip("no process can be put into a memory cgroup here");
    if (status == 78)
        test_skip("/var/tmp is no disk with room");
}

static void room_in_a_group(void) { in_a_group(live_in_it); }
static void full_of_files(void) { in_a_group(live_beside_files); }

TESTS({"room in a memory cgroup", room_in_a_group}, {"a memory cgroup full of files", full_of_files})
