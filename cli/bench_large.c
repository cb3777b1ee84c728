/* What is bound by memory: a large tensor from a private array, in memory that nobody had and in memory that was there, and
 * one that was made in the store and gets its name. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

/* Create, timed; then it goes again. */
static double create_once(struct bench *bench)
{
    int64_t shape, start, took;
    zct_spec spec = bench_spec(&shape, bench->size);
    zct_tensor *tensor;
    int result;

    start = bench_now();
    result = zct_create(bench->store, "large", &spec, bench->source, NULL, NULL, &tensor);
    took = bench_now() - start;
    if (result < 0)
        return bench_failed(result);
    zct_release(tensor);
    result = zct_unlink(bench->store, "large");
    return result < 0 ? bench_failed(result) : (double)took;
}

static double cold_ours(struct bench *bench, int count)
{
    int result = zct_store_trim(bench->store, 0, NULL);

    (void)count; /* once */
    return result < 0 ? bench_failed(result) : create_once(bench);
}

static double warm_ours(struct bench *bench, int count)
{
    double first = create_once(bench); /* after a trim the first one is cold, the second one maps */

    (void)count;
    if (first < 0 || create_once(bench) < 0)
        return -1;
    return create_once(bench);
}

/* The standard way has no memory that is there already: each segment is a new file. */
static double fresh_base(struct bench *bench, int count)
{
    int64_t start = bench_now();
    int fd = open(bench->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    double took = -1;
    void *data = fd < 0 || ftruncate(fd, (off_t)bench->size) < 0
                     ? MAP_FAILED
                     : mmap(NULL, bench->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    (void)count;
    if (data != MAP_FAILED) {
        memcpy(data, bench->source, bench->size);
        took = (double)(bench_now() - start);
        munmap(data, bench->size);
    } else {
        took = bench_failed_errno("make a large file of the standard way");
    }
    if (fd >= 0)
        close(fd);
    unlink(bench->path);
    return took;
}

static double publish_ours(struct bench *bench, int count)
{
    int64_t shape, start, took = 0;
    zct_spec spec = bench_spec(&shape, bench->size);
    zct_tensor *tensor;

    for (int i = 0; i < count; i++) {
        int result = zct_create(bench->store, NULL, &spec, NULL, NULL, NULL, &tensor);

        if (result < 0)
            return bench_failed(result);
        start = bench_now();
        result = zct_publish(tensor, "large", NULL);
        took += bench_now() - start;
        zct_release(tensor);
        if (result >= 0)
            result = zct_unlink(bench->store, "large");
        if (result < 0)
            return bench_failed(result);
    }
    return (double)took / count;
}

const struct bench_figure bench_cold = {
    "copy-cold", "create in memory that nobody had", "shm_open, ftruncate, mmap, copy", cold_ours, fresh_base, 1, 1,
    true};
const struct bench_figure bench_warm = {"copy-warm",
                                        "create in memory of an ended tensor",
                                        "the same again: it has no such memory",
                                        warm_ours,
                                        fresh_base,
                                        1,
                                        1,
                                        true};
const struct bench_figure bench_publish = {"publish",
                                           "a name for what was made in the store",
                                           "the same again: it has to copy",
                                           publish_ours,
                                           fresh_base,
                                           100,
                                           1,
                                           true};
