/* sweep.c - directs a crash sweep: who plays when, and who is killed at which step. */
#include "steps.h"

#if defined(ZCT_CRASH_POINTS) && ZCT_CRASH_POINTS
#include "image.h"
#include "sweep.h"
#include "sweep_roles.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_STEPS = 20000 };

struct sweep_sum *sweep_sum;
__attribute__((constructor)) static void make_sum(void) { sweep_sum = test_shared(sizeof *sweep_sum); }

static char path[4352];
static uint8_t (*edges)[2048]; /* [from][to]: this step after that one was killed */

/* ---- one run ---- */

static void must_end_well(pid_t pid)
{
    int status = test_wait(pid);
    if (status == 77)
        _exit(77);
    if (status != 0)
        test_fail(__FILE__, __LINE__, "a process ended with %d", status);
}

static void wait_for_orphans(void)
{
    int status;
    while (waitpid(-1, &status, 0) > 0 || errno == EINTR) {}
}

static void survivor_run(const struct sweep_scene *scene, unsigned variant, bool finished)
{
    pid_t pid = test_fork();
    if (pid == 0) {
        role_survivor(scene, variant, finished);
        _exit(0);
    }
    must_end_well(pid);
    CHECK_EQ(test_files(), 0);
    sweep_sum->runs++;
}

/* True: the victim came through. */
static bool victim_run(const struct sweep_scene *scene, uint32_t n)
{
    pid_t pid = test_fork();
    if (pid == 0)
        role_victim(scene, STEPS_KILL, n);
    int status = test_wait(pid);
    if (status == 77)
        _exit(77);
    bool finished = status == 0;
    if (scene->flags & SWEEP_CHILDREN)
        finished = status != 3; /* the victim says how its child ended */
    else if (!finished && status != 256 + SIGKILL)
        test_fail(__FILE__, __LINE__, "the victim ended with %d", status);
    wait_for_orphans();
    return finished;
}

static void recoverer_run(unsigned variant, uint32_t m)
{
    pid_t pid = test_fork();
    if (pid == 0)
        role_recoverer(variant, STEPS_KILL, m);
    int status = test_wait(pid);
    if (status != 0 && status != 256 + SIGKILL)
        test_fail(__FILE__, __LINE__, "the recoverer ended with %d", status);
    sweep_sum->second++;
}

static pid_t holder_start(const struct sweep_scene *scene)
{
    sweep_run->ready = sweep_run->go = sweep_run->meeting = 0;
    pid_t pid = test_fork();
    if (pid == 0) {
        role_holder(scene);
        _exit(0);
    }
    test_await(&sweep_run->ready, 1);
    return pid;
}

static void recoverer_trace(void)
{
    pid_t pid = test_fork();
    if (pid == 0)
        role_recoverer(0, STEPS_COUNT, 0);
    must_end_well(pid);
}

/* Everything from the beginning with a living holder: the victim killed at n, and with m a recoverer at m. Without one the
 * holder itself is the first to notice, or, every second time, a recoverer that comes through and leaves its trace. */
static bool beside_run(const struct sweep_scene *scene, const struct image *base, uint32_t n, uint32_t m)
{
    steps_trace->length = 0;
    image_put(base, path);
    pid_t holder = holder_start(scene);
    pid_t pid = test_fork();
    if (pid == 0)
        role_victim(scene, STEPS_KILL, n);
    int status = test_wait(pid);
    bool finished = scene->flags & SWEEP_CHILDREN ? status != 3 : status == 0;
    if (!finished && status != 256 + SIGKILL && status != 3)
        test_fail(__FILE__, __LINE__, "the victim ended with %d", status);
    if (m)
        recoverer_run(0, m);
    else if (n % 2 == 0 && !(scene->flags & SWEEP_FIRST_ONLY))
        recoverer_trace();
    test_set(&sweep_run->go, 1);
    must_end_well(holder);
    wait_for_orphans();
    survivor_run(scene, 0, finished);
    return finished;
}

/* Is a kill at step i of the trace something that this scene has not seen? */
static bool fresh(const uint16_t *trace, uint32_t i, bool mark)
{
    uint16_t from = test_quick() ? 0 : i ? trace[i - 1] : 2047, to = trace[i];
    bool is = !edges[from][to];
    if (mark)
        edges[from][to] = 1;
    return is;
}

static void tell_last_kill(const char *who)
{
    char where[512];
    test_say("#   %s was killed at %s", who, steps_last_kill(where, sizeof where));
}

static void second_kills(const struct sweep_scene *scene, const struct image *base, const struct image *killed,
                         uint32_t n, unsigned variant, bool finished)
{
    static uint16_t trace[STEPS_TRACE];
    uint32_t length = steps_trace->length;
    bool full = test_env("ZCT_SWEEP_FULL", 0) != 0;
    if (scene->flags & SWEEP_FIRST_ONLY)
        return;
    memcpy(trace, steps_trace->points, length * sizeof *trace);
    for (uint32_t i = 0; i < length && !test_failed(); i++) {
        if (!full && !fresh(trace, i, true))
            continue;
        test_case("%s%s, killed at step %u, recoverer at %u", scene->name, killed ? "" : " beside a holder", n, i + 1);
        if (killed) {
            image_put(killed, path);
            recoverer_run(variant, i + 1);
            survivor_run(scene, 0, finished);
            if (test_failed())
                tell_last_kill("the recoverer");
        } else {
            (void)beside_run(scene, base, n, i + 1);
        }
    }
}

static bool first_kill(const struct sweep_scene *scene, const struct image *base, struct image *killed, uint32_t n,
                       unsigned variant)
{
    if (!killed)
        return beside_run(scene, base, n, 0);
    image_put(base, path);
    bool finished = victim_run(scene, n);
    image_take(killed, path);
    survivor_run(scene, variant, finished);
    return finished;
}

/* The number of a step may differ from run to run, by the slot that a process gets: a point that somebody came by and nobody
 * was killed at is aimed at by itself. */
static void missed_points(const struct sweep_scene *scene, const struct image *base, struct image *killed)
{
    for (unsigned p = 0; p < steps_points(); p++)
        for (int tries = 0; tries < 5 && steps_reached(p) && !steps_killed(p); tries++) {
            sweep_run->victim_at = (int)p;
            (void)first_kill(scene, base, killed, 1, 0);
            sweep_run->victim_at = -1;
        }
}

static void sweep_one(const struct sweep_scene *scene, const struct image *base, bool beside)
{
    struct image killed = {0};
    bool finished = false;
    uint32_t n = 0;
    sweep_run->trace_survivor = !beside;
    static uint16_t trace[STEPS_TRACE];
    uint32_t length = 0;
    memset(edges, 0, 2048 * sizeof *edges);
    if (!beside && (scene->flags & SWEEP_SAMPLE || test_quick()) && !test_env("ZCT_SWEEP_FULL", 0)) {
        image_put(base, path);
        pid_t pid = test_fork();
        if (pid == 0)
            role_victim(scene, STEPS_COUNT, 0);
        must_end_well(pid);
        length = steps_trace->length;
        memcpy(trace, steps_trace->points, length * sizeof *trace);
    }
    while (!finished && n++ < MOST_STEPS && !test_failed()) {
        if (n <= length && n % 16 && !fresh(trace, n - 1, true))
            continue;
        if (beside && test_quick() && n % 3 != 1)
            continue;
        test_case("%s%s, killed at step %u", scene->name, beside ? " beside a holder" : "", n);
        unsigned variant = beside || scene->flags & SWEEP_GC_FIRST ? 0 : n % 4 == 3 ? 1 : 0;
        if (!beside && n % 4 == 1 && !(scene->flags & (SWEEP_DIED | SWEEP_GC_FIRST | SWEEP_CHILDREN)))
            variant = 2;
        finished = first_kill(scene, base, beside ? NULL : &killed, n, variant);
        sweep_sum->states++;
        if (test_failed())
            tell_last_kill("the victim");
        second_kills(scene, base, beside ? NULL : &killed, n, variant, finished);
    }
    sweep_sum->steps += n - 1;
    missed_points(scene, base, beside ? NULL : &killed);
    image_free(&killed);
    test_case("%s", "");
}

void sweep(const struct sweep_scene *scene)
{
    struct image base = {0};
    role_limit_system(scene);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a victim forks is ours when it is dead */
    sweep_run = test_shared(sizeof *sweep_run);
    sweep_run->victim_at = -1;
    edges = calloc(2048, sizeof *edges);
    REQUIRE(edges && steps_points() < 2047);
    snprintf(path, sizeof path, "%s/zct%d-%u-" SWEEP_STORE, test_directory(), ZCT_FORMAT_VERSION, getuid());
    if (!(scene->flags & SWEEP_NO_STORE)) {
        pid_t pid = test_fork();
        if (pid == 0) {
            role_prepare(scene);
            _exit(0);
        }
        must_end_well(pid);
    }
    image_take(&base, path);
    int64_t start = test_now();
    uint64_t states = sweep_sum->states, second = sweep_sum->second;
    if (!(scene->flags & SWEEP_BESIDE_ONLY))
        sweep_one(scene, &base, false);
    if (!(scene->flags & SWEEP_ALONE_ONLY))
        sweep_one(scene, &base, true);
    (void)unlink(path);
    sweep_sum->scenes++;
    test_say("# %-28s %5llu states, %6llu second kills, %6.2f s", scene->name,
             (unsigned long long)(sweep_sum->states - states), (unsigned long long)(sweep_sum->second - second),
             (double)(test_now() - start) / 1e9);
    image_free(&base);
    free(edges);
}

#else
typedef int no_sweep_here; /* an empty translation unit is not ISO C */
#endif
