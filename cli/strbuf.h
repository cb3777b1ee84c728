/* strbuf.h - text that grows. Memory that cannot be had ends the command with a sentence: no command leaves anything
 * half-done behind when it ends anywhere (what it was making has no name yet). */
#ifndef ZCT_CLI_STRBUF_H
#define ZCT_CLI_STRBUF_H

#include <stddef.h>

#include "text.h"

struct strbuf {
    char *text; /* NUL-terminated once something was added; strbuf_free frees it */
    size_t len, room;
};

void strbuf_add(struct strbuf *buf, const char *bytes, size_t len);
void strbuf_str(struct strbuf *buf, const char *text);
void strbuf_fmt(struct strbuf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_point(struct strbuf *buf, uint32_t point); /* a code point, as UTF-8 */
/* What text_escape makes of it. */
void strbuf_escape(struct strbuf *buf, const char *text, size_t len, enum text_kind kind);
/* The same for the reason why something cannot be, a part of a sentence. Always false. */
bool refuse(struct strbuf *why, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strbuf_clear(struct strbuf *buf); /* empty, memory kept */
void strbuf_free(struct strbuf *buf);

/* realloc, calloc and strndup that do not fail. */
void *memory_resize(void *memory, size_t count, size_t size);
void *memory_new(size_t count, size_t size);
char *memory_text(const char *text, size_t len);

#endif
