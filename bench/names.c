/* attach + release of ten hot names in stores of 10, 10,000 and 1,000,000 names (the stores are open at once and
 * take turns), and of names picked at random in the largest. Nothing is held by anybody. If the machine counts
 * cache misses for us, those of the random names are reported too. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIZES = 3, HOT = 10, NAME = 32, RANDOM = 1 << 16 };

static volatile unsigned char sink;

static void name_of(char name[NAME], int i) { snprintf(name, NAME, "model/layer.%d.weight", i); }

static zct_store *store_of(int names)
{
    char store_name[NAME];
    char name[NAME];
    int64_t shape;
    zct_spec spec = bench_spec(&shape, 8);
    zct_store *store;

    snprintf(store_name, sizeof store_name, "names-%d", names);
    store = bench_open(store_name, 0, (uint32_t)names + 64);
    for (int i = 0; i < names; i++) {
        zct_tensor *tensor;

        name_of(name, i);
        must(zct_create(store, name, &spec, name, NULL, NULL, &tensor), "create");
        zct_release(tensor);
    }
    return store;
}

static double attach_each(zct_store *store, const char (*names)[NAME], int count, int times)
{
    int64_t start = now_ns();

    for (int time = 0; time < times; time++) {
        for (int i = 0; i < count; i++) {
            zct_tensor *tensor;

            must(zct_attach(store, names[i], ZCT_MODE_DEFAULT, 0, &tensor), "attach");
            sink = *(volatile unsigned char *)zct_tensor_view(tensor)->data;
            zct_release(tensor);
        }
    }
    return (double)(now_ns() - start) / ((double)count * times);
}

/* Cache misses an attach, or a note why they are not known. */
static void count_misses(zct_store *store, const char (*names)[NAME])
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_HARDWARE, .size = sizeof attr, .config = PERF_COUNT_HW_CACHE_MISSES, .exclude_kernel = 1};
    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    uint64_t before = 0, after = 0;
    double each;

    if (fd < 0) {
        char note[200];

        snprintf(note, sizeof note, "cache misses: not counted, this machine has no such counter for us (%s)",
                 strerror(errno));
        note_report(note);
        return;
    }
    must_errno(read(fd, &before, sizeof before) == sizeof before, "perf counter");
    attach_each(store, names, RANDOM, 1);
    must_errno(read(fd, &after, sizeof after) == sizeof after, "perf counter");
    each = (double)(after - before) / RANDOM;
    values_report("names-random-misses", &each, 1);
    close(fd);
}

int main(void)
{
    static const char *const ids[SIZES] = {"names-hot-small", "names-hot-middle", "names-hot-many"};
    static double hot_times[SIZES][MAX_ROUNDS], random_times[MAX_ROUNDS];
    static char hot[SIZES][HOT][NAME], random_names[RANDOM][NAME];
    int sizes[SIZES] = {10, bench_quick() ? 1000 : 10000, bench_quick() ? 50000 : 1000000};
    int rounds = bench_quick() ? 21 : 101;
    double counts[SIZES];
    zct_store *stores[SIZES];

    srandom(1);
    for (int s = 0; s < SIZES; s++) {
        stores[s] = store_of(sizes[s]);
        counts[s] = sizes[s];
        for (int i = 0; i < HOT; i++)
            name_of(hot[s][i], (int)((int64_t)i * sizes[s] / HOT));
    }
    for (int i = 0; i < RANDOM; i++)
        name_of(random_names[i], (int)(random() % sizes[SIZES - 1]));
    for (int round = -1; round < rounds; round++) { /* the first one warms up */
        int at = round < 0 ? 0 : round;

        for (int k = 0; k < SIZES; k++) {
            int s = (k + at) % SIZES;

            attach_each(stores[s], (const char(*)[NAME])hot[s], HOT, 3); /* hot again after the others */
            hot_times[s][at] = attach_each(stores[s], (const char(*)[NAME])hot[s], HOT, 1000);
        }
        random_times[at] = attach_each(stores[SIZES - 1], (const char(*)[NAME])random_names, RANDOM, 1);
    }
    for (int s = 0; s < SIZES; s++)
        values_report(ids[s], hot_times[s], rounds);
    values_report("names-random", random_times, rounds);
    values_report("names-counts", counts, SIZES);
    count_misses(stores[SIZES - 1], (const char(*)[NAME])random_names);
    for (int s = 0; s < SIZES; s++) {
        zct_store_close(stores[s]);
        snprintf(hot[0][0], NAME, "names-%d", sizes[s]);
        must(zct_store_destroy(hot[0][0], NULL), "destroy");
    }
    return 0;
}
