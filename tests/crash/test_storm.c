/* test_storm.c - workers with several threads do whatever comes, and are killed, stopped and continued at random moments.
 * Each contents tells its seed, so a torn or foreign one is noticed by whoever reads it. ZCT_STORM_KILLS says how many
 * kills (default 300), ZCT_STORM_SEED repeats a run as far as the scheduler allows. */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 5, THREADS = 2, SHARED_NAMES = 12, HELD = 6, LETTERS = 16 };
#define WITH(...) (&(zct_create_options){.size = sizeof(zct_create_options), __VA_ARGS__})

struct letter {
    uint32_t full;
    uint64_t seed;
    zct_handle handle;
};

struct board {
    uint64_t operations, forks, vetoes, busy, taken, leaves;
    int64_t longest; /* ns that one operation took in a process that was not stopped meanwhile */
    char longest_what[32];
    uint32_t over;
    uint32_t stopped[WORKERS]; /* how often */
    struct letter letters[LETTERS];
};

static struct board *board;

/* Contents: 8 bytes of seed, then the pattern of that seed. Sizes follow from the seed. */
static size_t size_of(uint64_t seed)
{
    static const size_t sizes[] = {16, 100, 1000, 4000, 5000, 20000, 70000};
    return sizes[seed % 7];
}

static void fill(uint8_t *to, uint64_t seed)
{
    test_pattern(to, size_of(seed), seed);
    memcpy(to, &seed, 8);
}

static void verify(const zct_tensor *a, const char *how)
{
    const zct_view *v = zct_tensor_view(a);
    uint64_t seed = 0;
    uint8_t expected[70000];
    if (v->nbytes >= 8)
        memcpy(&seed, v->data, 8);
    if (v->nbytes != size_of(seed)) {
        test_fail(__FILE__, __LINE__, "%s: %llu bytes with seed %llx", how, (unsigned long long)v->nbytes,
                  (unsigned long long)seed);
        return;
    }
    fill(expected, seed);
    if (memcmp(expected, v->data, v->nbytes))
        test_fail(__FILE__, __LINE__, "%s: torn contents, seed %llx", how, (unsigned long long)seed);
}

static zct_store *open_it(void)
{
    zct_store_options o = {.size = sizeof o, .capacity = 32u << 20, .max_names = 1024, .max_members = 32};
    zct_store *s = NULL;
    int rc = zct_store_open("storm", &o, &s);
    if (rc == -ZCT_EBUSY)
        rc = zct_store_open("storm", &o, &s); /* somebody stands stopped in the door, and goes on soon */
    REQUIRE_OK(rc);
    return s;
}

/* ---- a worker's thread ---- */

struct actor {
    zct_store *store;
    uint64_t random;
    zct_tensor *held[HELD];
    unsigned worker;
};

static void allow(int rc, const char *what)
{
    switch (rc) {
    case -ZCT_EBUSY: __atomic_fetch_add(&board->busy, 1, __ATOMIC_RELAXED); return;
    case -ZCT_EEXISTS: __atomic_fetch_add(&board->vetoes, 1, __ATOMIC_RELAXED); return;
    case -ZCT_ENOTFOUND:
    case -ZCT_EMISMATCH:
    case -ZCT_ENOTWHOLE:
    case -ZCT_EACCES:
    case -ZCT_EFULL:
    case -ZCT_ETOOMANYHANDLES: return;
    default:
        if (rc < 0)
            test_fail(__FILE__, __LINE__, "%s: %s: %s", what, zct_error_name(rc), zct_last_error());
    }
}

static void keep(struct actor *me, zct_tensor *a)
{
    unsigned i = (unsigned)(test_random(&me->random) % HELD);
    if (me->held[i])
        verify(me->held[i], "held");
    zct_release(me->held[i]);
    me->held[i] = a;
}

static void pick_name(struct actor *me, char *to, size_t size)
{
    uint64_t r = test_random(&me->random);
    if (r % 5 == 0)
        snprintf(to, size, "a/long/name/of/more/than/sixty-four/bytes/which/lies/in/an/aux/block/%u",
                 (unsigned)(r >> 8) % 4);
    else
        snprintf(to, size, "n%u", (unsigned)(r >> 8) % SHARED_NAMES);
}

static void create(struct actor *me, bool nameless)
{
    uint8_t data[70000];
    char name[128];
    uint64_t seed = test_random(&me->random), r = test_random(&me->random);
    int64_t shape;
    zct_spec spec = test_bytes(&shape, (int64_t)size_of(seed));
    zct_tensor *a = NULL;
    fill(data, seed);
    pick_name(me, name, sizeof name);
    int rc = zct_create(
        me->store, nameless ? NULL : name, &spec, data, NULL,
        WITH(.exists = (int)(r % 3), .lifetime = r % 8 == 1 ? 0 : (int)((r >> 8) & 3), .timeout_ns = 2000000000), &a);
    allow(rc, "create");
    if (rc >= 0) {
        if (rc != ZCT_ATTACHED &&
            (zct_tensor_view(a)->nbytes != size_of(seed) || memcmp(zct_tensor_view(a)->data, data, size_of(seed))))
            test_fail(__FILE__, __LINE__, "a new tensor has other contents");
        keep(me, a);
    }
}

static void attach(struct actor *me)
{
    char name[128];
    zct_tensor *a = NULL;
    pick_name(me, name, sizeof name);
    int rc = zct_attach(me->store, name, ZCT_MODE_READ, 0, &a);
    allow(rc, "attach");
    if (rc == 0) {
        verify(a, "attached");
        keep(me, a);
    }
}

static void publish(struct actor *me)
{
    unsigned i = (unsigned)(test_random(&me->random) % HELD);
    char name[128];
    pick_name(me, name, sizeof name);
    if (me->held[i])
        allow(zct_publish(me->held[i], name,
                          WITH(.exists = (int)(test_random(&me->random) % 2), .timeout_ns = 2000000000)),
              "publish");
}

static void memory(struct actor *me)
{
    uint64_t seed = test_random(&me->random);
    uint8_t *block = zct_memory_alloc(me->store, size_of(seed), 0);
    if (!block)
        return;
    fill(block, seed);
    if (seed & 1 << 20) {
        char name[128];
        zct_tensor *a = NULL;
        int64_t shape;
        zct_spec spec = test_bytes(&shape, (int64_t)size_of(seed));
        pick_name(me, name, sizeof name);
        int rc = zct_memory_publish(me->store, block, &spec, name,
                                    WITH(.exists = ZCT_EXISTS_REPLACE, .timeout_ns = 2000000000), &a);
        allow(rc, "memory publish");
        if (rc >= 0)
            keep(me, a);
    }
    uint8_t expected[70000];
    fill(expected, seed);
    if (memcmp(expected, block, size_of(seed)))
        test_fail(__FILE__, __LINE__, "somebody wrote into a block of ours");
    zct_memory_free(me->store, block);
}

/* Letters lie on the board: whoever comes first takes them, some twice, some stay until their sender is dead. */
static void send_or_take(struct actor *me)
{
    uint64_t r = test_random(&me->random);
    struct letter *l = &board->letters[r % LETTERS];
    zct_tensor *a = me->held[(r >> 8) % HELD];
    uint32_t empty = 0, full = 2;
    if (a && __atomic_compare_exchange_n(&l->full, &empty, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        int rc = zct_handle_make(a, &l->handle);
        allow(rc, "handle");
        __atomic_store_n(&l->full, rc == 0 ? 2 : 0, __ATOMIC_RELEASE);
    } else if (__atomic_compare_exchange_n(&l->full, &full, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        zct_handle h = l->handle;
        __atomic_store_n(&l->full, r & 1 << 16 ? 0 : 2, __ATOMIC_RELEASE);
        int rc = zct_handle_take(me->store, &h, ZCT_MODE_READ, &a);
        allow(rc == -ZCT_EMISMATCH ? 0 : rc, "take");
        if (rc == 0) {
            verify(a, "taken");
            __atomic_fetch_add(&board->taken, 1, __ATOMIC_RELAXED);
            keep(me, a);
        }
    }
}

static void fork_one(struct actor *me)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < HELD; i++)
            if (me->held[i])
                verify(me->held[i], "inherited");
        attach(me);
        create(me, false);
        if (test_random(&me->random) & 1)
            exit(0);
        _exit(0);
    }
    if (pid > 0) {
        __atomic_fetch_add(&board->forks, 1, __ATOMIC_RELAXED);
        waitpid(pid, NULL, 0);
    }
}

static const char *act(struct actor *me)
{
    uint64_t r = test_random(&me->random) % 100;
    char name[128];
    if (r < 25)
        return create(me, r < 6), "create";
    if (r < 60)
        return attach(me), "attach";
    if (r < 70) {
        pick_name(me, name, sizeof name);
        return allow(zct_unlink(me->store, name), "unlink"), "unlink";
    }
    if (r < 75)
        return publish(me), "publish";
    if (r < 82)
        return memory(me), "memory";
    if (r < 92)
        return send_or_take(me), "handle";
    if (r < 94)
        return keep(me, NULL), "release";
    if (r == 94)
        return allow(zct_store_gc(me->store, NULL, NULL), "gc"), "gc";
    if (r == 95)
        return allow(zct_store_trim(me->store, 0, NULL), "trim"), "trim";
    if (r == 96 && me->held[0])
        return allow(zct_seal(me->held[0]), "seal"), "seal";
    if (r == 97 && !TEST_ASAN)
        return fork_one(me), "fork";
    return keep(me, NULL), "release";
}

static void *live(void *argument)
{
    struct actor *me = argument;
    while (!__atomic_load_n(&board->over, __ATOMIC_ACQUIRE) && !test_failed()) {
        uint32_t stops = __atomic_load_n(&board->stopped[me->worker], __ATOMIC_ACQUIRE);
        int64_t start = test_now();
        const char *what = act(me);
        int64_t took = test_now() - start;
        if (stops == __atomic_load_n(&board->stopped[me->worker], __ATOMIC_ACQUIRE) && took > board->longest) {
            board->longest = took;
            snprintf(board->longest_what, sizeof board->longest_what, "%s", what);
        }
        __atomic_fetch_add(&board->operations, 1, __ATOMIC_RELAXED);
    }
    for (int i = 0; i < HELD; i++)
        zct_release(me->held[i]);
    return NULL;
}

static void work(unsigned worker, uint64_t seed)
{
    static struct actor actors[THREADS];
    pthread_t threads[THREADS];
    zct_store *s = open_it();
    if (seed % 8 == 0) { /* an orderly life now and then */
        zct_store_close(s);
        __atomic_fetch_add(&board->leaves, 1, __ATOMIC_RELAXED);
        s = open_it();
    }
    for (int i = 0; i < THREADS; i++) {
        actors[i] = (struct actor){.store = s, .random = seed + (uint64_t)i, .worker = worker};
        REQUIRE(pthread_create(&threads[i], NULL, live, &actors[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    zct_store_close(s);
    _exit(0);
}

/* ---- who kills ---- */

static pid_t hire(unsigned worker, uint64_t *random)
{
    uint64_t seed = test_random(random);
    pid_t pid = test_fork();
    if (pid == 0)
        work(worker, seed);
    return pid;
}

static void last_look(void *unused)
{
    (void)unused;
    zct_store *s = open_it();
    OK(zct_store_gc(s, NULL, NULL));
    CHECK_STORE(s);
    zct_list *list;
    zct_stat stat = {.size = sizeof stat};
    REQUIRE_OK(zct_list_open(s, ZCT_LIST_ALL, &list));
    while (zct_list_next(list, &stat) == 1) {
        zct_tensor *a;
        CHECK_EQ(stat.state, ZCT_STATE_NAMED);
        CHECK_EQ(stat.holders, 0);
        if (stat.state == ZCT_STATE_NAMED && OK(zct_attach(s, stat.name, ZCT_MODE_READ, 0, &a)) == 0) {
            verify(a, "left");
            zct_release(a);
            OK(zct_unlink(s, stat.name));
        }
    }
    zct_list_close(list);
    OK(zct_store_trim(s, 0, NULL));
    zct_store_stats stats = test_stats(s);
    CHECK_EQ(stats.names, 0);
    CHECK_EQ(stats.used, 0);
    CHECK_EQ(stats.warm_free, 0);
    CHECK_EQ(stats.handles, 0);
    CHECK_EQ(stats.members, 1);
    CHECK_STORE(s);
    zct_store_close(s);
}

static void storm(void)
{
    long kills = test_env("ZCT_STORM_KILLS", test_quick() ? 60 : 300);
    uint64_t seed = (uint64_t)test_env("ZCT_STORM_SEED", (long)(test_now() & 0x7fffffff)), random = seed;
    board = test_shared(sizeof *board);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t workers[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = hire(i, &random);
    long killed = 0, stops = 0;
    int64_t start = test_now();
    while (killed < kills && !test_failed()) {
        test_nap(500000 + (int64_t)(test_random(&random) % 8000000));
        uint64_t r = test_random(&random);
        unsigned i = (unsigned)(r % WORKERS);
        int status = 0;
        if (r % 7 == 0) {
            __atomic_fetch_add(&board->stopped[i], 1, __ATOMIC_RELEASE);
            kill(workers[i], SIGSTOP);
            test_nap((int64_t)(r >> 8) % 20000000);
            kill(workers[i], SIGCONT);
            __atomic_fetch_add(&board->stopped[i], 1, __ATOMIC_RELEASE);
            stops++;
            continue;
        }
        kill(workers[i], SIGKILL);
        waitpid(workers[i], &status, 0);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
            test_fail(__FILE__, __LINE__, "a worker ended by itself (%x)", (unsigned)status);
        killed++;
        for (pid_t orphan; (orphan = waitpid(-1, &status, WNOHANG)) > 0;)
            for (unsigned w = 0; w < WORKERS; w++)
                if (orphan == workers[w])
                    test_fail(__FILE__, __LINE__, "a worker ended by itself (%x)", (unsigned)status),
                        workers[w] = hire(w, &random);
        workers[i] = hire(i, &random);
    }
    test_set(&board->over, 1);
    for (unsigned i = 0; i < WORKERS; i++)
        test_join(workers[i]);
    for (int status; waitpid(-1, &status, 0) > 0;)
        continue;
    test_say(
        "# seed %llu: %ld kills, %ld stops, %llu operations, %llu forks, %llu handles taken, %llu names refused, %llu times busy, "
        "longest stall %.1f ms (%s), %.1f s",
        (unsigned long long)seed, killed, stops, (unsigned long long)board->operations,
        (unsigned long long)board->forks, (unsigned long long)board->taken, (unsigned long long)board->vetoes,
        (unsigned long long)board->busy, (double)board->longest / 1e6, board->longest_what,
        (double)(test_now() - start) / 1e9);
    test_join(test_spawn(last_look, NULL, false));
    CHECK_EQ(test_files(), 0);
}

TESTS({.name = "kill storm", .run = storm, .seconds = 100000})
