/* steps.h - what a test does at the crash points of the library (src/base/step.h): count them, note which were reached, and
 * at the n-th one kill this process, stop it, or let it nap. Crash builds alone. */
#ifndef ZCT_TESTS_STEPS_H
#define ZCT_TESTS_STEPS_H

#include <stdbool.h>
#include <stdint.h>

enum steps_do { STEPS_COUNT, STEPS_KILL, STEPS_STOP, STEPS_NAP };
enum steps_who { STEPS_THIS_PROCESS, STEPS_ITS_CHILDREN };

/* From now on count the steps of this process, or those that processes forked from now on take, and act before the n-th
 * (from 1) goes on. */
void steps_arm(enum steps_do what, uint32_t n, enum steps_who who);
uint32_t steps_disarm(void); /* how many there were */
/* The same at one point alone, named by a part of its file's name and the beginning of its text ("..#2": the second one of
 * those in the file): the n-th time it is reached, or with n 0 each time. */
void steps_arm_at(enum steps_do what, const char *file, const char *text, uint32_t n);
void steps_only_at(unsigned point); /* after steps_arm: count this one alone */
/* While armed, also call fn before that point's first time goes on. NULL: no more. */
void steps_call_at(const char *file, const char *text, void (*fn)(void));

/* The last process that counted, as its points: shared with the processes that fork and are forked. */
enum { STEPS_TRACE = 1 << 16 };
struct steps_trace { uint32_t length; uint16_t points[STEPS_TRACE]; };
extern struct steps_trace *steps_trace;

/* Points are numbered by file and line: a header's point is one, however many files include it. */
unsigned steps_points(void);
const char *steps_name(unsigned point, char *to, uint32_t size);
unsigned steps_killed(unsigned point); /* how often somebody was killed there */
unsigned steps_reached(unsigned point);
const char *steps_last_kill(char *to, uint32_t size); /* where, and the step before it */

#endif
