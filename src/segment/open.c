/* open.c - joining a store: O1 to O8 of docs/CONCURRENCY.md, and the mappings. */
#include "segment/store.h"

#include "platform/bytelock.h"
#include "platform/file.h"
#include "platform/limits.h"
#include "platform/process.h"
#include "segment/ranges.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

plock registry_lock;
struct zct_store *registry;

pv64 here;

static int watch_forks(void)
{
    if (here_page())
        return 0;
    pv32 *page = os_map_memory(PAGE);
    if (!page || os_zero_in_child(page, PAGE) < 0) {
        os_unmap(page, PAGE);
        return fail(ZCT_EUNSUPPORTED, "the kernel cannot mark memory as not for children (MADV_WIPEONFORK)");
    }
    pv_put(page, 1u);
    pv_put(&here, (uint64_t)(uintptr_t)page);
    return 0;
}

void process_is_child(void);
void process_is_child(void) { pv_put(here_page(), 1u); }

int store_is_gone(struct zct_store *s)
{
    return fail(ZCT_EGONE,
                "store '%s' (%s) is gone: it was destroyed, or its file was removed or replaced; arrays that you have stay "
                "valid, open the store again to go on",
                s->name, s->path);
}

int store_refuse(struct zct_store *s)
{
    uint32_t state = pv_get(&s->state);
    if (state == STORE_LEFT)
        return fail(ZCT_ECLOSED, "store '%s' is closed in this process", s->name);
    if (!process_may_call() || state == STORE_NOT_MEMBER)
        return fail(ZCT_ENOTMEMBER,
                    "this process is not a member of store '%s': it was made by a raw clone(), or no member slot was free "
                    "when it was forked; its inherited arrays stay valid as long as the parent holds them",
                    s->name);
    if (state == STORE_OBSERVER)
        return fail(ZCT_EACCES, "store '%s' was opened to look only; to use its tensors, join it, which takes permission to "
                                "write its file", s->name);
    if (get_relaxed(&s->words->gone) || pv_get(&s->lost))
        return store_is_gone(s);
    return 0;
}

/* The path means another file, or none. That ends the store for every member, unless it is this process that changed its root
 * or its mounts: then only it cannot see the file any more. */
static int path_moved_on(struct zct_store *s)
{
    pv_put(&s->lost, 1u);
    if (!s->observer && (s->view == process_view() || os_mapping_removed(s->control) == 1))
        put_release(&s->words->gone, 1);
    return store_is_gone(s);
}

int store_file(struct zct_store *s, bool writable)
{
    struct os_stat st;
    int fd = os_open(s->path, writable);
    if (fd >= 0 && os_fstat(fd, &st) == 0 && st.inode == s->inode && st.device == s->device)
        return fd;
    bool other = fd >= 0 || fd == -ENOENT || fd == -ELOOP;
    int err = fd < 0 ? -fd : 0;
    os_close(fd);
    if (!other)
        return fail_os(code_of_errno(err), err, "cannot open store '%s' again", s->path);
    return path_moved_on(s);
}

int store_check_file(struct zct_store *s)
{
    struct os_stat st;
    int rc = os_stat(s->path, &st);
    if (rc == 0 ? st.inode == s->inode && st.device == s->device : rc != -ENOENT)
        return 0; /* what cannot be looked at (a changed uid, say) is not gone */
    return path_moved_on(s);
}

/* ---- payload windows ---- */

int store_map_window(struct zct_store *s, struct window *w, enum os_access access)
{
    (void)access;
    int fd = store_file(s, true), err = 0;
    if (fd < 0)
        return fd;
    uint8_t *base = os_map_shared(NULL, fd, s->g.payload_offset, s->g.capacity, OS_NONE, &err);
    os_close(fd);
    if (!base)
        return fail_os(ZCT_ENOMEM, err,
                       "cannot reserve %llu bytes of addresses for store '%s'; raise RLIMIT_AS (now %llu) or RLIMIT_MEMLOCK "
                       "(now %llu, it counts under mlockall), or make the store with a smaller capacity=",
                       (unsigned long long)s->g.capacity, s->name, (unsigned long long)limit_address_space(),
                       (unsigned long long)limit_locked_memory());
    os_not_in_core(base, s->g.capacity);
    w->base = base; /* readers look at it after `enabled`, which is stored later */
    return 0;
}

int window_need(struct zct_store *s, struct window *w, uint64_t end, enum os_access access)
{
    if (likely(end <= pv_get(&w->enabled)))
        return 0;
    if (end > s->g.capacity)
        return fail(ZCT_ECORRUPT, "store '%s': an extent ends beyond the capacity; run 'zct check'", s->name);
    int rc = 0;
    plock_lock(&s->arena_lock);
    if (access == OS_READ && !w->base)
        rc = store_map_window(s, w, access);
    uint64_t enabled = pv_get(&w->enabled);
    if (rc == 0 && end > enabled) {
        uint64_t high = min_u64(get_relaxed(&s->words->high), s->g.pages) * PAGE;
        uint64_t top = min_u64(round_up(max_u64(end, high), PAYLOAD_ALIGN), s->g.capacity);
        rc = os_protect(w->base + enabled, top - enabled, access);
        if (rc == 0)
            pv_put(&w->enabled, top);
        else
            rc = fail_os(ZCT_ENOMEM, -rc, "cannot map %llu more bytes of store '%s'", (unsigned long long)(top - enabled),
                         s->name);
    }
    plock_unlock(&s->arena_lock);
    return rc;
}

/* ---- making the private side ---- */

static struct zct_store *new_private(const char *path, const struct header *h, const struct geometry *g,
                                     const struct os_stat *st)
{
    struct zct_store *s = NULL;
    if (posix_memalign((void **)&s, 64, sizeof *s))
        return NULL;
    memset(s, 0, sizeof *s);
    s->g = *g;
    s->device = st->device, s->inode = st->inode;
    s->fork_child_slot = -1;
    s->view = process_view();
    const char *huge = process_env("ZCT_HUGE_PAGES");
    if (huge && !strcmp(huge, "never"))
        pv_put(&s->huge_rest, HUGE_NEVER);
    memcpy(s->uuid, h->uuid, sizeof s->uuid);
    s->path = strdup(path);
    s->directory = strdup(path);
    if (!s->path || !s->directory) {
        store_free_private(s);
        return NULL;
    }
    char *slash = strrchr(s->directory, '/');
    *(slash == s->directory ? slash + 1 : slash) = 0;
    const char *base = strrchr(path, '/') + 1;
    int skip = 0;
    unsigned format, uid;
    if (sscanf(base, "zct%u-%u-%n", &format, &uid, &skip) < 2)
        skip = 0;
    snprintf(s->name, sizeof s->name, "%s", base + skip);
    pv_put(&s->users, USER_OPEN);
    return s;
}

void store_free_private(struct zct_store *s)
{
    if (!s)
        return;
    if (upper.forget)
        upper.forget(s);
    range_remove(s);
    os_unmap(s->rw.base, s->g.capacity);
    os_unmap(s->ro.base, s->g.capacity);
    os_unmap(s->lref, (uint64_t)s->g.names * sizeof *s->lref);
    os_unmap(s->writers, (uint64_t)s->g.names * sizeof *s->writers);
    os_unmap(s->readers, (1 + LINES_MORE) * sizeof *s->readers);
    os_unmap(s->reservation, s->reservation_size);
    free(s->path);
    free(s->directory);
    free(s);
}

/* The control part, with a page of nothing on either side of the token's page behind it. Mapped through `fd`, which is not
 * the token's: a mapping pins its open file description, and the life lock must go when we leave. */
static int map_control(struct zct_store *s, int fd, bool writable)
{
    int err = 0;
    s->reservation_size = s->g.control_size + 4 * PAGE;
    s->reservation = os_map_nothing(s->reservation_size, &err);
    if (s->reservation)
        s->control = os_map_shared(s->reservation, fd, 0, s->g.control_size, writable ? OS_WRITE : OS_READ, &err);
    if (!s->control)
        return fail_os(ZCT_ENOMEM, err,
                       "cannot map %llu bytes of bookkeeping of store '%s'; raise RLIMIT_AS or RLIMIT_MEMLOCK (it counts under "
                       "mlockall), or make the store with a smaller capacity= or fewer max_names",
                       (unsigned long long)s->g.control_size, s->name);
    os_not_in_core(s->control, s->g.control_size);
    s->words = REGION(s, struct words, HEADER_WORDS);
    return 0;
}

static int private_tables(struct zct_store *s)
{
    s->lref = os_map_memory((uint64_t)s->g.names * sizeof *s->lref);
    s->writers = os_map_memory((uint64_t)s->g.names * sizeof *s->writers);
    s->readers = os_map_memory((1 + LINES_MORE) * sizeof *s->readers);
    return s->lref && s->writers && s->readers ? 0 : fail(ZCT_ENOMEM, "out of memory for store '%s'", s->name);
}

uint32_t store_next_membership(void)
{
    static uint32_t last;
    return ++last;
}

static bool same_file(const char *path, const struct os_stat *st)
{
    struct os_stat there;
    return os_stat(path, &there) == 0 && there.inode == st->inode && there.device == st->device;
}

/* An open file description of its own for `fd`'s file, -EAGAIN if the path has moved on. */
static int open_again(const char *path, const struct os_stat *st, bool writable)
{
    struct os_stat mine;
    int fd = os_open(path, writable);
    if (fd < 0)
        return fd == -ENOENT ? -EAGAIN : fd;
    if (os_fstat(fd, &mine) == 0 && mine.inode == st->inode && mine.device == st->device)
        return fd;
    os_close(fd);
    return -EAGAIN;
}

static struct zct_store *registered(const struct os_stat *st)
{
    for (struct zct_store *s = registry; s; s = s->next)
        if (s->inode == st->inode && s->device == st->device && pv_get(&s->state) == STORE_MEMBER &&
            !get_acquire(&s->words->gone) && process_may_call())
            return s;
    return NULL;
}

static int cannot_open(const char *path, int err)
{
    if (err == EACCES || err == EPERM)
        return fail_os(ZCT_EACCES, err,
                       "store '%s' cannot be opened for reading and writing; ask its owner for mode= permissions, or set "
                       "ZCT_DIR to a directory of your own",
                       path);
    if (err == ELOOP)
        return fail_os(ZCT_EACCES, err, "'%s' is a symbolic link that somebody planted under the store's name; remove it",
                       path);
    if (err == EISDIR)
        return fail(ZCT_EACCES, "'%s' is not a regular file: a directory has the store's name; remove it", path);
    return fail_os(code_of_errno(err), err, "cannot open store '%s'", path);
}

static int differs(const zct_store_options *o, const struct geometry *g, const char *path)
{
    if (o->capacity && max_u64(round_up(o->capacity, PAYLOAD_ALIGN), 2 * MiB) != g->capacity)
        return fail(ZCT_EMISMATCH, "store '%s' exists with capacity %llu, not %llu; leave capacity= out to join it, or "
                                   "destroy it first", path, (unsigned long long)g->capacity, (unsigned long long)o->capacity);
    if (o->max_names && round_up(o->max_names, 64) != g->names)
        return fail(ZCT_EMISMATCH, "store '%s' exists with max_names %u, not %u", path, g->names, o->max_names);
    if (o->max_members && o->max_members != g->members)
        return fail(ZCT_EMISMATCH, "store '%s' exists with max_members %u, not %u", path, g->members, o->max_members);
    return 0;
}

/* O7, O8: take a slot and pin its life lock with a page of ours. */
static int join(struct zct_store *s, int fd)
{
    int err = 0, rc = member_take_slot(s, fd, false, &s->slot, &s->slot_gen);
    if (rc < 0)
        return rc;
    s->token = os_map_shared(s->reservation + s->g.control_size + PAGE, fd, 0, PAGE, OS_READ, &err);
    if (!s->token)
        return fail_os(ZCT_ENOMEM, err, "cannot map one page of store '%s'", s->name);
    os_not_in_child(s->token, PAGE);
    s->row = (uint8_t *)row_at(s, s->slot);
    s->membership = store_next_membership();
    pv_put(&s->state, STORE_MEMBER);
    return 0;
}

int store_fail_locks(const char *path)
{
    return fail(ZCT_EUNSUPPORTED, "the file system of '%s' does not tell the truth about locks: what one process locks, another "
                                  "does not see; choose a directory of a tmpfs or a local disk with ZCT_DIR or directory=", path);
}

enum { DOOR_HELD = 1 << 20 }; /* none of our codes, no errno */

/* One attempt, F held. 0 with *ret; -EAGAIN: from O1 again; -DOOR_HELD: nap first; other codes with a sentence. */
static int attempt(const char *path, const zct_store_options *options, bool own_path, struct zct_store **ret)
{
    struct header h;
    struct geometry g;
    struct os_stat st;
    int fd = os_open(path, true), map = -1; /* O1 */
    if (fd == -ENOENT && (options->flags & ZCT_STORE_EXISTING))
        return fail(ZCT_ENOTFOUND, "there is no store '%s'", path);
    if (fd == -ENOENT) {
        int rc = store_birth(path, options);
        return rc < 0 ? rc : -EAGAIN;
    }
    if (fd < 0)
        return cannot_open(path, -fd);
    int rc = os_fstat(fd, &st) < 0 ? -EAGAIN : header_read(fd, path, own_path, &h, &g); /* O2 */
    if (rc == 0)
        rc = differs(options, &g, path);
    struct zct_store *s = rc == 0 ? registered(&st) : NULL;
    if (s) {
        uint64_t users = pv_get(&s->users);
        while (users != 0 && !pv_cas(&s->users, &users, users + USER_OPEN)) {
        }
        os_close(fd);
        *ret = s;
        return users ? 0 : -DOOR_HELD; /* 0: another thread is about to leave it */
    }
    if (rc == 0) {
        map = open_again(path, &st, true); /* O3 */
        rc = map >= 0 ? 0 : map == -EAGAIN ? -EAGAIN : cannot_open(path, -map);
    }
    if (rc == 0) {
        rc = bytelock_try(fd, LOCK_DOOR, LOCK_SHARED); /* O4 */
        if (rc == 0 && (bytelock_held(fd, LOCK_DOOR, 1) == 1 || bytelock_tells(fd, map) == 0))
            rc = store_fail_locks(path);
        if (rc == -EAGAIN)
            rc = -DOOR_HELD;
        else if (rc < 0 && rc > -ZCT_EVERSION && rc != -EAGAIN)
            rc = fail_os(ZCT_EUNSUPPORTED, -rc, "the file system of '%s' has no byte locks (F_OFD_SETLK)", path);
    }
    if (rc == 0 && !same_file(path, &st)) /* O5 */
        rc = -EAGAIN;
    if (rc == 0) {
        s = new_private(path, &h, &g, &st);
        rc = s ? map_control(s, map, true) : fail(ZCT_ENOMEM, "out of memory");
    }
    if (rc == 0 && get_acquire(&s->words->gone)) { /* O6: finish what a destroyer that died had begun */
        bytelock_drop(fd, LOCK_DOOR);
        bool door = bytelock_try(fd, LOCK_DOOR, LOCK_EXCLUSIVE) == 0;
        int err = door && same_file(path, &st) ? os_unlink(path) : 0;
        rc = door ? -EAGAIN : -DOOR_HELD;
        if (err < 0 && err != -ENOENT)
            rc = fail_os(ZCT_EACCES, -err, "store '%s' was destroyed and its file cannot be removed; ask its owner", path);
    }
    if (rc == 0)
        rc = private_tables(s);
    if (rc == 0) {
        int err = 0;
        s->rw.base = os_map_shared(NULL, map, s->g.payload_offset, s->g.capacity, OS_NONE, &err);
        if (!s->rw.base)
            rc = fail_os(ZCT_ENOMEM, err,
                         "cannot reserve %llu bytes of addresses for store '%s'; raise RLIMIT_AS or RLIMIT_MEMLOCK, or make "
                         "the store with a smaller capacity=",
                         (unsigned long long)s->g.capacity, path);
        else
            os_not_in_core(s->rw.base, s->g.capacity);
    }
    if (rc == 0 && !range_add(s, s->rw.base, s->g.capacity))
        rc = fail(ZCT_ENOMEM, "out of memory for store '%s'", s->name);
    if (rc == 0)
        rc = join(s, fd);
    bytelock_drop(fd, LOCK_DOOR);
    os_close(fd);
    os_close(map);
    if (rc < 0) {
        store_free_private(s);
        return rc;
    }
    s->next = registry;
    registry = s;
    *ret = s;
    return 0;
}

int store_open_member(const char *path, const zct_store_options *options, bool own_path, struct zct_store **ret)
{
    deadline limit = deadline_in(5 * NS_PER_S);
    for (;;) {
        struct zct_store *s = NULL;
        plock_lock(&registry_lock);
        int rc = watch_forks();
        if (rc == 0)
            rc = attempt(path, options, own_path, &s);
        plock_unlock(&registry_lock);
        if (rc == 0) {
            *ret = s;
            return 0;
        }
        if (rc != -EAGAIN && rc != -DOOR_HELD)
            return rc;
        if (deadline_left(limit) == 0)
            return fail(ZCT_EBUSY, "store '%s' cannot be joined: a process that is leaving or destroying it does not go on "
                                   "(is one stopped?)", path);
        if (rc == -DOOR_HELD)
            clock_nap(NS_PER_MS); /* never under F: fork must not wait for this */
    }
}

int store_open_observer(const char *path, struct zct_store **ret)
{
    struct header h;
    struct geometry g;
    struct os_stat st;
    int fd = os_open(path, false);
    if (fd == -ENOENT)
        return fail(ZCT_ENOTFOUND, "there is no store '%s'", path);
    if (fd < 0)
        return cannot_open(path, -fd);
    int rc = header_read(fd, path, false, &h, &g);
    struct zct_store *s = NULL;
    if (rc == 0) {
        (void)os_fstat(fd, &st);
        s = new_private(path, &h, &g, &st);
        rc = s ? 0 : fail(ZCT_ENOMEM, "out of memory");
    }
    if (rc == 0) {
        plock_lock(&registry_lock);
        rc = watch_forks();
        plock_unlock(&registry_lock);
    }
    if (rc == 0)
        rc = map_control(s, fd, false);
    os_close(fd);
    if (rc < 0) {
        store_free_private(s);
        return rc;
    }
    s->observer = true;
    pv_put(&s->state, STORE_OBSERVER);
    *ret = s;
    return 0;
}
