/* text.h - text that comes from elsewhere (names, command lines, sentences), made safe for a terminal. */
#ifndef ZCT_CLI_TEXT_H
#define ZCT_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is escaped so that no byte of a name can steer a terminal: controls (C0, DEL, C1), the invisible
 * characters that turn text around or hide it, and bytes that are no UTF-8. */
enum text_kind {
    TEXT_NAME,    /* the backslash too: the result can be read back without doubt */
    TEXT_SENTENCE /* a backslash stays what it is */
};
#define TEXT_ESCAPED(bytes) (4 * (bytes) + 1) /* room that always suffices */

/* Escape `len` bytes into buffer[size], cut at a whole character, NUL-terminated. Returns its length. */
size_t text_escape(char *buffer, size_t size, const char *text, size_t len, enum text_kind kind);
/* `text` as one word of a shell: quoted if it needs to be. Cut where buffer[size] ends. Returns buffer. */
const char *text_shell(char *buffer, size_t size, const char *text);
/* Columns that an escaped text takes on a terminal. */
size_t text_width(const char *text);
/* How many bytes from `text` on are printable ASCII without quote and backslash: the common case, in one go. */
size_t text_plain(const char *text, size_t len);
/* True for controls, separators and marks that hide text or turn its direction. */
bool text_steers(int32_t point);
/* The code point at *text, which is moved on; -1, and one byte on, for what is no UTF-8. */
int32_t text_next(const char **text, const char *end);

#endif
