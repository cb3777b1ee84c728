/* sweep_roles.c - what each process of a crash sweep does. */
#include "steps.h"

#if defined(ZCT_CRASH_POINTS) && ZCT_CRASH_POINTS
#include "deny.h"
#include "sweep.h"
#include "sweep_roles.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 64, MEMBERS = 6 };

struct sweep_run *sweep_run;

/* The system that this scene plays on. */
void role_limit_system(const struct sweep_scene *scene)
{
    if ((scene->flags & SWEEP_NO_TMPFILE && !deny_tmpfile()) || (scene->flags & SWEEP_NO_POPULATE && !deny_populate()))
        test_skip("this system has no seccomp filters");
}

static zct_store *open_it(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 32u << 20, .max_names = NAMES, .max_members = MEMBERS};
    zct_store *s = NULL;
    REQUIRE_OK(zct_store_open(SWEEP_STORE, &o, &s));
    return s;
}

/* ---- the parts that are played, each in a process of its own ---- */

void role_prepare(const struct sweep_scene *scene)
{
    zct_store *s = open_it();
    for (const struct sweep_name *n = scene->names; n->name; n++) {
        zct_tensor *a;
        if (n->before && OK(test_create(s, n->name, n->bytes, n->before, NULL, &a)) == 0 &&
            !(scene->flags & SWEEP_DIED))
            zct_release(a);
    }
    if (scene->before)
        scene->before(s);
    if (scene->flags & SWEEP_DIED)
        _exit(test_failed());
    zct_store_close(s);
}

void sweep_ask_to_meet(void) { test_set(&sweep_run->meeting, 1); }
bool sweep_over(void) { return __atomic_load_n(&sweep_run->go, __ATOMIC_ACQUIRE) != 0; }

static void meet(void)
{
    test_set(&sweep_run->meeting, 1);
    test_await(&sweep_run->meeting, 2);
}

void role_victim(const struct sweep_scene *scene, enum steps_do what, uint32_t n)
{
    zct_store *s = scene->flags & SWEEP_OPENS ? NULL : open_it();
    if (scene->ready)
        scene->ready(s);
    steps_arm(what, n, scene->flags & SWEEP_CHILDREN ? STEPS_ITS_CHILDREN : STEPS_THIS_PROCESS);
    if (sweep_run->victim_at >= 0)
        steps_only_at((unsigned)sweep_run->victim_at);
    steps_call_at(scene->meet_file, scene->meet_at, scene->meet_file ? meet : NULL);
    scene->act(s);
    (void)steps_disarm();
    _exit(0);
}

struct beside {
    const struct sweep_scene *scene;
    zct_store *store;
};

static void *busy_thread(void *argument)
{
    const struct beside *b = argument;
    while (!sweep_over()) {
        if (b->scene->busy)
            b->scene->busy(b->store);
        if (b->scene->meet && __atomic_load_n(&sweep_run->meeting, __ATOMIC_ACQUIRE) == 1) {
            b->scene->meet(b->store);
            test_set(&sweep_run->meeting, 2);
        }
        test_nap(20000);
    }
    return NULL;
}

struct held {
    zct_tensor *tensor;
    int64_t bytes;
    uint64_t seed;
};

void role_holder(const struct sweep_scene *scene)
{
    struct held held[8] = {{0}};
    zct_store *s = open_it();
    for (int i = 0; scene->names[i].name; i++)
        if (scene->names[i].before && !(scene->flags & SWEEP_UNHELD) &&
            OK(zct_attach(s, scene->names[i].name, ZCT_MODE_DEFAULT, 0, &held[i].tensor)) == 0)
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
    test_set(&sweep_run->ready, 1);
    test_await(&sweep_run->go, 1);
    if (thread_too)
        pthread_join(thread, NULL);
    (void)steps_disarm();
    int rc = zct_store_gc(s, NULL, NULL);
    bool gone = rc == -ZCT_EGONE && scene->flags & SWEEP_GONE;
    if (!gone) {
        OK(rc);
        CHECK_STORE(s);
    }
    if (scene->mend)
        scene->mend(s, false);
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

void role_recoverer(unsigned variant, enum steps_do what, uint32_t n)
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
        bool may_miss = !n->after || (!finished && !n->before),
             may_be_old = n->before && (!finished || n->before == n->after);
        int rc = zct_attach(s, n->name, ZCT_MODE_READ, 0, &a);
        if (rc < 0) {
            if (rc != -ZCT_ENOTFOUND || !may_miss)
                test_fail(__FILE__, __LINE__, "attach(\"%.20s\"): %s", n->name, zct_last_error());
            continue;
        }
        const zct_view *v = zct_tensor_view(a);
        bool new = n->after &&test_is_pattern(v->data, (size_t)n->bytes, n->after);
        bool old = may_be_old && test_is_pattern(v->data, (size_t)n->bytes, n->before);
        if ((int64_t)v->nbytes != n->bytes || (!new && !old))
            test_fail(__FILE__, __LINE__, "\"%.20s\" of %llu bytes is neither old nor new", n->name,
                      (unsigned long long)v->nbytes);
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

void role_survivor(const struct sweep_scene *scene, unsigned variant, bool finished)
{
    if (sweep_run->trace_survivor)
        steps_arm(STEPS_COUNT, 0, STEPS_THIS_PROCESS);
    zct_store *s = recover(variant);
    (void)steps_disarm();
    CHECK_STORE(s);
    if (scene->mend)
        scene->mend(s, finished);
    look(scene, s, finished);
    use(scene, s);
    zct_store_close(s);
}

#else
typedef int no_roles_here; /* an empty translation unit is not ISO C */
#endif
