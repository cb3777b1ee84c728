#include "sync/plock.h"

#include "platform/futex.h"

void plock_wait(plock *lock)
{
    for (int spin = 0; spin < 64; spin++) {
        if (plock_try(lock))
            return;
        spin_pause();
    }
    while (pv_swap(&lock->state, 2u) != 0)
        (void)futex_wait_private(&lock->state, 2);
}

void plock_wake(plock *lock) { futex_wake_private(&lock->state); }
