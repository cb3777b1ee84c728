/* copy.c - filling an extent of ours.
 *
 * Three kinds of pages, three ways (measured, docs/CONCURRENCY.md): cold ones, that do not exist yet: pwrite, which allocates
 * and copies in one go and answers ENOSPC where a touch would be a SIGBUS; resident ones that this process has not mapped:
 * pwrite the first time, then fault them in; warm ones, mapped here: memcpy. Always in pieces: tmpfs holds the inode's lock
 * for a whole call, and a small create of somebody else waits behind one piece.
 *
 * Warmth is private and a hint: wrong is slow, never a signal, because RES (pool.h) decides safety. */
#include "tensor/tensor.h"

#include "platform/file.h"
#include "platform/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 4 << 20, WARM_BLOCK = 64 << 10, SMALL = 256 << 10 };
enum warmth { COLD = 0, SEEN = 1, WARM = 3 };

/* Whoever sees `warmth` sees `epochs_seen` and the zeroes of both: the release here pairs with the acquire of the look. */
static bool warmth_ready(struct zct_store *s)
{
    if (likely(pv_get_pointer(&s->warmth)))
        return true;
    uint64_t blocks = s->g.capacity / WARM_BLOCK;
    plock_lock(&s->arena_lock);
    if (!s->epochs_seen)
        s->epochs_seen = os_map_memory(s->g.pages / EPOCH_PAGES * 4 + 4);
    if (!s->warmth && s->epochs_seen)
        pv_put_pointer(&s->warmth, os_map_memory(blocks / 4 + 8));
    bool ready = s->warmth != NULL;
    plock_unlock(&s->arena_lock);
    return ready;
}

void warmth_forget(struct zct_store *s)
{
    os_unmap(s->warmth, s->g.capacity / WARM_BLOCK / 4 + 8);
    os_unmap(s->epochs_seen, s->g.pages / EPOCH_PAGES * 4 + 4);
    s->warmth = NULL;
    s->epochs_seen = NULL;
}

static uint32_t epoch_of(struct zct_store *s, uint64_t offset)
{
    return get_acquire(&REGION(s, sh32, s->g.epochs)[offset / (EPOCH_PAGES * PAGE)]);
}

/* The least warmth of the blocks that [offset, offset + length) touches. */
static unsigned warmth_of(struct zct_store *s, uint64_t offset, uint64_t length)
{
    unsigned least = WARM;
    for (uint64_t at = round_down(offset, WARM_BLOCK); at < offset + length; at += WARM_BLOCK) {
        uint64_t block = at / WARM_BLOCK;
        if (pv_get(&s->epochs_seen[at / (EPOCH_PAGES * PAGE)]) != epoch_of(s, at))
            return COLD;
        unsigned w = (unsigned)(pv_get(&s->warmth[block / 32]) >> (block % 32 * 2)) & 3;
        least = w < least ? w : least;
    }
    return least;
}

static void warmth_set(struct zct_store *s, uint64_t offset, uint64_t length, enum warmth to)
{
    /* only blocks that are covered whole; the rest stays what it was */
    for (uint64_t at = round_up(offset, WARM_BLOCK); at + WARM_BLOCK <= round_up(offset + length, PAGE); at += WARM_BLOCK) {
        uint64_t block = at / WARM_BLOCK;
        pv32 *seen = &s->epochs_seen[at / (EPOCH_PAGES * PAGE)];
        uint32_t epoch = epoch_of(s, at);
        if (pv_get(seen) != epoch) { /* forget what was noted before the trim */
            uint64_t first = round_down(at, EPOCH_PAGES * PAGE) / WARM_BLOCK;
            pv_put(&s->warmth[first / 32], 0ull);
            pv_put(seen, epoch);
        }
        pv_or(&s->warmth[block / 32], (uint64_t)to << (block % 32 * 2));
    }
}

/* ---- contiguous ---- */

struct target { struct zct_store *s; uint64_t page, offset; int fd; bool may_write; };

static int fill_mapped(struct target *t, uint64_t at, uint64_t length, const void *data)
{
    uint8_t *to = payload_at(t->s, at);
    if (data)
        memcpy(to, data, length);
    else
        memset(to, 0, length);
    STEP("payload");
    return 0;
}

static int reserve_range(struct target *t, uint64_t at, uint64_t length)
{
    uint64_t page = at / PAGE, end = div_up(at + length, PAGE);
    int rc = pool_reserve(t->s, ext_large(page, end - page), length);
    return rc;
}

/* One piece of at most PIECE bytes, within the extent. */
static int fill_piece(struct target *t, uint64_t at, uint64_t length, const void *data)
{
    struct zct_store *s = t->s;
    uint64_t page = at / PAGE, pages = div_up(at + length, PAGE) - page;
    bool resident = pool_count_reserved(s, page, pages) == pages;
    unsigned warm = resident ? warmth_of(s, at, length) : COLD;
    if (warm == WARM)
        return fill_mapped(t, at, length, data);
    bool write = t->may_write && data && length > SMALL && !(resident && warm == SEEN);
    if (write && t->fd < 0)
        t->fd = store_file(s, true);
    if (t->fd == -ZCT_EGONE)
        return t->fd;
    if (write && t->fd >= 0) {
        int rc = os_write_at(t->fd, data, length, s->g.payload_offset + at);
        if (rc == -ENOSPC || rc == -ENOMEM)
            return -EAGAIN;
        if (rc < 0)
            return fail_os(code_of_errno(-rc), -rc, "cannot write into store '%s'", s->name);
        if (!resident)
            pool_set_reserved(s, page, pages);
        warmth_set(s, at, length, SEEN);
        return 0;
    }
    int rc = resident ? 0 : reserve_range(t, at, length);
    if (rc < 0)
        return rc;
    if (length > WARM_BLOCK)
        os_prefault(payload_at(s, page * PAGE), pages * PAGE);
    warmth_set(s, at, length, WARM);
    return fill_mapped(t, at, length, data);
}

static int copy_dense(struct zct_store *s, uint64_t ext, uint64_t nbytes, const void *data)
{
    struct extent bytes = ext_bytes(ext);
    struct target t = {.s = s, .fd = -1};
    int rc = 0;
    if (nbytes <= SMALL) { /* the hot path of small tensors: no bookkeeping of warmth */
        rc = pool_reserved(s, ext) ? 0 : pool_reserve(s, ext, nbytes);
        return rc < 0 ? rc : fill_mapped(&t, bytes.offset, nbytes, data);
    }
    t.may_write = limit_file_size() >= s->g.file_size; /* a write beyond it is SIGXFSZ, also inside the file */
    rc = pool_room(s, ext_page(ext), ext_pages(ext));
    if (rc == 0 && !warmth_ready(s))
        rc = fail(ZCT_ENOMEM, "out of memory");
    for (uint64_t done = 0; rc == 0 && done < nbytes; done += PIECE) {
        uint64_t length = min_u64(PIECE, nbytes - done);
        rc = fill_piece(&t, bytes.offset + done, length, data ? (const char *)data + done : NULL);
    }
    os_close(t.fd);
    /* the extent's last page or two may lie behind the data (nbytes is not a multiple of a page: they are one) */
    return rc;
}

/* ---- strided ---- */

static void copy_row(char *to, const char *from, int64_t count, int64_t step, size_t item)
{
    if (step == (int64_t)item) {
        memcpy(to, from, (size_t)count * item);
        return;
    }
    switch (item) {
#define CASE(n)                                                                                                        \
    case n:                                                                                                            \
        for (int64_t i = 0; i < count; i++)                                                                            \
            memcpy(to + i * n, from + i * step, n);                                                                    \
        return;
        CASE(1) CASE(2) CASE(4) CASE(8) CASE(16)
#undef CASE
    default:
        for (int64_t i = 0; i < count; i++)
            memcpy(to + (size_t)i * item, from + i * step, item);
    }
}

/* Gather a source of any strides into the target's layout: axes by falling target stride, the innermost as a row. */
static void copy_strided(char *to, const zct_spec *spec, const int64_t *to_strides, const char *from, const int64_t *strides)
{
    int axis[ZCT_MAX_DIMS], n = 0;
    int64_t index[ZCT_MAX_DIMS] = {0};
    for (int i = 0; i < spec->ndim; i++) {
        if (spec->shape[i] <= 1)
            continue;
        int at = n++;
        for (; at > 0 && to_strides[axis[at - 1]] < to_strides[i]; at--)
            axis[at] = axis[at - 1];
        axis[at] = i;
    }
    size_t item = spec->dtype.itemsize;
    if (n == 0) {
        memcpy(to, from, item);
        return;
    }
    int inner = axis[n - 1];
    for (;;) {
        copy_row(to, from, spec->shape[inner], strides[inner], item);
        int k = n - 2;
        for (; k >= 0; k--) {
            int a = axis[k];
            to += to_strides[a];
            from += strides[a];
            if (++index[k] < spec->shape[a])
                break;
            to -= to_strides[a] * spec->shape[a];
            from -= strides[a] * spec->shape[a];
            index[k] = 0;
        }
        if (k < 0)
            return;
    }
}

int copy_in(struct zct_store *s, uint64_t ext, uint64_t nbytes, const zct_spec *spec, const void *data,
            const int64_t *strides, bool zero)
{
    if (nbytes == 0)
        return 0;
    int rc = window_need(s, &s->rw, ext_bytes(ext).offset + ext_bytes(ext).length, OS_WRITE);
    if (rc < 0)
        return rc;
    if (!data && !zero)
        return pool_reserved(s, ext) ? 0 : pool_reserve(s, ext, nbytes);
    if (!data || !strides)
        return copy_dense(s, ext, nbytes, data);
    int64_t mine[ZCT_MAX_DIMS];
    if (spec->order == ZCT_ORDER_STRIDED && spec->ndim)
        memcpy(mine, spec->strides, (size_t)spec->ndim * sizeof *mine);
    else
        strides_dense(&spec->dtype, spec->ndim, spec->shape, spec->order, mine);
    bool same = true;
    for (int i = 0; i < spec->ndim; i++)
        same &= spec->shape[i] <= 1 || mine[i] == strides[i];
    if (same)
        return copy_dense(s, ext, nbytes, data);
    if (spec->dtype.itemsize == 0 || spec->dtype.code == ZCT_BLOCK)
        return fail(ZCT_EINVAL, "packed dtypes can be copied from dense memory alone");
    rc = pool_reserve(s, ext, nbytes);
    if (rc == 0)
        copy_strided((char *)payload_at(s, ext_bytes(ext).offset), spec, mine, data, strides);
    return rc;
}
