/* The index: names that come, go and collide, tombstones, growth, beside a model. */
#include "support/test.h"

#include "tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static zct_store *s;

static zct_store *open_with(uint32_t names)
{
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = names, .max_members = 4};
    zct_store *got = NULL;
    REQUIRE_OK(zct_store_open("s", &o, &got));
    return got;
}

static uint32_t hash_of(const char *name)
{
    struct key key;
    REQUIRE(key_make(&key, name, strlen(name)) == 0);
    return key.hash;
}

static uint64_t make(const char *name)
{
    int64_t shape = 0;
    zct_spec spec = test_bytes(&shape, 0);
    zct_create_options replace = {.size = sizeof replace, .exists = ZCT_EXISTS_REPLACE};
    zct_tensor *a = NULL;
    REQUIRE_OK(zct_create(s, name, &spec, NULL, NULL, &replace, &a));
    uint64_t serial = zct_tensor_view(a)->serial;
    zct_release(a);
    return serial;
}

/* 0: not there */
static uint64_t found(const char *name)
{
    zct_tensor *a = NULL;
    int rc = zct_attach(s, name, ZCT_MODE_READ, 0, &a);
    if (rc < 0) {
        CHECK_EQ(rc, -ZCT_ENOTFOUND);
        return 0;
    }
    uint64_t serial = zct_tensor_view(a)->serial;
    zct_release(a);
    return serial;
}

/* ---- names that want the same cell ---- */

enum { CHAIN = 6 };
static char chain[CHAIN + 2][32];

/* CHAIN names whose first cell is the same, and two whose is the next one. */
static void find_chain(uint32_t mask, uint32_t at)
{
    unsigned n = 0, beside = 0;
    for (long i = 0; n < CHAIN || beside < 2; i++) {
        char name[32];
        snprintf(name, sizeof name, "chain %ld", i);
        uint32_t home = hash_of(name) & mask;
        if (home == at && n < CHAIN)
            strcpy(chain[n++], name);
        else if (home == ((at + 1) & mask) && beside < 2)
            strcpy(chain[CHAIN + beside++], name);
    }
}

static void check_chain(const uint64_t *serials)
{
    for (int i = 0; i < CHAIN + 2; i++)
        CHECK_EQ(found(chain[i]), serials[i]);
}

static void collisions_at(uint32_t home)
{
    uint64_t serials[CHAIN + 2] = {0}, state = home;
    unsigned mask = (1u << root_log2(get_relaxed(&s->words->root))) - 1;
    find_chain(mask, home & mask);
    for (int step = 0; step < (test_quick() ? 300 : 3000) && !test_failed(); step++) {
        int i = (int)(test_random(&state) % (CHAIN + 2));
        if (serials[i] && test_random(&state) % 2) {
            OK(zct_unlink(s, chain[i]));
            serials[i] = 0;
        } else {
            serials[i] = make(chain[i]); /* made, or replaced in the same cell */
        }
        check_chain(serials);
    }
    for (int i = 0; i < CHAIN + 2; i++)
        if (serials[i])
            OK(zct_unlink(s, chain[i]));
    CHECK_EQ(get_relaxed(&s->words->indexed), 0);
    CHECK_EQ(get_relaxed(&s->words->tombs), 0); /* an empty chain leaves none behind */
}

static void collisions(void)
{
    s = open_with(512);
    CHECK_EQ(root_log2(get_relaxed(&s->words->root)), 10);
    collisions_at(0);
    collisions_at(77);
    collisions_at(1023); /* which goes on at the table's beginning */
    CHECK_STORE(s);
    zct_store_close(s);
}

/* ---- growth ---- */

static void grows(void)
{
    enum { N = 16384 };
    uint64_t *serials = calloc(N, sizeof *serials);
    s = open_with(N);
    char name[32];
    unsigned log2 = 10;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "name %d", i);
        serials[i] = make(name);
        unsigned now = root_log2(get_relaxed(&s->words->root));
        CHECK(now == log2 || now == log2 + 1);
        if (now != log2) { /* half full: nobody is lost on the way */
            log2 = now;
            for (int k = 0; k <= i; k++) {
                snprintf(name, sizeof name, "name %d", k);
                CHECK_EQ(found(name), serials[k]);
            }
        }
        CHECK(((uint64_t)get_relaxed(&s->words->indexed) + get_relaxed(&s->words->tombs)) * 2 <= 1ull << log2);
    }
    CHECK_EQ(log2, 15);
    CHECK_EQ(get_relaxed(&s->words->indexed), N);
    CHECK_STORE(s);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "name %d", i);
        OK(zct_unlink(s, name));
    }
    CHECK_EQ(get_relaxed(&s->words->indexed), 0);
    CHECK_STORE(s);
    free(serials);
    zct_store_close(s);
}

/* ---- at random, long enough for many rebuilds by tombstones ---- */

static void at_random(void)
{
    enum { N = 400 };
    uint64_t serials[N] = {0}, state = (uint64_t)test_now();
    char name[300];
    uint32_t live = 0, rebuilt = 0;
    uint64_t root = 0;
    test_say("# seed %llu", (unsigned long long)state);
    s = open_with(512);
    for (int step = 0; step < (test_quick() ? 5000 : 60000) && !test_failed(); step++) {
        int i = (int)(test_random(&state) % N);
        /* short ones, long ones, ones that differ at their end alone */
        snprintf(name, sizeof name, "%0*d/%d", i % 3 ? i % 7 : 60 + i % 190, 0, i);
        CHECK_EQ(found(name), serials[i]);
        switch (test_random(&state) % 3) {
        case 0:
            live += !serials[i];
            serials[i] = make(name);
            break;
        default:
            if (!serials[i])
                break;
            OK(zct_unlink(s, name));
            serials[i] = 0;
            live--;
        }
        CHECK_EQ(found(name), serials[i]);
        CHECK_EQ(get_relaxed(&s->words->indexed), live);
        rebuilt += get_relaxed(&s->words->root) != root;
        root = get_relaxed(&s->words->root);
        if (step % 2000 == 0)
            CHECK_STORE(s);
    }
    test_say("# the index was filled anew %u times", rebuilt);
    /* a rebuild at any moment changes nothing for those who look */
    REQUIRE(al_lock(s, deadline_in(NS_PER_S)) == 0);
    index_rebuild(s, root_log2(get_relaxed(&s->words->root)));
    index_rebuild(s, root_log2(get_relaxed(&s->words->root)));
    al_unlock(s);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%0*d/%d", i % 3 ? i % 7 : 60 + i % 190, 0, i);
        CHECK_EQ(found(name), serials[i]);
        if (serials[i])
            OK(zct_unlink(s, name));
    }
    CHECK_STORE(s);
    zct_store_close(s);
}

/* A look-up that a change overtakes is told so; one that nothing overtook is final. */
static void look_ups(void)
{
    struct lookup l;
    s = open_with(512);
    make("a");
    uint32_t hash = hash_of("a");
    lookup_start(s, &l, hash);
    uint32_t t = lookup_next(s, &l);
    CHECK(t != NO_DESC);
    CHECK(lookup_same(&l));
    CHECK(index_settled(s, &l));
    CHECK_EQ(lookup_next(s, &l), NO_DESC);
    CHECK_EQ(lookup_next(s, &l), NO_DESC);
    lookup_start(s, &l, hash);
    t = lookup_next(s, &l);
    OK(zct_unlink(s, "a"));
    CHECK(!lookup_same(&l)); /* the cell that led here is another's */
    CHECK(index_settled(s, &l));
    REQUIRE(al_lock(s, deadline_in(NS_PER_S)) == 0);
    index_rebuild(s, 10);
    al_unlock(s);
    CHECK(!index_settled(s, &l));
    CHECK(index_cell(s, t, hash) == NULL);
    /* damaged cells: descriptors that cannot be are no candidates */
    sh32 *cells = index_at(s, root_which(get_relaxed(&s->words->root)));
    for (uint32_t i = 0; i < 1024; i++)
        put_relaxed(&cells[i], cell_make(0xfffff0, hash));
    lookup_start(s, &l, hash);
    CHECK_EQ(lookup_next(s, &l), NO_DESC); /* and a full table is an end too */
    for (uint32_t i = 0; i < 1024; i++)
        put_relaxed(&cells[i], CELL_NONE);
    CHECK_STORE(s);
    zct_store_close(s);
}

TESTS({"collisions", collisions}, {"grows", grows}, {"at random", at_random}, {"look-ups", look_ups})
