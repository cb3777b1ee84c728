/* api_lock.c - zct_tensor_read_lock and so on: guards and arguments, then tensor/lock.c. */
#include "tensor/lock.h"

/* zct_lock_guard.what: {consistent:1 | kind:2 | membership:32}; 0: an empty guard. */
#define READS (1ull << 32)
#define WRITES (2ull << 32)
#define CONSISTENT (4ull << 32)

static inline uint64_t kind_of(const zct_lock_guard *guard) { return guard->what & (READS | WRITES); }

/* Of this process, which has not forked away from it. */
static inline bool is_ours(const zct_lock_guard *guard)
{
    return guard->what && (uint32_t)guard->what == guard->tensor->store->membership && process_may_call();
}

static int fail_not_ours(void)
{
    return fail(ZCT_ENOTOWNER, "the guard holds no lock of this process: it was released, or came through a fork");
}

static int check(struct zct_store *s, uint32_t flags)
{
    if (unlikely(flags & ~(uint32_t)ZCT_RECOVER))
        return fail(ZCT_EINVAL, "unknown lock flags %#x", flags);
    return likely(pv_get(&s->state) == STORE_MEMBER && process_may_call()) ? 0 : store_refuse(s);
}

/* `asked`: a mark that turned out to be too late. */
static __attribute__((noinline)) int read_slowly(zct_tensor *a, int64_t timeout_ns, uint32_t flags, zct_lock_guard *ret,
                                                 sh32 *asked)
{
    struct zct_store *s = a->store;
    sh32 *mark = NULL;
    if (asked)
        (void)lock_read_drop(s, a->desc, asked);
    int rc = check(s, flags);
    if (rc == 0)
        rc = lock_read(s, a->desc, timeout_ns, flags != 0, asked != NULL, &mark);
    if (rc >= 0)
        *ret = (zct_lock_guard){.tensor = a, .place = (uintptr_t)mark, .what = s->membership | READS};
    return rc;
}

int zct_tensor_read_lock(zct_tensor *a, int64_t timeout_ns, uint32_t flags, zct_lock_guard *ret)
{
    uint32_t member = a->store->membership;
    struct lock_words *lock = &a->d->lock;
    sh32 *mark = likely(process_may_call() && flags <= ZCT_RECOVER) ? lock_read_short(member, lock) : NULL;
    if (unlikely(!mark))
        return read_slowly(a, timeout_ns, flags, ret, NULL);
    if (unlikely(!lock_read_mark(lock, mark, a->desc)))
        return read_slowly(a, timeout_ns, flags, ret, mark);
    ret->tensor = a;
    ret->place = (uintptr_t)mark;
    ret->what = member | READS;
    return 0;
}

static int fail_read_only(struct zct_store *s, const zct_tensor *a, bool sealed)
{
    char name[ZCT_MAX_NAME + 1];
    if (zct_tensor_name(a, name, sizeof name) < 0)
        name[0] = 0;
    return fail(ZCT_EACCES, "tensor '%s' of store '%s' cannot be locked for writing: it %s", name, s->name,
                sealed ? "is sealed" : "is not attached for writing (mode \"r+\")");
}

static __attribute__((noinline)) int write_slowly(zct_tensor *a, int64_t timeout_ns, uint32_t flags,
                                                  zct_lock_guard *ret, uint64_t w)
{
    struct zct_store *s = a->store;
    uint64_t mine = 0;
    int rc = check(s, flags);
    bool sealed = st_sealed(get_relaxed(&a->d->st));
    if (rc == 0 && (sealed || a->view.mode != ZCT_MODE_WRITE))
        rc = fail_read_only(s, a, sealed);
    if (rc == 0)
        rc = w ? lock_write_drain(s, a->desc, timeout_ns, w, &mine)
               : lock_write(s, a->desc, timeout_ns, flags != 0, &mine);
    if (rc >= 0)
        *ret = (zct_lock_guard){.tensor = a, .place = mine, .what = s->membership | WRITES};
    return rc;
}

int zct_tensor_write_lock(zct_tensor *a, int64_t timeout_ns, uint32_t flags, zct_lock_guard *ret)
{
    struct zct_store *s = a->store;
    struct lock_words *lock = &a->d->lock;
    uint64_t w = get_relaxed(&lock->owner), mine = owner_taken(w, s->slot);
    if (unlikely(!process_may_call() || flags > ZCT_RECOVER || a->view.mode != ZCT_MODE_WRITE ||
                 st_sealed(get_relaxed(&a->d->st)) || (w & LOCK_IN_THE_WAY) || !marks_none(s->membership) ||
                 !cas_sc(&lock->owner, &w, mine)))
        return write_slowly(a, timeout_ns, flags, ret, 0);
    if (unlikely(!lock_unread(s, a->d)))
        return write_slowly(a, timeout_ns, flags, ret, mine);
    lock_note_writer(s, a->desc, mine);
    lock_write_begin(lock, mine);
    ret->tensor = a;
    ret->place = mine & ~OWNER_WAIT;
    ret->what = s->membership | WRITES;
    return 0;
}

/* The mark is gone: a writer may wait for that. */
static __attribute__((noinline)) int wake_writer(struct lock_words *lock)
{
    lock_reader_left(lock);
    return 0;
}

/* A write is complete: counted while the lock is still ours, told when it is not. */
static int release_counted(struct zct_store *s, uint32_t t, uint64_t mine, bool consistent)
{
    struct desc *d = desc_at(s, t);
    if (lock_write_held(s, t, mine))
        (void)add_sc(&d->version, 1);
    int rc = lock_write_drop(s, t, mine, consistent);
    if (rc == 0)
        version_tell(s, t);
    return rc;
}

static __attribute__((noinline)) int release_slowly(zct_lock_guard *guard)
{
    zct_tensor *a = guard->tensor;
    uint64_t what = guard->what;
    if (!is_ours(guard))
        return fail_not_ours();
    guard->what = 0;
    if (what & READS)
        return lock_read_drop(a->store, a->desc, (sh32 *)(uintptr_t)guard->place);
    return release_counted(a->store, a->desc, guard->place, (what & CONSISTENT) != 0);
}

/* A read lock that is not nested. */
static inline bool release_read(zct_lock_guard *guard, zct_tensor *a)
{
    sh32 *mark = (sh32 *)(uintptr_t)guard->place;
    uint32_t once = mark_make(a->desc);
    return likely(get_relaxed(mark) == once &&
                  cas_sc(mark, &once, 0)); /* Dekker with the writer's {take; look at marks} */
}

int zct_lock_release(zct_lock_guard *guard)
{
    uint64_t what = guard->what;
    zct_tensor *a = guard->tensor;
    if (unlikely(!what || (uint32_t)what != a->store->membership || !process_may_call()))
        return release_slowly(guard);
    if (what & READS) {
        struct lock_words *lock = &a->d->lock;
        if (unlikely(!release_read(guard, a)))
            return release_slowly(guard);
        guard->what = 0;
        return unlikely(owner_of(get_sc(&lock->owner)) != 0) ? wake_writer(lock) : 0;
    }
    uint64_t mine = guard->place, w = mine;
    if (unlikely(get_relaxed(&a->d->lock.owner) != mine)) /* somebody waits, it is poisoned, or it is not ours */
        return release_slowly(guard);
    guard->what = 0;
    (void)add_sc(&a->d->version, 1);
    if (unlikely(!cas_sc(&a->d->lock.owner, &w, owner_dropped(mine, true))))
        (void)lock_write_drop(a->store, a->desc, mine, true);
    if (unlikely(get_sc(&a->d->wait_at) | get_sc(&a->d->listen)))
        version_tell(a->store, a->desc);
    return 0;
}

int zct_lock_mark_consistent(zct_lock_guard *guard)
{
    if (kind_of(guard) != WRITES || !is_ours(guard))
        return fail(ZCT_ENOTOWNER, "only who has a tensor locked for writing can say that it is consistent");
    guard->what |= CONSISTENT;
    return 0;
}

int zct_lock_held(const zct_lock_guard *guard)
{
    if (!is_ours(guard))
        return 0;
    zct_tensor *a = guard->tensor;
    return kind_of(guard) == READS ? mark_is(get_relaxed((sh32 *)(uintptr_t)guard->place), a->desc)
                                   : lock_write_held(a->store, a->desc, guard->place);
}

int zct_snapshot(zct_tensor *a, void *out, size_t size, int64_t timeout_ns, uint64_t *ret_version)
{
    uint64_t version = 0;
    int rc = check(a->store, 0);
    if (rc < 0)
        return rc;
    if (size < a->view.nbytes)
        return fail(ZCT_EINVAL, "a snapshot of %llu bytes does not fit into %llu", (unsigned long long)a->view.nbytes,
                    (unsigned long long)size);
    rc = tensor_snapshot(a, out, timeout_ns, &version);
    if (rc == 0 && ret_version)
        *ret_version = version;
    return rc;
}
