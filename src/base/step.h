/* step.h - crash points: the places at which a test may kill or stop this process.
 *
 * A STEP stands before every store to shared memory (shared.h puts it there) and after every system call that
 * changes what other processes see (platform/ puts it there). In ordinary builds it is nothing. In the crash
 * build each STEP is a record in the section `zct_points`, so a test can enumerate what is defined and fail
 * when one of them was never reached. */
#ifndef ZCT_BASE_STEP_H
#define ZCT_BASE_STEP_H

#include <stdint.h>

#if defined(ZCT_CRASH_POINTS) && ZCT_CRASH_POINTS

struct step_point {
    const char *file;
    const char *what;
    int32_t line;
    int32_t reserved;
};

/* Called at each STEP when set. Set by tests, before threads exist. */
extern void (*zct_step_hook)(const struct step_point *point);
/* Faults in the recovery that a test turns on to see that it is noticed: tests/crash/test_mutants.c. 0: none. */
extern int zct_mutant;
#define MUTANT(n_) (zct_mutant == (n_))
extern const struct step_point *const __start_zct_points[] __attribute__((weak));
extern const struct step_point *const __stop_zct_points[] __attribute__((weak));

#define STEP(what_)                                                                                                    \
    do {                                                                                                               \
        static const struct step_point step_here = {__FILE__, what_, __LINE__, 0};                                    \
        static const struct step_point *const step_ref __attribute__((section("zct_points"), used)) = &step_here;     \
        if (zct_step_hook)                                                                                             \
            zct_step_hook(step_ref);                                                                                   \
    } while (0)

#else
#define STEP(what_) ((void)0)
#define MUTANT(n_) 0
#endif
#endif
