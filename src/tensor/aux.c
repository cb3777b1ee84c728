/* aux.c - what does not fit a descriptor: blocks of 64-byte units in the control part. The truth is desc.aux; the map is a
 * cache, under AL. */
#include "tensor/tensor.h"

#include "pool/bits.h"

#include <errno.h>

static sh64 *map_of(struct zct_store *s) { return REGION(s, sh64, s->g.aux_map); }
static uint64_t map_bytes(struct zct_store *s) { return div_up(s->g.aux_units, 64) * 8; }

int aux_take(struct zct_store *s, uint64_t bytes, uint64_t *ret_aux)
{
    uint64_t units = div_up(bytes, AUX_UNIT), first = 0;
    *ret_aux = 0;
    if (!control_present(s, s->g.aux_map, map_bytes(s)))
        return -EAGAIN;
    for (;;) {
        first = bits_find(map_of(s), first, s->g.aux_units, false);
        if (units > s->g.aux_units - first)
            return -ZCT_EFULL;
        uint64_t end = bits_find(map_of(s), first, first + units, true);
        if (end == first + units)
            break;
        first = end;
    }
    *ret_aux = aux_make((uint32_t)first, (uint32_t)units);
    if (!control_present(s, s->g.aux + first * AUX_UNIT, units * AUX_UNIT))
        return -EAGAIN;
    bits_set(map_of(s), first, units);
    return 0;
}

int aux_reserve(struct zct_store *s, uint64_t aux)
{
    int rc = control_reserve(s, s->g.aux_map, map_bytes(s));
    if (rc == 0 && aux)
        rc = control_reserve(s, s->g.aux + (uint64_t)aux_first(aux) * AUX_UNIT, (uint64_t)aux_units(aux) * AUX_UNIT);
    return rc;
}

static bool in_range(struct zct_store *s, uint64_t aux)
{
    return aux_units(aux) > 0 && aux_first(aux) < s->g.aux_units && aux_units(aux) <= s->g.aux_units - aux_first(aux) &&
           control_present(s, s->g.aux_map, map_bytes(s));
}

void aux_give(struct zct_store *s, uint64_t aux)
{
    if (in_range(s, aux))
        bits_clear(map_of(s), aux_first(aux), aux_units(aux));
}

bool aux_mark(struct zct_store *s, uint64_t aux)
{
    if (aux == 0)
        return true;
    if (!in_range(s, aux))
        return false;
    bool alone = bits_count(map_of(s), aux_first(aux), aux_units(aux)) == 0;
    bits_set(map_of(s), aux_first(aux), aux_units(aux));
    return alone;
}

void aux_clear(struct zct_store *s)
{
    if (control_present(s, s->g.aux_map, map_bytes(s)))
        fill_words(map_of(s), 0, div_up(s->g.aux_units, 64));
}
