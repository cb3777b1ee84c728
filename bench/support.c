#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool bench_quick(void)
{
    const char *value = getenv("ZCT_BENCH_QUICK");

    return value != NULL && strcmp(value, "0") != 0 && value[0] != '\0';
}

uint64_t bench_large(void)
{
    const char *value = getenv("ZCT_BENCH_LARGE");

    return value != NULL ? strtoull(value, NULL, 10) : bench_quick() ? 64ull << 20 : 1ull << 30;
}

const char *bench_shm_name(const char *what)
{
    static char name[200];
    const char *token = getenv("ZCT_BENCH_TOKEN");

    snprintf(name, sizeof name, "/%s-%s", token != NULL ? token : "zct-bench-alone", what);
    return name;
}

void must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "bench: %s: %s: %s\n", what, zct_error_name(result), zct_last_error());
    exit(1);
}

void must_errno(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

zct_store *bench_open(const char *name, uint64_t capacity, uint32_t max_names)
{
    zct_store_options options = {.size = sizeof options, .capacity = capacity, .max_names = max_names};
    zct_store *store;

    must(zct_store_open(name, &options, &store), "open");
    return store;
}

zct_spec bench_spec(int64_t *shape, uint64_t nbytes)
{
    zct_spec spec = {
        .size = sizeof spec,
        .dtype = {.code = ZCT_UINT, .bits = 8, .lanes = 1, .itemsize = 1, .name = "uint8"},
        .ndim = 1,
        .shape = shape,
    };

    *shape = (int64_t)nbytes;
    return spec;
}

void *bench_source(uint64_t nbytes)
{
    unsigned char *source =
        mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    must_errno(source != MAP_FAILED, "mmap of the source");
    for (uint64_t i = 0; i < nbytes; i += 64)
        source[i] = (unsigned char)(i >> 6) | 1;
    return source;
}

uint64_t bench_touch(const void *data, uint64_t nbytes)
{
    const volatile unsigned char *bytes = data;
    uint64_t sum = 0;

    for (uint64_t i = 0; i < nbytes; i += 4096)
        sum += bytes[i];
    return sum;
}

static void print_values(const char *key, const double *values, int count)
{
    printf(", \"%s\": [", key);
    for (int i = 0; i < count; i++)
        printf("%s%.6g", i > 0 ? ", " : "", values[i]);
    printf("]");
}

void figure_report(const struct figure *figure)
{
    printf("{\"id\": \"%s\"", figure->id);
    print_values("ours", figure->ours, figure->rounds);
    print_values("base", figure->base, figure->rounds);
    printf("}\n");
    fflush(stdout);
}

void values_report(const char *id, const double *values, int count)
{
    printf("{\"id\": \"%s\"", id);
    print_values("values", values, count);
    printf("}\n");
    fflush(stdout);
}

void note_report(const char *note)
{
    printf("{\"note\": \"%s\"}\n", note);
    fflush(stdout);
}

struct peer peer_start(peer_fn fn, void *argument)
{
    int down[2], up[2];
    pid_t starter = getpid();
    struct peer peer;
    char ready;

    must_errno(pipe(down) == 0 && pipe(up) == 0, "pipe");
    fflush(stdout);
    peer.pid = fork();
    must_errno(peer.pid >= 0, "fork");
    if (peer.pid == 0) {
        struct peer self = {.pid = getpid(), .to = up[1], .from = down[0]};

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* no benchmark leaves a process behind */
        if (getppid() != starter)
            _exit(1);
        close(down[1]);
        close(up[0]);
        fn(&self, argument);
        exit(0);
    }
    close(down[0]);
    close(up[1]);
    peer.to = down[1];
    peer.from = up[0];
    must_errno(read(peer.from, &ready, 1) == 1, "the other process failed");
    return peer;
}

void peer_ready(struct peer *self) { must_errno(write(self->to, "r", 1) == 1, "write to the starter"); }

void peer_wait(struct peer *self)
{
    char any;

    while (read(self->from, &any, 1) < 0 && errno == EINTR)
        ;
}

void peer_send(struct peer *self, double value)
{
    must_errno(write(self->to, &value, sizeof value) == sizeof value, "write to the starter");
}

double peer_receive(struct peer *peer)
{
    double value;

    must_errno(read(peer->from, &value, sizeof value) == sizeof value, "the other process failed");
    return value;
}

void peer_stop(struct peer *peer)
{
    int status;

    /* A byte, not the end of the pipe: peers that were started later have its writing end too. */
    must_errno(write(peer->to, "s", 1) == 1, "write to the other process");
    close(peer->to);
    close(peer->from);
    must_errno(waitpid(peer->pid, &status, 0) == peer->pid, "waitpid");
    must_errno(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other process failed");
}
