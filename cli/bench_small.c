/* What costs the same at any size: attach, create of a page, and a wake-up of another process. */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "out.h"

enum { NBYTES = 4096 };
#define PATIENCE 5000000000LL /* ns for the other process */

static volatile unsigned char sink;

/* ---- attach ---- */

static double attach_ours(struct bench *bench, int count)
{
    int64_t shape, start;
    zct_spec spec = bench_spec(&shape, NBYTES);
    zct_create_options options = {.size = sizeof options, .exists = ZCT_EXISTS_ATTACH};
    zct_tensor *made, *tensor;
    int result = zct_create(bench->store, "small", &spec, bench->source, NULL, &options, &made);

    if (result < 0)
        return bench_failed(result);
    zct_release(made);
    start = bench_now();
    for (int i = 0; i < count; i++) {
        result = zct_attach(bench->store, "small", ZCT_MODE_DEFAULT, 0, &tensor);
        if (result < 0)
            return bench_failed(result);
        sink = *(volatile unsigned char *)zct_tensor_view(tensor)->data;
        zct_release(tensor);
    }
    return (double)(bench_now() - start) / count;
}

static unsigned char *map(int fd, uint64_t nbytes)
{
    return mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static double attach_base(struct bench *bench, int count)
{
    int fd = open(bench->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    double each = 0;
    int64_t start;

    if (fd < 0 || ftruncate(fd, NBYTES) < 0 || pwrite(fd, "x", 1, 0) != 1)
        each = bench_failed_errno("make a file of the standard way");
    close(fd);
    start = bench_now();
    for (int i = 0; i < count && each >= 0; i++) {
        unsigned char *data;

        fd = open(bench->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        data = fd < 0 ? MAP_FAILED : map(fd, NBYTES);
        if (data == MAP_FAILED) {
            each = bench_failed_errno("open and map");
            break;
        }
        sink = *(volatile unsigned char *)data;
        munmap(data, NBYTES);
        close(fd);
    }
    if (each >= 0)
        each = (double)(bench_now() - start) / count;
    unlink(bench->path);
    return each;
}

const struct bench_figure bench_attach = {"attach",
                                          "attach by name, read, release",
                                          "shm_open, mmap, read, munmap, close",
                                          attach_ours,
                                          attach_base,
                                          10000,
                                          100,
                                          false};

/* ---- create ---- */

static double create_ours(struct bench *bench, int count)
{
    int64_t shape, start = bench_now();
    zct_spec spec = bench_spec(&shape, NBYTES);
    zct_tensor *tensor;

    for (int i = 0; i < count; i++) {
        int result = zct_create(bench->store, "made", &spec, bench->source, NULL, NULL, &tensor);

        if (result >= 0) {
            zct_release(tensor);
            result = zct_unlink(bench->store, "made");
        }
        if (result < 0)
            return bench_failed(result);
    }
    return (double)(bench_now() - start) / count;
}

static double create_base(struct bench *bench, int count)
{
    int64_t start = bench_now();

    for (int i = 0; i < count; i++) {
        int fd = open(bench->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        unsigned char *data = fd < 0 || ftruncate(fd, NBYTES) < 0 ? MAP_FAILED : map(fd, NBYTES);

        if (data == MAP_FAILED)
            return bench_failed_errno("make and map");
        memcpy(data, bench->source, NBYTES);
        munmap(data, NBYTES);
        close(fd);
        unlink(bench->path);
    }
    return (double)(bench_now() - start) / count;
}

const struct bench_figure bench_create = {"create",
                                          "create from 4 KiB, unlink",
                                          "shm_open, ftruncate, mmap, copy, unlink",
                                          create_ours,
                                          create_base,
                                          1000,
                                          100,
                                          false};

/* ---- wait: there and back between two processes ---- */

static struct {
    zct_tensor *ping, *pong;
    sem_t *there, *back;
    pid_t ours, base; /* the other processes */
    uint64_t seen;
} talk;

/* The other process: answers until its tensor is unlinked. */
static void answer_ours(zct_store *store)
{
    zct_tensor *ping = NULL, *pong = NULL;
    uint64_t heard = 0;
    int result = zct_attach(store, "ping", ZCT_MODE_WRITE, 0, &ping);

    if (result >= 0)
        result = zct_attach(store, "pong", ZCT_MODE_WRITE, 0, &pong);
    while (result >= 0 || result == -ZCT_EINTERRUPTED) {
        result = zct_wait(ping, heard, ZCT_FOREVER, &heard);
        if (result >= 0)
            result = zct_commit(pong, NULL);
    }
    zct_release(ping);
    zct_release(pong);
    zct_store_close(store);
}

static pid_t start(void (*answer)(zct_store *store), zct_store *store)
{
    pid_t parent = getpid(), pid;

    out_flush();
    pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    if (getppid() == parent)
        answer(store);
    _exit(0);
}

static void answer_base(zct_store *store)
{
    (void)store;
    for (;;) { /* killed at the end */
        while (sem_wait(talk.there) < 0 && errno == EINTR)
            ;
        sem_post(talk.back);
    }
}

bool bench_wait_begin(struct bench *bench)
{
    int64_t shape;
    zct_spec spec = bench_spec(&shape, 8);
    int result = zct_create(bench->store, "ping", &spec, bench->source, NULL, NULL, &talk.ping);

    if (result >= 0)
        result = zct_create(bench->store, "pong", &spec, bench->source, NULL, NULL, &talk.pong);
    if (result < 0)
        return bench_failed(result) >= 0;
    talk.there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (talk.there == MAP_FAILED)
        return bench_failed_errno("map semaphores") >= 0;
    talk.back = talk.there + 1;
    sem_init(talk.there, 1, 0);
    sem_init(talk.back, 1, 0);
    talk.base = start(answer_base, NULL);
    talk.ours = start(answer_ours, bench->store);
    return (talk.ours > 0 && talk.base > 0) || bench_failed_errno("start a process") >= 0;
}

void bench_wait_end(struct bench *bench)
{
    if (talk.base > 0)
        kill(talk.base, SIGKILL);
    (void)zct_unlink(bench->store, "ping"); /* ends the wait of the other; not there if nothing began */
    (void)zct_unlink(bench->store, "pong");
    zct_release(talk.ping);
    zct_release(talk.pong);
    if (talk.base > 0)
        waitpid(talk.base, NULL, 0);
    if (talk.ours > 0)
        waitpid(talk.ours, NULL, 0);
    if (talk.there != NULL && talk.there != MAP_FAILED)
        munmap(talk.there, 4096);
    memset(&talk, 0, sizeof talk);
}

static double wait_ours(struct bench *bench, int count)
{
    int64_t from = bench_now();

    (void)bench;
    for (int i = 0; i < count; i++) {
        int result = zct_commit(talk.ping, NULL);

        while (result >= 0 && (result = zct_wait(talk.pong, talk.seen, PATIENCE, &talk.seen)) == -ZCT_EINTERRUPTED &&
               !bench_interrupted())
            result = 0;
        if (result < 0)
            return result == -ZCT_EINTERRUPTED ? -1 : bench_failed(result);
    }
    return (double)(bench_now() - from) / count;
}

static double wait_base(struct bench *bench, int count)
{
    int64_t from = bench_now();

    (void)bench;
    for (int i = 0; i < count; i++) {
        sem_post(talk.there);
        while (sem_wait(talk.back) < 0)
            if (bench_interrupted())
                return -1;
    }
    return (double)(bench_now() - from) / count;
}

const struct bench_figure bench_wait = {
    "wait", "wake another process, and be woken", "two POSIX semaphores", wait_ours, wait_base, 200, 200, false};
