/* warmth.c - which pages of the payload this process has mapped.
 *
 * Private, and a hint: wrong is slow, never a signal, because RES (pool.h) decides safety. Two bits for 64 KiB, believed as
 * long as the trim epoch of the 2 MiB around them is the one at which they were noted. */
#include "tensor/warmth.h"

enum { WARM_BLOCK = 64 << 10 };

/* Whoever sees `warmth` sees `epochs_seen` and the zeroes of both: the release here pairs with the acquire of the look. */
bool warmth_ready(struct zct_store *s)
{
    if (likely(pv_get_pointer(&s->warmth)))
        return true;
    uint64_t blocks = s->g.capacity / WARM_BLOCK;
    plock_lock(&s->arena_lock);
    if (!s->epochs_seen)
        s->epochs_seen = os_map_memory(s->g.pages / EPOCH_PAGES * 4 + 4);
    if (!s->warmth && s->epochs_seen)
        pv_put_pointer(&s->warmth, os_map_memory(blocks / 4 + 8));
    bool ready = s->warmth != NULL;
    plock_unlock(&s->arena_lock);
    return ready;
}

void warmth_forget(struct zct_store *s)
{
    os_unmap(s->warmth, s->g.capacity / WARM_BLOCK / 4 + 8);
    os_unmap(s->epochs_seen, s->g.pages / EPOCH_PAGES * 4 + 4);
    s->warmth = NULL;
    s->epochs_seen = NULL;
}

static uint32_t epoch_of(struct zct_store *s, uint64_t offset)
{
    return get_acquire(&REGION(s, sh32, s->g.epochs)[offset / (EPOCH_PAGES * PAGE)]);
}

enum warmth warmth_of(struct zct_store *s, uint64_t offset, uint64_t length)
{
    enum warmth least = WARM;
    for (uint64_t at = round_down(offset, WARM_BLOCK); at < offset + length; at += WARM_BLOCK) {
        uint64_t block = at / WARM_BLOCK;
        if (pv_get(&s->epochs_seen[at / (EPOCH_PAGES * PAGE)]) != epoch_of(s, at))
            return COLD;
        enum warmth w = (enum warmth)(pv_get(&s->warmth[block / 32]) >> (block % 32 * 2) & 3);
        least = w < least ? w : least;
    }
    return least;
}

void warmth_set(struct zct_store *s, uint64_t offset, uint64_t length, enum warmth to)
{
    for (uint64_t at = round_down(offset, WARM_BLOCK); at < offset + length; at += WARM_BLOCK) {
        uint64_t block = at / WARM_BLOCK;
        pv32 *seen = &s->epochs_seen[at / (EPOCH_PAGES * PAGE)];
        uint32_t epoch = epoch_of(s, at);
        if (pv_get(seen) != epoch) { /* forget what was noted before the trim */
            uint64_t first = round_down(at, EPOCH_PAGES * PAGE) / WARM_BLOCK;
            pv_put(&s->warmth[first / 32], 0ull);
            pv_put(seen, epoch);
        }
        pv_or(&s->warmth[block / 32], (uint64_t)to << (block % 32 * 2));
    }
}
