/* error.h - the one error channel: a negative code, and a sentence for the calling thread. */
#ifndef ZCT_BASE_ERROR_H
#define ZCT_BASE_ERROR_H

#include <zct/zct.h>

/* Record the sentence and return -code. errno is not touched. */
int fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a failed system call: `err` (an errno) is kept for zct_last_errno and its text is appended. */
int fail_os(int code, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The sentence of this thread, kept around a clean-up that may have failures of its own. */
struct failure { int err; char text[1536]; };
void failure_keep(struct failure *to);
void failure_again(const struct failure *from);
/* The code that an errno of a file operation means to a user. */
int code_of_errno(int err);

#endif
