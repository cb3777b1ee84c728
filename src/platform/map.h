/* map.h - address space. Functions return an address or 0, or NULL / a negative errno. */
#ifndef ZCT_PLATFORM_MAP_H
#define ZCT_PLATFORM_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAGE = 4096 }; /* of the format; stores need a kernel with this page size */

enum os_access { OS_NONE, OS_READ, OS_WRITE };

uint64_t os_page_size(void);
/* Address space of nothing, PROT_NONE. NULL and *err on failure. */
void *os_map_nothing(uint64_t length, int *err);
/* Map a shared file; at == NULL: anywhere; else over what is there (MAP_FIXED). Never allocates pages, also under
 * mlockall(MCL_FUTURE). Anywhere is a place that has room for huge pages, if there is one. */
void *os_map_shared(void *at, int fd, uint64_t offset, uint64_t length, enum os_access access, int *err);
void *os_map_private(int fd, uint64_t offset, uint64_t length, int *err); /* copy-on-write */
void *os_map_memory(uint64_t length);                                     /* anonymous, zeros, private; NULL: none */
int os_protect(void *at, uint64_t length, enum os_access access);
void os_unmap(void *at, uint64_t length);
/* What was mapped there goes, nothing (PROT_NONE) takes its place: no hole for somebody else's mapping. */
void os_map_over(void *at, uint64_t length);
/* Allocate the pages of a shared mapping and map them here. -ENOSPC when there are none (never a signal), -EINVAL
 * where the kernel (before 5.14) cannot. The range is widened to pages. */
int os_populate(void *at, uint64_t length);
/* Put huge pages (2 MiB) where some plain ones are and the rest are holes, which then read as zeros. Both multiples of
 * 2 MiB, and a page in each must exist. 0, or a negative errno: the system cannot or has none at hand; some may be there
 * then, what was there is. */
int os_collapse(void *at, uint64_t length);
/* The pages exist already: map them here at once, for speed. Failure is no error. */
void os_prefault(void *at, uint64_t length);
void os_not_in_child(void *at, uint64_t length); /* the mapping is not inherited by fork */
int os_zero_in_child(void *at, uint64_t length); /* anonymous memory reads as zeros in a forked child */
/* Was the file under the mapping at `at` removed? 1 yes, 0 no, -1 it cannot be known (no /proc). */
int os_mapping_removed(const void *at);
void os_not_in_core(void *at, uint64_t length);

#endif
