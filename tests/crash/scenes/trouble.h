/* scenes of the crash sweep: the index, the descriptors and the cells run out; others stand in the way. Included by test_sweep.c. */

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
PLAY(many, "many names", .before = before_many, .act = act_many, .names = {{"keep", 100, 1, 1}},
     .flags = SWEEP_ALONE_ONLY | SWEEP_SAMPLE)

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
PLAY(full, "no names left", .before = before_full, .act = act_full, .names = {{"keep", 100, 1, 1}},
     .flags = SWEEP_ALONE_ONLY | SWEEP_GC_FIRST)

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
PLAY(siblings, "siblings", .act = act_siblings, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_ALONE_ONLY)

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
PLAY(chunks, "chunks", .act = act_chunks, .flags = SWEEP_ALONE_ONLY | SWEEP_NO_STORE)

static void act_cells(zct_store *s)
{
    OK(zct_unlink(s, "a"));
    OK(zct_unlink(s, "c"));
}
PLAY(cells, "cells", .act = act_cells, .names = {{"a", 2048, 1, 0}, {"b", 2048, 1, 1}, {"c", 2048, 1, 0}},
     .flags = SWEEP_ALONE_ONLY)

/* ---- others in the way ---- */

static void busy_unlink(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, "busy", 64, 3, NULL, &a));
    zct_release(a);
    OK(zct_unlink(s, "busy"));
}
static void ready_unlinked(zct_store *s) { OK(test_create(s, NULL, 64, 2, NULL, &held)); }
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
PLAY(contended, "the lock is busy", .ready = ready_unlinked, .act = act_contend, .busy = busy_unlink,
     .nap_file = "tensor/life.c", .nap_at = "put_sc &d->st", .names = {{"x", 100, 0, 2}}, .flags = SWEEP_BESIDE_ONLY)

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
static void busy_ask(zct_store *s)
{
    OK(zct_store_gc(s, &(zct_gc_options){.size = sizeof(zct_gc_options), .flags = ZCT_GC_UNHELD}, NULL));
}
static void act_veto(zct_store *s)
{
    for (int i = 0; i < 4; i++) {
        act_fork(s);
        OK(zct_attach(s, "x", ZCT_MODE_READ, 0, &other));
        zct_release(other);
        test_nap(500000);
    }
}
PLAY(veto, "asked and vetoed", .ready = ready_attach, .act = act_veto, .busy = busy_ask, .nap_file = "tensor/life.c",
     .nap_at = "cas_sc &d->st#2", .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY)

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
    sweep(&(struct sweep_scene){"fork while asked", .ready = ready_asked, .act = act_fork_asked, .meet = meet_ask,
                                .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY});
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
PLAY(late_holder, "a holder comes late", .act = act_taken, .meet = meet_attach, .meet_file = "tensor/meta.c",
     .meet_at = "put_relaxed &d->nbytes", .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_UNHELD)

PLAY(late_holder_publish, "a late holder, publish", .ready = ready_nameless, .act = act_publish_taken,
     .meet = meet_attach, .meet_file = "tensor/meta.c", .meet_at = "put_relaxed &d->nbytes",
     .names = {{"x", 100, 1, 1}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_UNHELD)

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
PLAY(awaited, "create what is waited for", .act = act_create, .beside = beside_wait, .later = later_wait,
     .names = {{"x", 100, 0, 2}}, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY)

/* ---- rebuilding a store whose words were overwritten ---- */

static void act_repair(zct_store *s)
{
    if (al_lock(s, deadline_in(ZCT_FOREVER)) != 0)
        test_give_up();
    put_relaxed(&s->words->high, 0);
    put_relaxed(&s->words->desc_high, 0);
    al_rebuild(s);
    al_unlock(s);
    OK(zct_store_repair(s));
}
PLAY(repair, "repair", .act = act_repair, .names = {{"x", 9000, 1, 1}, {"keep", 100, 1, 1}, {LONG_NAME, 100, 1, 1}})
