/* scenes of the crash sweep: open, close, destroy, and a file that is removed behind everybody's back. Included by test_sweep.c. */

/* ---- open, close ---- */

static void act_open(zct_store *s)
{
    zct_store_options o = {.size = sizeof o, .capacity = 32u << 20, .max_names = 64, .max_members = 6};
    OK(zct_store_open("sweep", &o, &s));
}
PLAY(birth, "birth", .act = act_open, .flags = SWEEP_NO_STORE | SWEEP_OPENS | SWEEP_ALONE_ONLY)

PLAY(birth_by_rename, "birth by rename", .act = act_open,
     .flags = SWEEP_NO_STORE | SWEEP_OPENS | SWEEP_ALONE_ONLY | SWEEP_NO_TMPFILE)

PLAY(join, "join", .act = act_open, .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_OPENS)

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
PLAY(join_full, "join, all slots the dead's", .before = die_in_all_slots, .act = act_open,
     .names = {{"keep", 100, 1, 1}}, .flags = SWEEP_OPENS | SWEEP_DIED | SWEEP_ALONE_ONLY)

static void act_close(zct_store *s) { zct_store_close(s); }
static void act_exit(zct_store *s)
{
    (void)s;
    exit(0);
}
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
PLAY(close, "close", .ready = ready_hold, .act = act_close, .names = {{"keep", 100, 1, 1}})

PLAY(close_last, "close the last", .ready = ready_hold, .act = act_close, .flags = SWEEP_NO_STORE | SWEEP_ALONE_ONLY)

PLAY(exit, "exit", .ready = ready_hold, .act = act_exit, .names = {{"keep", 100, 1, 1}})

static void act_destroy(zct_store *s)
{
    (void)s;
    OK(zct_store_destroy("sweep", NULL));
}
PLAY(destroy, "destroy", .act = act_destroy, .names = {{"keep", 100, 1, 0}}, .flags = SWEEP_OPENS | SWEEP_GONE)

/* ---- the file is removed behind everybody's back ---- */

static void remove_file(zct_store *s) { CHECK_EQ(unlink(zct_store_path(s)), 0); }
static void act_miss(zct_store *s) { CHECK_RC(zct_attach(s, "nobody", ZCT_MODE_READ, 0, &held), -ZCT_EGONE); }
PLAY(removed, "removed, a miss", .ready = remove_file, .act = act_miss, .names = {{"keep", 100, 1, 0}},
     .flags = SWEEP_GONE)

static void act_stats_gone(zct_store *s)
{
    zct_store_stats stats = {.size = sizeof stats};
    CHECK_RC(zct_store_stats_get(s, &stats), -ZCT_EGONE);
}
PLAY(removed_stats, "removed, stats", .ready = remove_file, .act = act_stats_gone, .names = {{"keep", 100, 1, 0}},
     .flags = SWEEP_GONE)
