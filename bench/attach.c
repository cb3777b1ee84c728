/* attach + release of a 4 KiB tensor that another process made and holds, its first byte read,
 * against shm_open + mmap + the same read + munmap + close. Once while this process holds the tensor already,
 * and once while it does not. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NBYTES = 4096 };

static void hold(struct peer *self, void *argument)
{
    zct_store *store = bench_open(NULL, 0, 0);
    zct_tensor *tensor;
    int64_t shape;
    zct_spec spec = bench_spec(&shape, NBYTES);

    (void)argument;
    must(zct_create(store, "weights", &spec, bench_source(NBYTES), NULL, NULL, &tensor), "create");
    peer_ready(self);
    peer_wait(self);
    zct_release(tensor);
    must(zct_unlink(store, "weights"), "unlink");
    zct_store_close(store);
}

static volatile unsigned char sink;

static double ours(zct_store *store, int count)
{
    int64_t start = now_ns();

    for (int i = 0; i < count; i++) {
        zct_tensor *tensor;

        must(zct_attach(store, "weights", ZCT_MODE_DEFAULT, 0, &tensor), "attach");
        sink = *(volatile unsigned char *)zct_tensor_view(tensor)->data;
        zct_release(tensor);
    }
    return (double)(now_ns() - start) / count;
}

static double base(const char *name, int count)
{
    int64_t start = now_ns();

    for (int i = 0; i < count; i++) {
        int fd = shm_open(name, O_RDWR, 0);
        unsigned char *data = mmap(NULL, NBYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        must_errno(fd >= 0 && data != MAP_FAILED, "shm_open and mmap");
        sink = *(volatile unsigned char *)data;
        munmap(data, NBYTES);
        close(fd);
    }
    return (double)(now_ns() - start) / count;
}

static void measure(const char *id, zct_store *store, const char *name)
{
    static struct figure figure;
    int rounds = bench_quick() ? 21 : 201;

    figure.id = id;
    figure.rounds = rounds;
    ours(store, 10000);
    base(name, 100);
    for (int i = 0; i < rounds; i++) {
        if (i % 2 == 0)
            figure.ours[i] = ours(store, 10000);
        figure.base[i] = base(name, 100);
        if (i % 2 == 1)
            figure.ours[i] = ours(store, 10000);
    }
    figure_report(&figure);
}

int main(void)
{
    struct peer holder = peer_start(hold, NULL);
    zct_store *store = bench_open(NULL, 0, 0);
    const char *name = bench_shm_name("attach");
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    zct_tensor *held;

    must_errno(fd >= 0 && ftruncate(fd, NBYTES) == 0 && pwrite(fd, "x", 1, 0) == 1, "the baseline's segment");
    close(fd);
    measure("attach-not-held", store, name);
    must(zct_attach(store, "weights", ZCT_MODE_DEFAULT, 0, &held), "attach");
    measure("attach-held", store, name);
    zct_release(held);
    shm_unlink(name);
    zct_store_close(store);
    peer_stop(&holder);
    return 0;
}
