/* A world that changes behind our back: locks that lie, planted links, masks, groups, directories that are not there, daemons,
 * descriptors that are closed and given to others, threads beside a fork. Each ends in a sentence or in nothing at all. */
#include "processes/peer.h"

#include "support/deny.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static zct_store *s;
static zct_tensor *a;

static void use(const char *name, uint64_t seed)
{
    zct_tensor *t;
    OK(test_create(s, name, 9000, seed, NULL, &t));
    zct_release(t);
    OK(zct_attach(s, name, ZCT_MODE_READ, 0, &t));
    CHECK(test_is_pattern(zct_tensor_view(t)->data, 9000, seed));
    zct_release(t);
    OK(zct_unlink(s, name));
}

static void end(void)
{
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).used, 0);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

/* ---- the file system ---- */

static void locks_that_lie(void)
{
    if (!deny_locks())
        test_skip("system calls cannot be filtered here");
    CHECK_RC(zct_store_open("s", NULL, &s), -ZCT_EUNSUPPORTED);
    SAYS("does not tell the truth about locks");
    SAYS("ZCT_DIR");
    CHECK_EQ(test_files(), 0);
}

/* The same for a store that was made when they told the truth. */
static void locks_begin_to_lie(void)
{
    s = test_store("s");
    OK(test_create(s, "w", 100, 1, NULL, &a));
    zct_release(a);
    zct_store_close(s);
    pid_t pid = test_fork();
    if (pid == 0) {
        if (!deny_locks())
            _exit(77);
        zct_store *got = NULL;
        CHECK_RC(zct_store_open("s", NULL, &got), -ZCT_EUNSUPPORTED);
        SAYS("locks");
        _exit(0);
    }
    int status = test_wait(pid);
    s = test_store("s");
    OK(zct_unlink(s, "w"));
    end();
    if (status == 77)
        test_skip("system calls cannot be filtered here");
    CHECK_EQ(status, 0);
}

static void planted_link(void)
{
    char path[4300], target[4300];
    snprintf(path, sizeof path, "%s/zct%d-%u-s", test_directory(), ZCT_FORMAT_VERSION, geteuid());
    snprintf(target, sizeof target, "%s/precious", test_directory());
    int fd = open(target, O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0 && write(fd, "data", 4) == 4);
    CHECK_EQ(symlink(target, path), 0);
    CHECK_RC(zct_store_open("s", NULL, &s), -ZCT_EACCES);
    SAYS("symbolic link");
    SAYS(path);
    CHECK(zct_store_destroy("s", NULL) < 0);
    char back[8] = "";
    CHECK(pread(fd, back, 8, 0) == 4 && !strcmp(back, "data"));
    struct stat st;
    CHECK(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
    close(fd);
    unlink(path);
    unlink(target);
}

static void no_directory(void)
{
    char missing[4300];
    snprintf(missing, sizeof missing, "%s/nowhere", test_directory());
    zct_store_options o = {.size = sizeof o, .directory = missing};
    CHECK(zct_store_open("s", &o, &s) < 0);
    SAYS(missing);
    CHECK_EQ(zct_last_errno(), ENOENT);
    o.directory = "/dev/null";
    CHECK(zct_store_open("s", &o, &s) < 0);
    SAYS("/dev/null");
}

/* The default directory, absent and then read-only, in a mount namespace of one's own. */
static void no_dev_shm(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, "size=1m") < 0)
        test_skip("no mount namespace of one's own here");
    unsetenv("ZCT_DIR");
    OK(zct_store_open("s", NULL, &s));
    use("w", 1);
    zct_store_close(s);
    CHECK_EQ(mount(NULL, "/dev/shm", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    CHECK_RC(zct_store_open("s", NULL, &s), -ZCT_EACCES);
    SAYS("/dev/shm");
    SAYS("ZCT_DIR");
    CHECK_EQ(umount2("/dev/shm", MNT_DETACH), 0);
    if (mount("none", "/dev", "tmpfs", 0, "size=64k") < 0) /* a /dev without shm */
        return;
    CHECK(zct_store_open("s", NULL, &s) < 0);
    SAYS("/dev/shm");
    CHECK_EQ(zct_last_errno(), ENOENT);
}

/* ---- users ---- */

static mode_t mode_of(zct_store *store)
{
    struct stat st = {0};
    CHECK_EQ(stat(zct_store_path(store), &st), 0);
    return st.st_mode & 07777;
}

static void masks(void)
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (int i = 0; i < 4; i++) {
        mode_t before = umask(masks[i]);
        zct_store_options o = {.size = sizeof o, .capacity = 2u << 20, .mode = i % 2 ? 0 : 0660};
        OK(zct_store_open("s", &o, &s));
        CHECK_EQ(mode_of(s), i % 2 ? 0600 : 0660);
        use("w", 1);
        end();
        umask(before);
    }
}

enum { A_GROUP = 4242, A_USER = 4343 };

static int become(long groups)
{
    gid_t group = A_GROUP;
    int rc = setgroups(groups ? 1 : 0, &group) || setgid(A_USER) || setuid(A_USER);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user forgets it */
    return rc;
}

static int open_path(long path)
{
    return zct_store_open((const char *)(uintptr_t)path, NULL, &s);
}

static int take_part(long seed)
{
    int rc = zct_attach(s, "w", ZCT_MODE_WRITE, 0, &a);
    if (rc < 0)
        return rc;
    test_pattern(zct_tensor_view(a)->data, 100, (uint64_t)seed);
    zct_tensor *mine;
    rc = test_create(s, "theirs", 5000, (uint64_t)seed, NULL, &mine);
    return rc;
}

/* mode=0660 and a group: its members are members; others are told. */
static void shared_with_a_group(void)
{
    if (geteuid() != 0)
        test_skip("only root can become another user");
    CHECK_EQ(chmod(test_directory(), 01777), 0);
    static char path[4300]; /* the peers have it, too */
    snprintf(path, sizeof path, "%s/team", test_directory());
    struct peer in = peer_new(), out = peer_new();
    zct_store_options o = {.size = sizeof o, .capacity = 8u << 20, .mode = 0660, .max_members = 8};
    OK(zct_store_open(path, &o, &s));
    CHECK_EQ(chown(path, (uid_t)-1, A_GROUP), 0);
    zct_tensor *mine;
    OK(test_create(s, "w", 100, 1, NULL, &mine));
    CHECK_EQ(peer_do(&in, become, 1), 0);
    CHECK_EQ(peer_do(&out, become, 0), 0);
    CHECK_EQ(peer_do(&out, open_path, (long)(uintptr_t)path), -ZCT_EACCES);
    CHECK(strstr(out.board->error, "team") && strstr(out.board->error, "mode="));
    CHECK_EQ(peer_do(&in, open_path, (long)(uintptr_t)path), 0);
    CHECK_EQ(peer_do(&in, take_part, 7), 0);
    CHECK(test_is_pattern(zct_tensor_view(mine)->data, 100, 7));
    zct_release(mine);
    peer_kill(&in); /* and they recover each other */
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(test_stats(s).members, 1);
    OK(zct_attach(s, "theirs", 0, 0, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 5000, 7));
    zct_release(a);
    OK(zct_unlink(s, "w"));
    OK(zct_unlink(s, "theirs"));
    peer_end(&out);
    end();
}

/* ---- the process ---- */

/* From now on, this process's children live `seconds` apart from others, by the monotonic clock. */
static bool shift_clock(long seconds)
{
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
    char text[64];
    if (unshare(CLONE_NEWTIME) < 0)
        return false;
    int fd = open("/proc/self/timens_offsets", O_WRONLY), n = snprintf(text, sizeof text, "monotonic %ld 0", seconds);
    bool done = fd >= 0 && write(fd, text, (size_t)n) == n;
    close(fd);
    return done;
}

/* Members whose clocks are days apart, as in containers that were moved: who is dead is noticed, and waits end in time. */
static void clocks_apart(void)
{
    for (int ahead = 0; ahead < 2; ahead++) {
        volatile uint32_t *word = test_shared(64);
        s = test_store("s");
        pid_t pid = test_fork();
        if (pid == 0) {
            struct timespec now;
            clock_gettime(CLOCK_MONOTONIC, &now);
            if (!shift_clock(ahead ? 1000000 : -now.tv_sec / 2))
                _exit(77);
            if (fork() == 0) {
                zct_store *mine = test_store("other"); /* a membership of its own clock */
                zct_tensor *t;
                zct_store_close(mine);
                OK(test_create(s, "w", 9000, 1, NULL, &t));
                OK(zct_commit(t, NULL));
                CHECK_RC(zct_wait(t, 5, 1000000, NULL), -ZCT_ETIMEDOUT);
                CHECK_RC(zct_attach(s, "never", 0, 1000000, &a), -ZCT_ENOTFOUND);
                OK(zct_store_gc(s, NULL, NULL));
                test_set(&word[0], 1);
                test_await(&word[1], 1);
                kill(getpid(), SIGKILL);
            }
            test_await(&word[1], 1);
            _exit(0);
        }
        int status = -1;
        while (__atomic_load_n(&word[0], __ATOMIC_ACQUIRE) != 1 && waitpid(pid, &status, WNOHANG) == 0)
            test_nap(1000000);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            zct_store_close(s);
            test_skip("no time namespace of one's own here");
        }
        OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &a));
        OK(zct_wait(a, 0, 0, NULL));
        zct_release(a);
        zct_create_options o = how(ZCT_EXISTS_ERROR, ZCT_PERSISTENT);
        CHECK_RC(test_create(s, "w", 100, 2, &o, &a), -ZCT_EEXISTS);
        test_set(&word[1], 1);
        test_join(pid);
        while (stat_of(s, "w").holders != 0 && !test_failed())
            test_nap(1000000);
        CHECK_RC(test_create(s, "w", 100, 2, &o, &a), ZCT_REPLACED);
        zct_release(a);
        OK(zct_unlink(s, "w"));
        end();
    }
}

/* All descriptors are closed and their numbers taken by others; the member lives, and so does who looks at it. */
static void numbers_taken_by_others(void)
{
    struct peer p = peer_new();
    s = test_store("s");
    OK(test_create(s, "w", 100, 1, NULL, &a));
    for (int fd = 3; fd < 200; fd++)
        close(fd);
    for (int i = 0; i < 100; i++)
        CHECK(open("/dev/null", O_RDWR) >= 0);
    use("x", 3);
    CHECK_EQ(peer_do(&p, open_path, (long)(uintptr_t)"s"), 0);
    CHECK_EQ(peer_do(&p, take_part, 5), 0);
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 100, 5));
    CHECK_EQ(stat_of(s, "w").holders, 2);
    peer_kill(&p);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(stat_of(s, "w").holders, 1);
    CHECK_EQ(test_stats(s).members, 1);
    for (int fd = 3; fd < 200; fd++)
        close(fd);
    use("y", 4);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    OK(zct_unlink(s, "theirs"));
    end();
}

/* The classic double fork: what the first process made, its grandchild goes on with, and the name lives on. */
static void daemonised(void)
{
    volatile uint32_t *word = test_shared(64);
    pid_t pid = test_fork();
    if (pid == 0) {
        s = test_store("s");
        REQUIRE_OK(test_create(s, "w", 9000, 1, NULL, &a));
        if (fork() == 0) {
            setsid();
            if (fork() == 0) {
                CHECK_EQ(chdir("/"), 0);
                for (int fd = 3; fd < 64; fd++)
                    close(fd);
                test_await(&word[0], 1); /* both ancestors are gone */
                CHECK(test_is_pattern(zct_tensor_view(a)->data, 9000, 1));
                use("of the daemon", 2);
                zct_release(a);
                zct_store_close(s);
                test_set(&word[1], 1);
                test_await(&word[0], 2);
                _exit(0);
            }
            exit(0);
        }
        exit(0);
    }
    test_join(pid);
    s = test_store("s");
    while (stat_of(s, "w").holders != 1 && !test_failed()) /* the middle one may still be on its way out */
        test_nap(1000000);
    test_set(&word[0], 1);
    test_await(&word[1], 1);
    CHECK_EQ(stat_of(s, "w").holders, 0);
    test_set(&word[0], 2);
    OK(zct_unlink(s, "w"));
    end();
}

/* A child of a process whose other threads are in the middle of everything. */
static uint32_t stop;

static void *busy(void *seed)
{
    char name[16];
    snprintf(name, sizeof name, "t%d", (int)(intptr_t)seed);
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE) && !test_failed())
        use(name, (uint64_t)(intptr_t)seed);
    return NULL;
}

static void forks_among_threads(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    test_skip("sanitizers do not fork beside threads");
#endif
    pthread_t threads[3];
    s = test_store("s");
    OK(test_create(s, "w", 100, 1, NULL, &a));
    for (intptr_t i = 0; i < 3; i++)
        REQUIRE(pthread_create(&threads[i], NULL, busy, (void *)i) == 0);
    for (int i = 0; i < (test_quick() ? 20 : 100); i++) {
        pid_t pid = test_fork();
        if (pid == 0) {
            char name[32];
            snprintf(name, sizeof name, "child %d", i);
            CHECK(test_is_pattern(zct_tensor_view(a)->data, 100, 1));
            use(name, 9);
            CHECK_STORE(s);
            exit(test_failed());
        }
        test_join(pid);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    end();
}

/* 100,000 tensors held at once by a process that may open 64 files. */
static void many_tensors_few_files(void)
{
    enum { MANY = 100000, QUICK = 5000 };
    int count = test_quick() ? QUICK : MANY;
    struct rlimit limit = {64, 64};
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    zct_store_options o = {.size = sizeof o, .capacity = 64u << 20, .max_names = 131072, .max_members = 4};
    OK(zct_store_open("s", &o, &s));
    zct_tensor **held = calloc((size_t)count, sizeof *held);
    REQUIRE(held != NULL);
    for (int i = 0; i < count && !test_failed(); i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        OK(test_create(s, name, 16, (uint64_t)i, NULL, &held[i]));
    }
    int fd = open("/dev/null", O_RDONLY);
    CHECK(fd >= 0 && fd < 20);
    for (int i = 0; i < count && !test_failed(); i += 997) {
        char name[16];
        zct_tensor *t;
        snprintf(name, sizeof name, "%d", i);
        OK(zct_attach(s, name, ZCT_MODE_READ, 0, &t));
        CHECK(test_is_pattern(zct_tensor_view(t)->data, 16, (uint64_t)i));
        zct_release(t);
    }
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        zct_release(held[i]);
        OK(zct_unlink(s, name));
    }
    free(held);
    end();
}

TESTS({"locks that lie", locks_that_lie}, {"locks begin to lie", locks_begin_to_lie}, {"a planted link", planted_link},
      {"no directory", no_directory}, {"no /dev/shm", no_dev_shm, .may_leave = true}, {"masks", masks},
      {"shared with a group", shared_with_a_group}, {"clocks apart", clocks_apart}, {"numbers taken by others", numbers_taken_by_others},
      {"a daemon", daemonised}, {"forks among threads", forks_among_threads, .seconds = 120},
      {"many tensors, few files", many_tensors_few_files, .seconds = 120})
