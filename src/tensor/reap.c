/* reap.c - what a dead member held is returned. Idempotent: killed anywhere, the next reaper does it again. It visits the
 * member's own row, not a million tensors. */
#include "tensor/lock.h"

#include "platform/bytelock.h"
#include "platform/file.h"

#include <errno.h>

/* Every bit of a row that exists, each page asked for first. fn may clear the bit. Not bounded by desc_limit: a claim sets its
 * bit before the descriptor counts as used. */
static void each_bit(struct zct_store *s, unsigned p, void (*fn)(struct zct_store *s, unsigned p, sh64 *word, uint32_t t))
{
    sh64 *row = row_at(s, p);
    uint32_t words = s->g.names / 64;
    for (uint32_t w = 0; w < words; w++) {
        if (!control_page_present(s, offset_of(s, &row[w]))) {
            uint64_t next = round_down(offset_of(s, &row[w]), PAGE) + PAGE;
            w = (uint32_t)((next - offset_of(s, row)) / 8) - 1;
            continue;
        }
        for (uint64_t bits = get_sc(&row[w]); bits; bits &= bits - 1)
            fn(s, p, &row[w], w * 64 + lowest_bit(bits));
    }
}

static void drop_tickets(struct zct_store *s, unsigned p)
{
    struct ticket *row = tickets_at(s, p);
    for (unsigned i = 0; i < s->g.tickets; i++)
        if (control_page_present(s, offset_of(s, &row[i])) && get_sc(&row[i].word))
            put_sc(&row[i].word, 0);
}

/* Under AL: what p was making will not be. */
static void end_unfinished(struct zct_store *s, unsigned p, sh64 *word, uint32_t t)
{
    (void)word;
    if (desc_there(s, t)) {
        struct desc *d = desc_at(s, t);
        uint64_t st = get_sc(&d->st);
        if (st_state(st) == ST_ALLOC && st_slot(st) == p) {
            /* never straight to FREE: a fork may have given a child the bit */
            ending_set(s, t, !MUTANT(7));
            put_sc(&d->st, st_to(st, ST_DYING, 0));
        }
    }
}

static void reap_bit(struct zct_store *s, unsigned p, sh64 *word, uint32_t t)
{
    end_unfinished(s, p, word, t);
    and_sc(word, ~bit_of(t));
}

static void repair_lock(struct zct_store *s, unsigned p, sh64 *word, uint32_t t)
{
    (void)word;
    if (desc_there(s, t))
        lock_repair_of(s, t, p);
}

/* What p read-locks and write-locks, on the authority of its row, whose bits go later. Without AL: who waits for a lock does
 * not wait for the allocator's. */
static void end_locks(struct zct_store *s, unsigned p)
{
    marks_clear(s, p);
    each_bit(s, p, repair_lock);
}

/* Under AL: tensors of lifetime `owner` that p made end with it. */
static void end_owned(struct zct_store *s, unsigned p)
{
    uint32_t words = (desc_limit(s) + 63) / 64;
    for (uint32_t w = 0; w < words; w++) {
        sh64 *word = ending_word(s, w * 64);
        if (!control_page_present(s, offset_of(s, word)))
            continue;
        for (uint64_t bits = get_sc(word); bits; bits &= bits - 1) {
            uint32_t t = w * 64 + lowest_bit(bits);
            if (!desc_there(s, t))
                continue;
            struct desc *d = desc_at(s, t);
            if (st_state(get_sc(&d->st)) == ST_LIVE && form_lifetime(get_relaxed(&d->form)) == ZCT_OWNER &&
                who_slot(get_relaxed(&d->maker)) == p)
                life_unname(s, t);
        }
    }
}

/* AL, if it can be had at once: its owner may be p, or another of the dead, who comes later. */
static bool lock_for(struct zct_store *s, unsigned p)
{
    uint64_t w = get_sc(&s->words->al.owner); /* before the proof */
    unsigned owner = owner_of(w);
    if (owner == p + 1 || (owner && owner != s->slot + 1 && member_dead(s, owner - 1) == 1))
        owner_repair(&s->words->al.owner, w);
    return al_try(s);
}

int reap(struct zct_store *s, unsigned p)
{
    struct slot *slot = slot_at(s, p);
    if (!get_acquire(&slot->used))
        return 0;
    end_locks(s, p);
    if (!lock_for(s, p)) /* which also rebuilds, before anything of p's row is judged */
        return -EAGAIN;
    if (!MUTANT(8))
        drop_tickets(s, p); /* before the bits: a handle's hold moves ticket -> bit */
    if (!MUTANT(9))
        each_bit(s, p, reap_bit);
    if (!MUTANT(10))
        end_owned(s, p);
    if (!MUTANT(11))
        put_sc(&s->words->whole, 1);
    put_sc(&s->words->sweep, 1);
    al_unlock(s); /* and SWEEP */
    put_release(&slot->gen, get_relaxed(&slot->gen) + 1);
    put_release(&slot->used, 0); /* last: until here another reaper would do it all again */
    or_sc(&s->words->freeslot[p / 64], bit_of(p));
    put_relaxed(&s->words->reaped, get_relaxed(&s->words->reaped) + 1);
    log_note(ZCT_LOG_INFO, "store '%s': member %u (pid %u) died; what it held was returned", s->name, p,
             get_relaxed(&slot->pid));
    return 0;
}

/* 1: reaped, 0: alive or somebody else's, -EAGAIN: dead, and not now. */
static int reap_through(struct zct_store *s, int fd, unsigned p)
{
    struct slot *slot = slot_at(s, p);
    if (p == s->slot || !control_page_present(s, offset_of(s, slot)) || !get_acquire(&slot->used) ||
        bytelock_held(fd, LOCK_LIFE(p), 1) != 0)
        return 0;
    if (bytelock_try(fd, LOCK_REPAIR(p), LOCK_EXCLUSIVE) < 0)
        return 0;
    int rc = bytelock_held(fd, LOCK_LIFE(p), 1) == 0 && get_acquire(&slot->used) ? reap(s, p) : 1;
    bytelock_drop(fd, LOCK_REPAIR(p));
    return rc == 0 ? 1 : rc == 1 ? 0 : rc;
}

/* Reap those of `count` members from `first` on that are dead; through one fresh open file description. */
static unsigned reap_range(struct zct_store *s, unsigned first, unsigned count, unsigned *ret_refused)
{
    unsigned reaped = 0, refused = 0;
    if (s->observer || !plock_try(&s->reap_lock)) /* another thread does it */
        return 0;
    int fd = store_file(s, true);
    for (unsigned i = 0; fd >= 0 && i < count; i++) {
        int rc = reap_through(s, fd, (first + i) % s->g.members);
        reaped += rc == 1;
        refused += rc < 0;
    }
    os_close(fd);
    plock_unlock(&s->reap_lock);
    if (ret_refused)
        *ret_refused = refused;
    return reaped;
}

int reap_if_dead(struct zct_store *s, unsigned p) { return p < s->g.members && reap_range(s, p, 1, NULL) > 0; }

unsigned reap_all(struct zct_store *s, deadline limit)
{
    for (unsigned reaped = 0;;) {
        unsigned refused = 0;
        reaped += reap_range(s, 0, s->g.members, &refused);
        if (!refused || deadline_left(limit) == 0)
            return reaped;
        clock_nap(NS_PER_MS / 10); /* for a living owner of the allocator's lock */
    }
}

unsigned reap_holders(struct zct_store *s, uint32_t t)
{
    unsigned reaped = 0;
    uint64_t hint = get_sc(&desc_at(s, t)->hint), sender = get_sc(&desc_at(s, t)->sender);
    unsigned members = s->g.members;
    for (unsigned p = next_in_groups(hint | sender, 0, members); p < members;
         p = next_in_groups(hint | sender, p + 1, members)) {
        bool holds = false;
        if (hint & group_bit(p)) {
            sh64 *word = row_word(s, p, t);
            holds = word && (get_sc(word) & bit_of(t));
        }
        if (!holds && (sender & group_bit(p)))
            holds = ticket_count(s, t, p, NULL) > 0;
        if (holds && p != s->slot)
            reaped += (unsigned)reap_if_dead(s, p);
    }
    return reaped;
}

/* The duty to notice: each join looks at two slots. */
static void reap_some(struct zct_store *s)
{
    unsigned at = get_relaxed(&s->words->rotor) % s->g.members, looked = 0;
    for (unsigned i = 0; i < s->g.members && looked < 2; i++) {
        unsigned p = (at + i) % s->g.members;
        struct slot *slot = slot_at(s, p);
        if (p == s->slot || !control_page_present(s, offset_of(s, slot)) || !get_acquire(&slot->used))
            continue;
        looked++;
        (void)reap_range(s, p, 1, NULL);
        put_relaxed(&s->words->rotor, (p + 1) % s->g.members);
    }
}

static void clear_bit(struct zct_store *s, unsigned p, sh64 *word, uint32_t t)
{
    (void)p;
    and_sc(word, ~bit_of(t));
    if (desc_there(s, t))
        life_ended(s, t);
}

/* L1. False: AL could not be had; the slot stays used, and whoever reaps it finishes. */
static bool leaving(struct zct_store *s, bool wait)
{
    end_locks(s, s->slot); /* a write lock that is left behind is one of the dead: nobody says that the contents are whole */
    stock_empty(s);
    drop_tickets(s, s->slot);
    deadline limit = deadline_in(wait ? 100 * NS_PER_MS : 0);
    bool clean = al_lock(s, limit) == 0;
    if (clean) {
        each_bit(s, s->slot, end_unfinished); /* or it would be nobody's, with our bit gone and the slot not used */
        end_owned(s, s->slot);
        put_sc(&s->words->whole, 1);
        put_sc(&s->words->sweep, 1);
        al_unlock(s);
        each_bit(s, s->slot, clear_bit);
    }
    return clean;
}

static bool store_empty(struct zct_store *s)
{
    uint32_t limit = desc_limit(s);
    for (uint32_t t = 0; t < limit; t++)
        if (desc_there(s, t) && st_used(get_sc(&desc_at(s, t)->st)))
            return false;
    return true;
}

static void forget(struct zct_store *s)
{
    stock_forget(s, false);
    warmth_forget(s);
    spares_forget(s);
}

__attribute__((constructor)) static void move_in(void)
{
    upper = (struct upper_room){.reap = reap, .reap_some = reap_some, .leaving = leaving, .empty = store_empty,
                                .forget = forget};
}
