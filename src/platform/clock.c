#include "platform/clock.h"

#include "base/util.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_now(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t clock_real(void) { return read_clock(CLOCK_REALTIME); }

int64_t clock_thread(void) { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

void clock_nap(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    nanosleep(&t, NULL);
}

const char *clock_show(int64_t real_ns, char *to, size_t size)
{
    long minutes = (long)(real_ns / (60 * NS_PER_S) % (24 * 60));
    snprintf(to, size, "%02ld:%02ld UTC", minutes / 60, minutes % 60);
    return to;
}

deadline deadline_in(int64_t ns)
{
    int64_t now = clock_now();
    return (deadline){ns < 0 || ns > INT64_MAX - now ? DEADLINE_NEVER : now + ns};
}

int64_t deadline_left(deadline d)
{
    if (d.at == DEADLINE_NEVER)
        return INT64_MAX;
    int64_t left = d.at - clock_now();
    return left > 0 ? left : 0;
}
