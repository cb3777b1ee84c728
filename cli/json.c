#include "json.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "out.h"
#include "quantity.h"
#include "text.h"

#define MAX_DEPTH 2400 /* a struct within structs, each with arrays of all dimensions */

static struct {
    char closing[MAX_DEPTH];
    bool filled[MAX_DEPTH]; /* has a member: the next one follows a comma */
    int depth;
    bool one_line;
} json;

static void write_text(const char *text, size_t len)
{
    const char *end = text + len;

    out_str("\"");
    while (text < end) {
        size_t plain = text_plain(text, (size_t)(end - text));
        const char *from;
        int32_t point;

        out_bytes(text, plain);
        text += plain;
        if (text == end)
            break;
        from = text;
        point = text_next(&text, end);

        if (point < 0)
            out_str("\\ufffd");
        else if (point == '"' || point == '\\')
            out_fmt("\\%c", (char)point);
        else if (point == '\n')
            out_str("\\n");
        else if (point == '\t')
            out_str("\\t");
        else if (text_steers(point) && point < 0x10000)
            out_fmt("\\u%04x", (unsigned)point);
        else if (text_steers(point)) /* as a surrogate pair */
            out_fmt("\\u%04x\\u%04x", 0xD7C0 + ((unsigned)point >> 10), 0xDC00 + ((unsigned)point & 0x3FF));
        else
            out_bytes(from, (size_t)(text - from));
    }
    out_str("\"");
}

/* What stands before a value: comma, line, key. */
static void lead(const char *key)
{
    if (json.depth > 0) {
        bool own_line = !json.one_line && (json.depth == 1 || (json.depth == 2 && json.closing[1] == ']'));

        if (json.filled[json.depth - 1])
            out_str(own_line ? "," : ", ");
        json.filled[json.depth - 1] = true;
        if (own_line) {
            out_str("\n");
            out_pad(2 * (size_t)json.depth);
        }
    }
    if (key != NULL) {
        out_str("\"");
        out_str(key);
        out_str("\": ");
    }
}

static void open_container(const char *key, char opening, char closing)
{
    assert(json.depth < MAX_DEPTH);
    lead(key);
    out_bytes(&opening, 1);
    json.closing[json.depth] = closing;
    json.filled[json.depth] = false;
    json.depth++;
}

void json_object(const char *key) { open_container(key, '{', '}'); }

void json_array(const char *key) { open_container(key, '[', ']'); }

void json_close(void)
{
    bool had_lines;

    assert(json.depth > 0);
    json.depth--;
    had_lines = !json.one_line && (json.depth == 0 || (json.depth == 1 && json.closing[1] == ']'));
    if (had_lines && json.filled[json.depth]) {
        out_str("\n");
        out_pad(2 * (size_t)json.depth);
    }
    out_bytes(&json.closing[json.depth], 1);
}

void json_begin_line(const char *command)
{
    json.one_line = true;
    json_begin(command);
}

void json_begin(const char *command)
{
    json.depth = 0;
    json_object(NULL);
    json_uint("schema", JSON_SCHEMA);
    json_text("command", command);
}

void json_end(void)
{
    while (json.depth > 0)
        json_close();
    out_str("\n");
}

void json_text_n(const char *key, const char *text, size_t len)
{
    lead(key);
    write_text(text, len);
}

void json_text(const char *key, const char *text) { json_text_n(key, text, strlen(text)); }

void json_uint(const char *key, uint64_t value)
{
    char digits[QUANTITY_SIZE];

    lead(key);
    out_bytes(digits, quantity_count(digits, value));
}

void json_int(const char *key, int64_t value)
{
    if (value >= 0) {
        json_uint(key, (uint64_t)value);
        return;
    }
    lead(key);
    out_fmt("%lld", (long long)value);
}

void json_number(const char *key, const char *number)
{
    lead(key);
    out_str(number);
}

void json_bool(const char *key, bool value)
{
    lead(key);
    out_str(value ? "true" : "false");
}

void json_null(const char *key)
{
    lead(key);
    out_str("null");
}

void json_moment(const char *key, int64_t ns)
{
    char ns_key[64];
    char moment[QUANTITY_SIZE];

    snprintf(ns_key, sizeof ns_key, "%s_ns", key);
    if (ns == 0) {
        json_null(key);
        json_null(ns_key);
    } else {
        json_text(key, quantity_time(moment, ns));
        json_int(ns_key, ns);
    }
}
