/* Threads and whole stores: two at a time, opened and closed, memory of the allocator, forks in the midst of work. */
#include "threads/crew.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static zct_store *stores[2];

static void open_both(void)
{
    stores[0] = test_store("one");
    stores[1] = test_store("two");
}

static void tell_what_is_left(zct_store *s)
{
    zct_list *list;
    zct_stat st = {.size = sizeof st};
    OK(zct_list_open(s, ZCT_LIST_ALL, &list));
    while (zct_list_next(list, &st) == 1)
        test_say("# left in %s: '%s', %llu bytes, serial %llu, state %d, %u holders, %u handles", zct_store_name(s), st.name,
                 (unsigned long long)st.nbytes, (unsigned long long)st.serial, st.state, st.holders, st.handles);
    zct_list_close(list);
}

static void close_both(void)
{
    for (int i = 0; i < 2; i++) {
        OK(zct_store_gc(stores[i], NULL, NULL));
        CHECK_STORE(stores[i]);
        CHECK_EQ(test_stats(stores[i]).names, 0);
        tell_what_is_left(stores[i]);
        zct_store_close(stores[i]);
    }
    CHECK_EQ(test_files(), 0);
}

static void in_both(struct hand *hand)
{
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        char name[32];
        zct_tensor *t, *u;
        zct_handle h;
        zct_store *s = stores[i % 2], *other = stores[(i + 1) % 2];
        snprintf(name, sizeof name, "of %u", hand->number);
        OK(crew_create(s, name, 200, (uint64_t)i, NULL, &t));
        if (test_failed())
            return;
        CHECK(zct_tensor_store(t) == s);
        CHECK_RC(zct_attach(other, name, 0, 0, &u), -ZCT_ENOTFOUND);
        OK(zct_handle_make(t, &h));
        CHECK_RC(zct_handle_take(other, &h, 0, &u), -ZCT_EMISMATCH);
        OK(zct_handle_take(s, &h, 0, &u));
        CHECK(crew_whole(u));
        zct_release(u);
        OK(zct_unlink(s, name));
        CHECK(crew_whole(t));
        zct_release(t);
    }
}

static void two_stores(void)
{
    open_both();
    crew_run(4, 3000, in_both);
    close_both();
}

/* ---- the allocator ---- */

enum { BLOCKS = 40 };

static void allocate(struct hand *hand)
{
    uint8_t *at[BLOCKS] = {0};
    size_t size[BLOCKS];
    zct_store *s = stores[0];
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        uint64_t r = test_random(&hand->random);
        unsigned k = (unsigned)(r % BLOCKS);
        if (at[k]) {
            CHECK(test_is_pattern(at[k], size[k], k + hand->number * 100));
            CHECK_EQ(zct_memory_owns(at[k], NULL), size[k]);
            zct_memory_free(s, at[k]);
            at[k] = NULL;
            continue;
        }
        size[k] = 1 + (r >> 8) % (r % 7 ? 300 : 40000);
        at[k] = zct_memory_alloc(s, size[k], r >> 63);
        if (at[k])
            test_pattern(at[k], size[k], k + hand->number * 100);
    }
    for (unsigned k = 0; k < BLOCKS; k++)
        zct_memory_free(s, at[k]);
}

static void allocator(void)
{
    open_both();
    crew_run(4, 10000, allocate);
    close_both();
}

/* Blocks that one thread makes and another frees or publishes. */
static struct { uint8_t *at; pthread_mutex_t lock; } shelf[8];

static void pass_on(struct hand *hand)
{
    zct_store *s = stores[0];
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        unsigned k = (unsigned)(test_random(&hand->random) % 8);
        uint8_t *mine = NULL;
        if (hand->number % 2) {
            mine = zct_memory_alloc(s, 1000, 0);
            if (mine)
                test_pattern(mine, 1000, 5);
        }
        pthread_mutex_lock(&shelf[k].lock);
        uint8_t *got = shelf[k].at;
        shelf[k].at = mine;
        pthread_mutex_unlock(&shelf[k].lock);
        if (!got)
            continue;
        CHECK(test_is_pattern(got, 1000, 5));
        if (i % 3 == 0) {
            int64_t shape;
            zct_spec spec = test_bytes(&shape, 1000);
            zct_create_options o = {.size = sizeof o, .exists = ZCT_EXISTS_REPLACE};
            zct_tensor *t;
            OK(zct_memory_publish(s, got, &spec, "published", &o, &t));
            CHECK(test_is_pattern(zct_tensor_view(t)->data, 1000, 5));
            zct_release(t);
        }
        zct_memory_free(s, got);
    }
}

static void blocks_passed_on(void)
{
    open_both();
    for (int i = 0; i < 8; i++)
        pthread_mutex_init(&shelf[i].lock, NULL);
    crew_run(4, 4000, pass_on);
    for (int i = 0; i < 8; i++)
        zct_memory_free(stores[0], shelf[i].at);
    zct_unlink(stores[0], "published");
    close_both();
}

/* ---- open and close ---- */

static void come_and_go(struct hand *hand)
{
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        zct_store *s = test_store("s");
        zct_tensor *t = NULL;
        char name[32];
        snprintf(name, sizeof name, "of %u", hand->number);
        OK(crew_create(s, name, 100, (uint64_t)i, NULL, &t));
        OK(zct_unlink(s, name));
        if (i % 2) { /* closed while attached: the last release leaves it */
            zct_store_close(s);
            CHECK(crew_whole(t));
            zct_release(t);
        } else {
            zct_release(t);
            zct_store_close(s);
        }
    }
}

static void opened_and_closed(void)
{
    crew_run(4, 400, come_and_go);
    zct_store_close(test_store("s")); /* two that leave at once may both stand back; the next one removes what is empty */
    CHECK_EQ(test_files(), 0);
}

/* The store is closed while threads still have arrays of it; then they end, each for itself. */
static zct_tensor *kept[CREW_MOST][50];

static void keep(struct hand *hand)
{
    for (int i = 0; i < 50; i++)
        OK(crew_create(stores[0], NULL, 3000, hand->number, NULL, &kept[hand->number][i]));
}

static void let_go(struct hand *hand)
{
    for (int i = 0; i < 50; i++) {
        CHECK(crew_whole(kept[hand->number][i]));
        zct_release(kept[hand->number][i]);
    }
}

static void closed_while_attached(void)
{
    for (int round = 0; round < 10; round++) {
        stores[0] = test_store("one");
        crew_run(4, 1, keep);
        zct_store_close(stores[0]);
        CHECK_EQ(test_files(), 1);
        crew_run(4, 1, let_go);
        CHECK_EQ(test_files(), 0);
    }
}

/* ---- fork in the midst of work ---- */

static volatile uint32_t stop;

static void work_until_stopped(struct hand *hand)
{
    if (hand->number == 0) {
        for (long i = 0; i < hand->rounds && !test_failed(); i++) {
            pid_t pid = fork();
            if (pid == 0) { /* a child of one thread: it holds what all of them held, and can work */
                alarm((unsigned)test_patience(60));
                zct_tensor *t = NULL;
                OK(zct_store_alive(stores[0]));
                OK(zct_attach(stores[0], "fixed", ZCT_MODE_READ, 0, &t));
                if (t)
                    CHECK(crew_whole(t));
                zct_release(t);
                t = NULL;
                OK(crew_create(stores[1], NULL, 100, 1, NULL, &t));
                if (t)
                    CHECK(crew_whole(t));
                zct_release(t);
                void *block = NULL; /* it is refused when a thread of the parent keeps the allocator's lock for long */
                while (!(block = zct_memory_alloc(stores[0], 500, 1)))
                    test_nap(1000000);
                zct_memory_free(stores[0], block);
                _exit(0);
            }
            REQUIRE(pid > 0);
            CHECK_EQ(test_wait(pid), 0);
        }
        __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
        return;
    }
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE) && !test_failed()) {
        struct hand few = *hand;
        few.rounds = 20;
        hand->number == 1 ? allocate(&few) : in_both(&few);
        hand->random = few.random + 1;
        zct_tensor *t = NULL;
        OK(zct_attach(stores[0], "fixed", ZCT_MODE_DEFAULT, 0, &t));
        zct_release(t);
    }
}

static void forks(void)
{
    if (TEST_ASAN)
        test_skip("AddressSanitizer's allocator may be locked in a child that is forked beside threads");
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 512, .max_members = 256};
    REQUIRE_OK(zct_store_open("one", &o, &stores[0]));
    REQUIRE_OK(zct_store_open("two", &o, &stores[1]));
    zct_tensor *t;
    OK(crew_create(stores[0], "fixed", 5000, 3, NULL, &t));
    zct_release(t);
    crew_run(4, 300, work_until_stopped);
    OK(zct_unlink(stores[0], "fixed"));
    close_both();
}

/* A thread that is in libc's calendar when the process forks: its lock is held in the child for ever. */
static void fork_beside_the_calendar(struct hand *hand)
{
    for (long i = 0; hand->number == 0 && i < hand->rounds && !test_failed(); i++) {
        pid_t pid = test_fork();
        if (pid == 0) {
            alarm(60);
            zct_tensor *t = NULL;
            CHECK_RC(crew_create(stores[0], "taken", 100, 1, NULL, &t), -ZCT_EEXISTS);
            CHECK(strstr(zct_last_error(), " UTC") != NULL); /* since when it is taken */
            _exit(0);
        }
        test_join(pid);
    }
    while (hand->number && !__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        time_t now = (time_t)(test_now() / 1000000000);
        struct tm parts;
        CHECK(localtime_r(&now, &parts) != NULL);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
}

static void fork_beside_libc(void)
{
#if defined(__SANITIZE_ADDRESS__)
    test_skip("AddressSanitizer's allocator may be locked in a child that is forked beside threads");
#endif
    open_both();
    volatile uint32_t *word = test_shared(64);
    pid_t holder = test_fork(); /* another process has the name, so that the sentence tells since when */
    if (holder == 0) {
        zct_tensor *t;
        OK(crew_create(stores[0], "taken", 100, 1, NULL, &t));
        test_set(word, 1);
        test_await(word, 2);
        zct_release(t);
        _exit(0);
    }
    test_await(word, 1);
    crew_run(2, 400, fork_beside_the_calendar);
    test_set(word, 2);
    test_join(holder);
    OK(zct_unlink(stores[0], "taken"));
    close_both();
}

TESTS({"two stores", two_stores, 120}, {"allocator", allocator, 120}, {"blocks passed on", blocks_passed_on, 120},
      {"opened and closed", opened_and_closed, 120}, {"closed while attached", closed_while_attached, 120},
      {"fork in the midst of work", forks, 120},
      {"fork beside libc's calendar", fork_beside_libc, 120})
