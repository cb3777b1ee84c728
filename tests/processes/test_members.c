/* 1,024 members: joined, looked at, killed, reaped, forked; also with the file system full. */
#include "processes/peer.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { MOST = 1023 };

static zct_store *s;
static zct_tensor *a;
static char room[4200];
static int gate[2];
static volatile uint32_t *joined;
static pid_t pids[MOST];

static zct_store *open_it(void)
{
    zct_store_options o = {.size = sizeof o, .directory = room, .capacity = 64u << 20, .max_names = 2048, .max_members = 1024};
    zct_store *got = NULL;
    REQUIRE_OK(zct_store_open("s", &o, &got));
    return got;
}

static void live_a_life(int i)
{
    char name[32], byte;
    close(gate[1]);
    s = open_it();
    REQUIRE_OK(zct_attach(s, "w", ZCT_MODE_DEFAULT, 0, &a));
    CHECK(test_is_pattern(zct_tensor_view(a)->data, 5000, 1));
    zct_create_options o = how(ZCT_EXISTS_ERROR, ZCT_OWNER);
    zct_tensor *mine;
    snprintf(name, sizeof name, "of %d", i);
    REQUIRE_OK(test_create(s, name, 64 + i, (uint64_t)i, &o, &mine));
    zct_handle h;
    OK(zct_handle_make(mine, &h));
    zct_release(mine);
    __atomic_fetch_add(joined, 1, __ATOMIC_ACQ_REL);
    while (read(gate[0], &byte, 1) < 0) {
    }
    zct_release(a);
    zct_store_close(s);
    _exit(0);
}

static void wait_until_joined(uint32_t count)
{
    for (int i = 0; *joined != count && i < 60000 && !test_failed(); i++)
        test_nap(1000000);
    REQUIRE(*joined == count);
}

static void start_members(int count)
{
    joined = test_shared(4);
    REQUIRE(pipe(gate) == 0);
    for (int i = 0; i < count; i++) {
        pids[i] = test_fork();
        if (pids[i] == 0)
            live_a_life(i);
        if (i % 64 == 63) /* a herd at a time */
            wait_until_joined((uint32_t)i + 1);
    }
    wait_until_joined((uint32_t)count);
}

static int try_to_join(long unused)
{
    (void)unused;
    return zct_store_open("s", &(zct_store_options){.size = sizeof(zct_store_options), .directory = room}, &s);
}

static void fork_once(bool member)
{
    pid_t pid = test_fork();
    if (pid == 0) {
        CHECK_EQ(zct_store_alive(s), member ? 0 : -ZCT_ENOTMEMBER);
        CHECK(test_is_pattern(zct_tensor_view(a)->data, 5000, 1));
        zct_tensor *t;
        if (member) {
            OK(zct_attach(s, "w", 0, 0, &t));
            zct_release(t);
        }
        zct_release(a);
        zct_store_close(s);
        exit(0);
    }
    test_join(pid);
}

static void kill_some(int first, int step, int count)
{
    for (int i = first; i < count; i += step) {
        if (pids[i] <= 0)
            continue;
        kill(pids[i], SIGKILL);
        test_wait(pids[i]);
        pids[i] = 0;
    }
}

static int alive(int count)
{
    int n = 0;
    for (int i = 0; i < count; i++)
        n += pids[i] != 0;
    return n;
}

static void expect_members(int count)
{
    zct_store_stats st = test_stats(s);
    CHECK_EQ(st.members, alive(count) + 1);
    CHECK_EQ(st.handles, alive(count));
    CHECK_EQ(st.names, alive(count) + 1);
    zct_stat w = stat_of(s, "w");
    CHECK_EQ(w.holders, alive(count) + 1);
    CHECK_STORE(s);
}

static void fill_up(void)
{
    char path[4300];
    struct statvfs v;
    snprintf(path, sizeof path, "%s/ballast", room);
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    CHECK_EQ(statvfs(room, &v), 0);
    CHECK_EQ(posix_fallocate(fd, 0, (off_t)v.f_bfree * 4096), 0);
    close(fd);
}

static void crowd(int count, bool full)
{
    struct peer p = peer_new();
    s = open_it();
    OK(test_create(s, "w", 5000, 1, NULL, &a));
    start_members(count);
    if (full)
        fill_up();
    expect_members(count);
    if (count == MOST) {
        CHECK_EQ(peer_do(&p, try_to_join, 0), -ZCT_ETOOMANYMEMBERS);
        fork_once(false);
        zct_tensor *t;
        CHECK_RC(test_create(s, "w", 10, 1, NULL, &t), -ZCT_EEXISTS);
        SAYS("and 1023 more");
    }
    zct_holder *h = calloc(1024, sizeof *h);
    h[0].size = sizeof *h;
    CHECK_EQ(zct_members(s, h, 1024), count + 1);
    long sum = 0;
    for (int i = 0; i <= count; i++)
        sum += h[i].pid;
    for (int i = 0; i < count; i++)
        sum -= pids[i];
    CHECK_EQ(sum, getpid());
    free(h);
    /* a few die, one by one and many at once */
    kill_some(0, 100, count);
    OK(zct_store_gc(s, NULL, NULL));
    expect_members(count);
    fork_once(true);
    kill_some(1, 3, count);
    zct_gc_result r = {.size = sizeof r};
    OK(zct_store_gc(s, NULL, &r));
    CHECK(r.members > (uint32_t)count / 4);
    expect_members(count);
    fork_once(true);
    expect_members(count);
    if (!full) { /* their slots are had again */
        CHECK_EQ(peer_do(&p, try_to_join, 0), 0);
        peer_end(&p);
        expect_members(count);
    } else {
        peer_end(&p);
    }
    close(gate[1]); /* all the others leave at once */
    for (int i = 0; i < count; i++)
        if (pids[i])
            test_join(pids[i]);
    memset(pids, 0, sizeof pids);
    OK(zct_store_gc(s, NULL, NULL));
    expect_members(count);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

static void in_memory(void)
{
    snprintf(room, sizeof room, "%s", test_directory());
    crowd(test_quick() ? 120 : MOST, false);
}

static void on_a_full_disk(void)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        test_skip("no mount namespace of one's own here");
    snprintf(room, sizeof room, "%s/room", test_directory());
    CHECK_EQ(mkdir(room, 0777), 0);
    if (mount("none", room, "tmpfs", 0, "size=80m") < 0)
        test_skip("no tmpfs can be mounted here");
    crowd(test_quick() ? 120 : MOST, true);
    umount2(room, MNT_DETACH);
    rmdir(room);
}

TESTS({"1024 members", in_memory, 120}, {"1024 members on a full file system", on_a_full_disk, 120})
