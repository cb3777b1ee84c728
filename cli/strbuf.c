#include "strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

static _Noreturn void out_of_memory(void)
{
    err_fmt("out of memory");
    exit(out_finish(EXIT_FAILED));
}

void *memory_resize(void *memory, size_t count, size_t size)
{
    void *moved = reallocarray(memory, count > 0 ? count : 1, size);

    if (moved == NULL)
        out_of_memory();
    return moved;
}

void *memory_new(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL)
        out_of_memory();
    return memory;
}

char *memory_text(const char *text, size_t len)
{
    char *copy = memory_resize(NULL, len + 1, 1);

    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static char *room_for(struct strbuf *buf, size_t more)
{
    if (buf->len + more + 1 > buf->room) {
        buf->room = 2 * (buf->len + more + 1);
        buf->text = memory_resize(buf->text, buf->room, 1);
    }
    return buf->text + buf->len;
}

void strbuf_add(struct strbuf *buf, const char *bytes, size_t len)
{
    memcpy(room_for(buf, len), bytes, len);
    buf->len += len;
    buf->text[buf->len] = '\0';
}

void strbuf_str(struct strbuf *buf, const char *text) { strbuf_add(buf, text, strlen(text)); }

static void add_formatted(struct strbuf *buf, const char *format, va_list args)
{
    va_list again;
    int len;

    va_copy(again, args);
    len = vsnprintf(room_for(buf, 63), 64, format, args);
    if (len >= 64)
        vsnprintf(room_for(buf, (size_t)len), (size_t)len + 1, format, again);
    va_end(again);
    if (len > 0)
        buf->len += (size_t)len;
}

void strbuf_fmt(struct strbuf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(buf, format, args);
    va_end(args);
}

bool refuse(struct strbuf *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_formatted(why, format, args);
    va_end(args);
    return false;
}

void strbuf_point(struct strbuf *buf, uint32_t point)
{
    int more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    char bytes[4];

    for (int i = more; i > 0; i--, point >>= 6)
        bytes[i] = (char)(0x80 | (point & 0x3F));
    bytes[0] = (char)(more == 0 ? point : (0xFF00u >> (more + 1) & 0xFF) | point);
    strbuf_add(buf, bytes, (size_t)more + 1);
}

void strbuf_escape(struct strbuf *buf, const char *text, size_t len, enum text_kind kind)
{
    char *to = room_for(buf, TEXT_ESCAPED(len));

    buf->len += text_escape(to, TEXT_ESCAPED(len), text, len, kind);
}

void strbuf_clear(struct strbuf *buf)
{
    buf->len = 0;
    if (buf->text != NULL)
        buf->text[0] = '\0';
}

void strbuf_free(struct strbuf *buf)
{
    free(buf->text);
    *buf = (struct strbuf){0};
}
