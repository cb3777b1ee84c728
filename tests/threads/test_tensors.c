/* Threads that make, replace, find, publish, send and end tensors of the same few names: each sees nothing or a whole tensor. */
#include "threads/crew.h"

#include <stdio.h>

static zct_store *s;
enum { NAMES = 12 };

static void name_of(uint64_t i, char *to) { snprintf(to, 32, i % 2 ? "n%u" : "a much longer name %u", (unsigned)(i % NAMES)); }

static void start(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 32u << 20, .max_names = 1024, .max_members = 8};
    REQUIRE_OK(zct_store_open("s", &o, &s));
}

static void finish(void)
{
    for (unsigned i = 0; i < NAMES; i++) {
        char name[32];
        name_of(i, name);
        zct_unlink(s, name);
    }
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).used, 0);
    CHECK_EQ(test_stats(s).handles, 0);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

static int64_t a_size(struct hand *hand)
{
    uint64_t r = test_random(&hand->random);
    return 16 + (int64_t)((r >> 8) % (r % 16 == 0 ? 300000 : r % 3 ? 500 : 9000));
}

static void attach_one(struct hand *hand, const char *name, int mode)
{
    zct_tensor *t;
    int rc = zct_attach(s, name, mode, 0, &t);
    if (rc == -ZCT_ENOTFOUND) {
        hand->done[1]++;
        return;
    }
    if (rc == -ZCT_EACCES) /* sealed by another thread */
        return;
    OK(rc);
    if (rc < 0)
        return;
    hand->done[0]++;
    CHECK(crew_whole(t));
    if (test_random(&hand->random) % 4 == 0) {
        zct_tensor *again;
        OK(zct_attach_again(t, ZCT_MODE_READ, &again));
        zct_release(t);
        t = again;
        CHECK(crew_whole(t));
    }
    zct_release(t);
}

static void create_one(struct hand *hand, const char *name)
{
    static const int lifetimes[] = {ZCT_PERSISTENT, ZCT_PERSISTENT, ZCT_OWNER, ZCT_LAST};
    uint64_t r = test_random(&hand->random);
    zct_create_options o = {.size = sizeof o, .exists = (int)(r % 3), .lifetime = lifetimes[r / 3 % 4],
                            .sealed = r / 16 % 5 == 0};
    zct_tensor *t;
    int rc = crew_create(s, name, a_size(hand), r, &o, &t);
    if (rc >= 0) {
        hand->done[2]++;
        CHECK(crew_whole(t));
        zct_release(t);
    } else {
        CHECK(rc == -ZCT_EEXISTS || (rc == -ZCT_EMISMATCH && o.exists == ZCT_EXISTS_ATTACH));
    }
}

static void publish_one(struct hand *hand, const char *name)
{
    zct_tensor *t;
    uint64_t r = test_random(&hand->random);
    zct_create_options o = {.size = sizeof o, .exists = r % 2 ? ZCT_EXISTS_REPLACE : ZCT_EXISTS_ERROR};
    OK(crew_create(s, NULL, a_size(hand), r, NULL, &t));
    int rc = zct_publish(t, name, &o);
    CHECK(rc >= 0 || rc == -ZCT_EEXISTS);
    CHECK(crew_whole(t));
    hand->done[3] += rc >= 0;
    zct_release(t);
}

static void send_one(struct hand *hand)
{
    zct_tensor *t, *got;
    zct_handle h;
    OK(crew_create(s, NULL, a_size(hand), test_random(&hand->random), NULL, &t));
    OK(zct_handle_make(t, &h));
    zct_release(t);
    if (test_random(&hand->random) % 3 == 0) {
        OK(zct_handle_cancel(s, &h));
        return;
    }
    OK(zct_handle_take(s, &h, ZCT_MODE_DEFAULT, &got));
    CHECK(crew_whole(got));
    zct_release(got);
    hand->done[4]++;
}

static void anything(struct hand *hand)
{
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        char name[32];
        uint64_t r = test_random(&hand->random);
        name_of(r >> 32, name);
        switch (r % 16) {
        case 0: case 1: case 2: create_one(hand, name); break;
        case 3: publish_one(hand, name); break;
        case 4: case 5: {
            int rc = zct_unlink(s, name);
            CHECK(rc == 0 || rc == -ZCT_ENOTFOUND);
            break;
        }
        case 6: send_one(hand); break;
        case 7: {
            zct_stat st = {.size = sizeof st};
            int rc = zct_stat_name(s, name, &st);
            CHECK(rc == -ZCT_ENOTFOUND || (rc == 0 && !strcmp(st.name, name)));
            break;
        }
        case 8: if (r >> 8 & 1) attach_one(hand, name, ZCT_MODE_COW); break;
        case 9: attach_one(hand, name, ZCT_MODE_READ); break;
        default: attach_one(hand, name, ZCT_MODE_DEFAULT);
        }
    }
}

static void all_at_once(void)
{
    start();
    struct crew crew = crew_run(6, 6000, anything);
    test_say("# %ld attached, %ld missed, %ld made, %ld published, %ld sent", crew_sum(&crew, 0), crew_sum(&crew, 1),
             crew_sum(&crew, 2), crew_sum(&crew, 3), crew_sum(&crew, 4));
    CHECK(crew_sum(&crew, 0) > 0 && crew_sum(&crew, 2) > 0);
    finish();
}

/* One name that is always there, replaced all the time: no look-up ever misses, and generations never go back. */
static void replace_or_look(struct hand *hand)
{
    uint64_t last = 0;
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        zct_tensor *t = NULL;
        if (hand->number < 2) {
            zct_create_options o = {.size = sizeof o, .exists = ZCT_EXISTS_REPLACE};
            OK(crew_create(s, "n1", a_size(hand), test_random(&hand->random), &o, &t));
        } else {
            OK(zct_attach(s, "n1", ZCT_MODE_READ, 0, &t));
        }
        if (!t)
            return;
        CHECK(crew_whole(t));
        CHECK(zct_tensor_view(t)->generation >= last);
        last = zct_tensor_view(t)->generation;
        zct_release(t);
    }
}

static void always_there(void)
{
    zct_tensor *t;
    start();
    OK(crew_create(s, "n1", 100, 1, NULL, &t));
    zct_release(t);
    crew_run(6, 5000, replace_or_look);
    finish();
}

/* N creators, one name, exists error: one wins each time. */
static volatile uint32_t winners;

static void race(struct hand *hand)
{
    zct_tensor *t = NULL;
    int rc = crew_create(s, "n1", 64, hand->number, NULL, &t);
    CHECK(rc == 0 || rc == -ZCT_EEXISTS);
    if (rc == 0) {
        __atomic_fetch_add(&winners, 1, __ATOMIC_RELAXED);
        hand->done[0] = (long)(uintptr_t)t;
    }
}

static void one_winner(void)
{
    start();
    for (int i = 0; i < (test_quick() ? 30 : 300) && !test_failed(); i++) {
        winners = 0;
        struct crew crew = crew_run(4, 1, race);
        CHECK_EQ(winners, 1);
        OK(zct_unlink(s, "n1"));
        zct_release((zct_tensor *)(uintptr_t)crew_sum(&crew, 0));
    }
    finish();
}

/* Threads that wait for names which others bring. */
static void bring_or_wait(struct hand *hand)
{
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        char name[64];
        zct_tensor *t = NULL;
        snprintf(name, sizeof name, "late %u %ld", hand->number / 2, i);
        if (hand->number % 2) {
            OK(zct_attach(s, name, ZCT_MODE_READ, 60000000000ll, &t));
            if (!t)
                return;
            CHECK(crew_whole(t));
            OK(zct_unlink(s, name));
        } else {
            if (i % 8 == 0)
                test_nap(100000);
            OK(crew_create(s, name, 100, (uint64_t)i, NULL, &t));
        }
        zct_release(t);
    }
}

static void waiting(void)
{
    start();
    crew_run(6, 1500, bring_or_wait);
    finish();
}

/* Lists and checks beside all that: a list is one moment, a check of a sound store finds nothing. */
static void look_or_work(struct hand *hand)
{
    if (hand->number) {
        anything(hand);
        return;
    }
    for (long i = 0; i < hand->rounds / 20 && !test_failed(); i++) {
        zct_list *list;
        zct_stat st = {.size = sizeof st};
        OK(zct_list_open(s, i % 2 ? ZCT_LIST_ALL : 0, &list));
        int n = 0;
        while (zct_list_next(list, &st) == 1) {
            CHECK(st.state == ZCT_STATE_BEING_MADE || (st.ndim == 1 && st.shape[0] == (int64_t)st.nbytes));
            n++;
        }
        zct_list_close(list);
        CHECK(n <= NAMES + 64);
        CHECK_STORE(s);
        (void)test_stats(s);
        if (i % 4 == 0)
            OK(zct_store_gc(s, NULL, NULL));
        if (i % 16 == 0)
            OK(zct_store_trim(s, 0, NULL));
    }
}

static void looking(void)
{
    start();
    crew_run(4, 3000, look_or_work);
    finish();
}

TESTS({"all at once", all_at_once, 120}, {"always there", always_there, 120}, {"one winner", one_winner}, {"waiting", waiting},
      {"looking", looking, 120})
