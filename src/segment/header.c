/* header.c - believing a file: nothing is trusted before the header is whole, ours and consistent with the file. */
#include "segment/store.h"

#include "platform/file.h"
#include "platform/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int foreign(const char *path, const char *why)
{
    return fail(ZCT_ECORRUPT, "'%s' is not a sound store: %s; if nothing of value is in it, remove the file", path, why);
}

int header_read(int fd, const char *path, bool own_path, struct header *ret, struct geometry *ret_geometry)
{
    struct os_stat st;
    int rc = os_fstat(fd, &st);
    if (rc < 0)
        return fail_os(ZCT_EOS, -rc, "cannot look at store '%s'", path);
    if (!st.regular)
        return fail(ZCT_EACCES, "'%s' is not a regular file: something else has the store's name; remove it", path);
    if (own_path && st.uid != process_uid())
        return fail(ZCT_EACCES,
                    "store '%s' belongs to uid %u, you are uid %u; its owner (or root) can remove it, or set ZCT_DIR to a "
                    "directory of your own, $XDG_RUNTIME_DIR for example",
                    path, st.uid, process_uid());
    struct header h;
    if (st.size < HEADER_SIZE)
        return foreign(path, st.size ? "it is too short to have a header" : "it is empty");
    rc = os_read_at(fd, &h, sizeof h, 0);
    if (rc < 0)
        return fail_os(ZCT_EOS, -rc, "cannot read store '%s'", path);
    if (h.magic != STORE_MAGIC && h.magic != __builtin_bswap64(STORE_MAGIC))
        return foreign(path, "it does not begin as a store does");
    if (h.magic != STORE_MAGIC || h.endian != STORE_ENDIAN)
        return fail(ZCT_EVERSION, "store '%s' has another byte order", path);
    if (h.format != ZCT_FORMAT_VERSION)
        return fail(ZCT_EVERSION, "store '%s' has format %u, this library (%s) reads format %d; use the library that made it",
                    path, h.format, ZCT_VERSION_STRING, ZCT_FORMAT_VERSION);
    if (h.page_size != PAGE || os_page_size() != PAGE)
        return fail(ZCT_EVERSION, "store '%s' is made for pages of %u bytes, this kernel has %llu", path, h.page_size,
                    (unsigned long long)os_page_size());
    if (h.fingerprint != geometry_fingerprint() || h.features_needed != 0)
        return fail(ZCT_EVERSION, "store '%s' was made by an incompatible build of the library", path);
    if (h.checksum != header_checksum(&h))
        return foreign(path, "its header's checksum is wrong");
    h.name[sizeof h.name - 1] = 0;
    if (strcmp(h.name, base_name(path)))
        return fail(ZCT_ECORRUPT, "'%s' is the store '%s' under another name; open it by its own", path, h.name);
    struct geometry g;
    if (geometry_make(h.capacity, h.max_names, h.max_members, &g) < 0 || g.control_size != h.control_size ||
        g.payload_offset != h.payload_offset || g.file_size != h.file_size)
        return foreign(path, "its geometry is impossible");
    if (st.size != g.file_size)
        return foreign(path, st.size < g.file_size ? "it was truncated" : "it is longer than its header says");
    *ret = h;
    *ret_geometry = g;
    return 0;
}
