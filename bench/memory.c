/* Memory of four worker processes on one model, all of it read: the sum of PSS over the mappings of the store's
 * payload, beside the processes' totals, and the totals of four workers with a private copy each. The process
 * that made the model has ended. Values are bytes. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORKERS = 4, TENSORS = 16 };

static uint64_t model_bytes;
static volatile uint64_t sink;

static void name_of(char name[32], int i) { snprintf(name, 32, "model/%d", i); }

static void maker(struct peer *self, void *argument)
{
    zct_store *store = bench_open(NULL, 0, 0);
    uint64_t part = model_bytes / TENSORS;
    void *source = bench_source(part);
    int64_t shape;
    zct_spec spec = bench_spec(&shape, part);

    (void)argument;
    for (int i = 0; i < TENSORS; i++) {
        zct_tensor *tensor;
        char name[32];

        name_of(name, i);
        must(zct_create(store, name, &spec, source, NULL, NULL, &tensor), "create");
        zct_release(tensor);
    }
    zct_store_close(store);
    peer_ready(self);
    peer_wait(self);
}

/* Sum of the lines "Pss: n kB" in /proc/self/FILE; with a path only in its mappings beyond `offset`. */
static double pss_of(const char *file, const char *path, uint64_t offset)
{
    FILE *maps = fopen(file, "r");
    bool counts = path == NULL;
    double sum = 0;
    char line[1024];

    must_errno(maps != NULL, file);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long from, to, at;
        unsigned long kib;

        if (sscanf(line, "%llx-%llx %*4s %llx", &from, &to, &at) == 3)
            counts = path == NULL || (strstr(line, path) != NULL && at + (to - from) > offset);
        else if (counts && sscanf(line, "Pss: %lu kB", &kib) == 1)
            sum += (double)kib * 1024;
    }
    fclose(maps);
    return sum;
}

struct job {
    bool private_copy;
};

/* Attaches (and copies), reads all, says so; measures when all have read. */
static void worker(struct peer *self, void *argument)
{
    const struct job *job = argument;
    uint64_t part = model_bytes / TENSORS;
    zct_store *store = bench_open(NULL, 0, 0);
    zct_tensor *tensors[TENSORS];
    uint64_t lowest = UINT64_MAX;
    char any;

    for (int i = 0; i < TENSORS; i++) {
        zct_stat stat = {.size = sizeof stat};
        char name[32];

        name_of(name, i);
        must(zct_attach(store, name, ZCT_MODE_READ, 0, &tensors[i]), "attach");
        must(zct_stat_tensor(tensors[i], &stat), "stat");
        lowest = stat.offset < lowest ? stat.offset : lowest;
        if (job->private_copy) {
            void *copy = malloc(part);

            must_errno(copy != NULL, "malloc");
            memcpy(copy, zct_tensor_view(tensors[i])->data, part);
            sink = bench_touch(copy, part);
            zct_release(tensors[i]);
            tensors[i] = NULL;
        } else {
            sink = bench_touch(zct_tensor_view(tensors[i])->data, part);
        }
    }
    if (job->private_copy) { /* its pages of the store's mapping shall not count: this worker stands alone */
        zct_store_close(store);
        store = NULL;
    }
    peer_ready(self);
    must_errno(read(self->from, &any, 1) == 1, "read from the starter");
    peer_send(self, store != NULL ? pss_of("/proc/self/smaps", zct_store_path(store), lowest) : 0);
    peer_send(self, pss_of("/proc/self/smaps_rollup", NULL, 0));
    peer_wait(self);
    for (int i = 0; i < TENSORS; i++)
        zct_release(tensors[i]);
    zct_store_close(store);
}

static void measure(bool private_copy, double *ret_payload, double *ret_total)
{
    struct job job = {private_copy};
    struct peer workers[WORKERS];

    *ret_payload = *ret_total = 0;
    for (int i = 0; i < WORKERS; i++)
        workers[i] = peer_start(worker, &job);
    for (int i = 0; i < WORKERS; i++) {
        must_errno(write(workers[i].to, "m", 1) == 1, "write to the worker");
        *ret_payload += peer_receive(&workers[i]);
        *ret_total += peer_receive(&workers[i]);
    }
    for (int i = 0; i < WORKERS; i++)
        peer_stop(&workers[i]);
}

int main(void)
{
    double values[5], none;
    struct peer made;

    model_bytes = bench_large() / 4;
    made = peer_start(maker, NULL);
    peer_stop(&made);
    measure(false, &values[1], &values[2]);
    measure(true, &none, &values[3]);
    values[0] = (double)model_bytes;
    values_report("memory", values, 4);
    must(zct_store_destroy(NULL, NULL), "destroy");
    return 0;
}
