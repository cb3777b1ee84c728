/* futex.h - sleeping on a word. Shared futexes: the key is (inode, offset), so any mapping of the file will do. */
#ifndef ZCT_PLATFORM_FUTEX_H
#define ZCT_PLATFORM_FUTEX_H

#include "base/shared.h"

/* Sleep while *word == expected, at most `ns`. 0: woken or the word differs; -ETIMEDOUT; -EINTR. May return early. */
int futex_wait_shared(const void *word, uint32_t expected, int64_t ns);
void futex_wake_shared(const void *word); /* wakes all: one wake-up may be eaten by a waiter that is killed */
int futex_wait_private(pv32 *word, uint32_t expected);
void futex_wake_private(pv32 *word);

#endif
