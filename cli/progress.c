#include "progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "quantity.h"

enum { WIDTH = 30, TICK_MS = 100 };

static struct {
    const char *verb;
    uint64_t total, done, written; /* `written`: by the process, when `done` was set */
    bool running, over;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} progress = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

/* Bytes that this process gave to write() and its kin; 0 if the kernel does not count. */
static uint64_t written_so_far(void)
{
    FILE *file = fopen("/proc/self/io", "re");
    unsigned long long bytes = 0;
    char line[128];

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "wchar: %llu", &bytes) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return bytes;
}

/* Under the lock. */
static void draw(uint64_t written)
{
    uint64_t now = progress.done + (written > progress.written ? written - progress.written : 0);
    char bar[WIDTH + 1], line[200], done[QUANTITY_SIZE], total[QUANTITY_SIZE];
    int filled, len;

    now = now < progress.total ? now : progress.total;
    filled = progress.total > 0 ? (int)((unsigned __int128)now * WIDTH / progress.total) : WIDTH;
    memset(bar, ' ', WIDTH);
    memset(bar, '=', (size_t)filled);
    bar[WIDTH] = '\0';
    len = snprintf(line, sizeof line, "\r%s [%s] %s of %s\033[K", progress.verb, bar, quantity_bytes(done, now, false),
                   quantity_bytes(total, progress.total, false));
    if (write(STDERR_FILENO, line, (size_t)len) < 0)
        progress.over = true;
}

static void *draw_on(void *unused)
{
    struct timespec until;
    uint64_t written;
    bool drawn = false;

    (void)unused;
    pthread_mutex_lock(&progress.lock);
    while (!progress.over) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&progress.wake, &progress.lock, &until) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&progress.lock);
        written = written_so_far();
        pthread_mutex_lock(&progress.lock);
        draw(written);
        drawn = true;
    }
    pthread_mutex_unlock(&progress.lock);
    if (drawn && write(STDERR_FILENO, "\r\033[K", 4) < 0)
        return NULL;
    return NULL;
}

void progress_begin(const char *verb, uint64_t total)
{
    progress.verb = verb;
    progress.total = total;
    progress.done = 0;
    progress.over = false;
    progress.running = isatty(STDERR_FILENO) == 1;
    if (!progress.running)
        return;
    progress.written = written_so_far();
    progress.running = pthread_create(&progress.thread, NULL, draw_on, NULL) == 0;
}

void progress_add(uint64_t bytes)
{
    uint64_t written;

    if (!progress.running)
        return;
    written = written_so_far();
    pthread_mutex_lock(&progress.lock);
    progress.done += bytes;
    progress.written = written;
    pthread_mutex_unlock(&progress.lock);
}

void progress_end(void)
{
    if (!progress.running)
        return;
    pthread_mutex_lock(&progress.lock);
    progress.over = true;
    pthread_cond_signal(&progress.wake);
    pthread_mutex_unlock(&progress.lock);
    pthread_join(progress.thread, NULL);
    progress.running = false;
}
