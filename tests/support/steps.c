#include "steps.h"

#if defined(ZCT_CRASH_POINTS) && ZCT_CRASH_POINTS
#include "base/step.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 4096, TABLE = 4 * MOST };

struct counts { uint32_t reached[MOST], killed[MOST]; };

struct steps_trace *steps_trace;
static struct counts *counts;
static const struct step_point *points[MOST]; /* one of each group */
static unsigned point_count;
static struct { const struct step_point *key; uint16_t point; } table[TABLE];

static struct {
    enum steps_do what;
    enum steps_who who;
    pid_t armed_by;
    uint32_t n, taken;
    int32_t at; /* a point, or -1: any */
} armed;

static unsigned slot_of(const struct step_point *p)
{
    unsigned i = (unsigned)(((uintptr_t)p * 0x9e3779b97f4a7c15ull) >> 40) % TABLE;
    while (table[i].key && table[i].key != p)
        i = (i + 1) % TABLE;
    return i;
}

static const char *short_file(const char *file)
{
    const char *src = strstr(file, "src/");
    return src ? src : file;
}

static int compare(const void *a, const void *b)
{
    const struct step_point *p = *(const struct step_point *const *)a, *q = *(const struct step_point *const *)b;
    int by_file = strcmp(p->file, q->file);
    return by_file ? by_file : p->line != q->line ? (p->line > q->line) - (p->line < q->line) : strcmp(p->what, q->what);
}

__attribute__((constructor)) static void number_the_points(void)
{
    size_t all = (size_t)(__stop_zct_points - __start_zct_points);
    const struct step_point **sorted = malloc(all * sizeof *sorted);
    if (!sorted || all > MOST)
        abort();
    memcpy(sorted, __start_zct_points, all * sizeof *sorted);
    qsort(sorted, all, sizeof *sorted, compare);
    for (size_t i = 0; i < all; i++) {
        if (i == 0 || compare(&sorted[i], &sorted[i - 1]))
            points[point_count++] = sorted[i];
        unsigned slot = slot_of(sorted[i]);
        table[slot].key = sorted[i];
        table[slot].point = (uint16_t)(point_count - 1);
    }
    free(sorted);
    counts = test_shared(sizeof *counts);
    steps_trace = test_shared(sizeof *steps_trace);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void step(const struct step_point *p)
{
    bool here = getpid() == armed.armed_by;
    if (here != (armed.who == STEPS_THIS_PROCESS))
        return;
    unsigned point = table[slot_of(p)].point;
    __atomic_fetch_add(&counts->reached[point], 1, __ATOMIC_RELAXED);
    if (armed.at >= 0 && armed.at != (int32_t)point)
        return;
    uint32_t taken = __atomic_add_fetch(&armed.taken, 1, __ATOMIC_RELAXED);
    if (armed.what == STEPS_COUNT && taken <= STEPS_TRACE) {
        steps_trace->points[taken - 1] = (uint16_t)point;
        steps_trace->length = taken;
    }
    if (taken != armed.n)
        return;
    if (armed.what == STEPS_KILL) {
        __atomic_fetch_add(&counts->killed[point], 1, __ATOMIC_RELAXED);
        die();
    } else if (armed.what == STEPS_STOP) {
        raise(SIGSTOP);
    } else if (armed.what == STEPS_NAP) {
        test_nap(20000000);
    }
}

void steps_arm(enum steps_do what, uint32_t n, enum steps_who who)
{
    armed.what = what;
    armed.n = n;
    armed.who = who;
    armed.taken = 0;
    armed.at = -1;
    armed.armed_by = getpid();
    if (what == STEPS_COUNT)
        steps_trace->length = 0;
    zct_step_hook = step;
}

void steps_arm_at(enum steps_do what, const char *file, const char *text, uint32_t n)
{
    for (unsigned i = 0; i < point_count; i++)
        if (strstr(points[i]->file, file) && !strncmp(points[i]->what, text, strlen(text))) {
            steps_arm(what, n, STEPS_THIS_PROCESS);
            armed.at = (int32_t)i;
            return;
        }
    test_fail(__FILE__, __LINE__, "there is no crash point '%s' in %s", text, file);
}

uint32_t steps_disarm(void)
{
    zct_step_hook = NULL;
    return armed.taken;
}

unsigned steps_points(void) { return point_count; }
unsigned steps_killed(unsigned point) { return counts->killed[point]; }
unsigned steps_reached(unsigned point) { return counts->reached[point]; }

const char *steps_name(unsigned point, char *to, uint32_t size)
{
    snprintf(to, size, "%s:%d %s", short_file(points[point]->file), points[point]->line, points[point]->what);
    return to;
}

#else
typedef int no_steps_here; /* an empty translation unit is not ISO C */
#endif
