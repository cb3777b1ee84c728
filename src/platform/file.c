#include "platform/file.h"

#include "base/step.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static int neg(int rc) { return rc < 0 ? -errno : rc; }

int os_open(const char *path, bool writable)
{
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
    return neg(open(path, flags));
}

int os_open_unnamed(const char *directory) { return neg(open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)); }

int os_open_new(const char *path)
{
    int fd = neg(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    STEP("open O_CREAT");
    return fd;
}

int os_link(int fd, const char *path)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    STEP("before linkat");
    int rc = neg(linkat(AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
    STEP("linkat");
    return rc;
}

int os_open_twice(int fd)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    return neg(open(name, O_RDWR | O_CLOEXEC));
}

int os_rename_new(const char *from, const char *to)
{
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif
    STEP("before rename");
    int rc = neg((int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE));
    STEP("rename");
    return rc;
}

int os_unlink(const char *path)
{
    STEP("before unlink");
    int rc = neg(unlink(path));
    STEP("unlink");
    return rc;
}

void os_close(int fd)
{
    if (fd >= 0)
        close(fd);
    STEP("close");
}

static void fill(struct os_stat *ret, const struct stat *st)
{
    *ret = (struct os_stat){.device = st->st_dev, .inode = st->st_ino, .size = (uint64_t)st->st_size,
                            .occupied = (uint64_t)st->st_blocks * 512, .uid = st->st_uid, .mode = st->st_mode & 07777,
                            .links = (uint32_t)st->st_nlink, .regular = S_ISREG(st->st_mode)};
}

int os_fstat(int fd, struct os_stat *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    fill(ret, &st);
    return 0;
}

int os_stat(const char *path, struct os_stat *ret)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return -errno;
    fill(ret, &st);
    return 0;
}

int os_truncate(int fd, uint64_t size)
{
    int rc = neg(ftruncate(fd, (off_t)size));
    STEP("ftruncate");
    return rc;
}

int os_chmod(int fd, uint32_t mode) { return neg(fchmod(fd, (mode_t)mode)); }

static int allocate(int fd, int mode, uint64_t offset, uint64_t length)
{
    /* EINTR undoes what was allocated; a signal storm must not hang us */
    int rc = -EINTR;
    for (int tries = 0; rc == -EINTR && tries < 100; tries++)
        rc = neg(fallocate(fd, mode, (off_t)offset, (off_t)length));
    return rc;
}

int os_reserve(int fd, uint64_t offset, uint64_t length)
{
    int rc = allocate(fd, 0, offset, length);
    STEP("fallocate");
    return rc;
}

int os_punch(int fd, uint64_t offset, uint64_t length)
{
    STEP("before punch");
    int rc = allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    STEP("punch");
    return rc;
}

int os_write_at(int fd, const void *from, size_t length, uint64_t offset)
{
    const char *at = from;
    while (length) {
        ssize_t n = pwrite(fd, at, length, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENOSPC;
        at += n, offset += (uint64_t)n, length -= (size_t)n;
    }
    STEP("pwrite");
    return 0;
}

int os_read_at(int fd, void *to, size_t length, uint64_t offset)
{
    char *at = to;
    while (length) {
        ssize_t n = pread(fd, at, length, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n, offset += (uint64_t)n, length -= (size_t)n;
    }
    return 0;
}

int os_space(const char *path, uint64_t *ret_total, uint64_t *ret_available)
{
    struct statvfs vfs;
    if (statvfs(path, &vfs) < 0)
        return -errno;
    *ret_total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    *ret_available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    if (vfs.f_blocks == 0) /* tmpfs with size=0 has no limit and says 0 */
        *ret_total = *ret_available = 1ull << 40;
    return 0;
}

int os_list(const char *directory, int (*fn)(void *context, const char *name), void *context)
{
    struct dirent **names;
    int n = scandir(directory, &names, NULL, alphasort);
    if (n < 0)
        return -errno;
    int rc = 0;
    for (int i = 0; i < n; i++) {
        if (!rc && names[i]->d_name[0] != '.')
            rc = fn(context, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return rc;
}

char *os_absolute(const char *path)
{
    char folder[PATH_MAX], whole[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else if (slash == path)
        snprintf(folder, sizeof folder, "/");
    else
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (!realpath(folder, whole))
        return strdup(path);
    size_t n = strlen(whole) + strlen(base) + 2;
    char *out = malloc(n);
    if (out)
        snprintf(out, n, "%s/%s", strcmp(whole, "/") ? whole : "", base);
    return out;
}

int os_random(void *to, size_t length) { return getrandom(to, length, 0) == (ssize_t)length ? 0 : -EIO; }
