/* ranges.c - a table of address ranges, one per open store, that only grows.
 *
 * `turn` is odd while a range is being written. A reader passes over one that is being written or was written during its
 * look, and never looks again: whoever may use an address keeps its store open, so the range that it lies in is none of
 * those. In the child of a raw clone a range may stay half written for ever; it was nobody's then. */
#include "segment/ranges.h"

#include "base/shared.h"
#include "base/util.h"

#include <stdlib.h>

enum { CHUNK = 31 };

struct range {
    pv64 store; /* who has this place in the table; 0: nobody */
    pv64 turn, base, end;
};

struct chunk {
    struct range ranges[CHUNK];
    pv64 next; /* never freed */
};

static struct chunk first;
static pv32 high; /* places beyond were never used */

static struct chunk *next_of(struct chunk *chunk) { return (struct chunk *)(uintptr_t)pv_get(&chunk->next); }

/* The next one, made if there is none. NULL: out of memory. */
static struct chunk *next_or_new(struct chunk *chunk)
{
    struct chunk *next = next_of(chunk);
    if (next || !(next = calloc(1, sizeof *next)))
        return next;
    uint64_t other = 0;
    if (pv_cas(&chunk->next, &other, (uint64_t)(uintptr_t)next))
        return next;
    free(next); /* another thread was faster */
    return (struct chunk *)(uintptr_t)other;
}

static void set(struct range *range, uint64_t base, uint64_t end)
{
    (void)pv_add(&range->turn, 1u);
    pv_put(&range->base, base);
    pv_put(&range->end, end);
    (void)pv_add(&range->turn, 1u);
}

bool range_add(struct zct_store *s, const uint8_t *base, uint64_t size)
{
    uint32_t place = 0;
    for (struct chunk *chunk = &first; chunk; chunk = next_or_new(chunk))
        for (unsigned i = 0; i < CHUNK; i++, place++) {
            struct range *range = &chunk->ranges[i];
            uint64_t nobody = 0;
            if (pv_get(&range->store) || !pv_cas(&range->store, &nobody, (uint64_t)(uintptr_t)s))
                continue;
            uint32_t seen = pv_get(&high);
            while (seen <= place && !pv_cas(&high, &seen, place + 1)) {
            }
            set(range, (uint64_t)(uintptr_t)base, (uint64_t)(uintptr_t)base + size);
            return true;
        }
    return false;
}

void range_remove(const struct zct_store *s)
{
    uint32_t left = pv_get(&high);
    for (struct chunk *chunk = &first; chunk; chunk = next_of(chunk))
        for (unsigned i = 0; i < CHUNK && left > 0; i++, left--) {
            struct range *range = &chunk->ranges[i];
            if (pv_get(&range->store) != (uint64_t)(uintptr_t)s)
                continue;
            set(range, 0, 0);
            pv_put(&range->store, 0u);
            return;
        }
}

struct zct_store *range_find(const void *address)
{
    uint64_t at = (uint64_t)(uintptr_t)address;
    uint32_t left = pv_get(&high);
    for (struct chunk *chunk = &first; chunk && left > 0; chunk = next_of(chunk))
        for (unsigned i = 0; i < CHUNK && left > 0; i++, left--) {
            struct range *range = &chunk->ranges[i];
            uint64_t turn = pv_get(&range->turn);
            if (at < pv_get(&range->base) || at >= pv_get(&range->end))
                continue;
            uint64_t store = pv_get(&range->store);
            if (turn % 2 == 0 && pv_get(&range->turn) == turn)
                return (struct zct_store *)(uintptr_t)store;
        }
    return NULL;
}
