/* progress.h - a bar on standard error while bytes are moved, if that is a terminal; else nothing. */
#ifndef ZCT_CLI_PROGRESS_H
#define ZCT_CLI_PROGRESS_H

#include <stdint.h>

/* `verb` is "loading" or "saving", a constant. */
void progress_begin(const char *verb, uint64_t total);
/* So many more are done. In between the bar goes by what the kernel has counted as written by this process. */
void progress_add(uint64_t bytes);
/* The bar goes away. */
void progress_end(void);

#endif
