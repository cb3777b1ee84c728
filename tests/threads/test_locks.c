/* Threads and the lock of a tensor: exclusion without any other synchronisation, so the thread sanitizer sees what the lock
 * orders; guards released by other threads; more threads than lines. */
#include "threads/crew.h"

#include <unistd.h>

static zct_store *s;
static zct_tensor *t;
enum { WORDS = 64 };

static void open_one(void)
{
    s = test_store("s");
    int64_t shape;
    zct_spec spec = test_bytes(&shape, WORDS * 8);
    zct_create_options o = {.size = sizeof o, .zero = 1};
    REQUIRE_OK(zct_create(s, "w", &spec, NULL, NULL, &o, &t));
}
static void close_one(void)
{
    zct_lock_guard g;
    OK(zct_tensor_write_lock(t, 0, 0, &g)); /* nobody has it */
    OK(zct_lock_release(&g));
    CHECK_STORE(s);
    OK(zct_unlink(s, "w"));
    zct_release(t);
    zct_store_close(s);
}

/* Plain memory: all words are the same whenever nobody writes. */
static uint64_t look(void)
{
    const uint64_t *words = zct_tensor_view(t)->data;
    for (int i = 1; i < WORDS; i++)
        if (words[i] != words[0]) {
            test_fail(__FILE__, __LINE__, "torn: word %d is %llu, the first is %llu", i, (unsigned long long)words[i],
                      (unsigned long long)words[0]);
            break;
        }
    return words[0];
}

static void count_one(void)
{
    uint64_t *words = zct_tensor_view(t)->data, next = look() + 1;
    for (int i = 0; i < WORDS; i++)
        words[i] = next;
}

static void read_and_write(struct hand *hand)
{
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        zct_lock_guard g, more;
        uint64_t r = test_random(&hand->random) % 16;
        int64_t patience = r & 1 ? ZCT_FOREVER : (int64_t)(test_random(&hand->random) % 300000);
        int rc = r < 6 ? zct_tensor_write_lock(t, patience, 0, &g) : zct_tensor_read_lock(t, patience, 0, &g);
        if (rc == -ZCT_ETIMEDOUT && patience >= 0)
            continue;
        if (OK(rc) < 0)
            return;
        if (r < 6) {
            count_one();
            hand->done[0]++;
        } else {
            uint64_t before = look();
            if (r < 9) {
                OK(zct_tensor_read_lock(t, 0, 0, &more));
                if (r == 8) { /* the first one first */
                    zct_lock_guard swap = g;
                    g = more, more = swap;
                }
                OK(zct_lock_release(&more));
            }
            CHECK_EQ(look(), before);
        }
        OK(zct_lock_release(&g));
    }
}

static void exclusion(void)
{
    open_one();
    struct crew crew = crew_run(6, 30000, read_and_write);
    CHECK_EQ(look(), crew_sum(&crew, 0));
    close_one();
}

/* Guards go from hand to hand. */
static zct_lock_guard passed[CREW_MOST];
static uint32_t full[CREW_MOST];
static void pass_on(struct hand *hand)
{
    unsigned to = (hand->number + 1) % hand->count;
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        zct_lock_guard g;
        if (OK(zct_tensor_read_lock(t, ZCT_FOREVER, 0, &g)) < 0)
            return;
        look();
        if (!__atomic_load_n(&full[to], __ATOMIC_ACQUIRE)) {
            passed[to] = g;
            __atomic_store_n(&full[to], 1, __ATOMIC_RELEASE);
        } else {
            OK(zct_lock_release(&g));
        }
        if (__atomic_load_n(&full[hand->number], __ATOMIC_ACQUIRE)) {
            g = passed[hand->number];
            __atomic_store_n(&full[hand->number], 0, __ATOMIC_RELEASE);
            OK(zct_lock_release(&g));
        }
        int rc = zct_tensor_write_lock(t, 200000, 0, &g);
        if (rc == 0) {
            count_one();
            OK(zct_lock_release(&g));
        } else {
            CHECK(rc == -ZCT_ETIMEDOUT || rc == -ZCT_EDEADLOCK); /* one that we passed on is still there */
        }
    }
}
static void hand_to_hand(void)
{
    open_one();
    crew_run(4, 3000, pass_on);
    for (int i = 0; i < 4; i++)
        if (full[i])
            OK(zct_lock_release(&passed[i]));
    close_one();
}

/* Lines of threads that ended serve others; a lock that such a thread left stays locked. */
static zct_lock_guard left;
static void *lock_and_end(void *unused)
{
    (void)unused;
    OK(zct_tensor_read_lock(t, 0, 0, &left));
    return NULL;
}
static void *lock_a_while(void *unused)
{
    zct_lock_guard g;
    (void)unused;
    OK(zct_tensor_read_lock(t, ZCT_FOREVER, 0, &g));
    look();
    OK(zct_lock_release(&g));
    return NULL;
}
static void come_and_go(void)
{
    open_one();
    zct_lock_guard g;
    pthread_t one;
    REQUIRE(pthread_create(&one, NULL, lock_and_end, NULL) == 0);
    pthread_join(one, NULL);
    for (int i = 0; i < 400; i++) { /* more than a process has lines */
        REQUIRE(pthread_create(&one, NULL, lock_a_while, NULL) == 0);
        pthread_join(one, NULL);
    }
    CHECK_RC(zct_tensor_write_lock(t, 0, 0, &g), -ZCT_ETIMEDOUT);
    CHECK(zct_lock_held(&left));
    OK(zct_lock_release(&left));
    close_one();
}

/* Forks beside threads that lock: the child has none of their locks, and locks of its own. */
static void fork_beside(struct hand *hand)
{
    if (hand->number)
        return read_and_write(hand);
    for (int i = 0; i < (test_quick() ? 10 : 60) && !test_failed(); i++) {
        pid_t pid = test_fork();
        if (pid == 0) {
            zct_lock_guard g;
            for (int n = 0; n < 20; n++)
                if (OK(n % 4 ? zct_tensor_read_lock(t, ZCT_FOREVER, 0, &g)
                             : zct_tensor_write_lock(t, ZCT_FOREVER, 0, &g)) == 0) {
                    look();
                    OK(zct_lock_release(&g));
                }
            _exit(0);
        }
        test_join(pid);
    }
}
static void forks(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    test_skip("sanitizers and forks beside threads do not go together");
#endif
    open_one();
    crew_run(3, 20000, fork_beside);
    close_one();
}

TESTS({.name = "exclusion", .run = exclusion, .seconds = 120}, {"guards from hand to hand", hand_to_hand},
      {"threads come and go", come_and_go}, {.name = "forks beside", .run = forks, .seconds = 120})
