#include "platform/process.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t process_id(void) { return (uint32_t)getpid(); }
uint32_t process_uid(void) { return (uint32_t)geteuid(); }

uint64_t process_view(void)
{
    struct stat root = {0}, mounts = {0};
    (void)stat("/", &root);
    (void)stat("/proc/self/ns/mnt", &mounts);
    return mix64(root.st_ino ^ mix64(root.st_dev)) ^ (uint64_t)mounts.st_ino;
}

uint64_t process_pid_ns(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* getpid and gettid are system calls: the thread remembers its number until a fork makes it another's. */
static uint32_t forks;

uint32_t thread_id(void)
{
    static __thread struct { uint32_t tid, forks; } cached;
    if (cached.tid == 0 || cached.forks != forks) {
        cached.tid = (uint32_t)syscall(SYS_gettid);
        cached.forks = forks;
    }
    return cached.tid;
}

void process_forked(void) { forks++; }

bool thread_gone(uint32_t tid) { return syscall(SYS_tgkill, getpid(), (pid_t)tid, 0) < 0 && errno == ESRCH; }

/* Read a small file of /proc; its length, or -1. */
static ssize_t slurp(uint32_t pid, const char *file, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%u/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, to, size - 1);
    close(fd);
    if (n >= 0)
        to[n] = 0;
    return n;
}

void process_command(uint32_t pid, char *to, size_t size)
{
    ssize_t n = slurp(pid, "cmdline", to, size);
    if (n < 0)
        n = 0;
    while (n > 0 && to[n - 1] == 0)
        n--;
    for (ssize_t i = 0; i < n; i++)
        if ((unsigned char)to[i] < 32)
            to[i] = ' ';
    to[n] = 0;
}

bool process_ending(uint32_t pid)
{
    char text[512];
    ssize_t n = slurp(pid, "stat", text, sizeof text);
    if (n <= 0)
        return true;
    const char *close = strrchr(text, ')');
    if (!close || close[1] != ' ')
        return false;
    if (strchr("ZXx", close[2]))
        return true;
    /* field 9: flags; PF_EXITING says that it has begun to die though its memory is still there */
    unsigned flags = 0;
    if (sscanf(close + 4, "%*d %*d %*d %*d %*d %u", &flags) != 1)
        return false;
    return (flags & 4u) != 0;
}

int process_on_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return -pthread_atfork(prepare, parent, child);
}

int process_at_exit(void (*fn)(void)) { return atexit(fn) ? -ENOMEM : 0; }

const char *process_env(const char *name)
{
    const char *value = secure_getenv(name);
    return value && *value ? value : NULL;
}
