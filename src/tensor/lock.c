/* lock.c - the reader-writer lock of a tensor (docs/CONCURRENCY.md, "The lock of a tensor").
 *
 * Exclusion: a reader sets its mark, then reads the lock word; a writer takes the lock word, then reads the marks; all seq_cst.
 * A reader sets no mark while somebody owns the word: readers and a draining writer would keep each other out for ever.
 * `active` is set when a writer has no reader before it any more: its death from then on leaves the tensor DIRTY. */
#include "tensor/lock.h"

#include "platform/futex.h"

#include <errno.h>

enum { SPINS = 100 };
static const int64_t probe_first = 5 * NS_PER_MS, probe_most = 250 * NS_PER_MS, readers_first = 2 * NS_PER_MS;

/* One call that may wait. */
struct wait {
    struct zct_store *s;
    uint32_t t;
    bool started;
    int64_t timeout_ns, probe_after, patience_until;
    unsigned spins, naps;
    deadline limit;
};

static struct lock_words *lock_of(const struct wait *wait) { return &desc_at(wait->s, wait->t)->lock; }

static const char *show(struct zct_store *s, uint32_t t, char *to, size_t size)
{
    struct key key;
    return key_read(s, desc_at(s, t), &key) ? key_show(&key, to, size) : "that has no name";
}

static bool this_thread_writes(const struct wait *wait, uint64_t w)
{
    return owner_of(w) == wait->s->slot + 1 &&
           pv_get(&wait->s->writers[wait->t]) == ((uint64_t)owner_epoch(w) << 32 | my_reading.serial);
}

/* ---- failures ---- */

static int fail_timeout(const struct wait *wait, int suspect, const char *does)
{
    char name[300], who[160];
    struct zct_store *s = wait->s;
    if (wait->timeout_ns == 0)
        return fail(ZCT_ETIMEDOUT, "somebody else %s the tensor", does);
    return fail(ZCT_ETIMEDOUT, "tensor %s of store '%s' could not be locked within %.3f s: %s %s it",
                show(s, wait->t, name, sizeof name), s->name, (double)wait->timeout_ns / 1e9,
                suspect < 0 ? "somebody" : member_describe(s, (unsigned)suspect, who, sizeof who), does);
}

static int fail_deadlock(struct zct_store *s, uint32_t t, const char *why)
{
    char name[300];
    return fail(ZCT_EDEADLOCK, "this thread would wait for itself: it %s tensor %s of store '%s' already", why,
                show(s, t, name, sizeof name), s->name);
}

int lock_fail_dirty(struct zct_store *s, uint32_t t)
{
    char name[300];
    return fail(ZCT_EWRITERDIED,
                "the last process that wrote tensor %s of store '%s' died while writing: its contents may be half "
                "old and half new; lock it for recovery, mend it, and mark it consistent",
                show(s, t, name, sizeof name), s->name);
}

/* ---- waiting ---- */

/* Before a sleep: how long it may last; 0: the deadline has passed. Starts the clock. */
static int64_t time_left(struct wait *wait)
{
    if (!wait->started) {
        wait->started = true;
        wait->limit = deadline_in(wait->timeout_ns);
        wait->probe_after = probe_first;
    }
    return deadline_left(wait->limit);
}

static bool spin(struct wait *wait)
{
    if (wait->timeout_ns == 0 || wait->spins >= SPINS)
        return false;
    wait->spins++;
    spin_pause();
    return true;
}

/* Nothing can be proved of members of a store whose file is gone. */
static int not_gone(struct zct_store *s)
{
    return get_relaxed(&s->words->gone) || pv_get(&s->lost) ? store_is_gone(s) : 0;
}

/* Sleep on a word of the lock. 0: look again; 1: for long enough to doubt that somebody lives; or a code. */
static int sleep_on(struct wait *wait, const void *word, uint32_t value, int64_t ns)
{
    wait->naps++;
    int rc = futex_wait_shared(word, value, ns < wait->probe_after ? ns : wait->probe_after);
    if (rc == -EINTR)
        return fail(ZCT_EINTERRUPTED, "waiting for the lock of a tensor was interrupted by a signal");
    if (rc != -ETIMEDOUT)
        return 0;
    rc = not_gone(wait->s);
    return rc < 0 ? rc : 1;
}

static void doubt_less(struct wait *wait)
{
    wait->probe_after = wait->probe_after * 2 < probe_most ? wait->probe_after * 2 : probe_most;
}

static bool repair(struct zct_store *s, uint32_t t, uint64_t seen)
{
    struct lock_words *lock = &desc_at(s, t)->lock;
    while (owner_of(seen) != 0) {
        uint64_t now = seen;
        bool inside = !owner_draining(seen, get_acquire(&lock->active)) && !MUTANT(14);
        if (cas_sc(&lock->owner, &now, owner_repaired(seen, inside || MUTANT(16)))) {
            futex_wake_shared(&lock->owner);
            version_ring(s, t); /* who waits for its versions is told of the death */
            return true;
        }
        if (!owner_same(now, seen))
            return false;
        seen = now;
    }
    return false;
}

void lock_repair_of(struct zct_store *s, uint32_t t, unsigned p)
{
    uint64_t w = get_sc(&desc_at(s, t)->lock.owner);
    if (unlikely(owner_of(w) == p + 1) && !MUTANT(13))
        (void)repair(s, t, w);
}

void lock_doubt_owner(struct zct_store *s, uint32_t t, uint64_t w)
{
    unsigned p = owner_of(w) - 1;
    if (p == s->slot || member_dead(s, p) != 1)
        return;
    (void)repair(s, t, w);
    (void)reap_if_dead(s, p);
}

/* Wait for the owner that `w` names. 0: look again. */
static int wait_owner(struct wait *wait, uint64_t w)
{
    struct lock_words *lock = lock_of(wait);
    if (spin(wait))
        return 0;
    int64_t left = time_left(wait);
    if (left == 0)
        return fail_timeout(wait, (int)owner_of(w) - 1, "writes");
    if (!(w & OWNER_WAIT)) {
        uint64_t waited = w | OWNER_WAIT;
        if (!cas_sc(&lock->owner, &w, waited))
            return 0;
        w = waited;
    }
    int rc = sleep_on(wait, &lock->owner, (uint32_t)w, left);
    if (rc != 1)
        return rc;
    w = get_sc(&lock->owner); /* before the proof */
    if (owner_of(w) == 0)
        return 0;
    if (member_dead(wait->s, owner_of(w) - 1) != 1) {
        doubt_less(wait);
        return 0;
    }
    (void)repair(wait->s, wait->t, w);
    (void)reap_if_dead(wait->s, owner_of(w) - 1);
    return 0;
}

/* ---- readers ---- */

void lock_reader_left(struct lock_words *lock)
{
    uint64_t w = get_sc(&lock->owner);
    if (unlikely(owner_draining(w, get_acquire(&lock->active)))) {
        (void)add_sc(&lock->drain, 1);
        futex_wake_shared(&lock->drain);
    }
}

int lock_read_drop(struct zct_store *s, uint32_t t, sh32 *mark)
{
    uint32_t now = get_relaxed(mark);
    do {
        if (unlikely(!mark_is(now, t)))
            return fail(ZCT_ENOTOWNER, "the lock was given back already");
    } while (unlikely(!cas_sc(mark, &now, mark_left(now)))); /* Dekker with the writer's {take; look at marks} */
    if (likely(now == mark_make(t)))
        lock_reader_left(&desc_at(s, t)->lock);
    return 0;
}

/* In: the word was free behind our mark. */
static int read_granted(struct zct_store *s, uint32_t t, sh32 *mark, uint64_t w, bool recover)
{
    struct lock_words *lock = &desc_at(s, t)->lock;
    if (unlikely(w & OWNER_HUNGRY)) {
        (void)and_sc(&lock->owner, ~OWNER_HUNGRY);
        futex_wake_shared(&lock->owner); /* writers that left it to us */
    }
    if (likely(!(w & OWNER_DIRTY)))
        return 0;
    if (recover)
        return ZCT_RECOVERED;
    (void)lock_read_drop(s, t, mark);
    return lock_fail_dirty(s, t);
}

/* One more of a lock that this thread has: granted at once. False: another thread gave it back just now. */
static bool read_nested(uint32_t t, sh32 *mark)
{
    uint32_t now = get_relaxed(mark);
    while (mark_is(now, t) && mark_may_nest(now))
        if (cas_sc(mark, &now, mark_nested(now)))
            return true;
    return false;
}

/* With the first mark of this thread in it. */
static int read_first(struct wait *wait, sh32 *mark, bool passed_over, bool recover)
{
    struct zct_store *s = wait->s;
    struct lock_words *lock = lock_of(wait);
    bool hungry = false;
    for (uint64_t w = get_relaxed(&lock->owner);;) {
        if (likely(owner_of(w) == 0)) {
            (void)swap_sc(mark, mark_make(wait->t)); /* Dekker with the writer's {take; look at marks} */
            w = get_sc(&lock->owner);
            if (owner_of(w) == 0)
                return read_granted(s, wait->t, mark, w, recover);
            (void)lock_read_drop(s, wait->t, mark);
            passed_over = true;
        }
        if (this_thread_writes(wait, w))
            return fail_deadlock(s, wait->t, "writes");
        passed_over |= wait->naps >= 2;
        if (passed_over && wait->timeout_ns != 0 && !(w & OWNER_HUNGRY)) {
            w = or_sc(&lock->owner, OWNER_HUNGRY) | OWNER_HUNGRY; /* cannot fail, unlike a CAS beside busy writers */
            hungry = true;
        }
        int rc = owner_of(w) != 0 ? wait_owner(wait, w) : 0;
        if (rc < 0) {
            if (hungry) /* whoever else is says so again */
                (void)and_sc(&lock->owner, ~OWNER_HUNGRY);
            return rc;
        }
        w = get_sc(&lock->owner);
    }
}

int lock_read(struct zct_store *s, uint32_t t, int64_t timeout_ns, bool recover, bool passed_over, sh32 **ret_mark)
{
    struct lock_words *lock = &desc_at(s, t)->lock;
    sh32 *unused, *mine = marks_find(s, t, &unused);
    if (unlikely(mine && read_nested(t, mine))) {
        *ret_mark = mine;
        return read_granted(s, t, mine, get_sc(&lock->owner) & ~OWNER_HUNGRY, recover);
    }
    if (unlikely(mine && mark_is(get_relaxed(mine), t)))
        timeout_ns = 0; /* it counts no further: never wait for a writer that waits for us */
    int rc = likely(unused != NULL) ? 0 : marks_more(s, &unused);
    if (unlikely(rc < 0))
        return rc;
    struct wait wait = {.s = s, .t = t, .timeout_ns = timeout_ns};
    *ret_mark = unused;
    rc = read_first(&wait, unused, passed_over, recover);
    if (rc != 0)
        log_deliver();
    return rc;
}

/* ---- writers ---- */

/* The word is free and HUNGRY: leave it to the readers that were passed over, for 2 ms. 0: look again. */
static int leave_to_readers(struct wait *wait, uint64_t w, bool *ret_patience_over)
{
    struct zct_store *s = wait->s;
    int64_t now = clock_now();
    if (wait->timeout_ns == 0) { /* whoever asks again and again without waiting has patience, too */
        uint64_t mixed = w ^ mix64(wait->t);
        *ret_patience_over =
            pv_get(&s->hungry_word) == mixed && now - (int64_t)pv_get(&s->hungry_since) >= readers_first;
        if (*ret_patience_over)
            return 0;
        if (pv_get(&s->hungry_word) != mixed) {
            pv_put(&s->hungry_word, mixed);
            pv_put(&s->hungry_since, (uint64_t)now);
        }
        return fail_timeout(wait, -1, "waits for its turn to read");
    }
    if (wait->patience_until == 0)
        wait->patience_until = now + readers_first;
    *ret_patience_over = now >= wait->patience_until;
    if (*ret_patience_over)
        return 0;
    int64_t left = time_left(wait), patience = wait->patience_until - now;
    if (left == 0)
        return fail_timeout(wait, -1, "waits for its turn to read");
    int rc = sleep_on(wait, &lock_of(wait)->owner, (uint32_t)w, left < patience ? left : patience);
    return rc < 0 ? rc : 0;
}

/* Take the word. *ret_w: as we made it. */
static int take(struct wait *wait, bool recover, uint64_t *ret_w)
{
    struct zct_store *s = wait->s;
    struct lock_words *lock = lock_of(wait);
    bool patience_over = false;
    uint64_t w = get_sc(&lock->owner);
    for (int rc = 0;; w = get_sc(&lock->owner)) {
        if (owner_open_to_writer(w, patience_over)) {
            if (unlikely(w & OWNER_DIRTY) && !recover)
                return lock_fail_dirty(s, wait->t);
            *ret_w = owner_taken(w, s->slot);
            if (likely(cas_sc(&lock->owner, &w, *ret_w)))
                return 0;
        } else if (owner_of(w) == 0) {
            rc = leave_to_readers(wait, w, &patience_over);
        } else if (this_thread_writes(wait, w)) {
            rc = fail_deadlock(s, wait->t, "writes");
        } else {
            rc = wait_owner(wait, w);
        }
        if (unlikely(rc < 0))
            return rc;
    }
}

/* Wait until nobody reads. The dead are cleared one after the other, without a nap between them. */
static int drain(struct wait *wait)
{
    struct zct_store *s = wait->s;
    struct lock_words *lock = lock_of(wait);
    for (;;) {
        uint32_t left_before = get_sc(&lock->drain);
        int p = marks_reader(s, wait->t, 0);
        if (likely(p < 0))
            return 0;
        if (spin(wait))
            continue;
        int64_t left = time_left(wait);
        if (left == 0)
            return fail_timeout(wait, p, "reads");
        int rc = sleep_on(wait, &lock->drain, left_before, left);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        while (p >= 0 && member_dead(s, (unsigned)p) == 1) {
            (void)reap_if_dead(s, (unsigned)p);
            int next = marks_reader(s, wait->t, (unsigned)p);
            if (next == p) /* another thread of ours reaps */
                break;
            p = next;
        }
        if (p >= 0)
            doubt_less(wait);
    }
}

int lock_write_drop(struct zct_store *s, uint32_t t, uint64_t mine, bool clean)
{
    struct lock_words *lock = &desc_at(s, t)->lock;
    uint64_t w = get_relaxed(&lock->owner);
    while (owner_same(w & ~OWNER_DIRTY, mine)) {
        uint64_t old = w;
        if (!cas_sc(&lock->owner, &w, owner_dropped(old, clean))) /* ends the write: a locked RMW */
            continue;
        if (old & OWNER_WAIT)
            futex_wake_shared(&lock->owner);
        return 0;
    }
    return fail(ZCT_ENOTOWNER, "the lock is not this process's: it was given back already");
}

bool lock_write_held(struct zct_store *s, uint32_t t, uint64_t mine)
{
    return owner_same(get_sc(&desc_at(s, t)->lock.owner) & ~OWNER_DIRTY, mine);
}

int lock_write_drain(struct zct_store *s, uint32_t t, int64_t timeout_ns, uint64_t w, uint64_t *ret_mine)
{
    struct wait wait = {.s = s, .t = t, .timeout_ns = timeout_ns};
    uint64_t mine = owner_with(owner_epoch(w), 0, owner_of(w));
    lock_note_writer(s, t, w);
    int rc = drain(&wait);
    if (rc < 0) {
        struct failure why;
        failure_keep(&why);
        (void)lock_write_drop(s, t, mine, MUTANT(15));
        failure_again(&why);
        log_deliver();
        return rc;
    }
    lock_write_begin(lock_of(&wait), w);
    *ret_mine = mine;
    return w & OWNER_DIRTY ? ZCT_RECOVERED : 0;
}

int lock_write(struct zct_store *s, uint32_t t, int64_t timeout_ns, bool recover, uint64_t *ret_mine)
{
    struct wait wait = {.s = s, .t = t, .timeout_ns = timeout_ns};
    sh32 *unused;
    uint64_t w = 0;
    if (marks_find(s, t, &unused))
        return fail_deadlock(s, t, "reads");
    int rc = take(&wait, recover, &w);
    if (rc == 0) /* what was waited for counts; the deadline itself is the caller's */
        return lock_write_drain(s, t, wait.started ? deadline_left(wait.limit) : timeout_ns, w, ret_mine);
    log_deliver();
    return rc;
}

void lock_begin(struct desc *d)
{
    uint64_t w = get_relaxed(&d->lock.owner);
    if (unlikely((uint32_t)w != 0))
        put_relaxed(&d->lock.owner, owner_with(owner_epoch(w) + 1, 0, 0));
}
