/* owner.h - a robust owner word: a lock between processes whose holder may die at any instruction.
 *
 *   low 32 bits (the futex word): [15:0] owner's slot + 1, 0 = free   [16] DIRTY: an owner died inside
 *                                 [17] WAIT: somebody sleeps            [18] HUNGRY: readers were passed over
 *   high 32 bits: epoch, one more at each acquisition and each repair
 *
 * Transitions (pure functions below): take: free -> owned, epoch + 1. drop: owned -> free, WAIT off, DIRTY kept or
 * cleared. repair: owned by a dead slot -> free, epoch + 1, DIRTY if it died inside. A repair compares the whole word that
 * was read BEFORE the proof of death, so a slot that was filled again and took the lock anew (another epoch) is never
 * robbed. */
#ifndef ZCT_SYNC_OWNER_H
#define ZCT_SYNC_OWNER_H

#include "base/shared.h"
#include "base/util.h"
#include "platform/clock.h"

#define OWNER_DIRTY (1ull << 16)
#define OWNER_WAIT (1ull << 17)
#define OWNER_HUNGRY (1ull << 18)

static inline unsigned owner_of(uint64_t w) { return (unsigned)(w & 0xffff); } /* slot + 1 */
static inline uint32_t owner_epoch(uint64_t w) { return (uint32_t)(w >> 32); }
static inline uint64_t owner_with(uint32_t epoch, uint64_t flags, unsigned who)
{
    return (uint64_t)epoch << 32 | (flags & (OWNER_DIRTY | OWNER_WAIT | OWNER_HUNGRY)) | who;
}
static inline uint64_t owner_taken(uint64_t w, unsigned slot)
{
    return owner_with(owner_epoch(w) + 1, w & (OWNER_DIRTY | OWNER_WAIT), slot + 1);
}
static inline uint64_t owner_dropped(uint64_t w, bool clean)
{
    return owner_with(owner_epoch(w), w & (OWNER_HUNGRY | (clean ? 0 : OWNER_DIRTY)), 0);
}
/* `inside`: it died where it may have left things half done. */
static inline uint64_t owner_repaired(uint64_t w, bool inside)
{
    return owner_with(owner_epoch(w) + 1, (w & (OWNER_HUNGRY | OWNER_DIRTY)) | (inside ? OWNER_DIRTY : 0), 0);
}

/* ---- the same word with readers beside it (tensor/lock.c) ---- */

/* A writer may take a free word, but leaves it to hungry readers for a while. */
static inline bool owner_open_to_writer(uint64_t w, bool patience_over)
{
    return owner_of(w) == 0 && (patience_over || !(w & OWNER_HUNGRY));
}
/* The owner still waits for readers: `active` is the epoch of the last one that did not have to any more. */
static inline bool owner_draining(uint64_t w, uint32_t active) { return owner_of(w) != 0 && active != owner_epoch(w); }
/* The same ownership: what others may set meanwhile aside. */
static inline bool owner_same(uint64_t a, uint64_t b) { return ((a ^ b) & ~(OWNER_WAIT | OWNER_HUNGRY)) == 0; }

/* Is the member in `slot` dead? 1 yes (proved), 0 no, negative: cannot be known now. Passed in: the lock stands below
 * the room that knows. */
struct owner_probe {
    int (*dead)(void *context, unsigned slot);
    void *context;
};

/* Try once. On success *ret_word is the word as we made it (DIRTY tells that the last owner died inside). */
bool owner_try(sh64 *word, unsigned slot, uint64_t *ret_word);
/* Take it, waiting at most until `limit`: 0, or -ZCT_EBUSY with *ret_suspect the slot that stands in the way. */
int owner_lock(sh64 *word, unsigned slot, deadline limit, const struct owner_probe *probe, uint64_t *ret_word,
               unsigned *ret_suspect);
/* Give it back; `clean`: what DIRTY told of has been repaired. */
void owner_unlock(sh64 *word, unsigned slot, bool clean);
/* Free it if `slot`, proved dead, owns it: it is DIRTY then. `seen`: the word, read before the proof. */
bool owner_repair(sh64 *word, uint64_t seen);

#endif
