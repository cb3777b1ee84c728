#include "deny.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define LOW_HALF_OF(argument) ((uint32_t)offsetof(struct seccomp_data, args[argument]))

/* Refuse the call `nr` where (argument & mask) == value. */
static bool deny(uint32_t nr, int argument, uint32_t mask, uint32_t value, uint32_t error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW_HALF_OF(argument)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool deny_tmpfile(void) { return deny(SYS_openat, 2, O_TMPFILE, O_TMPFILE, EOPNOTSUPP); }
bool deny_locks(void) { return deny(SYS_fcntl, 1, ~0u, F_OFD_SETLK, 0); }
bool deny_populate(void) { return deny(SYS_madvise, 2, ~0u, MADV_POPULATE_WRITE, EINVAL); }
bool deny_collapse(void) { return deny(SYS_madvise, 2, ~0u, MADV_COLLAPSE, EINVAL); }
