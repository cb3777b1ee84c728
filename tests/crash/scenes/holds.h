/* scenes of the crash sweep: attach, release, unlink, seal, handles, gc, trim, fork. Included by test_sweep.c. */

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
PLAY(attach, "attach, release", .act = act_attach, .names = {{"x", 100, 1, 1}})

static void act_unlink(zct_store *s) { OK(zct_unlink(s, "x")); }
PLAY(unlink, "unlink", .act = act_unlink, .names = {{"x", 9000, 1, 0}, {"keep", 100, 1, 1}})

static void ready_make_and_unlink(zct_store *s) { OK(test_create(s, "maybe", 100, 2, NULL, &held)); }
static void act_unlink_held(zct_store *s)
{
    (void)s;
    OK(zct_tensor_unlink(held));
    zct_release(held);
}
PLAY(unlink_held, "unlink by tensor", .ready = ready_make_and_unlink, .act = act_unlink_held,
     .names = {{"keep", 100, 1, 1}})

static void ready_attach(zct_store *s) { OK(zct_attach(s, "x", ZCT_MODE_WRITE, 0, &held)); }
static void act_seal(zct_store *s)
{
    (void)s;
    OK(zct_seal(held));
}
PLAY(seal, "seal", .ready = ready_attach, .act = act_seal, .names = {{"x", 100, 1, 1}}, .flags = SWEEP_ALONE_ONLY)

static void act_seal_busy(zct_store *s)
{
    (void)s;
    CHECK_RC(zct_seal(held), -ZCT_EBUSY);
}
PLAY(seal_busy, "seal, busy", .ready = ready_attach, .act = act_seal_busy, .names = {{"x", 100, 1, 1}},
     .flags = SWEEP_BESIDE_ONLY)

/* ---- versions ---- */

static void act_versions(zct_store *s)
{
    uint64_t seen = 0;
    int index;
    CHECK_RC(zct_wait(held, 1000000, 1000000, NULL), -ZCT_ETIMEDOUT); /* leaves its wish: each count rings */
    CHECK_RC(zct_wait_any(&held, &(uint64_t){1000000}, 1, 1000000, &index), -ZCT_ETIMEDOUT);
    OK(zct_commit(held, NULL));
    CHECK_RC(zct_wait_any(&held, &(uint64_t){1000000}, 1, 1000000, &index), -ZCT_ETIMEDOUT);
    OK(zct_wait_any(&held, &seen, 1, 0, &index));
    OK(zct_bell_ring(s));
    OK(zct_tensor_unlink(held));
}
PLAY(versions, "versions", .ready = ready_make_and_unlink, .act = act_versions, .names = {{"keep", 100, 1, 1}})
static void act_count(zct_store *s)
{
    (void)s;
    OK(zct_commit(held, NULL));
}
static void ready_count(zct_store *s)
{
    ready_attach(s);
    CHECK_RC(zct_wait(held, 0, 1000000, NULL), -ZCT_ETIMEDOUT); /* a wish that the first count fulfils */
}
PLAY(count, "a count that was awaited", .ready = ready_count, .act = act_count, .names = {{"x", 100, 1, 1}})

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
    sweep(
        &(struct sweep_scene){"handles", .ready = ready_nameless, .act = act_handles, .names = {{"keep", 100, 1, 1}}});
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
    sweep(&(struct sweep_scene){"take", .act = act_take, .beside = beside_send, .names = {{"keep", 100, 1, 1}},
                                .flags = SWEEP_BESIDE_ONLY});
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
PLAY(gc, "gc of the dead", .before = before_dying, .act = act_gc, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_DIED)

static void act_gc_unheld(zct_store *s)
{
    zct_gc_options o = {.size = sizeof o, .flags = ZCT_GC_UNHELD};
    OK(zct_store_gc(s, &o, NULL));
}
PLAY(gc_unheld, "gc of the unheld", .act = act_gc_unheld, .names = {{"x", 9000, 1, 0}, {"y", 100, 1, 0}},
     .flags = SWEEP_ALONE_ONLY)

static void before_trim(zct_store *s)
{
    zct_tensor *a;
    OK(test_create(s, "big", 100000, 1, NULL, &a));
    zct_release(a);
    OK(zct_unlink(s, "big"));
}
static void act_trim(zct_store *s) { OK(zct_store_trim(s, 0, NULL)); }
PLAY(trim, "trim", .before = before_trim, .act = act_trim, .names = {{"x", 9000, 1, 1}})

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
PLAY(fork, "fork", .ready = ready_fork, .act = act_fork, .names = {{"x", 100, 1, 1}})

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
static void fork_beside_create(zct_store *s, const char *file, const char *point)
{
    pthread_t thread;
    steps_call_at(file, point, wait_for_fork);
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
static void act_fork_in_create(zct_store *s) { fork_beside_create(s, "tensor/meta.c", "put_relaxed &d->nbytes"); }
static void act_fork_in_claim(zct_store *s) { fork_beside_create(s, "sync/owner.c", "cas_sc word"); }
PLAY(fork_in_create, "fork in a create", .act = act_fork_in_create, .names = {{"x", 100, 1, 1}},
     .flags = SWEEP_CHILDREN)
PLAY(fork_in_claim, "fork in a claim", .act = act_fork_in_claim, .names = {{"x", 100, 1, 1}},
     .flags = SWEEP_CHILDREN)

PLAY(fork_child, "fork, the child", .ready = ready_fork, .act = act_fork, .names = {{"x", 100, 1, 1}},
     .flags = SWEEP_CHILDREN)
