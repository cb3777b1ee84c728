/* A 4 KiB create alone, and while another process creates large tensors in cold memory, one after the other: once
 * with unlink + release after it (untimed), so that its memory comes back, and once keeping the tensor, so that
 * each takes memory that nobody had. Counted are the creates that began while the other one was inside its create.
 * Values: microseconds, each create. What the machine's scheduler does is in both. */
#define _GNU_SOURCE
#include "bench.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NBYTES = 4096, ALONE = 5000, BESIDE = 20000 /* samples of each kind */, MAX_NAMES = 200000 };

static struct shared {
    _Atomic int inside, stop, rounds;
} *shared;

static void large_creator(struct peer *self, void *argument)
{
    zct_store *store = bench_open(NULL, 0, MAX_NAMES);
    uint64_t nbytes = bench_large();
    void *source = bench_source(nbytes);
    int64_t shape;
    zct_spec spec = bench_spec(&shape, nbytes);

    (void)argument;
    peer_ready(self);
    while (atomic_load(&shared->inside) < 0)
        usleep(1000);
    while (!atomic_load(&shared->stop)) {
        zct_tensor *tensor;

        atomic_store(&shared->inside, 1);
        must(zct_create(store, "large", &spec, source, NULL, NULL, &tensor), "create of the large one");
        atomic_store(&shared->inside, 0);
        must(zct_unlink(store, "large"), "unlink");
        zct_release(tensor);
        must(zct_store_trim(store, 0, NULL), "trim"); /* cold again */
        atomic_fetch_add(&shared->rounds, 1);
    }
    peer_wait(self);
    zct_store_close(store);
}

/* `keep`: under a name of its own, which stays. */
static double create_small(zct_store *store, const void *source, bool keep)
{
    static int kept;
    char name[32] = "small";
    int64_t shape;
    zct_spec spec = bench_spec(&shape, NBYTES);
    zct_tensor *tensor;
    int64_t start;
    double took;

    if (keep)
        snprintf(name, sizeof name, "small-%d", kept++);
    start = now_ns();
    must(zct_create(store, name, &spec, source, NULL, NULL, &tensor), "create of the small one");
    took = (double)(now_ns() - start) / 1000;
    if (!keep)
        must(zct_unlink(store, name), "unlink");
    zct_release(tensor);
    return took;
}

int main(void)
{
    static double alone[2][ALONE], beside[2][BESIDE];
    int rounds = bench_quick() ? 4 : 6; /* the kinds take turns: one would use up what the other gives back */
    int counts[2] = {0, 0};
    struct peer peer;
    zct_store *store;
    void *source = bench_source(NBYTES);

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must_errno(shared != MAP_FAILED, "mmap");
    atomic_store(&shared->inside, -1);
    peer = peer_start(large_creator, NULL);
    store = bench_open(NULL, 0, MAX_NAMES);
    for (int i = 0; i < ALONE; i++) {
        alone[0][i] = create_small(store, source, false);
        if (i % 16 == 0)
            usleep(20);
    }
    for (int i = 0; i < ALONE; i++) {
        alone[1][i] = create_small(store, source, true);
        if (i % 16 == 0)
            usleep(20);
    }
    atomic_store(&shared->inside, 0);
    for (int i = 0, round; (round = atomic_load(&shared->rounds)) < rounds; i++) {
        int kind = round % 2;

        if (atomic_load(&shared->inside) == 1 && counts[kind] < BESIDE)
            beside[kind][counts[kind]++] = create_small(store, source, kind == 1);
        if (i % 16 == 0)
            usleep(100); /* spreads the samples over the whole of the other one's work */
    }
    atomic_store(&shared->stop, 1);
    peer_stop(&peer);
    values_report("small-alone", alone[0], ALONE);
    values_report("small-beside-large", beside[0], counts[0]);
    values_report("small-cold-alone", alone[1], ALONE);
    values_report("small-cold-beside-large", beside[1], counts[1]);
    zct_store_close(store);
    must(zct_store_destroy(NULL, NULL), "destroy");
    return 0;
}
