/* The command: `zct ls` of a store with 1,000,000 tensors that a living process holds, to /dev/null, whole process from
 * start to end; the private memory it takes meanwhile, in a run of its own; and `zct ls` of an empty store beside a
 * program that does nothing. The command's path comes from run.py as ZCT_BENCH_COMMAND. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int names_count(void) { return bench_quick() ? 50000 : 1000000; }

/* Makes both stores and holds every tensor. */
static void hold(struct peer *self, void *argument)
{
    zct_store *full = bench_open("full", 1ull << 30, (uint32_t)names_count() + 64), *empty = bench_open("empty", 0, 0);
    int64_t shape;
    zct_spec spec = bench_spec(&shape, 8);
    zct_tensor *tensor;
    char name[64];

    (void)argument;
    for (int i = 0; i < names_count(); i++) {
        snprintf(name, sizeof name, "model/layer.%d.weight", i);
        must(zct_create(full, name, &spec, name, NULL, NULL, &tensor), "create");
    }
    peer_ready(self);
    peer_wait(self);
    must(zct_store_destroy("full", NULL), "destroy");
    zct_store_close(empty);
}

static pid_t start(char *const *words)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    errno = posix_spawnp(&pid, words[0], &actions, NULL, words, environ);
    must_errno(errno == 0, words[0]);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void finish(pid_t pid)
{
    int status;

    must_errno(waitpid(pid, &status, 0) == pid, "wait");
    if (status != 0) {
        fprintf(stderr, "bench: the command ended with status %#x\n", (unsigned)status);
        exit(1);
    }
}

static double run(char *const *words)
{
    int64_t from = now_ns();

    finish(start(words));
    return (double)(now_ns() - from);
}

/* Bytes of pages that the process has for itself; 0 once it has ended. */
static double private_now(pid_t pid)
{
    char path[64], line[256];
    double kilobytes = 0, part;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Private_Clean: %lf", &part) == 1 || sscanf(line, "Private_Dirty: %lf", &part) == 1)
            kilobytes += part;
    if (file != NULL)
        fclose(file);
    return kilobytes * 1024;
}

static double private_most(char *const *words)
{
    struct timespec pause = {.tv_nsec = 2000000};
    pid_t pid = start(words);
    double most = 0;
    siginfo_t ended;

    for (;;) {
        double now = private_now(pid);

        most = now > most ? now : most;
        ended.si_pid = 0;
        must_errno(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0, "wait");
        if (ended.si_pid != 0)
            break;
        nanosleep(&pause, NULL);
    }
    finish(pid);
    return most;
}

int main(void)
{
    static char list[] = "ls", store[] = "--store", full[] = "full", empty[] = "empty", nothing[] = "true";
    static struct figure figure = {.id = "command-start", .rounds = 41};
    char *command = getenv("ZCT_BENCH_COMMAND");
    char *const ls_full[] = {command, list, store, full, NULL}, *const ls_empty[] = {command, list, store, empty, NULL};
    char *const do_nothing[] = {nothing, NULL};
    double times[7], most, count = names_count();
    struct peer holder;

    if (command == NULL) {
        fprintf(stderr, "bench: ZCT_BENCH_COMMAND is not set\n");
        return 1;
    }
    holder = peer_start(hold, NULL);
    for (int i = 0; i < 7; i++)
        times[i] = run(ls_full);
    most = private_most(ls_full);
    for (int i = -1; i < figure.rounds; i++) { /* the first one warms up */
        int at = i < 0 ? 0 : i;

        if (i % 2 == 0)
            figure.ours[at] = run(ls_empty);
        figure.base[at] = run(do_nothing);
        if (i % 2 != 0)
            figure.ours[at] = run(ls_empty);
    }
    peer_stop(&holder);
    values_report("command-list", times, 7);
    values_report("command-private", &most, 1);
    values_report("command-count", &count, 1);
    figure_report(&figure);
    return 0;
}
