/* al.c - the allocator's lock: a process-private mutex, then the robust owner word. */
#include "tensor/tensor.h"

#include "platform/process.h"

#include <stdio.h>

static int dead(void *context, unsigned slot) { return member_dead(context, slot); }

/* The thread that holds our private mutex left without unlocking (SYS_exit, async cancellation): its word is dead-owned. */
static bool take_from_lost_thread(struct zct_store *s)
{
    uint32_t holder = pv_get(&s->al_lock.holder);
    if (holder == 0 || !thread_gone(holder))
        return false;
    if (!pv_cas(&s->al_lock.holder, &holder, thread_id()))
        return false;
    uint64_t w = get_sc(&s->words->al.owner);
    if (owner_of(w) == s->slot + 1)
        owner_repair(&s->words->al.owner, w);
    return true;
}

static bool private_try(struct zct_store *s)
{
    if (!plock_try(&s->al_lock))
        return false;
    uint32_t leaver = pv_get(&s->leaver);
    if (unlikely(leaver != 0) && leaver != thread_id()) {
        plock_unlock(&s->al_lock);
        return false;
    }
    pv_put(&s->al_lock.holder, thread_id());
    return true;
}

static void private_unlock(struct zct_store *s)
{
    pv_put(&s->al_lock.holder, 0u);
    plock_unlock(&s->al_lock);
}

static int private_lock(struct zct_store *s, deadline limit)
{
    if (pv_get(&s->al_lock.holder) == thread_id() && pv_get(&s->al_lock.state))
        return fail(ZCT_EDEADLOCK, "the library was called again from within itself (from a signal handler?)");
    for (unsigned round = 0; !private_try(s); round++) {
        if (round < 200) {
            spin_pause();
            continue;
        }
        if (take_from_lost_thread(s))
            return 0;
        if (deadline_left(limit) == 0)
            return fail(ZCT_EBUSY, "store '%s' is held by another thread of this process", s->name);
        clock_nap(round < 300 ? 20000 : NS_PER_MS);
    }
    return 0;
}

static void after_lock(struct zct_store *s, uint64_t w)
{
    if (unlikely(w & OWNER_DIRTY) && !MUTANT(1)) {
        log_note(ZCT_LOG_INFO,
                 "store '%s': a process died inside the allocator; rebuilding from the tensors' descriptors", s->name);
        al_rebuild(s);
    }
}

bool al_try(struct zct_store *s)
{
    uint64_t w;
    if (pv_get(&s->al_lock.holder) == thread_id())
        return false;
    do {
        if (!private_try(s))
            return false; /* whoever has it looks at `sweep` after giving it back, or AL has an owner then, who will */
        if (owner_try(&s->words->al.owner, s->slot, &w)) {
            after_lock(s, w);
            return true;
        }
        private_unlock(s);
    } while (owner_of(get_sc(&s->words->al.owner)) == 0);
    return false;
}

int al_lock(struct zct_store *s, deadline limit)
{
    int rc = private_lock(s, limit);
    if (rc < 0)
        return rc;
    struct owner_probe probe = {dead, s};
    uint64_t w;
    unsigned suspect = 0;
    rc = owner_lock(&s->words->al.owner, s->slot, limit, &probe, &w, &suspect);
    if (rc < 0) {
        char who[160];
        private_unlock(s);
        life_sweep(s); /* for threads that our mutex turned away */
        return fail(ZCT_EBUSY, "store '%s' is held by %s, which does not go on (is it stopped?); resume or end it", s->name,
                    member_describe(s, suspect, who, sizeof who));
    }
    after_lock(s, w);
    return 0;
}

void al_unlock(struct zct_store *s)
{
    uint32_t undone[UNDO_MOST];
    unsigned count = likely(pv_get(&s->undo_count) == 0) ? 0 : undo_kept(s, undone);
    owner_unlock(&s->words->al.owner, s->slot, true);
    private_unlock(s);
    life_sweep(s);
    while (count > 0)
        hold_drop(s, undone[--count]);
    reap_suspects(s);
}

/* ---- repair ---- */

/* NEXT and BARENEXT exist only under AL, so there is at most one: decided by whether the one it replaces still lives. */
static void decide(struct zct_store *s, uint32_t t, uint64_t st)
{
    struct desc *d = desc_at(s, t), *old = NULL;
    uint64_t prev = get_relaxed(&d->prev);
    if (!ref_none(prev) && desc_there(s, ref_desc(prev)))
        old = desc_at(s, ref_desc(prev));
    uint64_t old_st = old ? get_relaxed(&old->st) : 0;
    bool undecided = old && st_state(old_st) == ST_LIVE && ref_is(prev, st_gen(old_st));
    if (!undecided || MUTANT(2)) {
        ending_set(s, t, ends_by_itself(get_relaxed(&d->form)));
        put_release(&d->st, st_to(st, ST_LIVE, 0));
        return;
    }
    put_release(&old->next, 0);
    ending_set(s, t, true);
    put_release(&d->st, st_to(st, st_state(st) == ST_NEXT ? ST_DYING : ST_BARE, 0));
    put_release(&d->prev, 0); /* after st: a NEXT without prev would count as decided */
}

/* A block whose publisher died while it described it is bytes again. */
static void describe_again(struct zct_store *s, struct desc *d)
{
    int64_t dims[2 * ZCT_MAX_DIMS], length = (int64_t)ext_bytes(get_relaxed(&d->ext)).length;
    zct_spec bytes = {.size = sizeof bytes, .ndim = 1, .shape = &length,
                      .dtype = {.code = ZCT_UINT, .bits = 8, .lanes = 1, .itemsize = 1, .name = "uint8"}};
    zct_dtype dtype;
    dtype_read(d, &dtype);
    if (!layout_read(s, d, get_relaxed(&d->form), &dtype, get_relaxed(&d->nbytes), dims, dims + ZCT_MAX_DIMS))
        meta_write(s, d, &bytes, (uint64_t)length, 0);
}

/* The two marks that bound every walk are at least as high as what is there. */
static void raise_marks(struct zct_store *s)
{
    uint64_t high = get_relaxed(&s->words->high);
    uint32_t desc_high = get_relaxed(&s->words->desc_high);
    for (uint32_t t = 0; t < s->g.names; t++) {
        if (!desc_there(s, t) || !st_used(get_relaxed(&desc_at(s, t)->st)))
            continue;
        uint64_t ext = get_relaxed(&desc_at(s, t)->ext);
        desc_high = desc_high > t ? desc_high : t + 1;
        if (ext && ext_valid(ext, s->g.pages))
            high = max_u64(high, ext_page(ext) + ext_pages(ext));
    }
    if (desc_high != get_relaxed(&s->words->desc_high))
        put_release(&s->words->desc_high, desc_high);
    if (high != get_relaxed(&s->words->high))
        put_release(&s->words->high, high);
}

void al_rebuild(struct zct_store *s)
{
    raise_marks(s);
    uint32_t limit = desc_limit(s), faults = 0;
    for (uint32_t t = 0; t < limit; t++) {
        if (!desc_there(s, t))
            continue;
        struct desc *d = desc_at(s, t);
        uint64_t st = get_sc(&d->st);
        if (st_asked(st) && !MUTANT(3) && cas_sc(&d->st, &st, st_plain(st)))
            st = st_plain(st);
        if (st_state(st) == ST_NEXT || st_state(st) == ST_BARENEXT) {
            decide(s, t, st);
        } else if (st_state(st) == ST_FREEING && !MUTANT(4)) {
            put_relaxed(&d->ext, 0);
            put_relaxed(&d->aux, 0);
            put_relaxed(&d->hint, 0);
            put_relaxed(&d->sender, 0);
            put_relaxed(&d->next, 0);
            put_relaxed(&d->prev, 0);
            put_release(&d->st, st_freed(st));
        }
    }
    pool_clear(s);
    aux_clear(s);
    for (uint32_t t = 0; t < limit; t++) {
        if (!desc_there(s, t))
            continue;
        struct desc *d = desc_at(s, t);
        uint64_t st = get_relaxed(&d->st);
        if (!st_used(st)) {
            or_sc(free_word(s, t), bit_of(t));
            ending_set(s, t, false);
            continue;
        }
        faults += !pool_mark(s, get_relaxed(&d->ext)) + !aux_mark(s, get_relaxed(&d->aux));
        enum state state = st_state(st);
        if (state == ST_BARE)
            describe_again(s, d);
        ending_set(s, t, (state == ST_DYING && !MUTANT(6)) || state == ST_BARE ||
                             (state == ST_LIVE && ends_by_itself(get_relaxed(&d->form))));
    }
    pool_finish(s);
    if (!MUTANT(5))
        index_rebuild(s, root_log2(get_relaxed(&s->words->root)));
    put_relaxed(&s->words->desc_free, 0);
    put_relaxed(&s->words->rebuilds, get_relaxed(&s->words->rebuilds) + 1);
    life_changed(s);
    put_sc(&s->words->whole, 1);
    put_sc(&s->words->sweep, 1); /* after `whole`: a sweeper that takes `sweep` must see it */
    if (faults)
        log_note(ZCT_LOG_WARNING, "store '%s': %u extents overlap or are out of range; run 'zct check'", s->name, faults);
}
