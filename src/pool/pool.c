#include "pool/pool.h"

#include "platform/file.h"
#include "platform/limits.h"
#include "pool/bits.h"
#include "pool/huge.h"
#include "pool/pages.h"

#include <errno.h>

enum { PIECE = 1 << 20 /* nobody waits behind more: tmpfs holds the inode's lock for a whole call */,
       POPULATE_MOST = 4 << 20 };

int pool_take(struct zct_store *s, uint64_t nbytes, uint64_t *ret_ext, struct pool_want *want)
{
    *want = (struct pool_want){0};
    if (nbytes <= LARGEST_SMALL)
        return cells_take(s, (unsigned)div_up(nbytes, CELL), ret_ext, want);
    if (nbytes > s->g.capacity)
        return -ZCT_EFULL;
    uint64_t page, pages = div_up(nbytes, PAGE);
    int rc = pages_take(s, pages, &page, want);
    if (rc == 0)
        *ret_ext = ext_large(page, pages);
    return rc;
}

void pool_give(struct zct_store *s, uint64_t ext)
{
    if (ext == 0)
        return;
    if (!ext_is_small(ext))
        pages_give(s, ext_page(ext), ext_pages(ext));
    else
        cells_give(s, ext);
}

void pool_clear(struct zct_store *s)
{
    uint64_t high = pages_high(s);
    fill_words(REGION(s, sh64, s->g.used), 0, div_up(high, 64));
    fill_words(REGION(s, sh64, s->g.chunkmap), 0, div_up(div_up(high, CHUNK_PAGES), 64));
    for (unsigned k = 0; k < SEARCH_PAGES; k++)
        put_relaxed(&s->words->from_pages[k], 0);
    for (unsigned k = 0; k < SEARCH_CELLS; k++)
        put_relaxed(&s->words->from_cells[k], 0);
}

bool pool_mark(struct zct_store *s, uint64_t ext)
{
    if (ext == 0)
        return true;
    if (!ext_valid(ext, pages_high(s)))
        return false;
    if (ext_is_small(ext))
        return cells_mark(s, ext);
    sh64 *used = REGION(s, sh64, s->g.used);
    bool alone = bits_count(used, ext_page(ext), ext_pages(ext)) == 0;
    bits_set(used, ext_page(ext), ext_pages(ext)); /* all of it: what two have is given to no third */
    return alone;
}

void pool_finish(struct zct_store *s)
{
    uint64_t warm = 0;
    sh64 *used = REGION(s, sh64, s->g.used), *reserved = REGION(s, sh64, s->g.reserved);
    for (uint64_t w = 0; w < div_up(pages_high(s), 64); w++)
        warm += (uint64_t)__builtin_popcountll(get_relaxed(&reserved[w]) & ~get_relaxed(&used[w]));
    put_relaxed(&s->words->warm_free, warm);
    cells_finish(s);
}

/* ---- reservation ---- */

uint64_t pool_count_reserved(struct zct_store *s, uint64_t page, uint64_t pages)
{
    return bits_count(REGION(s, sh64, s->g.reserved), page, pages);
}

bool pool_reserved(struct zct_store *s, uint64_t ext)
{
    return ext == 0 || pool_count_reserved(s, ext_page(ext), ext_pages(ext)) == ext_pages(ext);
}

/* RES words are shared between owners of neighbouring extents: read-modify-write. */
void pool_set_reserved(struct zct_store *s, uint64_t page, uint64_t pages)
{
    sh64 *map = REGION(s, sh64, s->g.reserved);
    for (uint64_t w = page / 64; w <= (page + pages - 1) / 64; w++) {
        uint64_t part = bits_part(w * 64, page, page + pages);
        if ((get_relaxed(&map[w]) & part) != part)
            or_sc(&map[w], part);
    }
}

void pool_clear_reserved(struct zct_store *s, uint64_t page, uint64_t pages)
{
    sh64 *map = REGION(s, sh64, s->g.reserved);
    for (uint64_t w = page / 64; w <= (page + pages - 1) / 64; w++)
        and_sc(&map[w], ~bits_part(w * 64, page, page + pages));
}

/* Whoever touches pages that the memory cgroup cannot pay is killed by the OOM killer, not told. Ask first. */
int pool_room(struct zct_store *s, uint64_t page, uint64_t pages)
{
    uint64_t total = 0, available = NO_LIMIT, bytes = (pages - pool_count_reserved(s, page, pages)) * PAGE;
    if (bytes <= MiB)
        return 0;
    if (os_space(s->directory, &total, &available) == 0 && bytes > available)
        return -EAGAIN;
    uint64_t room = limit_cgroup_room("");
    if (bytes > room)
        return fail(ZCT_EFULL,
                    "no room for %llu bytes in store '%s': the memory cgroup of this process has %llu bytes left and would "
                    "kill it; raise its limit (docker: --memory, Kubernetes: resources.limits.memory)",
                    (unsigned long long)bytes, s->name, (unsigned long long)room);
    return 0;
}

int pool_reserve(struct zct_store *s, uint64_t ext, uint64_t nbytes)
{
    sh64 *map = REGION(s, sh64, s->g.reserved);
    uint64_t page = ext_page(ext), end = page + ext_pages(ext);
    if (pool_reserved(s, ext))
        return 0;
    int rc = store_check_file(s), fd = -1;
    if (rc == 0)
        rc = pool_room(s, page, end - page);
    if (rc == 0)
        rc = window_need(s, &s->rw, end * PAGE, OS_WRITE);
    if (rc < 0)
        return rc;
    while (rc == 0 && (page = bits_find(map, page, end, false)) < end) {
        uint64_t made = nbytes >= HUGE_LEAST ? pool_huge(s, page, end - page) : 0;
        if (made) {
            page += made;
            continue;
        }
        uint64_t stop = bits_find(map, page, min_u64(end, round_down(page + PIECE / PAGE, PIECE / PAGE)), true);
        rc = -EINVAL;
        if (nbytes <= POPULATE_MOST)
            rc = os_populate(payload_at(s, page * PAGE), (stop - page) * PAGE);
        if (rc == -EINVAL) {
            if (fd < 0)
                fd = store_file(s, true);
            if (fd < 0)
                return fd;
            rc = os_reserve(fd, s->g.payload_offset + page * PAGE, (stop - page) * PAGE);
        }
        if (rc == 0)
            pool_set_reserved(s, page, stop - page);
        page = stop;
    }
    os_close(fd);
    if (rc == -ENOSPC || rc == -EFBIG || rc == -ENOMEM)
        return -EAGAIN;
    return rc < 0 ? fail_os(code_of_errno(-rc), -rc, "cannot reserve memory of store '%s'", s->name) : 0;
}
