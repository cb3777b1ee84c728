/* plock.h - a mutex of this process's threads, kept in private memory: three states, futex-backed, unfair. It remembers
 * its holder, so that a thread that left without unlocking can be told from one that works. */
#ifndef ZCT_SYNC_PLOCK_H
#define ZCT_SYNC_PLOCK_H

#include "base/shared.h"
#include "base/util.h"

typedef struct {
    pv32 state; /* 0 free, 1 held, 2 held and somebody may sleep */
    pv32 holder; /* thread id, where plock_lock_named took it */
} plock;

void plock_wait(plock *lock);
void plock_wake(plock *lock);

static inline bool plock_try(plock *lock)
{
    uint32_t none = 0;
    return pv_cas(&lock->state, &none, 1u);
}

static inline void plock_lock(plock *lock)
{
    if (unlikely(!plock_try(lock)))
        plock_wait(lock);
}

static inline void plock_unlock(plock *lock)
{
    if (unlikely(pv_swap(&lock->state, 0u) == 2))
        plock_wake(lock);
}

/* In a forked child: whoever held it is not here. */
static inline void plock_reset(plock *lock)
{
    pv_put(&lock->holder, 0u);
    pv_put(&lock->state, 0u);
}

#endif
