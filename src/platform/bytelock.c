#include "platform/bytelock.h"

#include "base/step.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct flock range(short type, uint64_t byte, uint64_t count)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = (off_t)count};
}

int bytelock_try(int fd, uint64_t byte, enum lock_kind kind)
{
    struct flock lock = range(kind == LOCK_SHARED ? F_RDLCK : F_WRLCK, byte, 1);
    int rc = fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
    STEP("lock byte");
    return rc == -EACCES ? -EAGAIN : rc;
}

void bytelock_drop(int fd, uint64_t byte)
{
    struct flock lock = range(F_UNLCK, byte, 1);
    (void)fcntl(fd, F_OFD_SETLK, &lock);
    STEP("unlock byte");
}

int bytelock_held(int fd, uint64_t byte, uint64_t count)
{
    struct flock lock = range(F_RDLCK, byte, count);
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return -errno;
    return lock.l_type != F_UNLCK;
}

int bytelock_tells(int fd, int other)
{
    int rc = bytelock_try(fd, LOCK_BORN, LOCK_EXCLUSIVE);
    if (rc < 0)
        return rc == -EAGAIN ? 1 : rc;
    rc = bytelock_held(other, LOCK_BORN, 1);
    bytelock_drop(fd, LOCK_BORN);
    return rc;
}

int bytelock_foreign(int fd, uint64_t byte)
{
    struct flock lock = range(F_WRLCK, byte, 1);
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0)
        return 0;
    return (int)lock.l_pid;
}
