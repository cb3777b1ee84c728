/* A 4 KiB create (+ unlink + release, untimed) alone, and while another process creates large tensors in cold
 * memory, one after the other. Counted are the creates that began while the other one was inside its create.
 * Values: microseconds, each create. What the machine's scheduler does is in both. */
#define _GNU_SOURCE
#include "bench.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NBYTES = 4096, MAX_SAMPLES = 200000 };

static struct shared {
    _Atomic int inside, stop, rounds;
} *shared;

static void large_creator(struct peer *self, void *argument)
{
    zct_store *store = bench_open(NULL, 0, 0);
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

static double create_small(zct_store *store, const void *source)
{
    int64_t shape;
    zct_spec spec = bench_spec(&shape, NBYTES);
    zct_tensor *tensor;
    int64_t start = now_ns();
    double took;

    must(zct_create(store, "small", &spec, source, NULL, NULL, &tensor), "create of the small one");
    took = (double)(now_ns() - start) / 1000;
    must(zct_unlink(store, "small"), "unlink");
    zct_release(tensor);
    return took;
}

int main(void)
{
    static double alone[MAX_SAMPLES], beside[MAX_SAMPLES];
    int rounds = bench_quick() ? 3 : 5;
    int counts[2] = {0, 0};
    struct peer peer;
    zct_store *store;
    void *source = bench_source(NBYTES);

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must_errno(shared != MAP_FAILED, "mmap");
    atomic_store(&shared->inside, -1);
    peer = peer_start(large_creator, NULL);
    store = bench_open(NULL, 0, 0);
    while (counts[0] < MAX_SAMPLES / 10) {
        alone[counts[0]++] = create_small(store, source);
        if (counts[0] % 16 == 0)
            usleep(20);
    }
    atomic_store(&shared->inside, 0);
    while (atomic_load(&shared->rounds) < rounds) {
        int inside = atomic_load(&shared->inside);
        double took = create_small(store, source);

        if (inside == 1 && counts[1] < MAX_SAMPLES)
            beside[counts[1]++] = took;
        if (counts[1] % 16 == 0)
            usleep(20);
    }
    atomic_store(&shared->stop, 1);
    peer_stop(&peer);
    values_report("small-alone", alone, counts[0]);
    values_report("small-beside-large", beside, counts[1]);
    zct_store_close(store);
    return 0;
}
