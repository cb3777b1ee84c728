#include "sync/owner.h"

#include "base/error.h"
#include "platform/futex.h"

#include <errno.h>

enum { SPINS = 100 };
static const int64_t probe_first = 5 * NS_PER_MS, probe_most = NS_PER_S;

bool owner_try(sh64 *word, unsigned slot, uint64_t *ret_word)
{
    /* The load is seq_cst too: {sweep = 1; trylock} x {word = 0; sweep} is a Dekker pair (docs/CONCURRENCY.md). */
    uint64_t w = get_sc(word);
    while (owner_of(w) == 0) {
        uint64_t mine = owner_taken(w, slot);
        if (cas_sc(word, &w, mine)) {
            *ret_word = mine;
            return true;
        }
    }
    return false;
}

static void wake_if_waited(sh64 *word, uint64_t old)
{
    if (old & OWNER_WAIT)
        futex_wake_shared(word);
}

bool owner_repair(sh64 *word, uint64_t seen)
{
    while (owner_of(seen) != 0) {
        uint64_t now = seen;
        if (cas_sc(word, &now, owner_repaired(seen, true))) {
            futex_wake_shared(word);
            return true;
        }
        /* only WAIT may have come between; anything else is another owner's word */
        if ((now | OWNER_WAIT) != (seen | OWNER_WAIT))
            return false;
        seen = now;
    }
    return false;
}

int owner_lock(sh64 *word, unsigned slot, deadline limit, const struct owner_probe *probe, uint64_t *ret_word,
               unsigned *ret_suspect)
{
    int64_t probe_after = probe_first;
    for (int spin = 0; spin < SPINS; spin++) {
        if (owner_try(word, slot, ret_word))
            return 0;
        spin_pause();
    }
    for (;;) {
        if (owner_try(word, slot, ret_word))
            return 0;
        uint64_t w = get_sc(word);
        if (owner_of(w) == 0)
            continue;
        int64_t left = deadline_left(limit);
        if (left == 0) {
            *ret_suspect = owner_of(w) - 1;
            return -ZCT_EBUSY;
        }
        if (!(w & OWNER_WAIT)) {
            uint64_t waited = w | OWNER_WAIT;
            if (!cas_sc(word, &w, waited))
                continue;
            w = waited;
        }
        int rc = futex_wait_shared(word, (uint32_t)w, left < probe_after ? left : probe_after);
        if (rc != -ETIMEDOUT)
            continue;
        w = get_sc(word);
        if (owner_of(w) == 0)
            continue;
        if (probe->dead(probe->context, owner_of(w) - 1) == 1)
            owner_repair(word, w);
        else
            probe_after = probe_after * 2 < probe_most ? probe_after * 2 : probe_most;
    }
}

void owner_unlock(sh64 *word, unsigned slot, bool clean)
{
    uint64_t w = get_sc(word);
    while (owner_of(w) == slot + 1) {
        uint64_t old = w;
        if (cas_sc(word, &w, owner_dropped(old, clean))) {
            wake_if_waited(word, old);
            return;
        }
    }
}
