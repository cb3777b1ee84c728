/* control.c - pages of the control part: which exist, and making them. */
#include "segment/store.h"

#include "platform/file.h"

#include <errno.h>
#include <stdio.h>

bool control_present(struct zct_store *s, uint64_t offset, uint64_t length)
{
    for (uint64_t at = round_down(offset, PAGE); at < offset + length; at += PAGE)
        if (!control_page_present(s, at))
            return false;
    return true;
}

int fail_full(struct zct_store *s, const char *what, uint64_t bytes)
{
    uint64_t total = 0, available = 0;
    (void)os_space(s->directory, &total, &available);
    return fail(ZCT_EFULL,
                "no room for %s (%llu bytes) in store '%s': capacity %llu, %llu bytes left of %llu in %s; unlink tensors, "
                "run 'zct gc', or enlarge the file system (in a container: --shm-size or --ipc=host, in Kubernetes an "
                "in-memory emptyDir)",
                what, (unsigned long long)bytes, s->name, (unsigned long long)s->g.capacity, (unsigned long long)available,
                (unsigned long long)total, s->directory);
}

static int allocate(struct zct_store *s, uint64_t offset, uint64_t length)
{
    int rc = os_populate(s->control + offset, length);
    if (rc != -EINVAL)
        return rc;
    int fd = store_file(s, true);
    if (fd < 0)
        return fd;
    rc = os_reserve(fd, offset, length);
    os_close(fd);
    return rc;
}

int control_reserve(struct zct_store *s, uint64_t offset, uint64_t length)
{
    if (likely(control_present(s, offset, length)))
        return 0;
    uint64_t first = offset / PAGE, end = div_up(offset + length, PAGE);
    int rc = allocate(s, first * PAGE, (end - first) * PAGE);
    if (rc == -ENOSPC || rc == -EFBIG)
        return fail_full(s, "bookkeeping", (end - first) * PAGE);
    if (rc == -ZCT_EGONE)
        return rc;
    if (rc < 0)
        return fail_os(code_of_errno(-rc), -rc, "cannot allocate bookkeeping pages of store '%s'", s->name);
    for (uint64_t page = first; page < end; page++) {
        sh64 *word = &REGION(s, sh64, s->g.present)[page / 64];
        uint64_t bit = 1ull << (page % 64);
        if (!(get_relaxed(word) & bit))
            or_sc(word, bit); /* pairs with the acquire in control_page_present */
    }
    return 0;
}

uint32_t desc_limit(struct zct_store *s)
{
    return (uint32_t)min_u64(get_acquire(&s->words->desc_high), s->g.names);
}
