/* create of a large tensor from a private array, in two states of the memory beneath:
 * warm     - this process has faulted the extent in: against memcpy into a touched shared mapping with the same page size
 * resident - another process wrote the extent, this one never saw it: against pwrite into resident pages
 * Timed: the create alone. The result is looked at afterwards, a byte a page. */
#define _GNU_SOURCE
#include "bench.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static uint64_t nbytes;
static void *source;
static uint64_t source_sum;
static volatile uint64_t sink;
static bool last_was_huge;

static bool pages_are_huge(const void *at);

static double create_once(zct_store *store)
{
    int64_t shape;
    zct_spec spec = bench_spec(&shape, nbytes);
    zct_tensor *tensor;
    int64_t start = now_ns();
    double took;

    must(zct_create(store, "large", &spec, source, NULL, NULL, &tensor), "create");
    took = (double)(now_ns() - start);
    if (bench_touch(zct_tensor_view(tensor)->data, nbytes) != source_sum) {
        fprintf(stderr, "bench: the tensor differs from its source\n");
        _exit(1);
    }
    last_was_huge = pages_are_huge(zct_tensor_view(tensor)->data);
    must(zct_unlink(store, "large"), "unlink");
    zct_release(tensor);
    return took;
}

/* A file in /dev/shm as large as the tensor, every page of it there. */
static int resident_file(void)
{
    const char *name = bench_shm_name("copy");
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

    must_errno(fd >= 0, "shm_open");
    shm_unlink(name);
    must_errno(fallocate(fd, 0, 0, (off_t)nbytes) == 0, "fallocate");
    return fd;
}

/* Has the mapping at `at` mostly huge pages? */
static bool pages_are_huge(const void *at)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    unsigned long first, end, size = 0, huge = 0, value;
    bool inside = false;
    char line[512];

    must_errno(maps != NULL, "/proc/self/smaps");
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
            inside = (uintptr_t)at >= first && (uintptr_t)at < end;
        else if (inside && sscanf(line, "Rss: %lu kB", &value) == 1)
            size = value;
        else if (inside && sscanf(line, "ShmemPmdMapped: %lu kB", &value) == 1)
            huge = value;
    }
    fclose(maps);
    return 2 * huge > size;
}

static void measure_warm(int rounds)
{
    static struct figure figure = {.id = "create-large-warm"};
    zct_store *store = bench_open("warm", 0, 0);
    int fd = resident_file();
    unsigned char *plain = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    must_errno(plain != MAP_FAILED, "mmap");
    close(fd);
    memset(plain, 1, nbytes);
    for (int i = 0; i < 3; i++)
        create_once(store);
    if (last_was_huge) {
        note_report("warm extent in huge pages, the baseline's too");
        must_errno(madvise(plain, nbytes, MADV_COLLAPSE) == 0, "huge pages for the baseline");
        memset(plain, 1, nbytes);
    }
    figure.rounds = rounds;
    for (int i = 0; i < rounds; i++) {
        int64_t start;

        if (i % 2 == 0)
            figure.ours[i] = create_once(store);
        start = now_ns();
        memcpy(plain, source, nbytes);
        figure.base[i] = (double)(now_ns() - start);
        sink = bench_touch(plain, nbytes);
        if (i % 2 == 1)
            figure.ours[i] = create_once(store);
    }
    figure_report(&figure);
    munmap(plain, nbytes);
    must(zct_store_trim(store, 0, NULL), "trim");
    zct_store_close(store);
}

/* Makes the extent resident and stays a member, so that nobody trims it. */
static void writer(struct peer *self, void *argument)
{
    zct_store *store = bench_open("resident", 0, 0);

    (void)argument;
    create_once(store);
    peer_ready(self);
    peer_wait(self);
    must(zct_store_trim(store, 0, NULL), "trim");
    zct_store_close(store);
}

/* A new process each round: after one create the extent would be its own. */
static void stranger(struct peer *self, void *argument)
{
    zct_store *store = bench_open("resident", 0, 0);
    zct_store_stats before = {.size = sizeof before};
    int fd = *(int *)argument;
    bool ours_first = fd >= 0;
    double ours = 0;
    int64_t start;

    if (!ours_first)
        fd = -fd - 1;
    peer_ready(self);
    must(zct_store_stats_get(store, &before), "stats");
    if (before.warm_free < nbytes) {
        fprintf(stderr, "bench: the extent is not resident any more\n");
        _exit(1);
    }
    if (ours_first)
        ours = create_once(store);
    start = now_ns();
    for (uint64_t done = 0; done < nbytes;) {
        ssize_t part = pwrite(fd, (char *)source + done, nbytes - done, (off_t)done);

        must_errno(part > 0, "pwrite");
        done += (uint64_t)part;
    }
    peer_send(self, (double)(now_ns() - start));
    if (!ours_first)
        ours = create_once(store);
    peer_send(self, ours);
    zct_store_close(store);
}

static void measure_resident(int rounds)
{
    static struct figure figure = {.id = "create-large-resident"};
    struct peer keeper = peer_start(writer, NULL);
    int fd = resident_file();

    figure.rounds = rounds;
    for (int i = 0; i < rounds; i++) {
        int coded = i % 2 == 0 ? fd : -fd - 1;
        struct peer peer = peer_start(stranger, &coded);

        figure.base[i] = peer_receive(&peer);
        figure.ours[i] = peer_receive(&peer);
        peer_stop(&peer);
    }
    figure_report(&figure);
    peer_stop(&keeper);
    close(fd);
}

int main(void)
{
    int rounds = bench_quick() ? 7 : 11;

    nbytes = bench_large();
    source = bench_source(nbytes);
    source_sum = bench_touch(source, nbytes);
    measure_resident(rounds); /* before this process is a member itself */
    measure_warm(rounds);
    return 0;
}
