#include "literal.h"

#include <stdlib.h>
#include <string.h>

#include "strbuf.h"

enum { DEPTH = 100 }; /* a struct within another one takes two */

struct reader {
    const char *at, *end;
    int depth;
};

static bool read_value(struct reader *reader, struct literal *value);

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

/* The next character that is no blank, or 0. */
static char look(struct reader *reader)
{
    skip_blanks(reader);
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char c)
{
    bool there = look(reader) == c;

    reader->at += there;
    return there;
}

static bool take_word(struct reader *reader, const char *word)
{
    size_t len = strlen(word);
    bool there = (size_t)(reader->end - reader->at) >= len && memcmp(reader->at, word, len) == 0;

    reader->at += there ? len : 0;
    return there;
}

/* What follows a backslash. */
static bool read_escape(struct reader *reader, struct strbuf *text)
{
    static const char plain[] = "\\'\"abfnrtv", meant[] = "\\'\"\a\b\f\n\r\t\v";
    char c = *reader->at++;
    const char *known = c != '\0' ? strchr(plain, c) : NULL;
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t point = 0;

    if (known != NULL) {
        strbuf_add(text, &meant[known - plain], 1);
        return true;
    }
    if (digits == 0 || reader->end - reader->at < digits)
        return false;
    for (int i = 0; i < digits; i++) {
        char digit = *reader->at++;
        const char *hex = "0123456789abcdef";
        const char *found = digit != '\0' ? strchr(hex, digit >= 'A' && digit <= 'F' ? digit + 32 : digit) : NULL;

        if (found == NULL)
            return false;
        point = point << 4 | (uint32_t)(found - hex);
    }
    if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
        return false;
    strbuf_point(text, point);
    return true;
}

static bool read_text(struct reader *reader, struct literal *value)
{
    struct strbuf text = {0};
    char quote = *reader->at++;
    bool good = true;

    strbuf_str(&text, "");
    while (good && reader->at < reader->end && *reader->at != quote) {
        if (*reader->at != '\\') {
            strbuf_add(&text, reader->at++, 1);
        } else {
            reader->at++;
            good = reader->at < reader->end && read_escape(reader, &text);
        }
    }
    good = good && reader->at < reader->end;
    reader->at++;
    value->kind = LITERAL_TEXT;
    value->text = text.text;
    value->len = text.len;
    return good;
}

static bool read_int(struct reader *reader, struct literal *value)
{
    bool negative = take(reader, '-'), any = false;

    value->kind = LITERAL_INT;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++, any = true)
        if (__builtin_mul_overflow(value->number, 10, &value->number) ||
            __builtin_add_overflow(value->number, *reader->at - '0', &value->number))
            return false;
    if (negative)
        value->number = -value->number;
    if (any && reader->at < reader->end && *reader->at == 'L') /* Python 2 wrote long integers so */
        reader->at++;
    return any;
}

static struct literal *add_item(struct literal *list)
{
    if ((list->count & (list->count - 1)) == 0) /* full at each power of two */
        list->items = memory_resize(list->items, list->count > 0 ? 2 * list->count : 1, sizeof *list->items);
    list->items[list->count] = (struct literal){0};
    return &list->items[list->count++];
}

/* After the opening bracket. Parentheses around one value without a comma are that value. */
static bool read_items(struct reader *reader, char closing, struct literal *list)
{
    bool comma = true;

    list->kind = closing == '}' ? LITERAL_DICT : LITERAL_LIST;
    if (++reader->depth > DEPTH)
        return false;
    while (!take(reader, closing)) {
        if (!comma || !read_value(reader, add_item(list)))
            return false;
        if (closing == '}' && (!take(reader, ':') || !read_value(reader, add_item(list))))
            return false;
        comma = take(reader, ',');
    }
    reader->depth--;
    if (closing == ')' && list->count == 1 && !comma) {
        struct literal *only = list->items;

        *list = *only;
        free(only);
    }
    return true;
}

static bool read_value(struct reader *reader, struct literal *value)
{
    char c = look(reader);

    if (c == 'u' && reader->end - reader->at > 1 && (reader->at[1] == '\'' || reader->at[1] == '"')) {
        reader->at++; /* Python 2 again */
        c = *reader->at;
    }
    switch (c) {
    case '\'':
    case '"': return read_text(reader, value);
    case '(': reader->at++; return read_items(reader, ')', value);
    case '[': reader->at++; return read_items(reader, ']', value);
    case '{': reader->at++; return read_items(reader, '}', value);
    default: break;
    }
    if (take_word(reader, "True") || take_word(reader, "False")) {
        value->kind = LITERAL_BOOL;
        value->number = reader->at[-2] == 'u';
        return true;
    }
    return take_word(reader, "None") || read_int(reader, value);
}

bool literal_parse(const char *text, size_t len, struct literal *ret_literal)
{
    struct reader reader = {.at = text, .end = text + len};

    *ret_literal = (struct literal){0};
    return read_value(&reader, ret_literal) && look(&reader) == '\0' && reader.at == reader.end;
}

void literal_free(struct literal *literal)
{
    for (size_t i = 0; i < literal->count; i++)
        literal_free(&literal->items[i]);
    free(literal->items);
    free(literal->text);
    *literal = (struct literal){0};
}

const struct literal *literal_get(const struct literal *dict, const char *key)
{
    const struct literal *found = NULL;

    if (dict->kind != LITERAL_DICT)
        return NULL;
    for (size_t i = 0; i < dict->count; i += 2) {
        if (dict->items[i].kind != LITERAL_TEXT || strcmp(dict->items[i].text, key) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = &dict->items[i + 1];
    }
    return found;
}
