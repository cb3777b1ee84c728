/* bits.h - runs of bits in shared bitmaps. The maps here are guarded by a lock: relaxed is enough. */
#ifndef ZCT_POOL_BITS_H
#define ZCT_POOL_BITS_H

#include "base/shared.h"
#include "base/util.h"

/* The part of a word's bits that [first, end) covers, for the word that starts at bit `base`. */
static inline uint64_t bits_part(uint64_t base, uint64_t first, uint64_t end)
{
    uint64_t from = first > base ? first - base : 0, to = end < base + 64 ? end - base : 64;
    return low_bits((unsigned)to) & ~low_bits((unsigned)from);
}

static inline void bits_set(sh64 *map, uint64_t first, uint64_t count)
{
    for (uint64_t w = first / 64; count && w <= (first + count - 1) / 64; w++)
        put_relaxed(&map[w], get_relaxed(&map[w]) | bits_part(w * 64, first, first + count));
}

static inline void bits_clear(sh64 *map, uint64_t first, uint64_t count)
{
    for (uint64_t w = first / 64; count && w <= (first + count - 1) / 64; w++)
        put_relaxed(&map[w], get_relaxed(&map[w]) & ~bits_part(w * 64, first, first + count));
}

static inline uint64_t bits_count(sh64 *map, uint64_t first, uint64_t count)
{
    uint64_t n = 0;
    for (uint64_t w = first / 64; count && w <= (first + count - 1) / 64; w++)
        n += (uint64_t)__builtin_popcountll(get_relaxed(&map[w]) & bits_part(w * 64, first, first + count));
    return n;
}

/* The first bit in [first, end) that is `value`, else end. */
static inline uint64_t bits_find(sh64 *map, uint64_t first, uint64_t end, bool value)
{
    for (uint64_t w = first / 64; w * 64 < end; w++) {
        uint64_t word = get_relaxed(&map[w]);
        word = (value ? word : ~word) & bits_part(w * 64, first, end);
        if (word)
            return w * 64 + lowest_bit(word);
    }
    return end;
}

/* The position of the lowest run of n >= 1 zero bits in a word, or 64. */
static inline unsigned word_run(uint64_t word, unsigned n)
{
    uint64_t starts = ~word; /* bit i: a run of `have` zeros starts at i */
    for (unsigned have = 1; have < n && starts;) {
        unsigned step = have < n - have ? have : n - have;
        starts &= starts >> step;
        have += step;
    }
    return starts ? lowest_bit(starts) : 64;
}

#endif
