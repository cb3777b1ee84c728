/* The lock of a tensor beside a process-shared pthread_rwlock: pairs of lock and unlock, nobody else there; the read pair while
 * another process reads all the time, beside the same alone; a snapshot of 1 MiB beside memcpy. */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAIRS = 20000, SNAPSHOT = 1 << 20, COPIES = 20 };

static zct_store *store;
static zct_tensor *tensor;
static pthread_rwlock_t *rwlock;
static char *out;

typedef int (*lock_fn)(zct_tensor *, int64_t, uint32_t, zct_lock_guard *);

static double ours(lock_fn lock)
{
    zct_lock_guard guard;
    int64_t start = now_ns();
    for (int i = 0; i < PAIRS; i++) {
        must(lock(tensor, ZCT_FOREVER, 0, &guard), "lock");
        must(zct_lock_release(&guard), "release");
    }
    return (double)(now_ns() - start) / PAIRS;
}

static double theirs(int (*lock)(pthread_rwlock_t *))
{
    int64_t start = now_ns();
    for (int i = 0; i < PAIRS; i++) {
        must_errno(lock(rwlock) == 0, "pthread_rwlock");
        must_errno(pthread_rwlock_unlock(rwlock) == 0, "pthread_rwlock_unlock");
    }
    return (double)(now_ns() - start) / PAIRS;
}

static void compare(const char *id, lock_fn lock, int (*other)(pthread_rwlock_t *))
{
    static struct figure figure;
    figure = (struct figure){.id = id, .rounds = bench_quick() ? 21 : 101};
    ours(lock);
    theirs(other);
    for (int i = 0; i < figure.rounds; i++) {
        if (i % 2 == 0)
            figure.ours[i] = ours(lock);
        figure.base[i] = theirs(other);
        if (i % 2 == 1)
            figure.ours[i] = ours(lock);
    }
    figure_report(&figure);
}

static void snapshots(void)
{
    static struct figure figure = {.id = "snapshot"};
    const void *data = zct_tensor_view(tensor)->data;
    figure.rounds = bench_quick() ? 21 : 101;
    for (int i = 0; i < figure.rounds; i++) {
        int64_t start = now_ns();
        for (int k = 0; k < COPIES; k++)
            must(zct_snapshot(tensor, out, SNAPSHOT, ZCT_FOREVER, NULL), "snapshot");
        int64_t middle = now_ns();
        for (int k = 0; k < COPIES; k++) {
            memcpy(out, data, SNAPSHOT);
            __asm__ volatile("" ::"r"(out) : "memory");
        }
        figure.ours[i] = (double)(middle - start) / COPIES;
        figure.base[i] = (double)(now_ns() - middle) / COPIES;
    }
    figure_report(&figure);
}

static int *reading; /* shared: 1: the other process reads, 0: it pauses, -1: it ends */

static void open_both(void)
{
    store = bench_open("locks", 16 << 20, 64);
    must(zct_attach(store, "t", ZCT_MODE_WRITE, 0, &tensor), "attach");
}

static void reader(struct peer *self, void *argument)
{
    zct_lock_guard guard;
    (void)argument;
    open_both();
    peer_ready(self);
    for (int state; (state = __atomic_load_n(reading, __ATOMIC_ACQUIRE)) >= 0;)
        for (int i = 0; state == 1 && i < 100; i++) {
            must(zct_tensor_read_lock(tensor, ZCT_FOREVER, 0, &guard), "lock");
            must(zct_lock_release(&guard), "release");
        }
    zct_release(tensor);
    zct_store_close(store);
}

static double beside(int state)
{
    __atomic_store_n(reading, state, __ATOMIC_RELEASE);
    double took = ours(zct_tensor_read_lock);
    __atomic_store_n(reading, 0, __ATOMIC_RELEASE);
    return took;
}

int main(void)
{
    static struct figure figure = {.id = "lock-read-beside"};
    pthread_rwlockattr_t shared;
    int64_t shape;
    zct_spec spec = bench_spec(&shape, SNAPSHOT);
    reading = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    rwlock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must_errno(reading != MAP_FAILED && rwlock != MAP_FAILED, "mmap");
    pthread_rwlockattr_init(&shared);
    pthread_rwlockattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    must_errno(pthread_rwlock_init(rwlock, &shared) == 0, "pthread_rwlock_init");
    out = bench_source(SNAPSHOT);
    store = bench_open("locks", 16 << 20, 64);
    must(zct_create(store, "t", &spec, out, NULL, NULL, &tensor), "create");
    zct_release(tensor);
    zct_store_close(store);

    struct peer other = peer_start(reader, NULL);
    open_both();
    figure.rounds = bench_quick() ? 21 : 101;
    beside(0);
    for (int i = 0; i < figure.rounds; i++) {
        figure.ours[i] = beside(1);
        figure.base[i] = beside(0);
    }
    figure_report(&figure);
    __atomic_store_n(reading, -1, __ATOMIC_RELEASE);
    peer_stop(&other);

    compare("lock-read", zct_tensor_read_lock, pthread_rwlock_rdlock);
    compare("lock-write", zct_tensor_write_lock, pthread_rwlock_wrlock);
    snapshots();
    zct_release(tensor);
    must(zct_unlink(store, "t"), "unlink");
    zct_store_close(store);
    return 0;
}
