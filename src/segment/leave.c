/* leave.c - leaving a store (L1 to L6) and destroying one (D1 to D4). Nobody unlinks a store's file but under the door,
 * held exclusively, of the very inode that the path names at that moment. */
#include "segment/store.h"

#include "platform/bytelock.h"
#include "platform/file.h"
#include "platform/futex.h"
#include "platform/process.h"

#include <errno.h>
#include <string.h>

static bool names_us(struct zct_store *s)
{
    struct os_stat st;
    return os_stat(s->path, &st) == 0 && st.inode == s->inode && st.device == s->device;
}

static int take_door(int fd, struct zct_store *s, int64_t ns)
{
    deadline limit = deadline_in(ns);
    for (;;) {
        int rc = bytelock_try(fd, LOCK_DOOR, LOCK_EXCLUSIVE);
        if (rc != -EAGAIN)
            return rc;
        if (deadline_left(limit) == 0)
            return -EAGAIN;
        if (s)
            plock_unlock(&registry_lock); /* fork must not wait for this nap */
        clock_nap(NS_PER_MS);
        if (s)
            plock_lock(&registry_lock);
    }
}

/* L3: alone? reap the dead, and if nothing is left remove the file. */
static void last_one_out(struct zct_store *s, int fd)
{
    if (s->slot > 0 && bytelock_held(fd, LOCK_LIFE(0), s->slot) != 0)
        return;
    if (s->slot + 1 < s->g.members && bytelock_held(fd, LOCK_LIFE(s->slot + 1), s->g.members - s->slot - 1) != 0)
        return;
    for (unsigned p = 0; p < s->g.members; p++) {
        struct slot *slot = slot_at(s, p);
        if (p == s->slot || !control_page_present(s, offset_of(s, slot)) || !get_acquire(&slot->used))
            continue;
        if (bytelock_try(fd, LOCK_REPAIR(p), LOCK_EXCLUSIVE) < 0)
            return;
        int rc = upper.reap(s, p);
        bytelock_drop(fd, LOCK_REPAIR(p));
        if (rc < 0)
            return;
    }
    if (upper.empty(s) && names_us(s))
        (void)os_unlink(s->path); /* <== linearisation of death */
}

static void forget_registered(const struct zct_store *s)
{
    for (struct zct_store **at = &registry; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            break;
        }
}

void store_leave(struct zct_store *s, bool wait)
{
    if (pv_get(&s->state) != STORE_MEMBER || !process_may_call()) {
        pv_put(&s->state, STORE_LEFT);
        forget_registered(s);
        return;
    }
    pv_put(&s->state, STORE_LEFT); /* opening it again makes a new membership */
    bool clean = upper.leaving(s, wait); /* L1 */
    int fd = get_acquire(&s->words->gone) ? -1 : store_file(s, true);
    bool door = fd >= 0 && take_door(fd, s, wait ? 100 * NS_PER_MS : 0) == 0; /* L2 */
    if (door && clean) {
        put_relaxed(&s->words->door_by, process_id());
        last_one_out(s, fd);
    }
    struct slot *slot = slot_at(s, s->slot); /* L4 */
    if (clean) {
        put_release(&slot->gen, get_relaxed(&slot->gen) + 1);
        put_release(&slot->used, 0);
        or_sc(&s->words->freeslot[s->slot / 64], bit_of(s->slot));
    }
    os_map_over(s->token, PAGE); /* L5: drops the life lock, before the door opens: else two last leavers see each other */
    s->token = NULL;
    if (door)
        bytelock_drop(fd, LOCK_DOOR); /* L6 */
    os_close(fd);
    forget_registered(s);
}

int store_destroy(const char *path)
{
    deadline limit = deadline_in(5 * NS_PER_S);
    for (;;) {
        struct header h;
        struct geometry g;
        struct os_stat st, there;
        int fd = os_open(path, true);
        if (fd == -ENOENT)
            return fail(ZCT_ENOTFOUND, "there is no store '%s' to destroy", path);
        if (fd < 0)
            return fail_os(code_of_errno(-fd), -fd, "cannot open store '%s' to destroy it", path);
        int rc = header_read(fd, path, false, &h, &g);
        if (rc < 0) {
            os_close(fd);
            return rc;
        }
        rc = take_door(fd, NULL, deadline_left(limit)); /* D1 */
        if (rc < 0) {
            os_close(fd);
            return rc == -EAGAIN ? fail(ZCT_EBUSY, "store '%s' cannot be destroyed: a process that is joining or leaving it "
                                                   "does not go on (is one stopped?)", path)
                                 : fail_os(ZCT_EUNSUPPORTED, -rc, "cannot lock store '%s'", path);
        }
        bool same = os_fstat(fd, &st) == 0 && os_stat(path, &there) == 0 && st.inode == there.inode &&
                    st.device == there.device;
        if (same) {
            int err = 0;
            uint8_t *page = os_map_shared(NULL, fd, 0, HEADER_SIZE, OS_WRITE, &err);
            if (page) {
                struct words *words = (struct words *)(void *)(page + HEADER_WORDS);
                put_release(&words->gone, 1); /* D2 <== linearisation: before the unlink, or members are never told */
                rc = os_unlink(path);         /* D3 */
                put_sc(&words->births, get_relaxed(&words->births) + 1);
                futex_wake_shared(&words->births);
                futex_wake_shared(&words->al.owner);
                os_unmap(page, HEADER_SIZE);
            } else {
                rc = -err;
            }
        }
        bytelock_drop(fd, LOCK_DOOR); /* D4 */
        os_close(fd);
        if (same)
            return rc < 0 ? fail_os(code_of_errno(-rc), -rc, "cannot remove store '%s'", path) : 0;
    }
}
