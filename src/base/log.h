/* log.h - what the library tells of itself: kept in a private ring and delivered when no lock is held. */
#ifndef ZCT_BASE_LOG_H
#define ZCT_BASE_LOG_H

#include <zct/zct.h>

/* Note an event. Any lock may be held: nothing is called back, nothing waits, a full ring loses it. */
void log_note(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Deliver what is pending. No lock of the library may be held. */
void log_deliver(void);
/* In a forked child: what the parent's threads had pending is the parent's to tell. */
void log_forget(void);

#endif
