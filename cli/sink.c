#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out.h"
#include "strbuf.h"

enum { BUFFER = 256 << 10, DIRECT = 64 << 10, PIECE = 1 << 20, PAGE = 4096 };
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

struct sink {
    char *path; /* absolute, links followed */
    char *temporary; /* the name it has until then; made last where the file can be without one */
    bool named;
    int fd;
    int failure; /* errno */
    uint64_t at;
    size_t used;
    char buffer[BUFFER];
};

/* The file that `path` means, whether it is there or not: its directory's real path, and its own name. */
static char *resolve(const char *path)
{
    char *whole = realpath(path, NULL), *directory, *real;
    const char *slash = strrchr(path, '/');
    struct strbuf made = {0};

    if (whole != NULL || errno != ENOENT)
        return whole;
    directory = slash == NULL ? memory_text(".", 1) : memory_text(path, slash == path ? 1 : (size_t)(slash - path));
    real = realpath(directory, NULL);
    free(directory);
    if (real == NULL)
        return NULL;
    strbuf_fmt(&made, "%s/%s", strcmp(real, "/") == 0 ? "" : real, slash == NULL ? path : slash + 1);
    free(real);
    return made.text;
}

/* A file without a name; -1 and EOPNOTSUPP or EISDIR where there are none. */
static int open_nameless(const char *path)
{
    char *directory = memory_text(path, (size_t)(strrchr(path, '/') - path) + 1);
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);

    free(directory);
    return fd;
}

static int cannot(const char *path, int error)
{
    err_fmt("cannot write '%s': %s", path, strerror(error));
    return -1;
}

static int open_file(struct sink *sink, const char *path)
{
    const char *base;
    struct strbuf name = {0};
    struct stat stat;

    sink->path = resolve(path);
    if (sink->path == NULL)
        return cannot(path, errno);
    base = strrchr(sink->path, '/') + 1;
    if (*base == '\0' || (lstat(sink->path, &stat) == 0 && !S_ISREG(stat.st_mode))) {
        err_fmt("cannot write '%s': it is no regular file", path);
        return -1;
    }
    strbuf_add(&name, sink->path, (size_t)(base - sink->path));
    strbuf_fmt(&name, ".%.200s.%ld.zct", base, (long)getpid());
    sink->temporary = name.text;
    sink->fd = open_nameless(sink->path);
    if (sink->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT)) {
        sink->fd = open(sink->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        sink->named = sink->fd >= 0;
    }
    return sink->fd >= 0 ? 0 : cannot(path, errno);
}

struct sink *sink_open(const char *path)
{
    struct sink *sink = memory_new(1, sizeof *sink);

    sink->fd = -1;
    signal(SIGXFSZ, SIG_IGN); /* a limit of the file size is told by write() */
    if (open_file(sink, path) == 0)
        return sink;
    sink_abandon(sink);
    return NULL;
}

static bool fail(struct sink *sink, int error)
{
    if (sink->failure == 0)
        err_fmt("cannot write '%s': %s; it is as it was before", sink->path, strerror(error));
    sink->failure = error;
    return false;
}

/* Many pages of a mapping at once: write() would stop and start again for every few of them. Where the kernel does not
 * know how, it is slower. */
static void fault_in(const char *bytes, uint64_t len)
{
    uintptr_t begin = (uintptr_t)bytes & ~(uintptr_t)(PAGE - 1);

    (void)madvise((void *)begin, (uintptr_t)bytes + len - begin, MADV_POPULATE_READ);
}

static bool write_out(struct sink *sink, const char *bytes, uint64_t len)
{
    while (len > 0 && sink->failure == 0) {
        uint64_t piece = len < PIECE ? len : PIECE;
        ssize_t done;

        if (piece >= DIRECT)
            fault_in(bytes, piece);
        done = write(sink->fd, bytes, piece);

        if (done > 0) {
            bytes += done;
            len -= (uint64_t)done;
        } else if (done == 0 || errno != EINTR) {
            return fail(sink, done == 0 ? ENOSPC : errno);
        }
    }
    return sink->failure == 0;
}

static bool flush(struct sink *sink)
{
    size_t used = sink->used;

    sink->used = 0;
    return write_out(sink, sink->buffer, used);
}

bool sink_write(struct sink *sink, const void *bytes, uint64_t len)
{
    sink->at += len;
    if (len >= DIRECT)
        return flush(sink) && write_out(sink, bytes, len);
    if (sink->used + len > BUFFER && !flush(sink))
        return false;
    memcpy(sink->buffer + sink->used, bytes, len);
    sink->used += len;
    return sink->failure == 0;
}

uint64_t sink_at(const struct sink *sink) { return sink->at; }

bool sink_patch(struct sink *sink, uint64_t at, const void *bytes, size_t len)
{
    if (!flush(sink))
        return false;
    return pwrite(sink->fd, bytes, len, (off_t)at) == (ssize_t)len || fail(sink, errno);
}

/* The name that is not seen for long: a link cannot take the place of a file that is there, a rename can. */
static bool give_name(struct sink *sink)
{
    char self[64];

    if (sink->named)
        return true;
    snprintf(self, sizeof self, "/proc/self/fd/%d", sink->fd);
    sink->named = linkat(AT_FDCWD, self, AT_FDCWD, sink->temporary, AT_SYMLINK_FOLLOW) == 0;
    return sink->named;
}

bool sink_commit(struct sink *sink)
{
    bool good = flush(sink) && (give_name(sink) || fail(sink, errno));
    struct stat old;

    if (good && stat(sink->path, &old) == 0 && fchmod(sink->fd, old.st_mode & 0777) < 0)
        good = fail(sink, errno);
    if (good && close(sink->fd) < 0)
        good = fail(sink, errno);
    if (good)
        sink->fd = -1;
    if (good && rename(sink->temporary, sink->path) < 0)
        good = fail(sink, errno);
    sink->named = sink->named && !good;
    sink_abandon(sink);
    return good;
}

void sink_abandon(struct sink *sink)
{
    if (sink == NULL)
        return;
    if (sink->fd >= 0)
        close(sink->fd);
    if (sink->named)
        unlink(sink->temporary);
    free(sink->path);
    free(sink->temporary);
    free(sink);
}
