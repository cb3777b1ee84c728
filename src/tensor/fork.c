/* fork.c - a forked child is a member of its own, with its parent's holds.
 *
 * prepare takes the locks that guard references (registry, reap, stripes, arena, stock), takes a slot for the child through a
 * fresh open file description, and copies the parent's row into it by the rule of holding: bit, st, hint, st, veto. A bit is
 * never undone, whatever st says: the child inherits lref. The lock of life moves by inheritance: the parent closes its
 * descriptor, the child pins it with a mapping. Nobody naps here. */
#include "tensor/lock.h"

#include "platform/file.h"
#include "platform/process.h"

void process_is_child(void); /* segment/open.c */

static void copy_bit(struct zct_store *s, unsigned q, uint32_t t)
{
    sh64 *word = row_at(s, q) + t / 64;
    or_sc(word, bit_of(t));
    if (!desc_there(s, t))
        return;
    struct desc *d = desc_at(s, t);
    (void)get_acquire(&d->st);
    if (!(get_sc(&d->hint) & group_bit(q)))
        or_sc(&d->hint, group_bit(q));
    uint64_t st = get_sc(&d->st);
    while (st_asked(st) && !cas_sc(&d->st, &st, st_plain(st))) {
    }
}

static int copy_row(struct zct_store *s, unsigned q)
{
    sh64 *row = row_at(s, s->slot);
    uint32_t words = s->g.names / 64; /* all: a claim sets its bit before the descriptor counts as used */
    for (uint32_t w = 0; w < words; w++) {
        if (!control_page_present(s, offset_of(s, &row[w]))) {
            w = (uint32_t)((round_down(offset_of(s, &row[w]), PAGE) + PAGE - offset_of(s, row)) / 8) - 1;
            continue;
        }
        uint64_t bits = get_sc(&row[w]);
        if (!bits)
            continue;
        int rc = control_reserve(s, offset_of(s, row_at(s, q) + w), 8);
        if (rc < 0)
            return rc;
        for (; bits; bits &= bits - 1)
            copy_bit(s, q, w * 64 + lowest_bit(bits));
    }
    return 0;
}

static bool slot_is_free(struct zct_store *s)
{
    for (unsigned p = 0; p < s->g.members; p++) {
        struct slot *slot = slot_at(s, p);
        if (!control_page_present(s, offset_of(s, slot)) || !get_acquire(&slot->used))
            return true;
    }
    return false;
}

static void prepare_store(struct zct_store *s)
{
    s->fork_child_slot = -1;
    if (pv_get(&s->state) != STORE_MEMBER || !process_may_call())
        return;
    /* Children that called exec or _exit left their slots used, and a process that only forks never opens: a few of the dead
     * at each fork; when no slot is free all of them, and then other threads of ours may have AL for a moment. */
    upper.reap_some(s);
    if (!slot_is_free(s))
        (void)reap_all(s, deadline_in(5 * NS_PER_MS));
    plock_lock(&s->reap_lock);
    for (int i = 0; i < STRIPES; i++)
        plock_lock(&s->stripes[i].lock);
    plock_lock(&s->arena_lock);
    plock_lock(&s->stock_lock);
    pv_add(&s->forks, 1u);
    s->fork_child_fd = store_file(s, true);
    if (s->fork_child_fd < 0)
        return;
    unsigned q = 0;
    if (member_take_slot(s, s->fork_child_fd, true, &q, &s->fork_child_gen) == 0) {
        s->fork_child_slot = (int32_t)q;
        if (copy_row(s, q) == 0)
            return;
        s->fork_child_slot = -1; /* its lock goes with the descriptor: whoever notices reaps what was copied */
    }
    os_close(s->fork_child_fd);
    s->fork_child_fd = -1;
}

/* The process that forks may call us, and did prepare: also one whose stores are all closed, or its child could never open
 * one. Under the registry's lock. */
static bool forking;

static bool prepared(struct zct_store *s) { return pv_get(&s->state) == STORE_MEMBER; }

/* Nothing here runs in the child of a raw clone: a lock that another thread held at that moment is held for ever, and nothing is
 * ours. */
static void prepare(void)
{
    if (process_is_raw_child()) {
        forking = false;
        return;
    }
    plock_lock(&registry_lock);
    forking = here_page() && process_may_call();
    for (struct zct_store *s = registry; s && forking; s = s->next)
        prepare_store(s);
}

static void parent(void)
{
    if (process_is_raw_child())
        return;
    for (struct zct_store *s = registry; s && forking; s = s->next) {
        if (!prepared(s))
            continue;
        os_close(s->fork_child_fd);
        s->fork_child_fd = -1;
        pv_add(&s->forks, 1u);
        plock_unlock(&s->stock_lock);
        plock_unlock(&s->arena_lock);
        for (int i = STRIPES - 1; i >= 0; i--)
            plock_unlock(&s->stripes[i].lock);
        plock_unlock(&s->reap_lock);
    }
    plock_unlock(&registry_lock);
}

/* In the child: references of threads that are not here. Those to free descriptors were claims, or the back-off of a look: nobody
 * here will ever drop them, and they would keep us from claiming. Others stay until we exit. */
static void drop_lost_claims(struct zct_store *s)
{
    sh64 *row = row_at(s, s->slot);
    for (uint32_t w = 0; w < s->g.names / 64; w++) {
        if (!control_page_present(s, offset_of(s, &row[w]))) {
            w = (uint32_t)((round_down(offset_of(s, &row[w]), PAGE) + PAGE - offset_of(s, row)) / 8) - 1;
            continue;
        }
        for (uint64_t bits = get_sc(&row[w]); bits; bits &= bits - 1) {
            uint32_t t = w * 64 + lowest_bit(bits);
            if (desc_there(s, t) && !st_used(get_sc(&desc_at(s, t)->st))) {
                s->lref[t] = 0;
                and_sc(&row[w], ~bit_of(t));
            }
        }
    }
}

static void child_store(struct zct_store *s)
{
    plock_reset(&s->stock_lock);
    plock_reset(&s->arena_lock);
    plock_reset(&s->al_lock);
    plock_reset(&s->reap_lock);
    for (int i = 0; i < STRIPES; i++)
        plock_reset(&s->stripes[i].lock);
    if (pv_get(&s->state) != STORE_MEMBER)
        return;
    pv_add(&s->forks, 1u);
    stock_forget(s, true);
    marks_forget(s);  /* locks are not inherited */
    warmth_forget(s); /* shared pages are not mapped in a child until it touches them */
    int err = 0;
    uint8_t *token = NULL;
    if (s->fork_child_slot >= 0)
        token = os_map_shared(s->reservation + s->g.control_size + PAGE, s->fork_child_fd, 0, PAGE, OS_READ, &err);
    if (!token) {
        s->token = NULL;
        pv_put(&s->state, STORE_NOT_MEMBER);
        os_close(s->fork_child_fd);
        return;
    }
    os_not_in_child(token, PAGE);
    os_close(s->fork_child_fd);
    s->fork_child_fd = -1;
    s->token = token;
    s->slot = (unsigned)s->fork_child_slot;
    s->slot_gen = s->fork_child_gen;
    s->row = (uint8_t *)row_at(s, s->slot);
    member_write_record(s, s->slot);
    drop_lost_claims(s);
}

static void child(void)
{
    process_forked();
    plock_reset(&registry_lock);
    log_forget();
    if (!forking) /* never opened a store, or the forking process was itself the child of a raw clone */
        return;
    for (struct zct_store *s = registry; s; s = s->next)
        child_store(s);
    process_is_child();
}

/* Left at exit and never freed: other threads may still look at them. Kept in sight of leak checkers. */
static struct zct_store *left_at_exit;

static void at_exit(void)
{
    if (process_is_raw_child())
        return;
    /* Whoever still has live attachments, or is inside a call, may still write: no leave then, the kernel drops the life lock
     * and the next one reaps. */
    if (!plock_try(&registry_lock))
        return;
    for (struct zct_store *s = registry; s;) {
        bool idle = process_may_call() && store_live(s) == 0 && pv_get(&s->state) == STORE_MEMBER && plock_try(&s->stock_lock);
        if (idle) {
            plock_unlock(&s->stock_lock);
            stock_empty(s);
        }
        if (!idle || !hold_stop(s)) {
            s = s->next;
            continue;
        }
        pv_put(&s->leaver, thread_id());
        store_leave(s, true);
        s->next = left_at_exit;
        left_at_exit = s;
        s = registry; /* F was let go while it waited at the door: the list may be another one */
    }
    plock_unlock(&registry_lock);
}

int fork_watch(void)
{
    static bool watching; /* under the registry's lock */
    if (watching)
        return 0;
    if (process_on_fork(prepare, parent, child) < 0 || process_at_exit(at_exit) < 0)
        return fail(ZCT_ENOMEM, "out of memory for fork handlers");
    watching = true;
    return 0;
}
