/* hold.c - the one rule of holding: set the bit; read st; set the hint; read st AGAIN; if it is ASKED, veto.
 *
 * Private: lref[t], under stripe t mod 64, is how many references this process has; the bit in its row is set while there is
 * one. Every open validates for itself and undoes its count when it fails: an earlier validation by another thread says
 * nothing of the tensor that is there now. Under a stripe nobody waits, allocates or calls the system. */
#include "tensor/tensor.h"

static inline struct stripe *stripe_of(struct zct_store *s, uint32_t t) { return &s->stripes[t % STRIPES]; }

/* The word of our own row; its page must be there. */
static inline sh64 *own_word(struct zct_store *s, uint32_t t) { return (sh64 *)(void *)s->row + t / 64; }

static int row_page(struct zct_store *s, uint32_t t)
{
    uint64_t offset = offset_of(s, own_word(s, t));
    return likely(control_page_present(s, offset)) ? 0 : control_reserve(s, offset, 8);
}

static void drop_locked(struct zct_store *s, uint32_t t)
{
    if (--s->lref[t] == 0)
        and_sc(own_word(s, t), ~bit_of(t));
}

/* Has a NEXT the name already? Its predecessor, read through `prev`, has lost it. */
static bool heir_arrived(struct zct_store *s, uint64_t prev)
{
    if (ref_none(prev) || !desc_there(s, ref_desc(prev)))
        return false;
    uint64_t old = get_sc(&desc_at(s, ref_desc(prev))->st);
    return st_state(old) != ST_LIVE || !ref_is(prev, st_gen(old));
}

/* Who replaced a DYING one, or NO_DESC. */
static uint32_t heir_of(struct zct_store *s, struct desc *d)
{
    uint64_t next = get_acquire(&d->next);
    if (ref_none(next) || !desc_there(s, ref_desc(next)))
        return NO_DESC;
    return ref_is(next, st_gen(get_acquire(&desc_at(s, ref_desc(next))->st))) ? ref_desc(next) : NO_DESC;
}

uint32_t name_bearer(struct zct_store *s, uint32_t t)
{
    for (int hops = 0; hops < 64 && t != NO_DESC; hops++) {
        struct desc *d = desc_at(s, t);
        switch (st_state(get_acquire(&d->st))) {
        case ST_LIVE: return t;
        case ST_NEXT: case ST_BARENEXT: return heir_arrived(s, get_acquire(&d->prev)) ? t : NO_DESC;
        case ST_DYING: t = heir_of(s, d); break;
        default: return NO_DESC;
        }
    }
    return NO_DESC;
}

/* A4: what does this state say to somebody who has set bit and hint? */
static enum hold judge(struct zct_store *s, uint32_t t, bool by_name, uint64_t *st, uint32_t *ret_next)
{
    struct desc *d = desc_at(s, t);
    for (;;) {
        enum state state = st_state(*st);
        if (by_name ? state == ST_LIVE : st_alive(*st)) {
            if (likely(!st_asked(*st)))
                return HELD;
            if (cas_sc(&d->st, st, st_plain(*st))) { /* veto */
                *st = st_plain(*st);
                return HELD;
            }
            continue; /* *st was read again */
        }
        if (by_name && (state == ST_NEXT || state == ST_BARENEXT)) {
            /* It has the name once the one that it replaces has not */
            uint64_t prev = get_acquire(&d->prev);
            if (!heir_arrived(s, prev))
                return MISS;
            uint64_t now = get_sc(&d->st);
            if (now != *st) {
                *st = now;
                continue;
            }
            return get_sc(&d->prev) == prev ? HELD : AGAIN;
        }
        if (by_name && state == ST_DYING) {
            *ret_next = heir_of(s, d);
            return *ret_next == NO_DESC ? MISS : FOLLOW;
        }
        return MISS;
    }
}

int hold_take(struct zct_store *s, uint32_t t, bool by_name, uint64_t *ret_st, uint32_t *ret_next)
{
    struct desc *d = desc_at(s, t);
    int rc = row_page(s, t);
    if (unlikely(rc < 0))
        return rc;
    plock_lock(&stripe_of(s, t)->lock);
    if (s->lref[t]++ == 0)
        or_sc(own_word(s, t), bit_of(t)); /* A1; Dekker with retire's {ASKED; rows} */
    uint64_t first = get_acquire(&d->st); /* A2 */
    if (unlikely(!(get_sc(&d->hint) & group_bit(s->slot))))
        or_sc(&d->hint, group_bit(s->slot)); /* A3 */
    uint64_t st = get_sc(&d->st);            /* A4 */
    enum hold result = AGAIN;
    if (likely(st_gen(first) == st_gen(st)))
        result = judge(s, t, by_name, &st, ret_next);
    if (unlikely(result != HELD))
        drop_locked(s, t);
    plock_unlock(&stripe_of(s, t)->lock);
    *ret_st = st;
    if (unlikely(result != HELD))
        life_ended(s, t);
    return (int)result;
}

void hold_more(struct zct_store *s, uint32_t t)
{
    plock_lock(&stripe_of(s, t)->lock);
    s->lref[t]++;
    plock_unlock(&stripe_of(s, t)->lock);
}

void hold_drop(struct zct_store *s, uint32_t t)
{
    plock_lock(&stripe_of(s, t)->lock);
    drop_locked(s, t);
    plock_unlock(&stripe_of(s, t)->lock);
    life_ended(s, t);
}

bool hold_stop(struct zct_store *s)
{
    unsigned taken = 0;
    while (taken < STRIPES && plock_try(&s->stripes[taken].lock))
        taken++;
    bool none = taken == STRIPES;
    sh64 *row = row_at(s, s->slot);
    for (uint32_t w = 0; none && w < s->g.names / 64; w++)
        none = !control_page_present(s, offset_of(s, &row[w])) || get_sc(&row[w]) == 0;
    while (!none && taken > 0)
        plock_unlock(&s->stripes[--taken].lock);
    return none;
}

int hold_claim(struct zct_store *s, uint32_t t)
{
    int rc = row_page(s, t);
    if (rc < 0)
        return rc;
    plock_lock(&stripe_of(s, t)->lock);
    bool ours = s->lref[t] == 0; /* else a thread of ours is backing off from its last tenant */
    if (ours) {
        s->lref[t] = 1;
        or_sc(own_word(s, t), bit_of(t));
    }
    plock_unlock(&stripe_of(s, t)->lock);
    return ours;
}

void hold_unclaim(struct zct_store *s, uint32_t t)
{
    plock_lock(&stripe_of(s, t)->lock);
    drop_locked(s, t);
    plock_unlock(&stripe_of(s, t)->lock);
    life_ended(s, t);
}
