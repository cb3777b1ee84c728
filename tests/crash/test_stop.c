/* test_stop.c - a process is stopped before each step of an operation while others live their lives: one that was a member
 * before attaches without waiting for it, creates and unlinks or is told that the store is busy; a newcomer does all that as
 * soon as the stopped one goes on. In the end the store is sound and nothing is left. */
#include "image.h"
#include "steps.h"
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 12 };
#define WITH(...) (&(zct_create_options){.size = sizeof(zct_create_options), __VA_ARGS__})

struct scene {
    const char *name;
    void (*ready)(zct_store *store);
    void (*act)(zct_store *store);
    bool opens, gone, x_ends, x_changes;
};

struct run {
    uint32_t ready, go, attached, done;
    int64_t longest; /* ns, of an attach beside the stopped one */
    uint32_t busy;
};

static struct run *run;
static zct_tensor *held;

static zct_store *open_as(unsigned flags)
{
    zct_store_options o = {.size = sizeof o, .capacity = 2u << 20, .max_names = 64, .max_members = 6, .flags = flags};
    zct_store *s = NULL;
    REQUIRE_OK(zct_store_open("stop", &o, &s));
    return s;
}

static zct_store *open_it(void) { return open_as(0); }

static void prepare(void *unused)
{
    (void)unused;
    zct_store *s = open_it();
    zct_tensor *a;
    OK(test_create(s, "keep", 100, 1, NULL, &a));
    zct_release(a);
    OK(test_create(s, "x", 100, 1, NULL, &a));
    zct_release(a);
    zct_store_close(s);
}

/* ---- who is stopped ---- */

static void stop_at(const struct scene *scene, uint32_t n)
{
    zct_store *s = scene->opens ? NULL : open_it();
    if (scene->ready)
        scene->ready(s);
    steps_arm(STEPS_STOP, n, STEPS_THIS_PROCESS);
    scene->act(s);
    uint32_t taken = steps_disarm();
    exit(taken >= n ? 0 : 2); /* 2: it has fewer steps */
}

/* ---- who lives beside it ---- */

static void attach_both(const struct scene *scene, zct_store *s)
{
    static const char *names[] = {"keep", "x"};
    for (int i = 0; i < 2; i++) {
        zct_tensor *a;
        int64_t start = test_now();
        int rc = zct_attach(s, names[i], ZCT_MODE_READ, 0, &a);
        int64_t took = test_now() - start;
        run->longest = took > run->longest ? took : run->longest;
        if (rc == 0) {
            const void *data = zct_tensor_view(a)->data;
            CHECK(test_is_pattern(data, 100, 1) || (i == 1 && scene->x_changes && test_is_pattern(data, 100, 2)));
            zct_release(a);
        } else if (!(rc == -ZCT_EGONE && scene->gone) &&
                   !(rc == -ZCT_ENOTFOUND && (scene->gone || (i == 1 && scene->x_ends)))) {
            test_fail(__FILE__, __LINE__, "attach %s: %s", names[i], zct_last_error());
        }
    }
}

/* Who only looks finds what an attach would find: by name, and in a list, which waits for nobody. */
static void see_both(const struct scene *scene, zct_store *s, zct_store *observer)
{
    zct_stat st = {.size = sizeof st};
    zct_list *list;
    bool listed[2] = {false, false};
    OK(zct_list_open(observer, 0, &list));
    while (zct_list_next(list, &st) == 1) {
        listed[0] |= !strcmp(st.name, "keep");
        listed[1] |= !strcmp(st.name, "x");
    }
    zct_list_close(list);
    CHECK(listed[0]);
    CHECK(listed[1] || scene->x_ends);
    CHECK_EQ(zct_stat_name(s, "keep", &st), 0);
    CHECK(zct_stat_name(s, "x", &st) == 0 || scene->x_ends);
}

static void live_beside(const struct scene *scene, int64_t timeout_ns)
{
    zct_store *s = open_it(), *observer = open_as(ZCT_STORE_OBSERVE);
    test_set(&run->ready, 1);
    test_await(&run->go, 1);
    if (!scene->gone)
        see_both(scene, s, observer);
    zct_store_close(observer);
    attach_both(scene, s);
    test_set(&run->attached, 1);
    zct_tensor *a;
    int rc = test_create(s, "mine", 5000, 4, WITH(.timeout_ns = timeout_ns), &a);
    run->busy += rc == -ZCT_EBUSY;
    CHECK(rc == 0 || rc == -ZCT_EBUSY || (rc == -ZCT_EGONE && scene->gone));
    if (rc == 0) {
        rc = zct_unlink(s, "mine");
        CHECK(rc == 0 || (rc == -ZCT_EGONE && scene->gone));
        CHECK(test_is_pattern(zct_tensor_view(a)->data, 5000, 4));
        zct_release(a);
    }
    test_set(&run->done, 1);
    test_await(&run->go, 2);
    zct_store_close(s);
}

/* A whole life, which may have to wait for the stopped one. */
static void come_new(void *argument)
{
    const struct scene *scene = argument;
    zct_store *s = open_it();
    attach_both(scene, s);
    zct_tensor *a;
    int rc = test_create(s, "new", 100, 3, NULL, &a);
    CHECK(rc == 0 || (rc == -ZCT_EGONE && scene->gone));
    if (rc == 0) {
        zct_release(a);
        rc = zct_unlink(s, "new");
        CHECK(rc == 0 || (rc == -ZCT_EGONE && scene->gone));
    }
    zct_store_close(s);
}

static void look_after(void *argument)
{
    const struct scene *scene = argument;
    zct_store *s = open_it();
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    attach_both(scene, s);
    for (int i = 0; i < 2; i++) {
        int rc = zct_unlink(s, i ? "x" : "keep");
        CHECK(rc == 0 || (rc == -ZCT_ENOTFOUND && (scene->gone || (i && scene->x_ends))));
    }
    zct_store_stats stats = test_stats(s);
    CHECK_EQ(stats.names, 0);
    CHECK_EQ(stats.used, 0);
    CHECK_STORE(s);
    zct_store_close(s);
}

/* ---- one step ---- */

static bool ends_within(pid_t pid, int64_t ns, int *ret_status)
{
    int64_t limit = test_now() + ns;
    while (waitpid(pid, ret_status, WNOHANG) == 0) {
        if (test_now() > limit)
            return false;
        test_nap(100000);
    }
    return true;
}

/* True: the operation has no n-th step. */
static bool stop_run(const struct scene *scene, uint32_t n)
{
    memset(run, 0, sizeof *run);
    pid_t beside = test_fork();
    if (beside == 0) {
        live_beside(scene, PATIENCE_MS * 1000000 / 2);
        _exit(0);
    }
    test_await(&run->ready, 1);
    pid_t victim = test_fork();
    if (victim == 0)
        stop_at(scene, n);
    int status = 0;
    waitpid(victim, &status, WUNTRACED);
    bool stopped = WIFSTOPPED(status);
    test_set(&run->go, 1);
    test_await(&run->attached, 1); /* the victim is still stopped */
    pid_t new = test_spawn(come_new, (void *)(uintptr_t)scene, true);
    int new_status = 0;
    bool ended = ends_within(new, PATIENCE_MS * 1000000ll, &new_status);
    test_await(&run->done, 1);
    if (stopped) {
        kill(victim, SIGCONT);
        waitpid(victim, &status, 0);
    }
    if (!ended)
        waitpid(new, &new_status, 0);
    CHECK_EQ(new_status, 0);
    bool finished = WIFEXITED(status) && WEXITSTATUS(status) == 2;
    CHECK(finished == !stopped && (finished || status == 0));
    test_set(&run->go, 2);
    test_join(beside);
    test_join(test_spawn(look_after, (void *)(uintptr_t)scene, false));
    CHECK_EQ(test_files(), 0);
    return finished;
}

static void stop(const struct scene *scene)
{
    struct image base = {0};
    char path[4352];
    run = test_shared(sizeof *run);
    test_join(test_spawn(prepare, NULL, false));
    snprintf(path, sizeof path, "%s/zct%d-%u-stop", test_directory(), ZCT_FORMAT_VERSION, geteuid());
    image_take(&base, path);
    int64_t start = test_now(), longest = 0;
    uint32_t n = 0, busy = 0;
    do {
        n += n && test_quick() ? 3 : 1;
        test_case("%s, stopped at step %u", scene->name, n);
        image_put(&base, path);
        bool finished = stop_run(scene, n);
        longest = run->longest > longest ? run->longest : longest;
        busy += run->busy;
        if (finished)
            break;
    } while (!test_failed());
    (void)unlink(path);
    test_say("# %-16s stopped at %4u steps, %3u creates beside it were told `busy`, longest attach %.1f us, %.2f s",
             scene->name, n - 1, busy, (double)longest / 1e3, (double)(test_now() - start) / 1e9);
    image_free(&base);
}

/* ---- the operations ---- */

static void act_open(zct_store *s)
{
    (void)s;
    zct_store_close(open_it());
}
static void test_join_leave(void) { stop(&(struct scene){"join and leave", .act = act_open, .opens = true}); }
static void ready_holds(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, "owned", 300, 5, WITH(.lifetime = ZCT_OWNER), &a));
    zct_release(a);
}
static void act_close(zct_store *s) { zct_store_close(s); }
static void test_leave(void) { stop(&(struct scene){"leave", .ready = ready_holds, .act = act_close}); }
static void act_create(zct_store *s)
{
    OK(test_create(s, "y", 100, 2, NULL, &held));
    zct_release(held);
    OK(zct_unlink(s, "y"));
}
static void test_create_unlink(void) { stop(&(struct scene){"create, unlink", .act = act_create}); }
static void act_replace(zct_store *s)
{
    OK(test_create(s, "x", 100, 2, WITH(.exists = ZCT_EXISTS_REPLACE), &held));
    zct_release(held);
}
static void test_replace(void) { stop(&(struct scene){"replace", .act = act_replace, .x_changes = true}); }
static void act_leftover(zct_store *s)
{
    int rc = test_create(s, "x", 100, 2, NULL, &held);
    CHECK(rc == ZCT_REPLACED || rc == -ZCT_EEXISTS); /* the other one has it attached while it looks, and that counts */
    if (rc > 0)
        zct_release(held);
}
static void test_leftover(void) { stop(&(struct scene){"leftover", .act = act_leftover, .x_changes = true}); }
static void act_unlink(zct_store *s) { OK(zct_unlink(s, "x")); }
static void test_unlink(void) { stop(&(struct scene){"unlink", .act = act_unlink, .x_ends = true}); }
static void ready_nameless(zct_store *s) { OK(test_create(s, NULL, 100, 2, NULL, &held)); }
static void act_publish(zct_store *s)
{
    (void)s;
    OK(zct_publish(held, "x", WITH(.exists = ZCT_EXISTS_REPLACE)));
    zct_release(held);
}
static void test_publish(void)
{
    stop(&(struct scene){"publish", .ready = ready_nameless, .act = act_publish, .x_changes = true});
}
static void act_gc(zct_store *s)
{
    OK(zct_store_gc(s, NULL, NULL));
    OK(zct_store_trim(s, 0, NULL));
}
static void ready_warm(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, NULL, 100000, 2, NULL, &a));
    zct_release(a);
}
static void test_gc(void) { stop(&(struct scene){"gc, trim", .ready = ready_warm, .act = act_gc}); }
static void act_fork(zct_store *s)
{
    (void)s;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
}
static void test_forks(void) { stop(&(struct scene){"fork", .act = act_fork}); }
static void act_destroy(zct_store *s)
{
    (void)s;
    OK(zct_store_destroy("stop", NULL));
}
static void test_destroy(void) { stop(&(struct scene){"destroy", .act = act_destroy, .opens = true, .gone = true}); }

TESTS({.name = "stopped in join and leave", .run = test_join_leave, .seconds = 120},
      {.name = "stopped in leave", .run = test_leave, .seconds = 120},
      {.name = "stopped in create and unlink", .run = test_create_unlink, .seconds = 120},
      {.name = "stopped in replace", .run = test_replace, .seconds = 120},
      {.name = "stopped over a leftover", .run = test_leftover, .seconds = 120},
      {.name = "stopped in unlink", .run = test_unlink, .seconds = 120},
      {.name = "stopped in publish", .run = test_publish, .seconds = 120},
      {.name = "stopped in gc and trim", .run = test_gc, .seconds = 120},
      {.name = "stopped in fork", .run = test_forks, .seconds = 120},
      {.name = "stopped in destroy", .run = test_destroy, .seconds = 120})
