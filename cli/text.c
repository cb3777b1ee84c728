#include "text.h"

#include <stdio.h>
#include <string.h>

int32_t text_next(const char **text, const char *end)
{
    static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)*text;
    int more = at[0] < 0x80 ? 0 : at[0] >= 0xC2 && at[0] < 0xE0 ? 1 : (at[0] & 0xF0) == 0xE0 ? 2 : 3;
    int32_t point = more == 0 ? at[0] : at[0] & (0x3F >> more);

    *text += 1;
    if ((at[0] >= 0x80 && at[0] < 0xC2) || at[0] > 0xF4 || end - (const char *)at <= more)
        return -1;
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return -1;
        point = point << 6 | (at[i] & 0x3F);
    }
    if (point < least[more] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        return -1;
    *text += more;
    return point;
}

size_t text_plain(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && text[i] >= ' ' && text[i] < 0x7F && text[i] != '\\' && text[i] != '"')
        i++;
    return i;
}

bool text_steers(int32_t point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0xAD || point == 0x61C ||
           (point >= 0x200B && point <= 0x200F) || (point >= 0x2028 && point <= 0x202E) ||
           (point >= 0x2060 && point <= 0x206F) || point == 0xFEFF || (point >= 0xFFF9 && point <= 0xFFFB) ||
           (point >= 0xE0000 && point <= 0xE0FFF);
}

size_t text_escape(char *buffer, size_t size, const char *text, size_t len, enum text_kind kind)
{
    const char *end = text + len;
    size_t used = text_plain(text, len);

    if (used + 1 > size)
        used = size > 0 ? size - 1 : 0;
    memcpy(buffer, text, used);
    text += used;
    while (text < end) {
        const char *from = text;
        int32_t point = text_next(&text, end);
        char piece[24];
        int need = 0;

        if (kind == TEXT_NAME && point == '\\') {
            need = snprintf(piece, sizeof piece, "\\\\");
        } else if (point == '\n' || point == '\t' || point == '\r') {
            need = snprintf(piece, sizeof piece, "\\%c", point == '\n' ? 'n' : point == '\t' ? 't' : 'r');
        } else if (point < 0 || text_steers(point)) {
            for (const char *at = from; at < text; at++)
                need += snprintf(piece + need, sizeof piece - (size_t)need, "\\x%02x", (unsigned char)*at);
        } else {
            need = (int)(text - from);
            memcpy(piece, from, (size_t)need);
        }
        if (used + (size_t)need + 1 > size)
            break;
        memcpy(buffer + used, piece, (size_t)need);
        used += (size_t)need;
    }
    if (size > 0)
        buffer[used] = '\0';
    return used;
}

const char *text_shell(char *buffer, size_t size, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,@%";
    size_t used = 0;

    if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
        snprintf(buffer, size, "%s", text);
        return buffer;
    }
    used += (size_t)snprintf(buffer, size, "'");
    for (; *text != '\0' && used + 6 < size; text++)
        used += (size_t)snprintf(buffer + used, size - used, *text == '\'' ? "'\\''" : "%c", *text);
    snprintf(buffer + used, size - used, "'");
    return buffer;
}

/* East Asian wide and emoji: near enough for columns. */
static bool is_wide(int32_t point)
{
    return (point >= 0x1100 && point <= 0x115F) || (point >= 0x2E80 && point <= 0xA4CF && point != 0x303F) ||
           (point >= 0xAC00 && point <= 0xD7A3) || (point >= 0xF900 && point <= 0xFAFF) ||
           (point >= 0xFE30 && point <= 0xFE6F) || (point >= 0xFF00 && point <= 0xFF60) ||
           (point >= 0xFFE0 && point <= 0xFFE6) || (point >= 0x1F300 && point <= 0x1F64F) ||
           (point >= 0x1F900 && point <= 0x1F9FF) || (point >= 0x20000 && point <= 0x3FFFD);
}

static bool is_combining(int32_t point)
{
    return (point >= 0x300 && point <= 0x36F) || (point >= 0x1AB0 && point <= 0x1AFF) ||
           (point >= 0x20D0 && point <= 0x20FF) || (point >= 0xFE00 && point <= 0xFE0F) ||
           (point >= 0xFE20 && point <= 0xFE2F);
}

size_t text_width(const char *text)
{
    size_t len = strlen(text);
    const char *end = text + len;
    size_t columns = text_plain(text, len);

    text += columns;
    while (text < end) {
        int32_t point = text_next(&text, end);

        columns += is_combining(point) ? 0 : is_wide(point) ? 2 : 1;
    }
    return columns;
}
