/* create + unlink (+ release) of a 4 KiB tensor, against shm_open + ftruncate + mmap + touch + munmap + close +
 * shm_unlink. Once with one byte written on both sides, once with 4 KiB copied in on both sides. The store is in
 * its steady state: the extent comes back each time. (POSIX hands out zeroed pages, the store does not.) */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { NBYTES = 4096 };

static double ours(zct_store *store, const void *source, int count)
{
    int64_t shape;
    zct_spec spec = bench_spec(&shape, NBYTES);
    int64_t start = now_ns();

    for (int i = 0; i < count; i++) {
        zct_tensor *tensor;

        must(zct_create(store, "small", &spec, source, NULL, NULL, &tensor), "create");
        if (source == NULL)
            *(volatile unsigned char *)zct_tensor_view(tensor)->data = 1;
        must(zct_unlink(store, "small"), "unlink");
        zct_release(tensor);
    }
    return (double)(now_ns() - start) / count;
}

static double base(const char *name, const void *source, int count)
{
    int64_t start = now_ns();

    for (int i = 0; i < count; i++) {
        int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        unsigned char *data;

        must_errno(fd >= 0 && ftruncate(fd, NBYTES) == 0, "shm_open and ftruncate");
        data = mmap(NULL, NBYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        must_errno(data != MAP_FAILED, "mmap");
        if (source != NULL)
            memcpy(data, source, NBYTES);
        else
            *(volatile unsigned char *)data = 1;
        munmap(data, NBYTES);
        close(fd);
        shm_unlink(name);
    }
    return (double)(now_ns() - start) / count;
}

static void measure(const char *id, zct_store *store, const void *source)
{
    static struct figure figure;
    const char *name = bench_shm_name("create");
    int rounds = bench_quick() ? 21 : 201;

    figure.id = id;
    figure.rounds = rounds;
    ours(store, source, 1000);
    base(name, source, 50);
    for (int i = 0; i < rounds; i++) {
        if (i % 2 == 0)
            figure.ours[i] = ours(store, source, 1000);
        figure.base[i] = base(name, source, 50);
        if (i % 2 == 1)
            figure.ours[i] = ours(store, source, 1000);
    }
    figure_report(&figure);
}

int main(void)
{
    zct_store *store = bench_open(NULL, 0, 0);
    void *source = bench_source(NBYTES);

    measure("create-touch", store, NULL);
    measure("create-copy", store, source);
    zct_store_close(store);
    return 0;
}
