/* crew.h - N threads of this process that do something for a while, at once. Also built for the thread sanitizer: all threads
 * share one mapping, so what it sees is what processes do to each other. */
#ifndef ZCT_TESTS_THREADS_CREW_H
#define ZCT_TESTS_THREADS_CREW_H

#include "support/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CREW_MOST = 16 };

struct hand {
    void (*work)(struct hand *hand);
    unsigned number, count;
    long rounds;
    uint64_t random; /* a stream of its own */
    long done[8];    /* whatever the work counts */
    pthread_t thread;
};

struct crew { struct hand hands[CREW_MOST]; unsigned count; };

static pthread_barrier_t crew_start;

static void *crew_one(void *argument)
{
    struct hand *hand = argument;
    pthread_barrier_wait(&crew_start);
    hand->work(hand);
    return NULL;
}

/* Run `work` in `count` threads, each for `rounds` (a tenth when quick), and wait for all. */
__attribute__((unused)) static struct crew crew_run(unsigned count, long rounds, void (*work)(struct hand *hand))
{
    struct crew crew = {.count = count};
    pthread_barrier_init(&crew_start, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        struct hand *hand = &crew.hands[i];
        *hand = (struct hand){.work = work, .number = i, .count = count, .rounds = test_quick() ? rounds / 10 + 1 : rounds,
                              .random = (uint64_t)test_now() * (i + 1)};
        REQUIRE(pthread_create(&hand->thread, NULL, crew_one, hand) == 0);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(crew.hands[i].thread, NULL);
    pthread_barrier_destroy(&crew_start);
    return crew;
}

__attribute__((unused)) static long crew_sum(const struct crew *crew, int which)
{
    long sum = 0;
    for (unsigned i = 0; i < crew->count; i++)
        sum += crew->hands[i].done[which];
    return sum;
}

/* Contents of a tensor that no thread changes once it is visible: torn or foreign bytes show. */
__attribute__((unused)) static bool crew_whole(const zct_tensor *t)
{
    const zct_view *v = zct_tensor_view(t);
    uint64_t seed;
    if (v->nbytes < 16)
        return v->nbytes == 0;
    memcpy(&seed, v->data, 8);
    return test_is_pattern((const uint8_t *)v->data + 8, v->nbytes - 8, seed);
}

/* Make `name` (NULL: nameless) of n >= 16 bytes that crew_whole accepts. */
__attribute__((unused)) static int crew_create(zct_store *s, const char *name, int64_t n, uint64_t seed,
                                               const zct_create_options *o, zct_tensor **ret)
{
    int64_t shape;
    zct_spec spec = test_bytes(&shape, n);
    uint8_t *data = malloc((size_t)n);
    memcpy(data, &seed, 8);
    test_pattern(data + 8, (size_t)n - 8, seed);
    int rc = zct_create(s, name, &spec, data, NULL, o, ret);
    free(data);
    return rc;
}

#endif
