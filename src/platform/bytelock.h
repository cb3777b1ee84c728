/* bytelock.h - locks on single bytes of a store's file, owned by an open file description (OFD).
 *
 * Never process-owned locks (F_SETLK): any close of the file anywhere in the process drops those. Bytes lie at 2^61
 * and beyond, where no data range reaches. Nothing here waits. */
#ifndef ZCT_PLATFORM_BYTELOCK_H
#define ZCT_PLATFORM_BYTELOCK_H

#include <stdbool.h>
#include <stdint.h>

enum lock_kind { LOCK_SHARED, LOCK_EXCLUSIVE };

#define LOCK_BASE (1ull << 61)
#define LOCK_LIFE(slot) (LOCK_BASE + (uint64_t)(slot))            /* held by a member, for life */
#define LOCK_REPAIR(slot) (LOCK_BASE + 4096 + (uint64_t)(slot))   /* held by whoever repairs or fills a slot */
#define LOCK_DOOR (LOCK_BASE + 8192) /* shared: joining; exclusive: leaving last, destroying */
#define LOCK_BORN (LOCK_BASE + 8193) /* held by the maker of a .tmp file */

/* 0; -EAGAIN: somebody else has it; another negative errno. */
int bytelock_try(int fd, uint64_t byte, enum lock_kind kind);
void bytelock_drop(int fd, uint64_t byte);
/* 1: some other OFD has an exclusive lock in [byte, byte + count); 0: none; negative errno. Asks as a reader, so
 * that a foreign read lock of the whole file does not look like one. */
int bytelock_held(int fd, uint64_t byte, uint64_t count);
/* Do locks of this file mean anything? `other` is another OFD of it. 1: what fd locks, other sees; 0: no; negative errno.
 * BORN is the byte: who has it meanwhile tells the same. */
int bytelock_tells(int fd, int other);
/* The pid of a process-owned lock that stands in the way of `byte`, 0 if there is none: a backup program, say. */
int bytelock_foreign(int fd, uint64_t byte);

#endif
