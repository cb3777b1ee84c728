/* out.h - standard output, and sentences on standard error.
 *
 * Output is collected and written in large pieces. A reader that went away (EPIPE) is no error: what follows is
 * thrown away, out_open() turns false so that long work can stop, and the exit code is what it would have been.
 * Any other failure to write is a failure of the command. */
#ifndef ZCT_CLI_OUT_H
#define ZCT_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes; docs/CLI.md has them. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_CANNOT = 2 };

/* First thing in main: descriptors 0 to 2 are open, else the store's file might become our standard output. */
void out_prepare(void);
void out_bytes(const char *bytes, size_t len);
void out_str(const char *text);
void out_fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));
void out_name(const char *name); /* safe for a terminal */
void out_pad(size_t spaces);
/* Write what is collected now: for output that somebody waits for. */
void out_flush(void);
/* False once nothing that is written can arrive. */
bool out_open(void);
bool out_is_terminal(void);
/* Write what is left. Returns `code`, or EXIT_FAILED in place of EXIT_OK if the output was lost. */
int out_finish(int code);

/* "zct: sentence" on standard error, control characters escaped; what is on standard output comes first. */
void err_fmt(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same with the library's sentence for the call that just returned `code`. */
void err_library(int code);
/* A usage error: the sentence and where help is. Returns EXIT_CANNOT. `command` may be NULL. */
int err_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
