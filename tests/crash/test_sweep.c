/* test_sweep.c - a kill before every store to shared memory and after every system call that others can see, of every
 * operation; then the same to whoever repairs it (tests/support/sweep.h). The last test fails when a crash point that the
 * library defines was never used. */
#include "segment/store.h"
#include "steps.h"
#include "sweep.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_NAME                                                                                                      \
    "a/name/that/does/not/fit/into/its/descriptor/but/lies/in/an/aux/block/of/its/own/because/it/has/more/than/sixty-four/bytes"

static zct_tensor *held, *other;
static uint8_t *block;

#define WITH(...) (&(zct_create_options){.size = sizeof(zct_create_options), __VA_ARGS__})

/* ---- open, close ---- */

static void act_open(zct_store *s)
{
    zct_store_options o = {.size = sizeof o, .capacity = 2u << 20, .max_names = 64, .max_members = 6};
    OK(zct_store_open("sweep", &o, &s));
}
static void scene_birth(void) { sweep(&(struct sweep_scene){"birth", .act = act_open, .flags = SWEEP_NO_STORE | SWEEP_OPENS | SWEEP_ALONE_ONLY}); }
static void scene_birth_by_rename(void)
{
    sweep(&(struct sweep_scene){"birth by rename", .act = act_open,
                                .flags = SWEEP_NO_STORE | SWEEP_OPENS | SWEEP_ALONE_ONLY | SWEEP_NO_TMPFILE});
}
static void scene_join(void) { sweep(&(struct sweep_scene){"join", .act = act_open, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_OPENS}); }

static void die_in_all_slots(zct_store *s)
{
    (void)s;
    zct_tensor *a;
    for (int i = 0; i < 5; i++) {
        if (fork() == 0) {
            OK(test_create(s, NULL, 100, 1, NULL, &a));
            _exit(0);
        }
        wait(NULL);
    }
}
static void scene_join_full(void)
{
    sweep(&(struct sweep_scene){"join, all slots the dead's", .before = die_in_all_slots, .act = act_open,
                                .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_OPENS | SWEEP_DIED | SWEEP_ALONE_ONLY});
}

static void act_close(zct_store *s) { zct_store_close(s); }
static void act_exit(zct_store *s) { (void)s; exit(0); }
static void ready_hold(zct_store *s)
{
    OK(test_create(s, NULL, 300, 5, NULL, &held));
    zct_release(held);
    OK(test_create(s, "owned", 300, 5, WITH(.lifetime = ZCT_OWNER), &held));
    zct_handle h;
    OK(zct_handle_make(held, &h));
    zct_release(held);
    block = zct_memory_alloc(s, 5000, 0);
    CHECK(block != NULL);
    zct_memory_free(s, block);
}
static void scene_close(void) { sweep(&(struct sweep_scene){"close", .ready = ready_hold, .act = act_close, .names = {{"keep", 100, 1, 1}}}); }
static void scene_close_last(void)
{
    sweep(&(struct sweep_scene){"close the last", .ready = ready_hold, .act = act_close, .flags = SWEEP_NO_STORE | SWEEP_ALONE_ONLY});
}
static void scene_exit(void) { sweep(&(struct sweep_scene){"exit", .ready = ready_hold, .act = act_exit, .names = {{"keep", 100, 1, 1}}}); }
static void act_destroy(zct_store *s) { (void)s; OK(zct_store_destroy("sweep", NULL)); }
static void scene_destroy(void)
{
    sweep(&(struct sweep_scene){"destroy", .act = act_destroy, .names = {{"keep", 100, 1, 0}}, .flags = SWEEP_OPENS | SWEEP_GONE});
}

/* ---- create ---- */

static void act_create(zct_store *s) { OK(test_create(s, "x", 100, 2, NULL, &held)); }
static void scene_create(void) { sweep(&(struct sweep_scene){"create", .act = act_create, .names = {{"x", 100, 0, 2}, {"keep", 100, 1, 1}}}); }
static void act_create_big(zct_store *s) { OK(test_create(s, "x", 9000, 2, WITH(.sealed = 1), &held)); }
static void scene_create_big(void) { sweep(&(struct sweep_scene){"create pages", .act = act_create_big, .names = {{"x", 9000, 0, 2}, {"keep", 100, 1, 1}}}); }
static void scene_create_old_kernel(void)
{
    sweep(&(struct sweep_scene){"create, no populate", .act = act_create_big, .names = {{"x", 9000, 0, 2}}, .flags = SWEEP_NO_POPULATE});
}
static void act_create_nameless(zct_store *s)
{
    OK(test_create(s, NULL, 100, 2, NULL, &held));
    zct_release(held);
    OK(test_create(s, NULL, 0, 2, NULL, &held));
}
static void scene_create_nameless(void) { sweep(&(struct sweep_scene){"create nameless", .act = act_create_nameless, .names = {{"keep", 100, 1, 1}}}); }
static void act_leftover(zct_store *s) { CHECK_RC(test_create(s, "x", 100, 2, NULL, &held), ZCT_REPLACED); }
static void scene_leftover(void) { sweep(&(struct sweep_scene){"create over a leftover", .act = act_leftover, .names = {{"x", 100, 1, 2}, {"keep", 100, 1, 1}}, .flags = SWEEP_ALONE_ONLY}); }
static void scene_leftover_dead(void)
{
    sweep(&(struct sweep_scene){"create over the dead's", .act = act_leftover, .names = {{"x", 100, 1, 2}}, .flags = SWEEP_DIED | SWEEP_ALONE_ONLY});
}
static void act_taken(zct_store *s) { CHECK_RC(test_create(s, "x", 100, 2, NULL, &held), -ZCT_EEXISTS); }
static void scene_taken(void) { sweep(&(struct sweep_scene){"create, the name is taken", .act = act_taken, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY}); }
static void act_replace(zct_store *s) { OK(test_create(s, "x", 100, 2, WITH(.exists = ZCT_EXISTS_REPLACE), &held)); }
static void scene_replace(void) { sweep(&(struct sweep_scene){"replace", .act = act_replace, .names = {{"x", 100, 1, 2}, {"keep", 100, 1, 1}}}); }
static void act_join_existing(zct_store *s)
{
    CHECK_RC(test_create(s, "x", 100, 2, WITH(.exists = ZCT_EXISTS_ATTACH), &held), ZCT_ATTACHED);
    OK(test_create(s, "y", 100, 2, WITH(.exists = ZCT_EXISTS_ATTACH), &other));
}
static void scene_join_existing(void) { sweep(&(struct sweep_scene){"create or attach", .act = act_join_existing, .names = {{"x", 100, 1, 1}, {"y", 100, 0, 2}}}); }

static int create_aux(zct_store *s, const char *name, uint64_t seed, int exists)
{
    int64_t shape[7] = {1, 2, 3, 1, 2, 1, 5}, strides[7] = {60, 1, 2, 60, 30, 60, 6};
    uint8_t data[60];
    test_pattern(data, sizeof data, seed);
    zct_spec spec = {.size = sizeof spec, .ndim = 7, .order = ZCT_ORDER_STRIDED, .shape = shape, .strides = strides,
                     .dtype = {.code = ZCT_STRUCT, .itemsize = 1, .name = "struct"}, .descriptor = "{\"fields\": []}",
                     .descriptor_len = 14, .metadata = "metadata", .metadata_len = 8};
    return zct_create(s, name, &spec, data, strides, WITH(.exists = exists), &held);
}
static void act_aux(zct_store *s)
{
    OK(create_aux(s, LONG_NAME, 2, ZCT_EXISTS_ERROR));
    OK(create_aux(s, LONG_NAME "/2", 2, ZCT_EXISTS_REPLACE));
}
static void scene_aux(void) { sweep(&(struct sweep_scene){"create with an aux block", .act = act_aux, .names = {{LONG_NAME, 60, 0, 2}, {LONG_NAME "/2", 60, 1, 2}}}); }
static void act_lifetimes(zct_store *s)
{
    OK(test_create(s, "last", 100, 2, WITH(.lifetime = ZCT_LAST), &held));
    OK(zct_attach(s, "last", ZCT_MODE_WRITE, 0, &other));
    OK(test_create(s, "pinned", 100, 2, WITH(.lifetime = ZCT_PINNED), &held));
    OK(test_create(s, "owner", 100, 2, WITH(.lifetime = ZCT_OWNER), &held));
    zct_release(other);
}
static void scene_lifetimes(void) { sweep(&(struct sweep_scene){"lifetimes", .act = act_lifetimes, .names = {{"pinned", 100, 0, 2}}}); }

/* ---- publish ---- */

static void ready_nameless(zct_store *s) { OK(test_create(s, NULL, 100, 2, NULL, &held)); }
static void act_publish(zct_store *s) { (void)s; OK(zct_publish(held, "x", NULL)); }
static void scene_publish(void) { sweep(&(struct sweep_scene){"publish", .ready = ready_nameless, .act = act_publish, .names = {{"x", 100, 0, 2}, {"keep", 100, 1, 1}}}); }
static void act_publish_replace(zct_store *s) { (void)s; OK(zct_publish(held, "x", WITH(.exists = ZCT_EXISTS_REPLACE, .sealed = 1))); }
static void scene_publish_replace(void) { sweep(&(struct sweep_scene){"publish, replace", .ready = ready_nameless, .act = act_publish_replace, .names = {{"x", 100, 1, 2}}}); }
static void act_publish_taken(zct_store *s) { (void)s; CHECK_RC(zct_publish(held, "x", WITH(.sealed = 1)), -ZCT_EEXISTS); }
static void scene_publish_taken(void) { sweep(&(struct sweep_scene){"publish, the name is taken", .ready = ready_nameless, .act = act_publish_taken, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY}); }
static void act_publish_long(zct_store *s) { (void)s; OK(zct_publish(held, LONG_NAME, NULL)); }
static void scene_publish_long(void) { sweep(&(struct sweep_scene){"publish, a long name", .ready = ready_nameless, .act = act_publish_long, .names = {{LONG_NAME, 100, 0, 2}}}); }

/* ---- memory ---- */

static void act_memory(zct_store *s)
{
    block = zct_memory_alloc(s, 5000, 1);
    block = zct_memory_realloc(s, block, 20000);
    zct_memory_free(s, block);
    block = zct_memory_alloc(s, 100, 0);
    test_pattern(block, 100, 2);
    int64_t shape;
    zct_spec spec = test_bytes(&shape, 100);
    OK(zct_memory_publish(s, block, &spec, "x", NULL, &held));
    zct_memory_free(s, block);
    zct_release(held);
    OK(zct_store_gc(s, NULL, NULL));
}
static void scene_memory(void) { sweep(&(struct sweep_scene){"memory", .act = act_memory, .names = {{"x", 100, 0, 2}}}); }

/* ---- attach, release, unlink, seal ---- */

static void act_attach(zct_store *s)
{
    static const int modes[] = {ZCT_MODE_READ, ZCT_MODE_WRITE, ZCT_MODE_COW};
    for (int i = 0; i < 3; i++) {
        OK(zct_attach(s, "x", modes[i], 0, &held));
        OK(zct_attach_again(held, ZCT_MODE_DEFAULT, &other));
        zct_release(held);
        zct_release(other);
    }
    CHECK_RC(zct_attach(s, "nobody", ZCT_MODE_READ, 0, &held), -ZCT_ENOTFOUND);
    CHECK_RC(zct_attach(s, "nobody", ZCT_MODE_READ, 1000, &held), -ZCT_ENOTFOUND);
}
static void scene_attach(void) { sweep(&(struct sweep_scene){"attach, release", .act = act_attach, .names = {{"x", 100, 1, 1}}}); }
static void act_unlink(zct_store *s) { OK(zct_unlink(s, "x")); }
static void scene_unlink(void) { sweep(&(struct sweep_scene){"unlink", .act = act_unlink, .names = {{"x", 9000, 1, 0}, {"keep", 100, 1, 1}}}); }
static void ready_make_and_unlink(zct_store *s) { OK(test_create(s, "maybe", 100, 2, NULL, &held)); }
static void act_unlink_held(zct_store *s) { (void)s; OK(zct_tensor_unlink(held)); zct_release(held); }
static void scene_unlink_held(void) { sweep(&(struct sweep_scene){"unlink by tensor", .ready = ready_make_and_unlink, .act = act_unlink_held, .names = {{"keep", 100, 1, 1}}}); }
static void ready_attach(zct_store *s) { OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &held)); }
static void act_seal(zct_store *s) { (void)s; OK(zct_seal(held)); }
static void scene_seal(void) { sweep(&(struct sweep_scene){"seal", .ready = ready_attach, .act = act_seal, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_ALONE_ONLY}); }
static void act_seal_busy(zct_store *s) { (void)s; CHECK_RC(zct_seal(held), -ZCT_EBUSY); }
static void scene_seal_busy(void) { sweep(&(struct sweep_scene){"seal, busy", .ready = ready_attach, .act = act_seal_busy, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY}); }

/* ---- handles ---- */

static zct_handle *sent;
static void act_handles(zct_store *s)
{
    zct_handle h;
    OK(zct_handle_make(held, &h));
    OK(zct_handle_make(held, sent));
    OK(zct_handle_cancel(s, &h));
    OK(zct_handle_take(s, sent, ZCT_MODE_DEFAULT, &other));
    OK(zct_handle_make(other, &h));
    OK(zct_store_gc(s, &(zct_gc_options){.size = sizeof(zct_gc_options), .own_handles_ns = 1}, NULL));
    zct_release(held);
    zct_release(other);
}
static void scene_handles(void)
{
    sent = test_shared(sizeof *sent);
    sweep(&(struct sweep_scene){"handles", .ready = ready_nameless, .act = act_handles, .names = {{"keep", 100, 1, 1}}});
}
static void beside_send(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, NULL, 100, 3, NULL, &a));
    OK(zct_handle_make(a, sent));
    zct_release(a);
}
static void act_take(zct_store *s)
{
    OK(zct_handle_take(s, sent, ZCT_MODE_DEFAULT, &held));
    zct_release(held);
}
static void scene_take(void)
{
    sent = test_shared(sizeof *sent);
    sweep(&(struct sweep_scene){"take", .act = act_take, .beside = beside_send, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY});
}

/* ---- gc, trim, fork ---- */

static void before_dying(zct_store *s)
{
    zct_handle h;
    OK(test_create(s, NULL, 5000, 1, NULL, &held));
    OK(zct_handle_make(held, &h));
    OK(test_create(s, "owned", 200, 1, WITH(.lifetime = ZCT_OWNER), &held));
    OK(test_create(s, "last", 200, 1, WITH(.lifetime = ZCT_LAST), &held));
    OK(test_create(s, "ended", 200, 1, NULL, &held));
    OK(zct_unlink(s, "ended"));
    block = zct_memory_alloc(s, 300, 0);
}
static void act_gc(zct_store *s) { OK(zct_store_gc(s, NULL, NULL)); }
static void scene_gc(void) { sweep(&(struct sweep_scene){"gc of the dead", .before = before_dying, .act = act_gc, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_DIED}); }
static void act_gc_unheld(zct_store *s)
{
    zct_gc_options o = {.size = sizeof o, .flags = ZCT_GC_UNHELD};
    OK(zct_store_gc(s, &o, NULL));
}
static void scene_gc_unheld(void) { sweep(&(struct sweep_scene){"gc of the unheld", .act = act_gc_unheld, .names = {{"x", 9000, 1, 0}, {"y", 100, 1, 0}}, .flags = SWEEP_ALONE_ONLY}); }
static void before_trim(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, "big", 100000, 1, NULL, &a));
    zct_release(a);
    OK(zct_unlink(s, "big"));
}
static void act_trim(zct_store *s) { OK(zct_store_trim(s, 0, NULL)); }
static void scene_trim(void) { sweep(&(struct sweep_scene){"trim", .before = before_trim, .act = act_trim, .names = {{"x", 9000, 1, 1}}}); }

static void child_life(zct_store *s)
{
    CHECK(test_is_pattern(zct_tensor_view(held)->data, 100, 1));
    OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &other));
    zct_release(held);
    zct_release(other);
    exit(0);
}
static void ready_fork(zct_store *s)
{
    ready_attach(s);
    block = zct_memory_alloc(s, 300, 0);
    zct_memory_free(s, block);
}
static void act_fork(zct_store *s)
{
    pid_t pid = fork();
    if (pid == 0)
        child_life(s);
    int status = test_wait(pid);
    if (status == 256 + 9) {
        (void)steps_disarm();
        OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &other));
        zct_release(other);
        _exit(3);
    }
    CHECK_EQ(status, 0);
}
static void scene_fork(void) { sweep(&(struct sweep_scene){"fork", .ready = ready_fork, .act = act_fork, .names = {{"x", 100, 1, 1}}}); }
/* A fork while another thread is in the middle of a create: the child has its bit, and never comes to use it. */
static volatile uint32_t in_create, forked;
static void wait_for_fork(void)
{
    test_set(&in_create, 1);
    test_await(&forked, 1);
}
static void *create_in_thread(void *s)
{
    OK(test_create(s, "maybe", 100, 2, NULL, &other));
    return NULL;
}
static void act_fork_in_create(zct_store *s)
{
    pthread_t thread;
    steps_call_at("tensor/meta.c", "put_relaxed &d->nbytes", wait_for_fork);
    REQUIRE(pthread_create(&thread, NULL, create_in_thread, s) == 0);
    test_await(&in_create, 1);
    pid_t pid = fork();
    if (pid == 0) {
        zct_store_close(s);
        _exit(0);
    }
    int status = test_wait(pid);
    test_set(&forked, 1);
    pthread_join(thread, NULL);
    OK(zct_unlink(s, "maybe"));
    if (status == 256 + 9)
        _exit(3);
}
static void scene_fork_in_create(void)
{
    sweep(&(struct sweep_scene){"fork in a create", .act = act_fork_in_create, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_CHILDREN});
}
static void scene_fork_child(void) { sweep(&(struct sweep_scene){"fork, the child", .ready = ready_fork, .act = act_fork, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_CHILDREN}); }

/* ---- the index and the descriptors run out ---- */

static void before_many(zct_store *s)
{
    char name[16];
    for (int i = 0; i < 44; i++) {
        snprintf(name, sizeof name, "other%d", i);
        OK(test_create(s, name, 64, 2, NULL, &held));
        zct_release(held);
    }
}
static void act_many(zct_store *s)
{
    char name[16];
    for (int i = 0; i < 12; i++) { /* tombstones, and adds into them; then a rebuild because of them */
        snprintf(name, sizeof name, "maybe%d", i);
        OK(test_create(s, name, 64, 2, NULL, &held));
        zct_release(held);
    }
    for (int i = 8; i < 12; i++) {
        snprintf(name, sizeof name, "maybe%d", i);
        OK(zct_unlink(s, name));
        OK(test_create(s, name, 64, 2, NULL, &held));
        zct_release(held);
    }
    for (int i = 11; i >= 0; i--) {
        snprintf(name, sizeof name, "maybe%d", i);
        OK(zct_unlink(s, name));
    }
    for (int i = 0; i < 44; i++) {
        snprintf(name, sizeof name, "other%d", i);
        OK(zct_unlink(s, name));
    }
}
static void scene_many(void)
{
    sweep(&(struct sweep_scene){"many names", .before = before_many, .act = act_many, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_ALONE_ONLY | SWEEP_SAMPLE});
}
static void pick_and_die(zct_store *s)
{
    steps_arm_at(STEPS_KILL, "tensor/hold.c", "or_sc own_word#2", 1);
    (void)test_create(s, NULL, 64, 2, NULL, &held);
}
static void before_full(zct_store *s)
{
    char name[16];
    for (int i = 0; i < 62; i++) {
        snprintf(name, sizeof name, "other%d", i);
        OK(test_create(s, name, 64, 2, NULL, &held));
        zct_release(held);
    }
    OK(test_create(s, "gone", 64, 2, NULL, &held));
    zct_release(held);
    OK(zct_unlink(s, "gone"));
    pid_t pid = fork(); /* takes the last free descriptor out of the map, and no further */
    if (pid == 0) {
        pick_and_die(s);
        _exit(1);
    }
    CHECK_EQ(test_wait(pid), 256 + 9);
}
static void act_full(zct_store *s)
{
    OK(test_create(s, "maybe0", 64, 2, NULL, &held));
    CHECK_RC(test_create(s, "maybe1", 64, 2, NULL, &other), -ZCT_EFULL);
    OK(zct_unlink(s, "maybe0"));
}
static void scene_full(void)
{
    sweep(&(struct sweep_scene){"no names left", .before = before_full, .act = act_full, .names = {{"keep", 100, 1, 1}},
                                .flags = SWEEP_ALONE_ONLY | SWEEP_GC_FIRST});
}
/* Two threads want the same new descriptor, and the first one stands before AL. */
static volatile uint32_t claimed, refused;
static void wait_for_sibling(void)
{
    test_set(&claimed, 1);
    test_await(&refused, 1);
}
static void act_siblings(zct_store *s)
{
    pthread_t thread;
    steps_call_at("sync/owner.c", "cas_sc word", wait_for_sibling);
    REQUIRE(pthread_create(&thread, NULL, create_in_thread, s) == 0);
    test_await(&claimed, 1);
    CHECK_RC(test_create(s, NULL, 64, 2, WITH(.timeout_ns = 100000), &held), -ZCT_EBUSY);
    test_set(&refused, 1);
    pthread_join(thread, NULL);
    OK(zct_unlink(s, "maybe"));
}
static void scene_siblings(void) { sweep(&(struct sweep_scene){"siblings", .act = act_siblings, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_ALONE_ONLY}); }

static void act_chunks(zct_store *s)
{
    OK(test_create(s, "maybe1", 64 * 4096, 2, NULL, &held));
    OK(test_create(s, "maybe2", 2048, 2, NULL, &other));
    zct_release(other);
    OK(zct_unlink(s, "maybe2"));
    zct_release(held);
    OK(zct_unlink(s, "maybe1"));
    OK(test_create(s, NULL, 2048, 2, NULL, &other));
}
static void scene_chunks(void) { sweep(&(struct sweep_scene){"chunks", .act = act_chunks, .flags = SWEEP_ALONE_ONLY | SWEEP_NO_STORE}); }
static void act_cells(zct_store *s)
{
    OK(zct_unlink(s, "a"));
    OK(zct_unlink(s, "c"));
}
static void scene_cells(void) { sweep(&(struct sweep_scene){"cells", .act = act_cells, .names = {{"a", 2048, 1, 0}, {"b", 2048, 1, 1}, {"c", 2048, 1, 0}}, .flags = SWEEP_ALONE_ONLY}); }

/* ---- the file is removed behind everybody's back ---- */

static void remove_file(zct_store *s) { CHECK_EQ(unlink(zct_store_path(s)), 0); }
static void act_miss(zct_store *s) { CHECK_RC(zct_attach(s, "nobody", ZCT_MODE_READ, 0, &held), -ZCT_EGONE); }
static void scene_removed(void) { sweep(&(struct sweep_scene){"removed, a miss", .ready = remove_file, .act = act_miss, .names = {{"keep", 100, 1, 0}}, .flags = SWEEP_GONE}); }
static void act_stats_gone(zct_store *s)
{
    zct_store_stats stats = {.size = sizeof stats};
    CHECK_RC(zct_store_stats_get(s, &stats), -ZCT_EGONE);
}
static void scene_removed_stats(void) { sweep(&(struct sweep_scene){"removed, stats", .ready = remove_file, .act = act_stats_gone, .names = {{"keep", 100, 1, 0}}, .flags = SWEEP_GONE}); }

/* ---- others in the way ---- */

static void busy_unlink(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, "busy", 64, 3, NULL, &a));
    zct_release(a);
    OK(zct_unlink(s, "busy"));
}
static void ready_unlinked(zct_store *s)
{
    OK(test_create(s, NULL, 64, 2, NULL, &held));
}
static void act_contend(zct_store *s)
{
    zct_release(held); /* AL is not to be had: somebody else ends it */
    for (int i = 0; i < 3; i++) {
        int rc = test_create(s, NULL, 64, 2, WITH(.timeout_ns = 100000), &held);
        CHECK(rc == 0 || rc == -ZCT_EBUSY);
        if (rc == 0)
            zct_release(held);
    }
    OK(test_create(s, "x", 100, 2, NULL, &held));
}
static void scene_contended(void)
{
    sweep(&(struct sweep_scene){"the lock is busy", .ready = ready_unlinked, .act = act_contend, .busy = busy_unlink,
                                .nap_file = "tensor/life.c", .nap_at = "put_sc &d->st", .names = {{"x", 100, 0, 2}}, .flags = SWEEP_BESIDE_ONLY});
}
/* The same with AL held for as long as the victim wants. */
static volatile uint32_t *gate;
static void hold_lock(void)
{
    test_set(gate, 2);
    while (*gate != 3 && !sweep_over())
        test_nap(20000);
}
static void meet_hold(zct_store *s)
{
    steps_arm(STEPS_NAP, UINT32_MAX, STEPS_THIS_PROCESS);
    steps_call_at("tensor/life.c", "put_sc &d->st", hold_lock);
    busy_unlink(s);
}
static void act_held(zct_store *s)
{
    zct_release(held);
    CHECK_RC(test_create(s, NULL, 64, 2, WITH(.timeout_ns = 100000), &held), -ZCT_EBUSY);
    test_set(gate, 3);
    OK(test_create(s, "x", 100, 2, NULL, &held));
}
static void ready_held(zct_store *s)
{
    ready_unlinked(s);
    test_set(gate, 0);
    sweep_ask_to_meet();
    test_await(gate, 2);
}
static void scene_held(void)
{
    gate = test_shared(sizeof *gate);
    sweep(&(struct sweep_scene){"the lock is held", .ready = ready_held, .act = act_held, .meet = meet_hold,
                                .names = {{"x", 100, 0, 2}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY});
}
static void busy_ask(zct_store *s) { OK(zct_store_gc(s, &(zct_gc_options){.size = sizeof(zct_gc_options), .flags = ZCT_GC_UNHELD}, NULL)); }
static void act_veto(zct_store *s)
{
    for (int i = 0; i < 4; i++) {
        act_fork(s);
        OK(zct_attach(s, "x", ZCT_MODE_READ, 0, &other));
        zct_release(other);
        test_nap(500000);
    }
}
static void scene_veto(void)
{
    sweep(&(struct sweep_scene){"asked and vetoed", .ready = ready_attach, .act = act_veto, .busy = busy_ask,
                                .nap_file = "tensor/life.c", .nap_at = "cas_sc &d->st#2", .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY});
}
static void meet_ask(zct_store *s)
{
    steps_arm(STEPS_NAP, UINT32_MAX, STEPS_THIS_PROCESS);
    steps_call_at("tensor/life.c", "cas_sc &d->st#2", hold_lock);
    busy_ask(s);
}
static void ready_asked(zct_store *s)
{
    ready_attach(s);
    test_set(gate, 0);
    sweep_ask_to_meet();
    test_await(gate, 2);
}
static void act_fork_asked(zct_store *s)
{
    (void)s;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    CHECK_EQ(test_wait(pid), 0);
    test_set(gate, 3);
}
static void scene_fork_asked(void)
{
    gate = test_shared(sizeof *gate);
    sweep(&(struct sweep_scene){"fork while asked", .ready = ready_asked, .act = act_fork_asked, .meet = meet_ask, .names = {{"x", 100, 1, 1}},
                                .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY});
}
static void act_attach_asked(zct_store *s)
{
    OK(zct_attach(s, "x", ZCT_MODE_READ, 0, &other));
    test_set(gate, 3);
    zct_release(other);
}
static void scene_attach_asked(void)
{
    gate = test_shared(sizeof *gate);
    sweep(&(struct sweep_scene){"attach while asked", .ready = ready_asked, .act = act_attach_asked, .meet = meet_ask,
                                .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY});
}
static void meet_attach(zct_store *s) { OK(zct_attach(s, "x", ZCT_MODE_READ, 0, &other)); }
static void scene_late_holder(void)
{
    sweep(&(struct sweep_scene){"a holder comes late", .act = act_taken, .meet = meet_attach, .meet_file = "tensor/meta.c",
                                .meet_at = "put_relaxed &d->nbytes", .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_UNHELD});
}
static void scene_late_holder_publish(void)
{
    sweep(&(struct sweep_scene){"a late holder, publish", .ready = ready_nameless, .act = act_publish_taken, .meet = meet_attach,
                                .meet_file = "tensor/meta.c", .meet_at = "put_relaxed &d->nbytes", .names = {{"x", 100, 1, 1}},
                                .flags = SWEEP_BESIDE_ONLY | SWEEP_UNHELD});
}
static pthread_t waiter;
static void *wait_for_name(void *s)
{
    zct_tensor *a;
    OK(zct_attach(s, "x", ZCT_MODE_READ, 20000000000, &a));
    zct_release(a);
    return NULL;
}
static void beside_wait(zct_store *s)
{
    REQUIRE(pthread_create(&waiter, NULL, wait_for_name, s) == 0);
    while (!get_relaxed(&s->words->births_wait))
        test_nap(20000);
}
static void later_wait(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, "x", 100, 2, WITH(.exists = ZCT_EXISTS_REPLACE), &a));
    zct_release(a);
    pthread_join(waiter, NULL);
}
static void scene_awaited(void)
{
    sweep(&(struct sweep_scene){"create what is waited for", .act = act_create, .beside = beside_wait, .later = later_wait,
                                .names = {{"x", 100, 0, 2}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY});
}

/* ---- all of it ---- */

static void coverage(void);
#define SCENE(which) {.name = "sweep of " #which, .run = scene_##which, .seconds = 300}
static const struct test tests[] = {
    SCENE(birth), SCENE(birth_by_rename), SCENE(join), SCENE(join_full), SCENE(close), SCENE(close_last), SCENE(exit),
    SCENE(destroy), SCENE(create), SCENE(create_big), SCENE(create_old_kernel), SCENE(create_nameless), SCENE(leftover),
    SCENE(leftover_dead), SCENE(taken), SCENE(replace), SCENE(join_existing), SCENE(aux), SCENE(lifetimes),
    SCENE(publish), SCENE(publish_replace), SCENE(publish_taken), SCENE(publish_long), SCENE(memory), SCENE(attach),
    SCENE(unlink), SCENE(unlink_held), SCENE(seal), SCENE(seal_busy), SCENE(handles), SCENE(take), SCENE(gc),
    SCENE(gc_unheld), SCENE(trim), SCENE(fork), SCENE(fork_child), SCENE(fork_in_create), SCENE(many), SCENE(full),
    SCENE(cells), SCENE(removed), SCENE(removed_stats), SCENE(siblings), SCENE(chunks), SCENE(contended), SCENE(held),
    SCENE(veto), SCENE(fork_asked), SCENE(attach_asked), SCENE(late_holder), SCENE(late_holder_publish), SCENE(awaited),
    {.name = "every crash point was used", .run = coverage},
};
enum { TEST_COUNT = sizeof tests / sizeof *tests };

static void coverage(void)
{
    char name[256];
    unsigned missing = 0;
    if (sweep_sum->scenes < TEST_COUNT - 1)
        test_skip("only %d of %d scenes were played", (int)sweep_sum->scenes, TEST_COUNT - 1);
    for (unsigned p = 0; p < steps_points(); p++)
        if (!steps_killed(p)) {
            missing++;
            test_fail(__FILE__, __LINE__, "nobody was killed at %s%s", steps_name(p, name, sizeof name),
                      steps_reached(p) ? " (it was reached)" : "");
        }
    test_say("# %llu scenes, %llu states, %llu second kills, %llu recoveries; %u of %u crash points were used",
             (unsigned long long)sweep_sum->scenes, (unsigned long long)sweep_sum->states,
             (unsigned long long)sweep_sum->second, (unsigned long long)sweep_sum->runs, steps_points() - missing, steps_points());
}

int main(int argc, char **argv) { return test_main(tests, TEST_COUNT, argc, argv); }
