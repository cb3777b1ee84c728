/* birth.c - a store's file is either absent, or named and complete: it is made without a name and then linked. */
#include "segment/store.h"

#include "platform/bytelock.h"
#include "platform/file.h"
#include "platform/limits.h"
#include "platform/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int choose_geometry(const char *path, const char *directory, const zct_store_options *options,
                           struct geometry *ret)
{
    uint64_t total = 0, available = 0, capacity = options->capacity;
    int rc = os_space(directory, &total, &available);
    if (rc < 0)
        return fail_os(code_of_errno(-rc), -rc, "cannot make store '%s': directory '%s' cannot be used", path, directory);
    const char *env = process_env("ZCT_CAPACITY");
    if (!capacity && env) {
        char *end;
        capacity = strtoull(env, &end, 10);
        static const char units[] = "kKmMgGtT";
        const char *unit = *end ? strchr(units, *end) : NULL;
        if (unit) {
            unsigned shift = 10 * (unsigned)((unit - units) / 2 + 1);
            capacity = capacity > UINT64_MAX >> shift ? UINT64_MAX : capacity << shift; /* more than any store's */
            end++;
            end += *end == 'i';
            end += *end == 'B';
        }
        if (*end || !capacity || *env < '0' || *env > '9')
            return fail(ZCT_EINVAL, "ZCT_CAPACITY='%s' is not a size; write bytes, or a number with K, M, G or T", env);
    }
    if (!capacity)
        capacity = total;
    if (capacity > 1ull << 42)
        return fail(ZCT_EINVAL, "capacity %llu of store '%s' is more than the format's 4 TiB",
                    (unsigned long long)capacity, base_name(path));
    capacity = round_up(max_u64(capacity, 2 * MiB), PAYLOAD_ALIGN);
    uint32_t names = options->max_names ? (uint32_t)round_up(options->max_names, 64) : geometry_default_names(capacity);
    uint32_t members = options->max_members ? options->max_members : geometry_default_members(capacity);
    rc = geometry_make(capacity, names, members, ret);
    if (rc < 0)
        return fail(ZCT_EINVAL,
                    "store '%s' cannot have capacity %llu, %u names and %u members (names: 64 to 16,777,152, members: 2 to %d)",
                    base_name(path), (unsigned long long)capacity, options->max_names, options->max_members, ZCT_MAX_MEMBERS);
    return 0;
}

/* Give the nameless or temporary file its contents. Negative errno. */
static int furnish(int fd, const char *path, const zct_store_options *options, const struct geometry *g)
{
    struct header header = {.magic = STORE_MAGIC, .format = ZCT_FORMAT_VERSION, .endian = STORE_ENDIAN,
                            .page_size = PAGE, .fingerprint = geometry_fingerprint(), .birth_ns = clock_real(),
                            .uid = process_uid(), .mode = options->mode ? options->mode : 0600,
                            .capacity = g->capacity, .max_names = g->names, .max_members = g->members,
                            .control_size = g->control_size, .payload_offset = g->payload_offset,
                            .file_size = g->file_size};
    snprintf(header.name, sizeof header.name, "%s", base_name(path));
    int rc = os_random(header.uuid, sizeof header.uuid);
    header.checksum = header_checksum(&header);
    if (limit_file_size() < g->file_size)
        return -EFBIG;
    if (rc == 0)
        rc = os_truncate(fd, g->file_size);
    uint64_t first = g->slots; /* header, words and the map of present pages */
    if (rc == 0)
        rc = os_reserve(fd, 0, first);
    uint64_t pages = first / PAGE, bit = 0;
    for (uint64_t at = 0; rc == 0 && bit < pages; at += 8, bit += 64) {
        uint64_t word = low_bits((unsigned)min_u64(pages - bit, 64));
        rc = os_write_at(fd, &word, sizeof word, g->present + at);
    }
    struct words words;
    memset(&words, 0, sizeof words);
    uint64_t free_slots[FREESLOT_WORDS] = {0};
    for (unsigned p = 0; p < g->members; p++)
        free_slots[p / 64] |= 1ull << (p % 64);
    uint64_t root = min_u64(10, g->cells_log2) << 1; /* an index of 2^10 cells; its pages are reserved by the first create */
    if (rc == 0)
        rc = os_write_at(fd, &root, sizeof root, HEADER_WORDS + offsetof(struct words, root));
    if (rc == 0)
        rc = os_write_at(fd, free_slots, sizeof free_slots, HEADER_WORDS + offsetof(struct words, freeslot));
    if (rc == 0)
        rc = os_write_at(fd, &header, sizeof header, 0);
    if (rc == 0)
        rc = os_chmod(fd, header.mode);
    return rc;
}

/* Remove what makers left that died between making a .tmp file and renaming it. */
static int sweep_one(void *context, const char *name)
{
    const char *path = context;
    size_t base = strlen(base_name(path)), length = strlen(name);
    if (strncmp(name, base_name(path), base) || name[base] != '.' || length < 5 || strcmp(name + length - 4, ".tmp"))
        return 0;
    char whole[4352];
    snprintf(whole, sizeof whole, "%.*s%s", (int)(base_name(path) - path), path, name);
    int fd = os_open(whole, true);
    if (fd < 0)
        return 0;
    struct os_stat mine, there;
    if (bytelock_try(fd, LOCK_BORN, LOCK_EXCLUSIVE) == 0 && os_fstat(fd, &mine) == 0 && os_stat(whole, &there) == 0 &&
        mine.inode == there.inode && mine.device == there.device)
        (void)os_unlink(whole);
    os_close(fd);
    return 0;
}

/* Where there are no nameless files: a temporary name, and a rename that never replaces. Negative errno. */
static int birth_by_rename(const char *path, const char *directory, const zct_store_options *options,
                           const struct geometry *g)
{
    (void)os_list(directory, sweep_one, (void *)(uintptr_t)path);
    for (int tries = 0; tries < 100; tries++) {
        char temporary[4352];
        uint32_t random = 0;
        (void)os_random(&random, sizeof random);
        snprintf(temporary, sizeof temporary, "%s.%08x.tmp", path, random);
        int fd = os_open_new(temporary);
        if (fd == -EEXIST)
            continue;
        if (fd < 0)
            return fd;
        struct os_stat st = {0};
        int rc = bytelock_try(fd, LOCK_BORN, LOCK_EXCLUSIVE);
        if (rc == 0)
            rc = os_fstat(fd, &st);
        if (rc < 0 && rc != -EAGAIN) {
            (void)os_unlink(temporary);
            os_close(fd);
            return rc;
        }
        if (rc < 0 || st.links == 0) { /* a sweeper took us for dead before we had the lock */
            os_close(fd);
            continue;
        }
        rc = furnish(fd, path, options, g);
        if (rc == 0)
            rc = os_rename_new(temporary, path); /* <== linearisation of birth */
        if (rc < 0)
            (void)os_unlink(temporary);
        os_close(fd);
        return rc;
    }
    return -EEXIST;
}

int store_birth(const char *path, const zct_store_options *options)
{
    char *directory = strdup(path);
    if (!directory)
        return fail(ZCT_ENOMEM, "out of memory");
    char *slash = strrchr(directory, '/');
    *(slash == directory ? slash + 1 : slash) = 0;
    struct geometry g;
    int rc = choose_geometry(path, directory, options, &g);
    if (rc < 0) {
        free(directory);
        return rc;
    }
    int fd = os_open_unnamed(directory);
    bool no_unnamed = fd == -EOPNOTSUPP || fd == -EISDIR || fd == -EINVAL || fd == -ENOENT;
    rc = fd;
    if (fd >= 0) {
        int other = os_open_twice(fd);
        rc = other >= 0 && bytelock_tells(fd, other) == 0 ? store_fail_locks(path) : furnish(fd, path, options, &g);
        os_close(other);
        if (rc == 0)
            rc = os_link(fd, path); /* <== linearisation of birth */
        os_close(fd);
        no_unnamed = rc == -ENOENT; /* no /proc */
    }
    if (no_unnamed)
        rc = birth_by_rename(path, directory, options, &g);
    uint64_t total = 0, available = 0;
    (void)os_space(directory, &total, &available);
    if (rc == -EFBIG)
        rc = fail(ZCT_EFULL,
                  "store '%s' of %llu bytes is larger than this process may make files (RLIMIT_FSIZE %llu); raise it with "
                  "'ulimit -f', or give a smaller capacity=",
                  path, (unsigned long long)g.file_size, (unsigned long long)limit_file_size());
    else if (rc == -ENOSPC)
        rc = fail_os(ZCT_EFULL, ENOSPC,
                     "no room to make store '%s': %llu bytes are left of %llu in %s and its bookkeeping alone wants %llu; "
                     "free some, or enlarge it (in a container: --shm-size or --ipc=host, in Kubernetes an in-memory "
                     "emptyDir)",
                     path, (unsigned long long)available, (unsigned long long)total, directory, (unsigned long long)g.slots);
    else if (rc == -EINVAL)
        rc = fail(ZCT_EUNSUPPORTED, "the file system of %s can neither make nameless files nor rename without replacing; "
                                    "choose another directory with ZCT_DIR or directory=", directory);
    else if (rc == -EACCES || rc == -EPERM || rc == -EROFS)
        rc = fail_os(ZCT_EACCES, -rc,
                     "cannot make store '%s': this user may not make files in %s; choose a directory of your own with ZCT_DIR "
                     "or directory=", path, directory);
    else if (rc < 0 && rc > -ZCT_EVERSION && rc != -EEXIST) /* beyond: a sentence has been said */
        rc = fail_os(code_of_errno(-rc), -rc, "cannot make store '%s' in %s", path, directory);
    free(directory);
    return rc == -EEXIST ? 0 : rc; /* somebody else's birth came first: as good */
}
