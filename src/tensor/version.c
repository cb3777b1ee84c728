/* version.c - counting completed writes, and sleeping until there is one.
 *
 * One tensor: a waiter announces the version it wants (wait_at), reads the event word, then looks, then sleeps on the event
 * word; whoever counts a write adds to `version` first and looks at wait_at second: one of the two sees the other. Many
 * tensors: one doorbell per member. A waiter sets its group's bit in each tensor's `listen`, then looks, then sleeps on its
 * bell; whoever counts takes the whole mask and rings every member that it may mean. A waiter that was rung for nothing
 * registers and looks again.
 *
 * A counter killed between its count and its ring leaves sleepers: nobody sleeps longer than NAP without a look. */
#include "tensor/lock.h"

#include "platform/futex.h"
#include "platform/process.h"

#include <errno.h>

#define NAP NS_PER_S

static void ring_bells(struct zct_store *s, struct desc *d)
{
    if (likely(get_sc(&d->listen) == 0))
        return;
    uint64_t mask = swap_sc(&d->listen, 0); /* a listener that comes now looks after us */
    unsigned members = s->g.members;
    for (unsigned p = next_in_groups(mask, 0, members); p < members; p = next_in_groups(mask, p + 1, members)) {
        struct slot *slot = slot_at(s, p);
        if (!control_page_present(s, offset_of(s, slot)) || !get_acquire(&slot->used))
            continue;
        (void)add_sc(&slot->bell, 1);
        futex_wake_shared(&slot->bell);
    }
}

static void ring_event(struct desc *d)
{
    (void)add_sc(&d->event, 1);
    futex_wake_shared(&d->event);
}

void version_tell(struct zct_store *s, uint32_t t)
{
    struct desc *d = desc_at(s, t);
    uint64_t now = get_sc(&d->version), wanted = get_sc(&d->wait_at);
    if (unlikely(wanted != 0)) {
        ring_event(d); /* first, so that whoever wanted this version is awake when the word is cleared */
        if (wanted <= now)
            (void)cas_sc(&d->wait_at, &wanted, 0);
    }
    ring_bells(s, d);
}

void version_ring(struct zct_store *s, uint32_t t)
{
    struct desc *d = desc_at(s, t);
    if (unlikely(get_sc(&d->wait_at) != 0))
        ring_event(d);
    ring_bells(s, d);
}

static int fail_ended(const zct_tensor *a, bool replaced)
{
    char name[ZCT_MAX_NAME + 1] = "";
    (void)zct_tensor_name(a, name, sizeof name);
    if (replaced)
        return fail(ZCT_EREPLACED, "tensor '%s' of store '%s' was replaced by a newer generation; attach again", name,
                    a->store->name);
    return fail(ZCT_ENOTFOUND, "tensor '%s' of store '%s' was unlinked: no newer version of it will come", name,
                a->store->name);
}

/* 1: there is a newer version, which is *ret. 0: not yet. Negative: none will come. */
static int look(const zct_tensor *a, uint64_t newer_than, uint64_t *ret)
{
    struct desc *d = desc_at(a->store, a->desc);
    *ret = get_sc(&d->version);
    if (*ret > newer_than)
        return 1;
    uint64_t w = get_sc(&d->lock.owner);
    if (unlikely(owner_of(w) != 0))
        lock_doubt_owner(a->store, a->desc, w);
    if (unlikely(w & OWNER_DIRTY))
        return lock_fail_dirty(a->store, a->desc);
    if (st_state(get_sc(&d->st)) != ST_DYING)
        return 0;
    *ret = get_sc(&d->version); /* counted before the end */
    return *ret > newer_than ? 1 : fail_ended(a, !ref_none(get_acquire(&d->next)));
}

/* Also in a store that was destroyed: who has its tensors can still write and wait. */
static int may_wait(struct zct_store *s)
{
    return process_may_call() && pv_get(&s->state) == STORE_MEMBER ? 0 : store_refuse(s);
}

uint64_t zct_tensor_version(const zct_tensor *a) { return get_sc(&desc_at(a->store, a->desc)->version); }

int zct_commit(zct_tensor *a, uint64_t *ret_version)
{
    int rc = may_wait(a->store);
    if (rc < 0)
        return rc;
    if (a->view.mode != ZCT_MODE_WRITE)
        return fail(ZCT_EACCES, "a version is counted by who can write: this attachment is %s",
                    a->view.mode == ZCT_MODE_COW ? "copy-on-write, its writes are private" : "read-only");
    uint64_t w = get_sc(&desc_at(a->store, a->desc)->lock.owner);
    if (w & OWNER_DIRTY)
        return lock_fail_dirty(a->store, a->desc);
    if (owner_of(w) != 0 && owner_of(w) != a->store->slot + 1)
        return fail(ZCT_ENOTOWNER, "another process has the tensor locked for writing, and counts the version itself");
    (void)add_sc(&desc_at(a->store, a->desc)->version, 1);
    version_tell(a->store, a->desc);
    if (ret_version)
        *ret_version = zct_tensor_version(a);
    return 0;
}

/* Nobody clears a wish for a later version than the one that wakes him. */
static void want(struct desc *d, uint64_t version)
{
    uint64_t wanted = get_sc(&d->wait_at);
    while (wanted < version && !cas_sc(&d->wait_at, &wanted, version))
        ;
}

static int fail_late(const zct_tensor *a, uint64_t newer_than)
{
    char name[ZCT_MAX_NAME + 1] = "";
    (void)zct_tensor_name(a, name, sizeof name);
    return fail(ZCT_ETIMEDOUT, "tensor '%s' of store '%s' did not come to a version beyond %llu within the timeout", name,
                a->store->name, (unsigned long long)newer_than);
}

int zct_wait(const zct_tensor *a, uint64_t newer_than, int64_t timeout_ns, uint64_t *ret_version)
{
    uint64_t version = 0;
    int rc = may_wait(a->store);
    if (rc < 0)
        return rc;
    struct desc *d = desc_at(a->store, a->desc);
    deadline limit = deadline_in(timeout_ns);
    while ((rc = look(a, newer_than, &version)) == 0) {
        if (timeout_ns == 0 || deadline_left(limit) == 0)
            return fail_late(a, newer_than);
        want(d, newer_than + 1);
        uint32_t event = get_sc(&d->event);
        rc = look(a, newer_than, &version);
        if (rc != 0)
            break;
        int64_t left = deadline_left(limit);
        if (futex_wait_shared(&d->event, event, left < NAP ? left : NAP) == -EINTR)
            return fail(ZCT_EINTERRUPTED, "waiting for a version was interrupted by a signal");
        rc = may_wait(a->store);
        if (rc < 0)
            return rc;
    }
    if (rc > 0 && ret_version)
        *ret_version = version;
    return rc < 0 ? rc : 0;
}

/* ---- many at once ---- */

uint32_t zct_bell(zct_store *s) { return get_sc(&slot_at(s, s->slot)->bell); }

int zct_bell_ring(zct_store *s)
{
    int rc = may_wait(s);
    if (rc < 0)
        return rc;
    struct slot *slot = slot_at(s, s->slot);
    (void)add_sc(&slot->bell, 1);
    futex_wake_shared(&slot->bell);
    return 0;
}

int zct_bell_wait(zct_store *s, uint32_t heard, int64_t timeout_ns)
{
    int rc = may_wait(s);
    if (rc < 0 || zct_bell(s) != heard)
        return rc;
    deadline limit = deadline_in(timeout_ns);
    int64_t left = deadline_left(limit);
    rc = left > 0 ? futex_wait_shared(&slot_at(s, s->slot)->bell, heard, left < NAP ? left : NAP) : -ETIMEDOUT;
    if (rc == -EINTR)
        return fail(ZCT_EINTERRUPTED, "waiting for a doorbell was interrupted by a signal");
    return rc == -ETIMEDOUT && deadline_left(limit) == 0 ? fail(ZCT_ETIMEDOUT, "no doorbell rang within the timeout") : 0;
}

int zct_listen(const zct_tensor *a, uint64_t newer_than, uint64_t *ret_version)
{
    struct zct_store *s = a->store;
    uint64_t version = 0;
    int rc = may_wait(a->store);
    if (rc < 0)
        return rc;
    struct desc *d = desc_at(s, a->desc);
    if (!(get_sc(&d->listen) & group_bit(s->slot)))
        (void)or_sc(&d->listen, group_bit(s->slot));
    rc = look(a, newer_than, &version);
    if (rc > 0 && ret_version)
        *ret_version = version;
    return rc;
}

int zct_wait_any(zct_tensor *const *tensors, const uint64_t *newer_than, int count, int64_t timeout_ns, int *ret_index)
{
    int rc = 0;
    if (count <= 0)
        return fail(ZCT_EINVAL, "there is nothing to wait for");
    for (int i = 1; i < count; i++)
        if (tensors[i]->store != tensors[0]->store)
            return fail(ZCT_EINVAL, "tensors of two stores, '%s' and '%s', cannot be waited for at once",
                        tensors[0]->store->name, tensors[i]->store->name);
    struct zct_store *s = tensors[0]->store;
    deadline limit = deadline_in(timeout_ns);
    for (bool last = timeout_ns == 0;; last = deadline_left(limit) == 0) {
        uint32_t heard = zct_bell(s);
        for (int i = 0; i < count; i++) {
            rc = zct_listen(tensors[i], newer_than[i], NULL);
            if (rc != 0) {
                *ret_index = i;
                return rc < 0 ? rc : 0;
            }
        }
        if (last)
            return fail(ZCT_ETIMEDOUT, "none of %d tensors of store '%s' came to a newer version within the timeout", count,
                        s->name);
        rc = zct_bell_wait(s, heard, deadline_left(limit));
        if (rc < 0 && rc != -ZCT_ETIMEDOUT)
            return rc;
    }
}
