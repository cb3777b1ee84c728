/* deny.h - a system that lacks something: from here on, and in children, the kernel refuses. False: it cannot be had. */
#ifndef ZCT_TESTS_DENY_H
#define ZCT_TESTS_DENY_H

#include <stdbool.h>

bool deny_tmpfile(void);  /* open(O_TMPFILE): EOPNOTSUPP */
bool deny_locks(void);    /* fcntl(F_OFD_SETLK): success, and nothing is locked, as on a file system that lies */
bool deny_populate(void); /* madvise(MADV_POPULATE_WRITE): EINVAL */
bool deny_collapse(void); /* madvise(MADV_COLLAPSE): EINVAL */

#endif
