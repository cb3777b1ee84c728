/* bench.h - a figure: the same thing done by the library and by the standard library's way, in turns.
 *
 * The standard way is what shm_open and mmap give, in C: a file in the same directory, opened and mapped by each who wants
 * it. Both sides run in rounds, each round times both, and the medians are shown. */
#ifndef ZCT_CLI_BENCH_H
#define ZCT_CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include <zct/zct.h>

enum { BENCH_ROUNDS = 201, BENCH_ROUNDS_LEAST = 3 };

struct bench {
    zct_store *store;      /* of our own, removed at the end */
    const char *directory; /* of the store, and of the standard way's files */
    char path[4352];       /* of the standard way's file */
    uint64_t size;         /* bytes of a large tensor */
    void *source;          /* so many private bytes, touched */
    int64_t budget;        /* ns for each figure */
};

/* One side: `count` times, returns ns for each, or a negative number after saying why not. */
typedef double (*bench_side)(struct bench *bench, int count);

struct bench_figure {
    const char *name;          /* for programs */
    const char *what, *standard; /* for people: what is done by us, and by the standard way */
    bench_side ours, base;
    int ours_count, base_count; /* times in a round */
    bool large;                /* moves bench->size bytes */
};

extern const struct bench_figure bench_attach, bench_create, bench_wait; /* bench_small.c */
extern const struct bench_figure bench_cold, bench_warm, bench_publish;  /* bench_large.c */

/* The other processes of bench_wait. Both say why not. */
bool bench_wait_begin(struct bench *bench);
void bench_wait_end(struct bench *bench);

int64_t bench_now(void); /* CLOCK_MONOTONIC */
/* True after Ctrl-C: whatever waits gives up. */
bool bench_interrupted(void);
/* The sentence of a library call that failed, or of a system call; returns -1. */
double bench_failed(int code);
double bench_failed_errno(const char *what);
/* A spec of `nbytes` bytes; *shape lives as long as it is used. */
zct_spec bench_spec(int64_t *shape, uint64_t nbytes);

#endif
