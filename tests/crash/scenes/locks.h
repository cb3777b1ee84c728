/* scenes of the crash sweep: the lock of a tensor. The contents are the pattern of seed 1 whenever nobody writes; a writer makes
 * a mess of them, and then that pattern again. So who finds a mess must have been told so. Included by test_sweep.c. */

enum { LOCKED_BYTES = 5000 };
static const int64_t soon = 25000000;
static zct_lock_guard guard, second;
/* Never reached, unless a fault was put in. */
static int64_t late(void) { return zct_mutant ? 300000000 : 20000000000; }

/* Whoever comes after the dead gets the lock, is told of a mess, and can end it. */
static void mend_lock(zct_store *s, bool finished)
{
    zct_tensor *a;
    zct_lock_guard g;
    OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &a));
    int rc = zct_tensor_read_lock(a, late(), 0, &g);
    bool whole = rc == 0 && test_is_pattern(zct_tensor_view(a)->data, LOCKED_BYTES, 1);
    if (rc == 0)
        OK(zct_lock_release(&g));
    CHECK(whole || (rc == -ZCT_EWRITERDIED && !finished));
    if (CHECK_RC(zct_tensor_write_lock(a, late(), ZCT_RECOVER, &g), whole ? 0 : ZCT_RECOVERED) >= 0) {
        test_pattern(zct_tensor_view(a)->data, LOCKED_BYTES, 1);
        OK(zct_lock_mark_consistent(&g));
        OK(zct_lock_release(&g));
    }
    OK(zct_tensor_write_lock(a, 0, 0, &g));
    OK(zct_lock_release(&g));
    zct_release(a);
}
/* The same where nobody wrote: no poison. */
static void mend_nothing(zct_store *s, bool finished)
{
    (void)finished;
    mend_lock(s, true);
}
#define LOCKED {{"x", LOCKED_BYTES, 1, 1}}

/* ---- readers, writers ---- */

static void *read_in_thread(void *s)
{
    zct_lock_guard g;
    (void)s;
    OK(zct_tensor_read_lock(held, 0, 0, &g));
    OK(zct_lock_release(&g));
    return NULL;
}
static void act_lock_read(zct_store *s)
{
    pthread_t thread;
    OK(zct_tensor_read_lock(held, 0, 0, &guard));
    OK(zct_tensor_read_lock(held, 0, 0, &second));
    REQUIRE(pthread_create(&thread, NULL, read_in_thread, s) == 0);
    pthread_join(thread, NULL);
    OK(zct_lock_release(&guard));
    OK(zct_lock_release(&second));
    for (int i = 0; i < 2; i++) { /* the short way */
        OK(zct_tensor_read_lock(held, 0, 0, &guard));
        OK(zct_lock_release(&guard));
    }
}
PLAY(lock_read, "lock: read", .ready = ready_attach, .act = act_lock_read, .mend = mend_nothing, .names = LOCKED)

static void make_a_mess(zct_store *s)
{
    memset(zct_tensor_view(held)->data, 9, LOCKED_BYTES / 2);
    OK(zct_attach(s, "x", ZCT_MODE_READ, 0, &other)); /* has steps */
    zct_release(other);
    memset(zct_tensor_view(held)->data, 8, LOCKED_BYTES);
    test_pattern(zct_tensor_view(held)->data, LOCKED_BYTES, 1);
}
static void act_lock_write(zct_store *s)
{
    for (int i = 0; i < 2; i++) { /* the long way, and the short one */
        OK(zct_tensor_write_lock(held, 0, 0, &guard));
        make_a_mess(s);
        OK(zct_lock_release(&guard));
    }
}
PLAY(lock_write, "lock: write", .ready = ready_attach, .act = act_lock_write, .mend = mend_lock, .names = LOCKED)

/* ---- who waits: the holder has it ---- */

static zct_tensor *kept;
static zct_lock_guard keeps;
static void keep_written(zct_store *s)
{
    OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &kept));
    OK(zct_tensor_write_lock(kept, late(), 0, &keeps));
}
static void keep_read(zct_store *s)
{
    OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &kept));
    OK(zct_tensor_read_lock(kept, late(), 0, &keeps));
}
static void keep_no_more(zct_store *s, bool finished)
{
    if (kept) {
        OK(zct_lock_release(&keeps));
        zct_release(kept);
        kept = NULL;
    }
    mend_nothing(s, finished);
}
static void act_wait_owner(zct_store *s)
{
    (void)s;
    CHECK_RC(zct_tensor_write_lock(held, soon, 0, &guard), -ZCT_ETIMEDOUT);
    CHECK_RC(zct_tensor_read_lock(held, soon, 0, &guard), -ZCT_ETIMEDOUT);
}
PLAY(lock_wait_owner, "lock: wait for a writer", .ready = ready_attach, .act = act_wait_owner, .beside = keep_written,
     .mend = keep_no_more, .names = LOCKED, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY)

/* A reader of the holder's sleeps behind the draining victim, and must be let in when that gives up or dies. */
static pthread_t sleeper;
static void *read_behind(void *unused)
{
    zct_lock_guard g;
    (void)unused;
    zct_stat st = {.size = sizeof st};
    while (!sweep_over() && !(zct_stat_tensor(kept, &st) == 0 && st.lock & ZCT_LOCK_WANTED))
        test_nap(100000);
    OK(zct_tensor_read_lock(kept, late(), 0, &g));
    OK(zct_lock_release(&g));
    return NULL;
}
static void keep_read_and_sleep(zct_store *s)
{
    keep_read(s);
    REQUIRE(pthread_create(&sleeper, NULL, read_behind, NULL) == 0);
}
static void wake_and_keep_no_more(zct_store *s, bool finished)
{
    if (kept)
        pthread_join(sleeper, NULL);
    keep_no_more(s, finished);
}
static void act_wait_readers(zct_store *s)
{
    (void)s;
    CHECK_RC(zct_tensor_write_lock(held, soon, 0, &guard), -ZCT_ETIMEDOUT);
}
PLAY(lock_wait_readers, "lock: wait for readers, give up", .ready = ready_attach, .act = act_wait_readers,
     .beside = keep_read_and_sleep, .mend = wake_and_keep_no_more, .names = LOCKED,
     .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY)

/* Passed over twice, a reader says so; and gets in. */
static zct_tensor *busy_with;
static void busy_write(zct_store *s)
{
    zct_lock_guard g;
    if (!busy_with)
        OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &busy_with));
    if (OK(zct_tensor_write_lock(busy_with, late(), 0, &g)) == 0) {
        test_nap(18000000);
        OK(zct_lock_release(&g));
    }
}
static void mend_busy(zct_store *s, bool finished)
{
    zct_release(busy_with);
    busy_with = NULL;
    mend_nothing(s, finished);
}
static void act_hungry(zct_store *s)
{
    (void)s;
    test_nap(1000000);
    OK(zct_tensor_read_lock(held, late(), 0, &guard));
    OK(zct_lock_release(&guard));
}
PLAY(lock_hungry, "lock: a reader passed over", .ready = ready_attach, .act = act_hungry, .busy = busy_write,
     .mend = mend_busy, .names = LOCKED, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY)

/* The reader that asked is not there any more: a writer does not wait for it for ever. */
static void make_hungry(zct_store *s)
{
    __atomic_fetch_or((uint64_t *)(void *)&desc_at(s, 0)->lock.owner, OWNER_HUNGRY, __ATOMIC_SEQ_CST);
}
static void ready_hungry(zct_store *s)
{
    ready_attach(s);
    make_hungry(s);
}
static void act_impatient(zct_store *s)
{
    CHECK_RC(zct_tensor_write_lock(held, 0, 0, &guard), -ZCT_ETIMEDOUT);
    OK(zct_tensor_write_lock(held, late(), 0, &guard));
    OK(zct_lock_release(&guard));
    make_hungry(s);
    OK(zct_tensor_read_lock(held, 0, 0, &guard));
    OK(zct_lock_release(&guard));
}
PLAY(lock_impatient, "lock: nobody is hungry any more", .ready = ready_hungry, .act = act_impatient, .mend = mend_lock,
     .names = LOCKED, .flags = SWEEP_ALONE_ONLY)

/* The victim gives back what the holder's threads wait for. */
static void meet_write(zct_store *s)
{
    zct_tensor *a;
    zct_lock_guard g;
    OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &a));
    OK(zct_tensor_write_lock(a, late(), 0, &g));
    OK(zct_lock_release(&g));
    zct_release(a);
}
static void ready_read(zct_store *s)
{
    zct_stat st = {.size = sizeof st};
    ready_attach(s);
    OK(zct_tensor_read_lock(held, 0, 0, &guard));
    sweep_ask_to_meet();
    while (zct_stat_tensor(held, &st) == 0 && !(st.lock & ZCT_LOCK_WANTED))
        test_nap(100000);
}
static void act_wakes(zct_store *s)
{
    (void)s;
    OK(zct_lock_release(&guard));
    OK(zct_tensor_write_lock(held, late(), 0, &guard));
    test_nap(2000000);
    OK(zct_lock_release(&guard));
}
PLAY(lock_wakes, "lock: release wakes", .ready = ready_read, .act = act_wakes, .meet = meet_write, .mend = mend_lock,
     .names = LOCKED, .flags = SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY)

/* ---- who finds the dead ---- */

static void before_reader(zct_store *s)
{
    ready_attach(s);
    OK(zct_tensor_read_lock(held, 0, 0, &guard));
}
static void act_after_reader(zct_store *s)
{
    ready_attach(s);
    OK(zct_tensor_write_lock(held, late(), 0, &guard));
    OK(zct_lock_release(&guard));
}
PLAY(lock_dead_reader, "lock: after a dead reader", .before = before_reader, .act = act_after_reader, .mend = mend_lock,
     .names = LOCKED, .flags = SWEEP_DIED | SWEEP_ALONE_ONLY)

static void before_writer(zct_store *s)
{
    ready_attach(s);
    OK(zct_tensor_write_lock(held, 0, 0, &guard));
    memset(zct_tensor_view(held)->data, 9, LOCKED_BYTES / 2);
}
static void act_after_writer(zct_store *s)
{
    ready_attach(s);
    CHECK_RC(zct_tensor_read_lock(held, late(), 0, &guard), -ZCT_EWRITERDIED);
    CHECK_RC(zct_tensor_write_lock(held, late(), 0, &guard), -ZCT_EWRITERDIED);
    CHECK_RC(zct_tensor_read_lock(held, late(), ZCT_RECOVER, &guard), ZCT_RECOVERED);
    OK(zct_lock_release(&guard));
    CHECK_RC(zct_tensor_write_lock(held, late(), ZCT_RECOVER, &guard), ZCT_RECOVERED);
    test_pattern(zct_tensor_view(held)->data, LOCKED_BYTES, 1);
    OK(zct_lock_mark_consistent(&guard));
    OK(zct_lock_release(&guard));
}
PLAY(lock_dead_writer, "lock: after a dead writer", .before = before_writer, .act = act_after_writer, .mend = mend_lock,
     .names = LOCKED, .flags = SWEEP_DIED | SWEEP_ALONE_ONLY)

/* Died while it waited for a reader: no poison. */
static void *write_in_thread(void *s)
{
    (void)s;
    (void)zct_tensor_write_lock(held, late(), 0, &second);
    return NULL;
}
static void before_waiter(zct_store *s)
{
    pthread_t thread;
    zct_stat st = {.size = sizeof st};
    before_reader(s);
    REQUIRE(pthread_create(&thread, NULL, write_in_thread, s) == 0);
    while (zct_stat_tensor(held, &st) == 0 && !(st.lock & ZCT_LOCK_WANTED))
        test_nap(100000);
}
static void act_after_waiter(zct_store *s)
{
    ready_attach(s);
    OK(zct_tensor_read_lock(held, late(), 0, &guard));
    OK(zct_lock_release(&guard));
}
PLAY(lock_dead_waiter, "lock: after a dead waiting writer", .before = before_waiter, .act = act_after_waiter,
     .mend = mend_nothing, .names = LOCKED, .flags = SWEEP_DIED | SWEEP_ALONE_ONLY)

/* Who wants to mend it and cannot wait leaves it poisoned. */
static void keep_read_poisoned(zct_store *s)
{
    OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &kept));
    CHECK_RC(zct_tensor_read_lock(kept, late(), ZCT_RECOVER, &keeps), ZCT_RECOVERED);
}
static void act_mend_not(zct_store *s)
{
    (void)s;
    CHECK_RC(zct_tensor_write_lock(held, soon / 5, ZCT_RECOVER, &guard), -ZCT_ETIMEDOUT);
}
static void mend_for_it(zct_store *s, bool finished)
{
    if (!kept)
        return mend_lock(s, finished);
    CHECK(!test_is_pattern(zct_tensor_view(kept)->data, LOCKED_BYTES, 1));
    OK(zct_lock_release(&keeps));
    zct_release(kept);
    kept = NULL;
    mend_lock(s, false);
}
PLAY(lock_mend_not, "lock: mending given up", .before = before_writer, .ready = ready_attach, .act = act_mend_not,
     .beside = keep_read_poisoned, .mend = mend_for_it, .names = LOCKED,
     .flags = SWEEP_DIED | SWEEP_BESIDE_ONLY | SWEEP_FIRST_ONLY)

/* A poisoned tensor ends; the next one in its descriptor is not poisoned. */
static void before_tenant(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, "other", 64, 1, NULL, &a));
    OK(zct_tensor_write_lock(a, 0, 0, &guard));
}
static void act_tenant(zct_store *s)
{
    OK(zct_store_gc(s, NULL, NULL));
    OK(zct_unlink(s, "other"));
    OK(test_create(s, "x", LOCKED_BYTES, 1, NULL, &held));
    OK(zct_tensor_write_lock(held, 0, 0, &guard));
    OK(zct_lock_release(&guard));
}
static void mend_tenant(zct_store *s, bool finished)
{
    zct_tensor *a;
    if (zct_attach(s, "x", ZCT_MODE_READ, 0, &a) == -ZCT_ENOTFOUND)
        return;
    zct_release(a);
    mend_lock(s, finished);
}
PLAY(lock_tenant, "lock: the next tenant", .before = before_tenant, .act = act_tenant, .mend = mend_tenant,
     .names = {{"x", LOCKED_BYTES, 0, 1}}, .flags = SWEEP_DIED | SWEEP_ALONE_ONLY | SWEEP_GC_FIRST)

/* ---- fork inside, leaving inside ---- */

static void act_lock_fork(zct_store *s)
{
    OK(zct_tensor_write_lock(held, 0, 0, &guard));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_RC(zct_lock_release(&guard), -ZCT_ENOTOWNER);
        exit(0);
    }
    CHECK_EQ(test_wait(pid), 0);
    CHECK(zct_lock_held(&guard));
    make_a_mess(s);
    OK(zct_lock_release(&guard));
}
PLAY(lock_fork, "lock: fork inside", .ready = ready_attach, .act = act_lock_fork, .mend = mend_lock, .names = LOCKED)

static void act_left(zct_store *s)
{
    OK(zct_tensor_read_lock(held, 0, 0, &guard));
    zct_release(held); /* out of contract */
    zct_store_close(s);
}
PLAY(lock_left, "lock: left behind", .ready = ready_attach, .act = act_left, .mend = mend_nothing, .names = LOCKED)
