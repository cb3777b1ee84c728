/* In a memory cgroup of one's own: what does not fit is an error before anything is touched, and nobody is killed. */
#include "processes/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

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

static void room_in_a_group(void)
{
    make_groups();
    pid_t pid = test_fork();
    if (pid == 0)
        live_in_it();
    int status = test_wait(pid);
    if (status != 77)
        CHECK_EQ(status, 0); /* 256 + 9: the OOM killer */
    OK(zct_store_destroy("s", NULL));
    remove_groups();
    CHECK(access(outer, F_OK) < 0);
    if (status == 77)
        test_skip("no process can be put into a memory cgroup here");
}

TESTS({"room in a memory cgroup", room_in_a_group})
