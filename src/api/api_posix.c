/* api_posix.c - other programs' eyes: segments that they made, plain bytes without a store; and where our tensors lie. */
#include "tensor/tensor.h"

#include "platform/file.h"
#include "platform/map.h"

#include <stdio.h>
#include <string.h>

#define SEGMENTS "/dev/shm" /* where Linux has what shm_open makes */

/* What shm_open takes: one part, with or without a slash before it. */
static int segment_path(const char *name, char *path, size_t size)
{
    const char *base = name + (name[0] == '/');
    size_t n = strlen(base);
    if (n == 0 || n > 255 || strchr(base, '/') || !strcmp(base, ".") || !strcmp(base, ".."))
        return fail(ZCT_EINVAL, "'%.300s' cannot be the name of a POSIX segment: 1 to 255 bytes without '/', but for one "
                                "that may stand first", name);
    snprintf(path, size, SEGMENTS "/%s", base);
    return 0;
}

static int fail_open(const char *path, int err, bool writable)
{
    int code = code_of_errno(err);
    if (code == ZCT_ENOTFOUND)
        return fail(code, "there is no POSIX segment '%s'; its maker must make it first, and not have unlinked it", path);
    return fail_os(code, err, "cannot open the POSIX segment '%s' for %s", path, writable ? "writing; try mode 'r'" : "reading");
}

/* The pages around [offset, offset + nbytes), one at least. */
static void pages_around(uint64_t offset, uint64_t nbytes, uint64_t *ret_first, uint64_t *ret_length)
{
    *ret_first = round_down(offset, PAGE);
    *ret_length = round_up(offset + max_u64(nbytes, 1), PAGE) - *ret_first;
}

static int map_open(int fd, const char *path, uint64_t offset, uint64_t nbytes, int mode, void **ret)
{
    struct os_stat st;
    int rc = os_fstat(fd, &st), err = 0;
    if (rc < 0)
        return fail_os(ZCT_EOS, -rc, "cannot look at the POSIX segment '%s'", path);
    if (!st.regular)
        return fail(ZCT_EINVAL, "'%s' is no POSIX segment, but a file of another kind", path);
    if (offset > st.size || nbytes > st.size - offset)
        return fail(ZCT_EMISMATCH, "the POSIX segment '%s' has %llu bytes, not the %llu that are asked for from byte %llu on",
                    path, (unsigned long long)st.size, (unsigned long long)nbytes, (unsigned long long)offset);
    uint64_t first, length;
    pages_around(offset, nbytes, &first, &length);
    uint8_t *at = mode == ZCT_MODE_COW ? os_map_private(fd, first, length, &err)
                                       : os_map_shared(NULL, fd, first, length, mode == ZCT_MODE_READ ? OS_READ : OS_WRITE, &err);
    if (!at)
        return fail_os(ZCT_ENOMEM, err, "cannot map %llu bytes of the POSIX segment '%s'", (unsigned long long)length, path);
    *ret = at + (offset - first);
    return 0;
}

int zct_posix_map(const char *name, uint64_t offset, uint64_t nbytes, int mode, void **ret_data)
{
    char path[300];
    if (!name || !ret_data || mode < ZCT_MODE_DEFAULT || mode > ZCT_MODE_COW)
        return fail(ZCT_EINVAL, "zct_posix_map wants a name, a mode and where to put the address");
    int rc = segment_path(name, path, sizeof path);
    if (rc < 0)
        return rc;
    bool writable = mode == ZCT_MODE_WRITE || mode == ZCT_MODE_DEFAULT;
    int fd = os_open(path, writable);
    if (fd < 0)
        return fail_open(path, -fd, writable);
    rc = map_open(fd, path, offset, nbytes, mode, ret_data);
    os_close(fd);
    return rc;
}

void zct_posix_unmap(void *data, uint64_t nbytes)
{
    if (!data)
        return;
    uint64_t first, length;
    pages_around((uint64_t)(uintptr_t)data, nbytes, &first, &length);
    os_unmap((void *)(uintptr_t)first, length);
}

int zct_tensor_location(const zct_tensor *a, const char **ret_path, uint64_t *ret_offset, uint64_t *ret_nbytes)
{
    struct zct_store *s = a->store;
    int rc = store_check_file(s);
    if (rc < 0)
        return rc;
    *ret_path = s->path;
    *ret_offset = s->g.payload_offset + ext_bytes(get_relaxed(&desc_at(s, a->desc)->ext)).offset;
    *ret_nbytes = a->view.nbytes;
    return 0;
}
