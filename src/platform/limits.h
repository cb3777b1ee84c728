/* limits.h - what the system will not give. */
#ifndef ZCT_PLATFORM_LIMITS_H
#define ZCT_PLATFORM_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#define NO_LIMIT UINT64_MAX

/* Bytes that may still be charged to this process's memory cgroup and its ancestors before the OOM killer comes;
 * page cache counts as free. NO_LIMIT where there is none or it cannot be known. `root` is where /proc and /sys are: "". */
uint64_t limit_cgroup_room(const char *root);
uint64_t limit_file_size(void);     /* RLIMIT_FSIZE: writing beyond it is a signal */
uint64_t limit_address_space(void); /* RLIMIT_AS */
uint64_t limit_locked_memory(void); /* RLIMIT_MEMLOCK */

#endif
