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

struct counts {
    uint32_t reached[MOST], killed[MOST], before, last;
};

struct steps_trace *steps_trace;
static struct counts *counts;
static const struct step_point *points[MOST]; /* one of each group */
static unsigned point_count;
static struct {
    const struct step_point *key;
    uint16_t point;
} table[TABLE];

static struct {
    enum steps_do what;
    enum steps_who who;
    pid_t armed_by;
    uint32_t n, taken;
    int32_t at; /* a point, or -1: any */
    int32_t call_at;
    void (*call)(void);
    uint16_t last;
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
    return by_file              ? by_file
           : p->line != q->line ? (p->line > q->line) - (p->line < q->line)
                                : strcmp(p->what, q->what);
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
    zct_mutant = (int)test_env("ZCT_MUTANT", 0);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static void step(const struct step_point *p)
{
    unsigned point = table[slot_of(p)].point;
    bool here = getpid() == armed.armed_by;
    if (here && armed.call && armed.call_at == (int32_t)point) {
        void (*call)(void) = armed.call;
        armed.call = NULL;
        call();
    }
    if (here != (armed.who == STEPS_THIS_PROCESS))
        return;
    __atomic_fetch_add(&counts->reached[point], 1, __ATOMIC_RELAXED);
    if (armed.at >= 0 && armed.at != (int32_t)point)
        return;
    uint32_t taken = __atomic_add_fetch(&armed.taken, 1, __ATOMIC_RELAXED);
    uint16_t before = armed.last;
    armed.last = (uint16_t)point;
    if (armed.what == STEPS_COUNT) {
        if (taken <= STEPS_TRACE) {
            steps_trace->points[taken - 1] = (uint16_t)point;
            steps_trace->length = taken;
        }
        return;
    }
    if (taken != armed.n && armed.n)
        return;
    if (armed.what == STEPS_KILL) {
        __atomic_fetch_add(&counts->killed[point], 1, __ATOMIC_RELAXED);
        counts->before = before;
        counts->last = point;
        die();
    } else if (armed.what == STEPS_STOP) {
        raise(SIGSTOP);
    } else if (armed.what == STEPS_NAP) {
        test_nap(2000000);
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

static int32_t point_at(const char *file, const char *text)
{
    size_t length = strcspn(text, "#");
    int which = text[length] ? atoi(text + length + 1) : 1;
    for (unsigned i = 0; i < point_count; i++)
        if (strstr(points[i]->file, file) && !strncmp(points[i]->what, text, length) && --which == 0)
            return (int32_t)i;
    test_fail(__FILE__, __LINE__, "there is no crash point '%s' in %s", text, file);
    test_give_up();
}

void steps_arm_at(enum steps_do what, const char *file, const char *text, uint32_t n)
{
    int32_t at = point_at(file, text);
    steps_arm(what, n, STEPS_THIS_PROCESS);
    armed.at = at;
}

void steps_only_at(unsigned point) { armed.at = (int32_t)point; }

void steps_call_at(const char *file, const char *text, void (*fn)(void))
{
    armed.call_at = fn ? point_at(file, text) : -1;
    armed.call = fn;
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

const char *steps_last_kill(char *to, uint32_t size)
{
    char before[200], last[200];
    snprintf(to, size, "%s   after   %s", steps_name(counts->last, last, sizeof last),
             steps_name(counts->before, before, sizeof before));
    return to;
}

#else
typedef int no_steps_here; /* an empty translation unit is not ISO C */
#endif
