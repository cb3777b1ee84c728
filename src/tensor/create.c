/* create.c - making a tensor: a descriptor and an extent under AL, the contents outside it, the name under AL again. */
#include "tensor/lock.h"

#include <errno.h>

/* A descriptor that is perhaps free: one used before if there is one, else the next new one. NO_DESC: none. */
static uint32_t pick(struct zct_store *s)
{
    uint32_t limit = desc_limit(s), words = (limit + 63) / 64;
    for (uint32_t w = get_relaxed(&s->words->desc_free); w < words; w++) {
        sh64 *word = &REGION(s, sh64, s->g.freemap)[w];
        if (!control_page_present(s, offset_of(s, word)))
            continue;
        uint64_t bits = get_relaxed(word);
        while (bits) {
            uint32_t t = w * 64 + lowest_bit(bits);
            if (and_sc(word, ~bit_of(t)) & bit_of(t)) /* ours to try */
                return t;
            bits = get_relaxed(word);
        }
        if (get_relaxed(&s->words->desc_free) == w)
            put_relaxed(&s->words->desc_free, w + 1);
    }
    return limit < s->g.names ? limit : NO_DESC;
}

/* The map of free descriptors lost bits of creators that died between picking and claiming: set them again. */
static void recount_free(struct zct_store *s)
{
    uint32_t limit = desc_limit(s);
    for (uint32_t t = 0; t < limit; t++)
        if (desc_there(s, t) && !st_used(get_relaxed(&desc_at(s, t)->st)))
            or_sc(free_word(s, t), bit_of(t));
    put_relaxed(&s->words->desc_free, 0);
}

/* The memory of descriptor t, its whole group's, and that of the maps' words for it. */
static int reserve_desc(struct zct_store *s, uint32_t t)
{
    uint32_t group = t / 64;
    const uint64_t maps[] = {s->g.ending, s->g.todo, s->g.freemap};
    int rc = control_reserve(s, s->g.descs + (uint64_t)group * 64 * sizeof(struct desc), 64 * sizeof(struct desc));
    for (unsigned i = 0; rc == 0 && i < COUNT(maps); i++)
        rc = control_reserve(s, maps[i] + group * 8ull, 8);
    return rc;
}

static int fail_names(struct zct_store *s)
{
    return fail(ZCT_EFULL, "store '%s' has room for %u tensors and all are taken; unlink some, run 'zct gc --unheld', or make "
                           "it with a larger max_names", s->name, s->g.names);
}

/* Free descriptors that one claim passed by, because a thread of ours refers to them: it backs off from the last tenant, or
 * claims them too. They go back to the map in the end, those that are still free: a bit that stayed would lead everybody to
 * the same one again, for as long as we have the tensor that was made of it. */
struct passed { uint32_t count, at[16]; };

static bool pass_by(struct passed *passed, uint32_t t)
{
    for (uint32_t i = 0; i < passed->count; i++)
        if (passed->at[i] == t)
            return false; /* again: there is no other */
    if (passed->count < COUNT(passed->at))
        passed->at[passed->count++] = t;
    return true;
}

static void give_back(struct zct_store *s, struct passed *passed)
{
    while (passed->count) {
        uint32_t t = passed->at[--passed->count];
        if (st_used(get_sc(&desc_at(s, t)->st)))
            continue;
        or_sc(free_word(s, t), bit_of(t));
        if (t / 64 < get_relaxed(&s->words->desc_free))
            put_relaxed(&s->words->desc_free, t / 64);
    }
}

static int look_and_claim(struct zct_store *s, deadline limit, struct passed *passed, uint32_t *ret_t)
{
    bool rescanned = false;
    unsigned lost = 0;
    for (;;) {
        uint32_t t = pick(s);
        if (t == NO_DESC) {
            if (!rescanned) { /* the hint may have passed one by; and the dead may hold some */
                rescanned = true;
                (void)relieve(s, 0);
                recount_free(s);
                continue;
            }
            if (passed->count && deadline_left(limit) > 0) {
                give_back(s, passed);
                clock_nap(20000);
                continue;
            }
            return fail_names(s);
        }
        int rc = reserve_desc(s, t);
        if (rc == 0)
            rc = hold_claim(s, t);
        if (rc < 0)
            return rc;
        if (rc == 0) { /* a sibling is backing off from its last tenant, or claims it and waits for AL, or has it */
            if (pass_by(passed, t) || ++lost < 100) {
                spin_pause();
                continue;
            }
            if (deadline_left(limit) == 0)
                return fail(ZCT_EBUSY, "store '%s' is held by another thread of this process", s->name);
            clock_nap(20000);
            continue;
        }
        rc = al_lock(s, limit);
        if (rc < 0) {
            hold_unclaim(s, t);
            or_sc(free_word(s, t), bit_of(t));
            return rc;
        }
        struct desc *d = desc_at(s, t);
        uint64_t st = get_sc(&d->st);
        if (get_relaxed(&s->words->desc_high) <= t) /* also for one that is used: the mark was wrong then */
            put_release(&s->words->desc_high, t + 1u);
        if (st_state(st) != ST_FREE) { /* another one was quicker */
            al_unlock(s);
            hold_unclaim(s, t);
            if (++lost > 1000 && deadline_left(limit) == 0)
                return fail(ZCT_EBUSY, "no free descriptor of store '%s' could be had in time; run 'zct check'", s->name);
            continue;
        }
        put_relaxed(&d->next, 0);
        put_relaxed(&d->prev, 0);
        put_relaxed(&d->kind, 0);
        lock_begin(d);
        put_relaxed(&d->serial, 0); /* or a handle of the last tenant would take what is undone before it has one */
        put_relaxed(&d->sender, 0);
        put_relaxed(&d->version, 0);
        put_relaxed(&d->wait_at, 0);
        put_relaxed(&d->listen, 0);
        put_release(&d->st, st_make(ST_ALLOC, s->slot, st_gen(st)));
        or_sc(&d->hint, group_bit(s->slot)); /* after st: a free that still runs would zero it */
        *ret_t = t;
        return 0;
    }
}

/* [1] a descriptor of ours in ALLOC; AL is held on success. */
static int claim(struct zct_store *s, deadline limit, uint32_t *ret_t)
{
    struct passed passed = {0};
    int rc = look_and_claim(s, limit, &passed, ret_t);
    give_back(s, &passed);
    return rc;
}

/* Under AL: what we were making will not be. */
static void end_made(struct zct_store *s, uint32_t t)
{
    struct desc *d = desc_at(s, t);
    uint64_t st = get_sc(&d->st);
    if (st_state(st) == ST_ALLOC && st_slot(st) == s->slot) {
        ending_set(s, t, true);
        put_sc(&d->st, st_to(st, ST_DYING, 0));
    }
}

/* Keep the descriptor in a private list, for undo_kept. A forked child inherits it and drops its own hold. */
static bool undo_keep(struct zct_store *s, uint32_t t)
{
    plock_lock(&s->stock_lock);
    uint32_t n = pv_get(&s->undo_count);
    if (n < COUNT(s->undo)) {
        s->undo[n] = t;
        pv_put(&s->undo_count, n + 1);
    }
    plock_unlock(&s->stock_lock);
    return n < COUNT(s->undo);
}

unsigned undo_kept(struct zct_store *s, uint32_t *ret_descs)
{
    if (!plock_try(&s->stock_lock))
        return 0;
    unsigned n = pv_get(&s->undo_count);
    for (unsigned i = 0; i < n; i++) {
        ret_descs[i] = s->undo[i];
        end_made(s, ret_descs[i]);
    }
    pv_put(&s->undo_count, 0u);
    plock_unlock(&s->stock_lock);
    return n;
}

static void try_undo(struct zct_store *s, uint32_t t)
{
    int rc = al_lock(s, deadline_in(10 * NS_PER_MS));
    if (rc < 0 && undo_keep(s, t)) /* its owner is stopped */
        return;
    if (rc < 0 && al_lock(s, deadline_in(WAIT_DEFAULT)) < 0)
        return; /* ours until we leave */
    end_made(s, t);
    al_unlock(s);
    hold_drop(s, t);
}

void create_undo(struct zct_store *s, uint32_t t)
{
    struct failure why;
    failure_keep(&why); /* most often there is one */
    try_undo(s, t);
    failure_again(&why);
}

/* What the pool or the aux map wants reserved before it can serve. */
static int take_memory(struct zct_store *s, uint32_t t, uint64_t nbytes, uint64_t aux_bytes, deadline limit)
{
    struct desc *d = desc_at(s, t);
    for (int tries = 0;; tries++) {
        struct pool_want want = {0};
        uint64_t ext = get_relaxed(&d->ext), aux = get_relaxed(&d->aux);
        int rc = 0;
        bool for_aux = false;
        if (ext == 0 && nbytes) {
            rc = pool_take(s, nbytes, &ext, &want);
            if (rc == 0)
                put_release(&d->ext, ext); /* [2] */
        }
        if (rc == 0 && aux == 0 && aux_bytes) {
            for_aux = true;
            rc = aux_take(s, aux_bytes, &aux);
            if (rc == 0)
                put_release(&d->aux, aux);
        }
        al_unlock(s);
        if (rc == 0)
            return 0;
        if (rc == -EAGAIN)
            rc = for_aux ? aux_reserve(s, aux) : pool_reserve_tables(s, &want);
        else if (rc == -ZCT_EFULL && tries < 2 && relieve(s, nbytes))
            rc = 0;
        else
            rc = fail_full(s, for_aux ? "names and shapes" : "a tensor", nbytes);
        if (rc == 0)
            rc = tries > 100 ? fail(ZCT_EBUSY, "store '%s' is too busy", s->name) : al_lock(s, limit);
        if (rc < 0)
            return rc;
    }
}

int create_alloc(struct zct_store *s, const zct_spec *spec, uint64_t nbytes, const struct key *key, deadline limit,
                 uint32_t *ret_desc)
{
    uint32_t t = NO_DESC;
    if (nbytes > s->g.capacity)
        return fail(ZCT_EFULL, "a tensor of %llu bytes is larger than store '%s' (capacity %llu); make it with a larger "
                               "capacity=", (unsigned long long)nbytes, s->name, (unsigned long long)s->g.capacity);
    int rc = claim(s, limit, &t);
    if (rc < 0)
        return rc;
    size_t name_len = key ? key->length : 0;
    rc = take_memory(s, t, nbytes, spec_aux_bytes(spec, name_len), limit);
    if (rc < 0) {
        create_undo(s, t);
        return rc;
    }
    meta_write(s, desc_at(s, t), spec, nbytes, name_len);
    *ret_desc = t;
    return 0;
}
