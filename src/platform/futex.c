#include "platform/futex.h"

#include "base/util.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int futex(const void *word, int op, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, word, op, value, timeout, NULL, 0) < 0 ? -errno : 0;
}

int futex_wait_shared(const void *word, uint32_t expected, int64_t ns)
{
    struct timespec limit = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    int rc = futex(word, FUTEX_WAIT, expected, &limit);
    return rc == -ETIMEDOUT || rc == -EINTR ? rc : 0;
}

void futex_wake_shared(const void *word)
{
    STEP("before wake");
    (void)futex(word, FUTEX_WAKE, INT_MAX, NULL);
    STEP("wake");
}

int futex_wait_private(pv32 *word, uint32_t expected)
{
    return futex(word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, expected, NULL);
}

void futex_wake_private(pv32 *word) { (void)futex(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL); }
