/* snapshot.c - copying contents that are whole while somebody may write: the lock word's epoch is the sequence number.
 *
 * A write lock's acquisition raises the epoch before a byte is written (lock_write_begin), and its release is a locked RMW behind
 * the last one. So what was copied between two looks at a word that nobody owns, in one epoch, was written by nobody
 * meanwhile. There is no parity to repair after a death; a poisoned tensor says so in the same word. Those who write without
 * the lock are not seen. */
#include "tensor/lock.h"

#include "base/payload.h"

#include <string.h>

enum { PIECE = 256 << 10, TRIES = 3, SPINS = 200 };

/* False: somebody took the lock for writing meanwhile. */
static bool copy_in_epoch(struct lock_words *lock, uint64_t w, char *to, const char *from, uint64_t length)
{
    for (uint64_t done = 0; done < length; done += PIECE) {
        copy_opaque(to + done, from + done, min_u64(PIECE, length - done));
        fence_copied();
        if (owner_epoch(get_relaxed(&lock->owner)) != owner_epoch(w))
            return false;
    }
    return true;
}

static uint64_t wait_free(struct lock_words *lock)
{
    uint64_t w = get_acquire(&lock->owner);
    for (int i = 0; i < SPINS && owner_of(w) != 0; i++) {
        spin_pause();
        w = get_acquire(&lock->owner);
    }
    return w;
}

int tensor_snapshot(const zct_tensor *a, void *out, int64_t timeout_ns, uint64_t *ret_version)
{
    struct zct_store *s = a->store;
    struct desc *d = desc_at(s, a->desc);
    for (int i = 0; i < TRIES; i++) {
        uint64_t w = wait_free(&d->lock);
        if (owner_of(w) != 0)
            break;
        if (w & OWNER_DIRTY)
            return lock_fail_dirty(s, a->desc);
        *ret_version = get_acquire(&d->version);
        if (copy_in_epoch(&d->lock, w, out, a->view.data, a->view.nbytes))
            return 0;
    }
    sh32 *mark = NULL;
    int rc = lock_read(s, a->desc, timeout_ns, false, true, &mark);
    if (rc < 0)
        return rc;
    *ret_version = get_acquire(&d->version);
    memcpy(out, a->view.data, a->view.nbytes);
    return lock_read_drop(s, a->desc, mark);
}
