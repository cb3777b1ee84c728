/* bench.h - what the benchmarks in C share. They see zct.h alone, as everybody does.
 *
 * A benchmark measures in rounds; each round times ours and the baseline, in turns that one goes first, so that
 * what disturbs the machine disturbs both. It prints one JSON line a figure; run.py makes the table.
 * The environment comes from run.py: ZCT_DIR (a directory that it removes afterwards), ZCT_BENCH_TOKEN (begins
 * the name of everything else that is made in /dev/shm), ZCT_BENCH_LARGE (bytes of a large tensor),
 * ZCT_BENCH_QUICK. */
#ifndef ZCT_BENCH_H
#define ZCT_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <zct/zct.h>

#define MAX_ROUNDS 401

int64_t now_ns(void); /* CLOCK_MONOTONIC */
bool bench_quick(void);
uint64_t bench_large(void);
/* "/TOKEN-what" for shm_open. Static storage, until the next call. */
const char *bench_shm_name(const char *what);

/* End the benchmark with a sentence if a library call, or a system call, failed. */
void must(int result, const char *what);
void must_errno(bool fine, const char *what);

zct_store *bench_open(const char *name, uint64_t capacity, uint32_t max_names);
/* A spec of `nbytes` bytes, one dimension; *shape lives as long as the spec is used. */
zct_spec bench_spec(int64_t *shape, uint64_t nbytes);
/* Private memory, all of it touched. */
void *bench_source(uint64_t nbytes);
/* Read a byte in each page of what was made, so that it is known to be there. */
uint64_t bench_touch(const void *data, uint64_t nbytes);

/* Times of one figure, round by round, for a batch of operations each. */
struct figure {
    const char *id;
    int rounds;
    double ours[MAX_ROUNDS], base[MAX_ROUNDS]; /* ns an operation */
};
void figure_report(const struct figure *figure);
/* A line that is no pair: {"id": id, "values": [...]}, in the unit that the table knows. */
void values_report(const char *id, const double *values, int count);
void note_report(const char *note);

/* Another process. It must be started before this one opens a store. `fn` runs there; it calls peer_ready once
 * and peer_wait to stay until the starter lets it go (or is dead). */
struct peer {
    pid_t pid;
    int to, from;
};
typedef void (*peer_fn)(struct peer *self, void *argument);
struct peer peer_start(peer_fn fn, void *argument); /* returns when the peer is ready */
void peer_ready(struct peer *self);
void peer_wait(struct peer *self);
/* A value from there to here, and the wait for it. */
void peer_send(struct peer *self, double value);
double peer_receive(struct peer *peer);
void peer_stop(struct peer *peer); /* lets it go and waits; fails if it failed */

#endif
