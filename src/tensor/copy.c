/* copy.c - filling an extent of ours.
 *
 * Pages are in one of four states, each with its way (measured, docs/CONCURRENCY.md): cold, and huge ones can be had: those,
 * then a copy; cold otherwise: pwrite, which allocates and copies in one go and answers ENOSPC where a touch would be a
 * SIGBUS; resident but not mapped by this process: pwrite the first time, then fault them in; warm: a copy. Always in
 * pieces: tmpfs holds the inode's lock for a whole call, and others wait behind one piece. */
#include "pool/huge.h"
#include "tensor/strided.h"
#include "tensor/warmth.h"

#include "platform/file.h"
#include "platform/limits.h"
#include "platform/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20, PREFAULT_LEAST = 64 << 10, SMALL = 256 << 10 };
#define STREAM_LEAST (4 * MiB) /* of a tensor: fewer bytes may be read again while they are in a cache */

struct target { struct zct_store *s; int fd; bool may_write, streams; };

static int fill_mapped(struct target *t, uint64_t at, uint64_t length, const void *data)
{
    uint8_t *to = payload_at(t->s, at);
    if (!data)
        memset(to, 0, length);
    else if (t->streams)
        copy_streaming(to, data, length);
    else
        memcpy(to, data, length);
    STEP("payload");
    return 0;
}

static int reserve_range(struct target *t, uint64_t at, uint64_t length)
{
    uint64_t page = at / PAGE, end = div_up(at + length, PAGE);
    return pool_reserve(t->s, ext_large(page, end - page), length);
}

/* One piece, within the extent. */
static int fill_piece(struct target *t, uint64_t at, uint64_t length, const void *data)
{
    struct zct_store *s = t->s;
    uint64_t page = at / PAGE, pages = div_up(at + length, PAGE) - page;
    bool resident = pool_count_reserved(s, page, pages) == pages;
    enum warmth warm = resident ? warmth_of(s, at, length) : COLD;
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
    if (length > PREFAULT_LEAST)
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
    t.streams = nbytes >= STREAM_LEAST;
    t.may_write = limit_file_size() >= s->g.file_size; /* a write beyond it is SIGXFSZ, also inside the file */
    rc = pool_room(s, ext_page(ext), ext_pages(ext));
    if (rc == 0 && !warmth_ready(s))
        rc = fail(ZCT_ENOMEM, "out of memory");
    for (uint64_t done = 0, length; rc == 0 && done < nbytes; done += length) {
        uint64_t at = bytes.offset + done, page = at / PAGE, left = nbytes - done;
        uint64_t made = nbytes >= HUGE_LEAST ? pool_huge(s, page, ext_page(ext) + ext_pages(ext) - page) * PAGE : 0;
        length = min_u64(made ? made : PIECE - at % PIECE, left);
        if (made)
            warmth_set(s, at, length, WARM);
        rc = fill_piece(&t, at, length, data ? (const char *)data + done : NULL);
    }
    os_close(t.fd);
    return rc;
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
