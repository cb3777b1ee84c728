#include "platform/map.h"

#include "base/step.h"
#include "base/util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { HUGE = 2 << 20 };

static int protection(enum os_access access)
{
    return access == OS_NONE ? PROT_NONE : access == OS_READ ? PROT_READ : PROT_READ | PROT_WRITE;
}

static void *mapped(void *at, int *err)
{
    if (at != MAP_FAILED)
        return at;
    *err = errno;
    return NULL;
}

uint64_t os_page_size(void) { return (uint64_t)sysconf(_SC_PAGESIZE); }

void *os_map_nothing(uint64_t length, int *err)
{
    return mapped(mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), err);
}

/* Addresses of nothing, as far from a multiple of a huge page as the offset is; NULL: none. */
static uint8_t *aligned(uint64_t offset, uint64_t length)
{
    int err;
    uint8_t *wide = length < HUGE ? NULL : os_map_nothing(length + HUGE, &err);
    if (!wide)
        return NULL;
    uint64_t before = (offset - (uint64_t)(uintptr_t)wide) % HUGE;
    if (before)
        munmap(wide, before);
    if (before < HUGE)
        munmap(wide + before + length, HUGE - before);
    return wide + before;
}

void *os_map_shared(void *at, int fd, uint64_t offset, uint64_t length, enum os_access access, int *err)
{
    void *place = at ? at : aligned(offset, length);
    int flags = MAP_SHARED | MAP_NORESERVE | (place ? MAP_FIXED : 0);
    void *got = mapped(mmap(place, length, PROT_NONE, flags, fd, (off_t)offset), err);
    if (!got && place && !at)
        munmap(place, length);
    if (!got || access == OS_NONE)
        return got;
    /* Under MCL_FUTURE a writable shared mapping would be filled, holes and all: unlock it while it has no access. */
    munlock(got, length);
    if (mprotect(got, length, protection(access)) < 0) {
        *err = errno;
        if (!at)
            munmap(got, length);
        return NULL;
    }
    return got;
}

void *os_map_private(int fd, uint64_t offset, uint64_t length, int *err)
{
    int flags = MAP_PRIVATE | MAP_NORESERVE;
    return mapped(mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset), err);
}

void *os_map_memory(uint64_t length)
{
    int err;
    return mapped(mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), &err);
}

int os_protect(void *at, uint64_t length, enum os_access access)
{
    return mprotect(at, length, protection(access)) < 0 ? -errno : 0;
}

void os_unmap(void *at, uint64_t length)
{
    if (at)
        munmap(at, length);
    STEP("munmap");
}

void os_map_over(void *at, uint64_t length)
{
    if (mmap(at, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        munmap(at, length); /* no memory for it: what was there must go */
    STEP("map over");
}

static int advise(void *at, uint64_t length, int advice)
{
    uintptr_t first = (uintptr_t)round_down((uint64_t)(uintptr_t)at, PAGE);
    uintptr_t end = (uintptr_t)round_up((uint64_t)(uintptr_t)at + length, PAGE);
    int rc;
    do
        rc = madvise((void *)first, end - first, advice) < 0 ? -errno : 0;
    while (rc == -EINTR || rc == -EAGAIN);
    return rc;
}

int os_populate(void *at, uint64_t length)
{
    int rc = advise(at, length, MADV_POPULATE_WRITE);
    STEP("populate");
    return rc == -EFAULT || rc == -ENOMEM ? -ENOSPC : rc;
}

int os_collapse(void *at, uint64_t length)
{
    int rc = madvise(at, length, MADV_COLLAPSE) < 0 ? -errno : 0;
    STEP("collapse");
    return rc;
}

void os_prefault(void *at, uint64_t length) { (void)advise(at, length, MADV_POPULATE_WRITE); }

void os_not_in_child(void *at, uint64_t length) { (void)madvise(at, length, MADV_DONTFORK); }

int os_zero_in_child(void *at, uint64_t length) { return madvise(at, length, MADV_WIPEONFORK) < 0 ? -errno : 0; }

void os_not_in_core(void *at, uint64_t length) { (void)madvise(at, length, MADV_DONTDUMP); }

int os_mapping_removed(const void *at)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4608];
    int removed = -1;
    while (maps && removed < 0 && fgets(line, sizeof line, maps)) {
        unsigned long first, end;
        if (sscanf(line, "%lx-%lx", &first, &end) == 2 && (uintptr_t)at >= first && (uintptr_t)at < end)
            removed = strstr(line, " (deleted)\n") != NULL;
    }
    if (maps)
        fclose(maps);
    return removed;
}
