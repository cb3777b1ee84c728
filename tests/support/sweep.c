#include "steps.h"

#if defined(ZCT_CRASH_POINTS) && ZCT_CRASH_POINTS
#include "deny.h"
#include "image.h"
#include "sweep.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STORE "sweep"
enum { NAMES = 64, MEMBERS = 6, MOST_STEPS = 20000 };

struct sweep_sum *sweep_sum;
__attribute__((constructor)) static void make_sum(void) { sweep_sum = test_shared(sizeof *sweep_sum); }

/* What the processes of one run tell each other. */
struct run { uint32_t ready, go, meeting; };

static struct run *run;
static char path[4352];
static uint8_t (*edges)[2048]; /* [from][to]: this step after that one was killed */
static bool trace_survivor;
static int victim_at = -1; /* kill the victim at this point alone */

/* The system that this scene plays on. */
static void limit_system(const struct sweep_scene *scene)
{
    if ((scene->flags & SWEEP_NO_TMPFILE && !deny_tmpfile()) || (scene->flags & SWEEP_NO_POPULATE && !deny_populate()))
        test_skip("this system has no seccomp filters");
}

static zct_store *open_it(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 2u << 20, .max_names = NAMES, .max_members = MEMBERS};
    zct_store *s = NULL;
    REQUIRE_OK(zct_store_open(STORE, &o, &s));
    return s;
}

/* ---- the parts that are played, each in a process of its own ---- */

static void prepare(const struct sweep_scene *scene)
{
    zct_store *s = open_it();
    for (const struct sweep_name *n = scene->names; n->name; n++) {
        zct_tensor *a;
        if (n->before && OK(test_create(s, n->name, n->bytes, n->before, NULL, &a)) == 0 && !(scene->flags & SWEEP_DIED))
            zct_release(a);
    }
    if (scene->before)
        scene->before(s);
    if (scene->flags & SWEEP_DIED)
        _exit(test_failed());
    zct_store_close(s);
}

void sweep_ask_to_meet(void) { test_set(&run->meeting, 1); }
bool sweep_over(void) { return __atomic_load_n(&run->go, __ATOMIC_ACQUIRE) != 0; }

static void meet(void)
{
    test_set(&run->meeting, 1);
    test_await(&run->meeting, 2);
}

static void play_victim(const struct sweep_scene *scene, enum steps_do what, uint32_t n)
{
    zct_store *s = scene->flags & SWEEP_OPENS ? NULL : open_it();
    if (scene->ready)
        scene->ready(s);
    steps_arm(what, n, scene->flags & SWEEP_CHILDREN ? STEPS_ITS_CHILDREN : STEPS_THIS_PROCESS);
    if (victim_at >= 0)
        steps_only_at((unsigned)victim_at);
    steps_call_at(scene->meet_file, scene->meet_at, scene->meet_file ? meet : NULL);
    scene->act(s);
    (void)steps_disarm();
    _exit(0);
}

struct beside { const struct sweep_scene *scene; zct_store *store; };

static void *busy_thread(void *argument)
{
    const struct beside *b = argument;
    while (!sweep_over()) {
        if (b->scene->busy)
            b->scene->busy(b->store);
        if (b->scene->meet && __atomic_load_n(&run->meeting, __ATOMIC_ACQUIRE) == 1) {
            b->scene->meet(b->store);
            test_set(&run->meeting, 2);
        }
        test_nap(20000);
    }
    return NULL;
}

struct held { zct_tensor *tensor; int64_t bytes; uint64_t seed; };

static void play_holder(const struct sweep_scene *scene)
{
    struct held held[8] = {{0}};
    zct_store *s = open_it();
    for (int i = 0; scene->names[i].name; i++)
        if (scene->names[i].before && !(scene->flags & SWEEP_UNHELD) && OK(zct_attach(s, scene->names[i].name, ZCT_MODE_DEFAULT, 0, &held[i].tensor)) == 0)
            held[i].bytes = scene->names[i].bytes, held[i].seed = scene->names[i].before;
    if (scene->beside)
        scene->beside(s);
    pthread_t thread;
    struct beside b = {scene, s};
    bool thread_too = scene->busy || scene->meet;
    if (scene->nap_file)
        steps_arm_at(STEPS_NAP, scene->nap_file, scene->nap_at, 0);
    if (thread_too)
        REQUIRE(pthread_create(&thread, NULL, busy_thread, &b) == 0);
    test_set(&run->ready, 1);
    test_await(&run->go, 1);
    if (thread_too)
        pthread_join(thread, NULL);
    (void)steps_disarm();
    int rc = zct_store_gc(s, NULL, NULL);
    bool gone = rc == -ZCT_EGONE && scene->flags & SWEEP_GONE;
    if (!gone) {
        OK(rc);
        CHECK_STORE(s);
    }
    for (int i = 0; i < 8; i++)
        if (held[i].tensor)
            CHECK(test_is_pattern(zct_tensor_view(held[i].tensor)->data, (size_t)held[i].bytes, held[i].seed));
    if (scene->later)
        scene->later(s);
    for (int i = 0; i < 8; i++)
        zct_release(held[i].tensor);
    if (!gone)
        CHECK_STORE(s);
    zct_store_close(s);
}

/* What both the recoverer and the survivor do first. */
static zct_store *recover(unsigned variant)
{
    zct_store *s = open_it();
    zct_tensor *a;
    if (variant == 1 && OK(test_create(s, NULL, 5000, 99, NULL, &a)) == 0) /* before any gc */
        zct_release(a);
    if (variant != 2) /* who joins notices one or two of the dead */
        OK(zct_store_gc(s, NULL, NULL));
    return s;
}

static void play_recoverer(unsigned variant, enum steps_do what, uint32_t n)
{
    steps_arm(what, n, STEPS_THIS_PROCESS);
    zct_store *s = recover(variant);
    zct_store_close(s);
    (void)steps_disarm();
    _exit(0);
}

static uint64_t occupied(int64_t bytes)
{
    return bytes <= 63 * 64 ? (uint64_t)(bytes + 63) / 64 * 64 : (uint64_t)(bytes + 4095) / 4096 * 4096;
}

/* Each name is what it was or what it is to be, and nothing else is there. */
static void look(const struct sweep_scene *scene, zct_store *s, bool finished)
{
    uint64_t used = 0;
    uint32_t names = 0;
    for (const struct sweep_name *n = scene->names; n->name; n++) {
        zct_tensor *a = NULL;
        bool may_miss = !n->after || (!finished && !n->before), may_be_old = n->before && (!finished || n->before == n->after);
        int rc = zct_attach(s, n->name, ZCT_MODE_READ, 0, &a);
        if (rc < 0) {
            if (rc != -ZCT_ENOTFOUND || !may_miss)
                test_fail(__FILE__, __LINE__, "attach(\"%.20s\"): %s", n->name, zct_last_error());
            continue;
        }
        const zct_view *v = zct_tensor_view(a);
        bool new = n->after && test_is_pattern(v->data, (size_t)n->bytes, n->after);
        bool old = may_be_old && test_is_pattern(v->data, (size_t)n->bytes, n->before);
        if ((int64_t)v->nbytes != n->bytes || (!new && !old))
            test_fail(__FILE__, __LINE__, "\"%.20s\" of %llu bytes is neither old nor new", n->name, (unsigned long long)v->nbytes);
        used += occupied(n->bytes);
        names++;
        zct_release(a);
    }
    bool right = test_stats(s).nameless == 0;
    zct_list *list;
    zct_stat stat = {.size = sizeof stat};
    REQUIRE_OK(zct_list_open(s, ZCT_LIST_ALL, &list));
    while (zct_list_next(list, &stat) == 1) {
        bool maybe = !strncmp(stat.name, "maybe", 5) || !strncmp(stat.name, "other", 5);
        if (maybe && finished && stat.name[0] == 'm')
            test_fail(__FILE__, __LINE__, "\"%s\" is still there", stat.name);
        if (!right)
            test_say("#   tensor %u \"%.20s\" state %d, %u holders, %u handles", stat.index, stat.name, stat.state,
                     stat.holders, stat.handles);
        if (maybe)
            OK(zct_unlink(s, stat.name));
    }
    zct_list_close(list);
    zct_store_stats stats = test_stats(s);
    CHECK_EQ(stats.names, names);
    CHECK_EQ(stats.nameless, 0);
    CHECK_EQ(stats.used, used);
    CHECK_EQ(stats.members, 1);
    CHECK_EQ(stats.handles, 0);
}

static void use(const struct sweep_scene *scene, zct_store *s)
{
    zct_tensor *a, *b, *c;
    if (OK(test_create(s, "probe", 9000, 7, NULL, &a)) == 0 && OK(test_create(s, NULL, 70, 8, NULL, &b)) == 0) {
        OK(zct_attach(s, "probe", ZCT_MODE_DEFAULT, 0, &c));
        OK(zct_unlink(s, "probe"));
        CHECK(test_is_pattern(zct_tensor_view(c)->data, 9000, 7) && test_is_pattern(zct_tensor_view(b)->data, 70, 8));
        zct_release(a), zct_release(b), zct_release(c);
    }
    for (const struct sweep_name *n = scene->names; n->name; n++) { /* what nobody alive holds is a leftover */
        int rc = test_create(s, n->name, n->bytes, 1000, NULL, &a);
        if (rc == -ZCT_EEXISTS) { /* pinned */
            zct_create_options o = {.size = sizeof o, .exists = ZCT_EXISTS_REPLACE};
            rc = test_create(s, n->name, n->bytes, 1000, &o, &a);
        }
        CHECK(rc == 0 || rc == ZCT_REPLACED);
        if (rc < 0)
            continue;
        CHECK(test_is_pattern(zct_tensor_view(a)->data, (size_t)n->bytes, 1000));
        zct_release(a);
        OK(zct_unlink(s, n->name));
    }
    OK(zct_store_trim(s, 0, NULL));
    zct_store_stats stats = test_stats(s);
    CHECK_EQ(stats.names, 0);
    CHECK_EQ(stats.used, 0);
    CHECK_EQ(stats.warm_free, 0);
    CHECK_STORE(s);
}

static void play_survivor(const struct sweep_scene *scene, unsigned variant, bool finished)
{
    if (trace_survivor)
        steps_arm(STEPS_COUNT, 0, STEPS_THIS_PROCESS);
    zct_store *s = recover(variant);
    (void)steps_disarm();
    CHECK_STORE(s);
    look(scene, s, finished);
    use(scene, s);
    zct_store_close(s);
}

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
    while (waitpid(-1, &status, 0) > 0 || errno == EINTR) {
    }
}

static void survivor_run(const struct sweep_scene *scene, unsigned variant, bool finished)
{
    pid_t pid = test_fork();
    if (pid == 0) {
        play_survivor(scene, variant, finished);
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
        play_victim(scene, STEPS_KILL, n);
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
        play_recoverer(variant, STEPS_KILL, m);
    int status = test_wait(pid);
    if (status != 0 && status != 256 + SIGKILL)
        test_fail(__FILE__, __LINE__, "the recoverer ended with %d", status);
    sweep_sum->second++;
}

static pid_t holder_start(const struct sweep_scene *scene)
{
    run->ready = run->go = run->meeting = 0;
    pid_t pid = test_fork();
    if (pid == 0) {
        play_holder(scene);
        _exit(0);
    }
    test_await(&run->ready, 1);
    return pid;
}

static void recoverer_trace(void)
{
    pid_t pid = test_fork();
    if (pid == 0)
        play_recoverer(0, STEPS_COUNT, 0);
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
        play_victim(scene, STEPS_KILL, n);
    int status = test_wait(pid);
    bool finished = scene->flags & SWEEP_CHILDREN ? status != 3 : status == 0;
    if (!finished && status != 256 + SIGKILL && status != 3)
        test_fail(__FILE__, __LINE__, "the victim ended with %d", status);
    if (m)
        recoverer_run(0, m);
    else if (n % 2 == 0 && !(scene->flags & SWEEP_FIRST_ONLY))
        recoverer_trace();
    test_set(&run->go, 1);
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

static void second_kills(const struct sweep_scene *scene, const struct image *base, const struct image *killed, uint32_t n,
                         unsigned variant, bool finished)
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

static bool first_kill(const struct sweep_scene *scene, const struct image *base, struct image *killed, uint32_t n, unsigned variant)
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
            victim_at = (int)p;
            (void)first_kill(scene, base, killed, 1, 0);
            victim_at = -1;
        }
}

static void sweep_one(const struct sweep_scene *scene, const struct image *base, bool beside)
{
    struct image killed = {0};
    bool finished = false;
    uint32_t n = 0;
    trace_survivor = !beside;
    static uint16_t trace[STEPS_TRACE];
    uint32_t length = 0;
    memset(edges, 0, 2048 * sizeof *edges);
    if ((scene->flags & SWEEP_SAMPLE || test_quick()) && !test_env("ZCT_SWEEP_FULL", 0)) {
        image_put(base, path);
        pid_t pid = test_fork();
        if (pid == 0)
            play_victim(scene, STEPS_COUNT, 0);
        must_end_well(pid);
        length = steps_trace->length;
        memcpy(trace, steps_trace->points, length * sizeof *trace);
    }
    while (!finished && n++ < MOST_STEPS && !test_failed()) {
        if (n <= length && n % 16 && !fresh(trace, n - 1, true))
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
    limit_system(scene);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* what a victim forks is ours when it is dead */
    run = test_shared(sizeof *run);
    edges = calloc(2048, sizeof *edges);
    REQUIRE(edges && steps_points() < 2047);
    snprintf(path, sizeof path, "%s/zct%d-%u-" STORE, test_directory(), ZCT_FORMAT_VERSION, getuid());
    if (!(scene->flags & SWEEP_NO_STORE)) {
        pid_t pid = test_fork();
        if (pid == 0) {
            prepare(scene);
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
    test_say("# %-28s %5llu states, %6llu second kills, %6.2f s", scene->name, (unsigned long long)(sweep_sum->states - states),
             (unsigned long long)(sweep_sum->second - second), (double)(test_now() - start) / 1e9);
    image_free(&base);
    free(edges);
}

#else
typedef int no_sweep_here; /* an empty translation unit is not ISO C */
#endif
