/* doctor.h - what doctor's examinations share: a finding, and the way to what the kernel says about itself.
 *
 * An examination looks at one thing and says one finding about it, also when all is well. None changes anything. */
#ifndef ZCT_CLI_DOCTOR_H
#define ZCT_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum doctor_level { DOCTOR_OK, DOCTOR_NOTE, DOCTOR_WARN };

struct doctor {
    const char *root;      /* /proc, /sys, /etc, /run and /var lie below it; "" */
    const char *directory; /* of the stores */
    bool json, explain;
    uint64_t room; /* of the directory's file system, bytes in all: what a new store's capacity is; 0: not known */
    unsigned count[DOCTOR_WARN + 1];
};

/* One finding. `why` says what it matters for; `fix` is the command that changes it, NULL where there is none. */
void doctor_say(struct doctor *doctor, const char *check, enum doctor_level level, const char *why, const char *fix,
                const char *found, ...) __attribute__((format(printf, 6, 7)));

/* The examinations, in the order of the report. */
void doctor_memory(struct doctor *doctor);    /* the directory and its size, the container, the memory cgroup */
void doctor_pages(struct doctor *doctor);     /* huge pages, NUMA nodes, the limit of mappings */
void doctor_limits(struct doctor *doctor);    /* resource limits, logind's RemoveIPC */
void doctor_kernel(struct doctor *doctor);    /* what the library asks of the kernel */
void doctor_stores(struct doctor *doctor);    /* stores that nobody uses */
void doctor_leftovers(struct doctor *doctor); /* what other libraries left in the directory */

/* Bytes that the control group and those above it let this process take, page cache not counted as taken. */
uint64_t doctor_cgroup_room(const struct doctor *doctor);

/* ---- sysfile.c: small files of the kernel's, below doctor->root ---- */

#define SYSFILE_NO_LIMIT UINT64_MAX
/* The head of a file, NUL-terminated, without the last newline. False: it cannot be read. */
bool sysfile_read(const struct doctor *doctor, const char *path, char *buffer, size_t size);
bool sysfile_exists(const struct doctor *doctor, const char *path);
/* A number; "max" is SYSFILE_NO_LIMIT. */
bool sysfile_number(const struct doctor *doctor, const char *path, uint64_t *ret_number);
/* The number after `key` and blanks or a colon, in a file of such lines: 0 if it is not there. */
uint64_t sysfile_field(const struct doctor *doctor, const char *path, const char *key);
/* The options of the mount that `directory` lies in, as in "rw,relatime,size=64k,huge=never". False: not found. */
bool sysfile_mount(const struct doctor *doctor, const char *directory, char *buffer, size_t size);

#endif
