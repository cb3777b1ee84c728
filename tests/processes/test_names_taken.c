/* Names that are taken: by another, by this process, by the dead, by a pinned tensor, by a handle; races for one name. */
#include "processes/peer.h"

#include <stdio.h>

static zct_store *s;
static zct_tensor *a;

enum { SIZE = 3000 };

static int open_store(long unused)
{
    (void)unused;
    s = test_store("s");
    return 0;
}

static int make(long seed)
{
    return test_create(s, "w", SIZE, (uint64_t)seed, NULL, &a);
}

static int make_owned(long lifetime)
{
    zct_create_options o = how(ZCT_EXISTS_ERROR, (int)lifetime);
    return test_create(s, "w", SIZE, 1, &o, &a);
}

static int attach(long mode) { return zct_attach(s, "w", (int)mode, 0, &a); }

static int release(long unused)
{
    (void)unused;
    zct_release(a);
    a = NULL;
    return 0;
}

static void has(long seed)
{
    zct_tensor *t;
    OK(zct_attach(s, "w", ZCT_MODE_READ, 0, &t));
    CHECK(test_is_pattern(zct_tensor_view(t)->data, SIZE, (uint64_t)seed));
    zct_release(t);
}

static void end(void)
{
    CHECK_STORE(s);
    if (there(s, "w"))
        OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

static struct peer beside(void)
{
    struct peer p = peer_new();
    open_store(0);
    CHECK_EQ(peer_do(&p, open_store, 0), 0);
    return p;
}

static void by_another(void)
{
    struct peer p = beside();
    CHECK_EQ(peer_do(&p, make, 1), 0);
    CHECK_RC(make(2), -ZCT_EEXISTS);
    char text[32];
    snprintf(text, sizeof text, "pid %d", (int)p.pid);
    SAYS("'w'");
    SAYS("uint8 3000");
    SAYS("generation 1");
    SAYS("store 's'");
    SAYS(text);
    SAYS("exists=\"replace\"");
    SAYS("zct rm");
    has(1);
    CHECK_STORE(s);
    peer_end(&p);
    end();
}

static void by_this_process(void)
{
    open_store(0);
    OK(make(1));
    zct_tensor *first = a;
    CHECK_RC(make(2), -ZCT_EEXISTS);
    SAYS("this process");
    has(1);
    zct_release(first);
    /* nobody has it any more: a leftover, though its maker lives */
    CHECK_RC(make(3), ZCT_REPLACED);
    CHECK_EQ(zct_tensor_view(a)->generation, 2);
    has(3);
    release(0);
    end();
}

static void by_the_dead(bool orderly)
{
    struct peer p = beside();
    CHECK_EQ(peer_do(&p, make, 1), 0);
    zct_stat before = stat_of(s, "w");
    if (orderly)
        peer_end(&p);
    else
        peer_kill(&p);
    CHECK_RC(make(2), ZCT_REPLACED);
    CHECK_EQ(zct_tensor_view(a)->generation, 2);
    CHECK(zct_tensor_view(a)->serial > before.serial);
    has(2);
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_EQ(test_stats(s).names, 1); /* the old one went */
    release(0);
    end();
}

/* exists="owned": what nobody holds is no leftover while its maker lives. */
static void by_its_maker(void)
{
    zct_create_options o = how(ZCT_EXISTS_OWNED, ZCT_PERSISTENT);
    zct_tensor *b = NULL;
    struct peer p = beside();
    CHECK_EQ(peer_do(&p, make, 1), 0);
    CHECK_RC(test_create(s, "w", SIZE, 2, &o, &b), -ZCT_EEXISTS); /* held */
    SAYS("in use by");
    CHECK_EQ(peer_do(&p, release, 0), 0);
    CHECK_RC(test_create(s, "w", SIZE, 2, &o, &b), -ZCT_EEXISTS); /* not held */
    char text[32];
    snprintf(text, sizeof text, "pid %d", (int)p.pid);
    SAYS("made and kept by");
    SAYS(text);
    has(1);
    zct_tensor *nameless;
    OK(test_create(s, NULL, SIZE, 2, NULL, &nameless));
    CHECK_RC(zct_publish(nameless, "w", &o), -ZCT_EEXISTS);
    peer_kill(&p);
    CHECK_RC(zct_publish(nameless, "w", &o), ZCT_REPLACED);
    has(2);
    zct_release(nameless);
    CHECK_RC(test_create(s, "w", SIZE, 3, &o, &b), -ZCT_EEXISTS); /* ours, let go */
    SAYS("this process");
    OK(zct_unlink(s, "w"));
    OK(test_create(s, "w", SIZE, 3, &o, &b));
    zct_release(b);
    end();
}

static void by_the_killed(void) { by_the_dead(false); }
static void by_one_that_left(void) { by_the_dead(true); }

static void by_a_forked_child(void)
{
    open_store(0);
    OK(make(1));
    volatile uint32_t *word = test_shared(4);
    pid_t pid = test_fork();
    if (pid == 0) {
        test_set(word, 1);
        test_await(word, 2);
        _exit(0);
    }
    test_await(word, 1);
    release(0);
    CHECK_RC(make(2), -ZCT_EEXISTS); /* the child has what its parent had */
    test_set(word, 2);
    test_join(pid);
    CHECK_RC(make(2), ZCT_REPLACED);
    release(0);
    end();
}

static void by_a_handle(void)
{
    struct peer p = beside();
    CHECK_EQ(peer_do(&p, make, 1), 0);
    OK(attach(0));
    zct_handle h;
    OK(zct_handle_make(a, &h));
    release(0);
    CHECK_EQ(peer_do(&p, release, 0), 0);
    CHECK_EQ(peer_do(&p, make, 2), -ZCT_EEXISTS);
    CHECK(strstr(p.board->error, "in use by") != NULL);
    OK(zct_handle_cancel(s, &h));
    CHECK_EQ(peer_do(&p, make, 2), ZCT_REPLACED);
    peer_end(&p);
    end();
}

static void by_a_pinned_one(void)
{
    struct peer p = beside();
    CHECK_EQ(peer_do(&p, make_owned, ZCT_PINNED), 0);
    peer_kill(&p);
    CHECK_RC(make(2), -ZCT_EEXISTS);
    SAYS("pinned");
    SAYS("'w'");
    zct_gc_options unheld = {.size = sizeof unheld, .flags = ZCT_GC_UNHELD};
    OK(zct_store_gc(s, &unheld, NULL));
    has(1);
    zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
    OK(test_create(s, "w", SIZE, 4, &o, &a));
    CHECK_EQ(zct_tensor_view(a)->generation, 2);
    CHECK_EQ(stat_of(s, "w").lifetime, ZCT_PERSISTENT);
    release(0);
    end();
}

static void replace(void)
{
    struct peer p = beside();
    CHECK_EQ(peer_do(&p, make, 1), 0);
    OK(attach(0));
    zct_tensor *old = a;
    zct_create_options o = how(ZCT_EXISTS_REPLACE, ZCT_PERSISTENT);
    for (uint64_t i = 2; i < 50; i++) {
        OK(test_create(s, "w", SIZE, i, &o, &a));
        CHECK_EQ(zct_tensor_view(a)->generation, i);
        CHECK(test_is_pattern(zct_tensor_view(old)->data, SIZE, 1)); /* its holders keep the old one */
        has((long)i);
        release(0);
    }
    CHECK_EQ(zct_tensor_is_linked(old), 0);
    CHECK_EQ(test_stats(s).names, 2);
    zct_release(old);
    CHECK_EQ(test_stats(s).names, 2);
    CHECK_EQ(peer_do(&p, release, 0), 0);
    CHECK_EQ(test_stats(s).names, 1);
    /* replace where there is nothing: made */
    OK(zct_unlink(s, "w"));
    OK(test_create(s, "w", SIZE, 9, &o, &a));
    CHECK_EQ(zct_tensor_view(a)->generation, 1);
    release(0);
    peer_end(&p);
    end();
}

static void join(void)
{
    struct peer p = beside();
    zct_create_options o = how(ZCT_EXISTS_ATTACH, ZCT_PERSISTENT);
    OK(test_create(s, "w", SIZE, 1, &o, &a));
    CHECK_EQ(zct_tensor_is_maker(a), 1);
    zct_tensor *b = NULL;
    CHECK_RC(test_create(s, "w", SIZE, 2, &o, &b), ZCT_ATTACHED);
    CHECK_EQ(zct_tensor_is_maker(b), 0); /* not this attachment */
    CHECK(zct_tensor_view(b)->data == zct_tensor_view(a)->data);
    has(1); /* nothing was copied */
    zct_release(b);
    b = NULL;
    CHECK_RC(test_create(s, "w", SIZE + 1, 2, &o, &b), -ZCT_EMISMATCH);
    SAYS("uint8 3000");
    SAYS("uint8 3001");
    CHECK(b == NULL);
    int64_t shape = SIZE;
    zct_spec spec = test_bytes(&shape, SIZE);
    spec.dtype.code = ZCT_INT;
    strcpy(spec.dtype.name, "int8");
    CHECK_RC(zct_create(s, "w", &spec, NULL, NULL, &o, &b), -ZCT_EMISMATCH);
    SAYS("int8");
    CHECK_EQ(stat_of(s, "w").holders, 1);
    CHECK_EQ(peer_do(&p, attach, 0), 0);
    CHECK_EQ(stat_of(s, "w").holders, 2);
    peer_end(&p);
    release(0);
    end();
}

/* What a struct is, its descriptor says; the name of its dtype is for people. */
static void join_struct(void)
{
    static const char floats[] = "{\"fields\":[[\"x\",\"<f4\",0]],\"itemsize\":4}";
    static const char ints[] = "{\"fields\":[[\"x\",\"<i4\",0]],\"itemsize\":4}";
    open_store(0);
    zct_create_options o = how(ZCT_EXISTS_ATTACH, ZCT_PERSISTENT);
    int64_t shape = 3;
    zct_spec spec = {.size = sizeof spec, .ndim = 1, .shape = &shape, .descriptor = floats, .descriptor_len = sizeof floats - 1,
                     .dtype = {.code = ZCT_STRUCT, .lanes = 1, .itemsize = 4, .name = "struct{x:f4}"}};
    zct_tensor *b = NULL;
    OK(zct_create(s, "w", &spec, NULL, NULL, &o, &a));
    strcpy(spec.dtype.name, "struct");
    CHECK_RC(zct_create(s, "w", &spec, NULL, NULL, &o, &b), ZCT_ATTACHED);
    CHECK(zct_tensor_view(b)->data == zct_tensor_view(a)->data);
    zct_release(b);
    b = NULL;
    spec.descriptor = ints;
    CHECK_RC(zct_create(s, "w", &spec, NULL, NULL, &o, &b), -ZCT_EMISMATCH);
    SAYS("'w'");
    spec.descriptor_len = 0;
    CHECK_RC(zct_create(s, "w", &spec, NULL, NULL, &o, &b), -ZCT_EMISMATCH);
    CHECK(b == NULL);
    CHECK_EQ(stat_of(s, "w").holders, 1);
    release(0);
    end();
}

/* Two creators race for one name: one wins, the other is told; in each mode. */
struct race { uint32_t go; int result[2]; };
static struct race *race;

static int run_race(long argument)
{
    int me = (int)argument & 1;
    zct_create_options o = how((int)argument >> 1, ZCT_PERSISTENT);
    __atomic_fetch_add(&race->go, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&race->go, __ATOMIC_ACQUIRE) < 2) {
    }
    race->result[me] = test_create(s, "w", SIZE, (uint64_t)me, &o, &a);
    return race->result[me];
}

static void race_for(int exists)
{
    race = test_shared(sizeof *race);
    struct peer p = beside();
    int rounds = test_quick() ? 50 : 400, won[2] = {0};
    for (int i = 0; i < rounds; i++) {
        race->go = 0;
        peer_ask(&p, run_race, exists << 1 | 1);
        int mine = run_race(exists << 1), its = peer_answer(&p);
        if (exists == ZCT_EXISTS_ERROR) {
            CHECK((mine == 0 && its == -ZCT_EEXISTS) || (its == 0 && mine == -ZCT_EEXISTS));
            won[mine == 0 ? 0 : 1]++;
            has(mine == 0 ? 0 : 1);
        } else if (exists == ZCT_EXISTS_ATTACH) {
            CHECK((mine == 0 && its == ZCT_ATTACHED) || (its == 0 && mine == ZCT_ATTACHED));
            has(mine == 0 ? 0 : 1);
            CHECK_EQ(stat_of(s, "w").holders, 2);
        } else {
            CHECK_EQ(mine, 0);
            CHECK_EQ(its, 0);
            CHECK_EQ(stat_of(s, "w").generation, 2);
            has(stat_of(s, "w").serial == zct_tensor_view(a)->serial ? 0 : 1);
        }
        CHECK(test_is_pattern(mine >= 0 ? zct_tensor_view(a)->data : "", mine >= 0 ? SIZE : 0,
                              mine == ZCT_ATTACHED ? 1 : 0));
        OK(zct_unlink(s, "w"));
        if (mine >= 0)
            release(0);
        if (its >= 0)
            CHECK_EQ(peer_do(&p, release, 0), 0);
        if (test_failed())
            break;
    }
    CHECK_EQ(test_stats(s).names, 0);
    peer_end(&p);
    end();
}

static void race_error(void) { race_for(ZCT_EXISTS_ERROR); }
static void race_replace(void) { race_for(ZCT_EXISTS_REPLACE); }
static void race_attach(void) { race_for(ZCT_EXISTS_ATTACH); }

/* Whoever attaches while a name is made, replaced and unlinked all the time sees nothing or a whole tensor. */
static int make_and_end(long rounds)
{
    uint64_t seed = 0;
    for (long i = 0; i < rounds; i++) {
        zct_create_options o = how(i % 3 ? ZCT_EXISTS_REPLACE : ZCT_EXISTS_ERROR, ZCT_PERSISTENT);
        zct_tensor *t = NULL;
        int rc = test_create(s, "w", 64 + (int64_t)(seed % 7) * 1000, seed, &o, &t);
        if (rc < 0 && rc != -ZCT_EEXISTS)
            return rc;
        seed++;
        zct_release(t);
        if (i % 3 == 2 && zct_unlink(s, "w") < 0)
            return -1;
    }
    return 0;
}

/* One run of the maker, looked at all the while. Returns how often the tensor was there. */
static long watch_the_window(struct peer *p, uint64_t *last_serial)
{
    long seen = 0, missed = 0;
    peer_ask(p, make_and_end, test_quick() ? 3000 : 20000);
    while (!peer_answered(p)) {
        zct_tensor *t;
        int rc = zct_attach(s, "w", ZCT_MODE_READ, 0, &t);
        if (rc == -ZCT_ENOTFOUND) {
            missed++;
            continue;
        }
        OK(rc);
        if (rc < 0)
            break;
        const zct_view *v = zct_tensor_view(t);
        uint64_t seed = (v->nbytes - 64) / 1000; /* modulo 7: try the seeds of this size */
        bool whole = false;
        CHECK_EQ((v->nbytes - 64) % 1000, 0);
        for (uint64_t x = seed; x < 21000 && !whole; x += 7)
            whole = test_is_pattern(v->data, v->nbytes, x);
        CHECK(whole);
        CHECK(v->serial >= *last_serial);
        *last_serial = v->serial;
        seen++;
        zct_release(t);
    }
    CHECK_EQ(peer_answer(p), 0);
    test_say("# attached %ld times, missed %ld times", seen, missed);
    return seen;
}

static void attach_in_the_window(void)
{
    struct peer p = beside();
    uint64_t last_serial = 0;
    long seen = 0;
    /* On one busy core a whole run can pass while this process is not scheduled: then another one. */
    while (seen == 0 && !test_failed())
        seen = watch_the_window(&p, &last_serial);
    peer_end(&p);
    OK(zct_store_gc(s, NULL, NULL));
    end();
}

TESTS({"taken by another", by_another}, {"taken by this process", by_this_process}, {"taken by the killed", by_the_killed},
      {"taken by one that left", by_one_that_left}, {"taken by a forked child", by_a_forked_child},
      {"taken by a handle in flight", by_a_handle}, {"taken by its maker", by_its_maker}, {"taken and pinned", by_a_pinned_one},
      {"replace", replace}, {"exists attach", join}, {"exists attach, struct", join_struct}, {"two race, error", race_error},
      {"two race, replace", race_replace},
      {"two race, attach", race_attach}, {"attach in the window of a create", attach_in_the_window})
