#ifndef ZCT_PLATFORM_CLOCK_H
#define ZCT_PLATFORM_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_now(void);  /* monotonic ns: for deadlines; shared by all processes of one boot */
int64_t clock_real(void); /* ns since 1970: for people */
int64_t clock_thread(void); /* processor time of this thread, ns */
void clock_nap(int64_t ns);
/* "12:03 UTC". Not local time: libc has a lock for that, which a fork beside threads leaves held in the child. Returns `to`. */
const char *clock_show(int64_t real_ns, char *to, size_t size);

/* A deadline: `at` in clock_now's time, or for ever. */
typedef struct { int64_t at; } deadline;
#define DEADLINE_NEVER INT64_MAX
deadline deadline_in(int64_t ns); /* negative: never passes */
int64_t deadline_left(deadline d); /* ns, 0 when passed */

#endif
