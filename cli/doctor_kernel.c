/* What the library asks of the kernel and of the directory's file system, each tried out. Nothing stays: files have no name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* A file without a name: in the directory, or in memory where that cannot be had. -1: neither. */
static int nameless_file(const char *directory, bool *ret_there)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    *ret_there = fd >= 0;
    return fd >= 0 ? fd : memfd_create("zct-doctor", MFD_CLOEXEC);
}

static short lock_seen_by(int fd, off_t byte)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) < 0 ? -1 : lock.l_type;
}

/* A byte lock far beyond the end: a second open file sees it while it is there, and no more when it is not. */
static const char *try_locks(int fd)
{
    off_t byte = (off_t)1 << 61;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    const char *fault = NULL;
    char path[64];
    int other;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    other = open(path, O_RDWR | O_CLOEXEC);
    if (other < 0)
        return "cannot be tried: /proc is not mounted";
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
        fault = "cannot be taken";
    else if (lock_seen_by(other, byte) != F_WRLCK)
        fault = "are not seen by others";
    else if (lock_seen_by(other, byte + 1) != F_UNLCK)
        fault = "are seen where there are none";
    lock.l_type = F_UNLCK;
    if (fault == NULL && (fcntl(fd, F_OFD_SETLK, &lock) < 0 || lock_seen_by(other, byte) != F_UNLCK))
        fault = "do not go when they are given back";
    close(other);
    return fault;
}

static void locks(struct doctor *doctor)
{
    static const char why[] =
        "a process is alive as long as it holds a byte lock; where locks lie, the living are taken for dead";
    bool there;
    int fd = nameless_file(doctor->directory, &there);
    const char *fault = fd < 0 ? "cannot be tried: no file can be made" : try_locks(fd);

    if (fd >= 0)
        close(fd);
    if (fault == NULL)
        doctor_say(doctor, "locks", DOCTOR_OK, why, NULL, "open-file locks tell the truth");
    else
        doctor_say(doctor, "locks", DOCTOR_WARN, why,
                   "export ZCT_DIR=... to a tmpfs of a Linux kernel (not gVisor, not a network's)",
                   "open-file locks %s", fault);
    doctor_say(doctor, "nameless-files", there ? DOCTOR_OK : DOCTOR_NOTE,
               "a store gets its name when it is whole; without them it is made under another name first", NULL,
               there ? "the file system has them (O_TMPFILE)" : "the file system has none (O_TMPFILE)");
}

static bool has_futex_waitv(void) { return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0) == 0 || errno != ENOSYS; }

static bool has_memfd(void)
{
    int fd = memfd_create("zct-doctor", MFD_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool takes_advice(int advice)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool takes = page != MAP_FAILED && madvise(page, 4096, advice) == 0;

    if (page != MAP_FAILED)
        munmap(page, 4096);
    return takes;
}

static void feature(struct doctor *doctor, const char *check, bool there, enum doctor_level without, const char *why,
                    const char *since)
{
    struct utsname system;

    uname(&system);
    if (there)
        doctor_say(doctor, check, DOCTOR_OK, why, NULL, "the kernel has it (Linux %s)", system.release);
    else
        doctor_say(doctor, check, without, why, since, "the kernel has none (Linux %s)", system.release);
}

void doctor_kernel(struct doctor *doctor)
{
    locks(doctor);
    feature(doctor, "wipe-on-fork", takes_advice(MADV_WIPEONFORK), DOCTOR_WARN,
            "by it a child of a raw clone() knows that it is no member; without it no store can be opened",
            "a kernel from Linux 4.14 on");
    feature(doctor, "populate", takes_advice(MADV_POPULATE_WRITE), DOCTOR_NOTE,
            "pages are made before they are touched, in parallel; without it by fallocate, one creator at a time",
            "a kernel from Linux 5.14 on");
    feature(doctor, "futex_waitv", has_futex_waitv(), DOCTOR_NOTE,
            "a wait for several things at once sleeps in one call",
            "a kernel from Linux 5.16 on; in a container a seccomp profile that allows futex_waitv");
    feature(doctor, "memfd", has_memfd(), DOCTOR_NOTE,
            "memory without a name in any directory, sent as a file descriptor",
            "a kernel from Linux 3.17 on; in a container a seccomp profile that allows memfd_create");
}
