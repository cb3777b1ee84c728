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
/* The point `file:line` of a step named by its file's end and its text's beginning: the n-th time it is reached. */
void steps_arm_at(enum steps_do what, const char *file, const char *text, uint32_t n);

/* The last process that counted, as its points: shared with the processes that fork and are forked. */
enum { STEPS_TRACE = 1 << 16 };
struct steps_trace { uint32_t length; uint16_t points[STEPS_TRACE]; };
extern struct steps_trace *steps_trace;

/* Points are numbered by file and line: a header's point is one, however many files include it. */
unsigned steps_points(void);
const char *steps_name(unsigned point, char *to, uint32_t size);
unsigned steps_killed(unsigned point); /* how often somebody was killed there */
unsigned steps_reached(unsigned point);

#endif
