/* attach.c - from a name to bytes. */
#include "tensor/tensor.h"

#include "platform/file.h"
#include "platform/futex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fail_not_found(struct zct_store *s, const struct key *key)
{
    char name[300];
    return fail(ZCT_ENOTFOUND, "there is no tensor %s in store '%s'; 'zct ls' lists what is there",
                key_show(key, name, sizeof name), s->name);
}

/* What a candidate turned out to be. NOT_THIS: probe on; a miss is only ever concluded at the end of the chain. */
enum verdict { GOT, NOT_THIS, LOOK_AGAIN };

/* A descriptor that is not it counts only if the cell, read between two equal reads of the whole state word, led here all
 * the time: the cell alone can come back to the same value with another tensor in the descriptor (models/index.pml). */
static enum verdict pass(struct zct_store *s, struct lookup *l, uint32_t t, uint64_t st)
{
    return lookup_same(l) && get_acquire(&desc_at(s, t)->st) == st ? NOT_THIS : LOOK_AGAIN;
}

/* Hold candidate t, or whoever replaced it, and then compare the name, last. */
static int try_candidate(struct zct_store *s, const struct key *key, struct lookup *l, uint32_t t, uint32_t *ret_desc,
                         uint64_t *ret_st)
{
    uint64_t st = get_acquire(&desc_at(s, t)->st);
    if (!key_is(s, desc_at(s, t), key))
        return pass(s, l, t, st);
    for (int hops = 0; hops < 64; hops++) {
        uint32_t next = NO_DESC;
        int rc = hold_take(s, t, true, &st, &next);
        if (likely(rc == HELD)) {
            if (unlikely(!key_is(s, desc_at(s, t), key))) { /* A5 */
                hold_drop(s, t);
                return LOOK_AGAIN;
            }
            *ret_desc = t;
            *ret_st = st;
            return GOT;
        }
        if (rc < 0)
            return rc;
        if (rc == FOLLOW)
            t = next;
        else
            return rc == MISS && hops == 0 ? (int)pass(s, l, t, st) : LOOK_AGAIN;
    }
    return LOOK_AGAIN;
}

int name_hold(struct zct_store *s, const struct key *key, uint32_t *ret_desc, uint64_t *ret_st)
{
    for (unsigned round = 0; round < 1u << 20; round++) {
        struct lookup l;
        int verdict = NOT_THIS;
        lookup_start(s, &l, key->hash);
        for (uint32_t t; verdict == NOT_THIS && (t = lookup_next(s, &l)) != NO_DESC;) {
            verdict = try_candidate(s, key, &l, t, ret_desc, ret_st);
            if (likely(verdict == GOT))
                return 0;
        }
        if (verdict < 0)
            return verdict;
        if (verdict == NOT_THIS && index_settled(s, &l))
            return -ZCT_ENOTFOUND;
        spin_pause();
    }
    return fail(ZCT_EBUSY, "store '%s' changes faster than it can be read; run 'zct check'", s->name);
}

/* ---- attachments ---- */

static int map_cow(struct zct_store *s, struct zct_tensor *a, struct extent bytes)
{
    int err = 0, fd = store_file(s, false);
    if (fd < 0)
        return fd;
    uint64_t first = round_down(bytes.offset, PAGE), end = round_up(bytes.offset + bytes.length, PAGE);
    uint8_t *at = os_map_private(fd, s->g.payload_offset + first, end - first, &err);
    os_close(fd);
    if (!at)
        return fail_os(ZCT_ENOMEM, err, "cannot make a private mapping of %llu bytes", (unsigned long long)(end - first));
    a->cow = at;
    a->cow_length = end - first;
    a->view.data = at + (bytes.offset - first);
    return 0;
}

static int map_data(struct zct_store *s, struct zct_tensor *a, uint64_t ext)
{
    struct extent bytes = ext_bytes(ext);
    int mode = a->view.mode;
    if (mode == ZCT_MODE_COW && bytes.length)
        return map_cow(s, a, bytes);
    bool writable = mode != ZCT_MODE_READ;
    struct window *w = writable ? &s->rw : &s->ro;
    int rc = window_need(s, w, max_u64(bytes.offset + bytes.length, 1), writable ? OS_WRITE : OS_READ);
    if (rc == 0)
        a->view.data = w->base + bytes.offset;
    return rc;
}

static int fill_view(struct zct_store *s, struct zct_tensor *a, struct desc *d, uint64_t st, uint64_t form)
{
    int ndim = (int)form_ndim(form);
    zct_view *v = &a->view;
    v->ndim = ndim;
    v->shape = a->dims;
    v->strides = a->dims + ndim;
    v->order = (int32_t)form_order(form);
    dtype_read(d, &v->dtype);
    v->nbytes = get_relaxed(&d->nbytes);
    v->generation = get_relaxed(&d->generation);
    v->serial = get_relaxed(&d->serial);
    v->sealed = st_sealed(st);
    if (!layout_read(s, d, form, &v->dtype, v->nbytes, a->dims, a->dims + ndim))
        return fail(ZCT_ECORRUPT, "a descriptor of store '%s' contradicts itself; run 'zct check'", s->name);
    uint64_t ext = get_relaxed(&d->ext);
    if (!ext_valid(ext, s->g.pages) || ext_bytes(ext).length < v->nbytes)
        return fail(ZCT_ECORRUPT, "a tensor's extent in store '%s' is impossible; run 'zct check'", s->name);
    return map_data(s, a, ext);
}

/* ---- spares: attach and release in turn make and fill nothing ---- */

/* The attachment that was kept, if it is one to this very tensor as it is now, mode included. The form word
 * changes with the name, so a block that was published since does not fit. */
static struct zct_tensor *spare_take(struct zct_store *s, uint32_t t, uint64_t st, int mode, uint64_t form)
{
    pv64 *spare = &s->spares[t % SPARES];
    if (!pv_get(spare))
        return NULL;
    struct zct_tensor *a = (struct zct_tensor *)(uintptr_t)pv_swap(spare, 0ull);
    if (likely(a && a->desc == t && a->gen == st_gen(st) && a->view.mode == mode && a->form == form))
        return a;
    free(a);
    return NULL;
}

static void spare_put(struct zct_store *s, struct zct_tensor *a)
{
#ifndef __SANITIZE_ADDRESS__ /* let it see a use after release */
    if (likely(!a->cow && a->view.ndim <= SHAPE_INLINE))
        a = (struct zct_tensor *)(uintptr_t)pv_swap(&s->spares[a->desc % SPARES], (uint64_t)(uintptr_t)a);
#endif
    (void)s;
    free(a);
}

void spares_forget(struct zct_store *s)
{
    for (int i = 0; i < SPARES; i++)
        free((void *)(uintptr_t)pv_swap(&s->spares[i], 0ull));
}

static int attachment_held(struct zct_store *s, struct zct_tensor *a, struct zct_tensor **ret)
{
    pv_add(&s->users, USER_LIVE);
    *ret = a;
    return 0;
}

int attachment_make(struct zct_store *s, uint32_t t, uint64_t st, int mode, struct zct_tensor **ret)
{
    struct desc *d = desc_at(s, t);
    uint64_t form = get_relaxed(&d->form); /* once: the allocation goes by it */
    unsigned ndim = form_ndim(form);
    int rc = 0;
    if (mode == ZCT_MODE_DEFAULT)
        mode = st_sealed(st) ? ZCT_MODE_READ : ZCT_MODE_WRITE;
    if (unlikely(mode < ZCT_MODE_DEFAULT || mode > ZCT_MODE_COW))
        rc = fail(ZCT_EINVAL, "unknown mode %d", mode);
    if (unlikely(mode == ZCT_MODE_WRITE && st_sealed(st)))
        rc = fail(ZCT_EACCES, "the tensor is sealed: attach it with mode 'r' or 'c'");
    if (unlikely(ndim > ZCT_MAX_DIMS))
        rc = fail(ZCT_ECORRUPT, "a descriptor of store '%s' has %u dimensions; run 'zct check'", s->name, ndim);
    struct zct_tensor *a = rc == 0 ? spare_take(s, t, st, mode, form) : NULL;
    if (likely(a != NULL)) {
        a->made = false;
        a->slot_gen = s->slot_gen;
        a->view.sealed = st_sealed(st);
        return attachment_held(s, a, ret);
    }
    a = rc == 0 ? malloc(sizeof *a + 2 * ndim * sizeof(int64_t)) : NULL;
    if (rc == 0 && unlikely(!a))
        rc = fail(ZCT_ENOMEM, "out of memory");
    if (likely(rc == 0)) {
        a->store = s;
        a->desc = t;
        a->d = d;
        a->made = false;
        a->gen = st_gen(st);
        a->form = form;
        a->slot_gen = s->slot_gen;
        a->cow = NULL;
        a->view.mode = mode;
        rc = fill_view(s, a, d, st, form);
    }
    if (unlikely(rc < 0)) {
        if (a && a->cow)
            os_unmap(a->cow, a->cow_length);
        free(a);
        hold_drop(s, t);
        return rc;
    }
    return attachment_held(s, a, ret);
}

/* ---- waiting for a name ---- */

static int attach_now(struct zct_store *s, const struct key *key, int mode, struct zct_tensor **ret)
{
    uint32_t t = NO_DESC;
    uint64_t st = 0;
    int rc = name_hold(s, key, &t, &st);
    return likely(rc == 0) ? attachment_make(s, t, st, mode, ret) : rc;
}

static int missed(struct zct_store *s, const struct key *key)
{
    int rc = store_check_file(s);
    return rc < 0 ? rc : fail_not_found(s, key);
}

/* In this order each time round, or a birth between look and sleep is missed: births, births_wait, look, sleep. */
static uint32_t births_watch(struct zct_store *s)
{
    uint32_t births = get_sc(&s->words->births);
    put_sc(&s->words->births_wait, 1);
    return births;
}

/* Sleep until births is not `births` any more, or for a second: a file that was removed by hand rings no bell. */
static int births_sleep(struct zct_store *s, uint32_t births, int64_t left)
{
    return futex_wait_shared(&s->words->births, births, min_u64((uint64_t)left, NS_PER_S));
}

static int attach_wait(struct zct_store *s, const struct key *key, int mode, deadline limit, struct zct_tensor **ret)
{
    for (;;) {
        uint32_t births = births_watch(s);
        int rc = attach_now(s, key, mode, ret);
        if (rc != -ZCT_ENOTFOUND)
            return rc;
        if (!store_ready(s))
            return store_refuse(s);
        int64_t left = deadline_left(limit);
        if (left == 0) {
            char name[300];
            return fail(ZCT_ENOTFOUND, "tensor %s did not come to store '%s' within the timeout",
                        key_show(key, name, sizeof name), s->name);
        }
        rc = births_sleep(s, births, left);
        if (rc == -ETIMEDOUT && missed(s, key) == -ZCT_EGONE)
            return -ZCT_EGONE;
        if (rc == -EINTR)
            return fail(ZCT_EINTERRUPTED, "waiting for a tensor was interrupted by a signal");
    }
}

int zct_wait_names(zct_store *s, uint32_t *seen, int64_t timeout_ns)
{
    deadline limit = deadline_in(timeout_ns);
    for (;;) {
        if (!store_ready(s))
            return store_refuse(s);
        uint32_t births = births_watch(s);
        if (births != *seen) {
            *seen = births;
            return 0;
        }
        int64_t left = deadline_left(limit);
        if (left == 0)
            return fail(ZCT_ETIMEDOUT, "no name came to store '%s' within the timeout", s->name);
        int rc = births_sleep(s, births, left);
        if (rc == -ETIMEDOUT && (rc = store_check_file(s)) < 0)
            return rc;
        if (rc == -EINTR)
            return fail(ZCT_EINTERRUPTED, "waiting for names was interrupted by a signal");
    }
}

void zct_wake_names(zct_store *s)
{
    if (store_ready(s))
        births_ring(s);
}

int zct_attach_n(zct_store *s, const char *name, size_t name_len, int mode, int64_t timeout_ns, zct_tensor **ret)
{
    struct key key;
    if (unlikely(!store_ready(s)))
        return store_refuse(s);
    if (unlikely(mode < ZCT_MODE_DEFAULT || mode > ZCT_MODE_COW))
        return fail(ZCT_EINVAL, "unknown mode %d", mode);
    int rc = key_make(&key, name, name_len);
    if (unlikely(rc < 0))
        return rc;
    rc = attach_now(s, &key, mode, ret);
    if (unlikely(rc == -ZCT_ENOTFOUND))
        rc = timeout_ns ? attach_wait(s, &key, mode, deadline_in(timeout_ns), ret) : missed(s, &key);
    log_deliver();
    return rc;
}

int zct_attach(zct_store *s, const char *name, int mode, int64_t timeout_ns, zct_tensor **ret)
{
    return zct_attach_n(s, name, strlen(name), mode, timeout_ns, ret);
}

int zct_attach_again(zct_tensor *from, int mode, zct_tensor **ret)
{
    struct zct_store *s = from->store;
    int rc = process_may_call() && pv_get(&s->state) == STORE_MEMBER ? 0 : store_refuse(s); /* also when it is gone */
    if (rc < 0)
        return rc;
    hold_more(s, from->desc);
    rc = attachment_make(s, from->desc, get_sc(&desc_at(s, from->desc)->st), mode, ret);
    if (rc == 0)
        (*ret)->made = from->made;
    return rc;
}

void zct_release(zct_tensor *a)
{
    if (!a)
        return;
    struct zct_store *s = a->store;
    if (unlikely(a->cow != NULL))
        os_unmap(a->cow, a->cow_length); /* before the hold: a private page that was never written is the extent's */
    if (likely(process_may_call() && pv_get(&s->state) == STORE_MEMBER))
        hold_drop(s, a->desc);
    spare_put(s, a);
    store_unuse(s, USER_LIVE);
    log_deliver();
}
