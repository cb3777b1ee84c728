/* How a layout is written: the descriptor in a store, NumPy's header, a name for people. */
#include "layout.h"

#include <string.h>

#include "dtype.h"

/* ---- to the descriptor ---- */

void layout_quote_json(struct strbuf *json, const char *text, size_t len)
{
    strbuf_add(json, "\"", 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            strbuf_fmt(json, "\\%c", c);
        else if (c < 0x20)
            strbuf_fmt(json, "\\u%04x", c);
        else
            strbuf_add(json, text + i, 1);
    }
    strbuf_add(json, "\"", 1);
}

static bool has_longdouble(const struct layout *layout)
{
    bool has = layout->dtype.code == ZCT_LONGDOUBLE;

    for (size_t i = 0; i < layout->count; i++)
        has |= has_longdouble(&layout->fields[i].type);
    return has;
}

static void write_struct(const struct layout *layout, struct strbuf *json);

static void write_type(const struct layout *layout, struct strbuf *json)
{
    char text[DTYPE_TEXT_SIZE] = "";

    if (layout->dtype.code == ZCT_STRUCT) {
        write_struct(layout, json);
        strbuf_str(json, "}");
    } else {
        dtype_to_numpy(&layout->dtype, text); /* it came from such a text */
        strbuf_fmt(json, "\"%s\"", text);
    }
}

/* All but the closing brace. */
static void write_struct(const struct layout *layout, struct strbuf *json)
{
    strbuf_str(json, "{\"fields\":[");
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];

        strbuf_str(json, i > 0 ? ",[" : "[");
        layout_quote_json(json, field->name, field->name_len);
        strbuf_str(json, field->ndim > 0 ? ",[" : ",");
        write_type(&field->type, json);
        for (int d = 0; d < field->ndim; d++)
            strbuf_fmt(json, d == 0 ? ",[%lld" : ",%lld", (long long)field->shape[d]);
        strbuf_fmt(json, field->ndim > 0 ? "]],%llu" : ",%llu", (unsigned long long)field->offset);
        if (field->title != NULL) {
            strbuf_str(json, ",");
            layout_quote_json(json, field->title, strlen(field->title));
        }
        strbuf_str(json, "]");
    }
    strbuf_fmt(json, "],\"itemsize\":%u", layout->dtype.itemsize);
}

void layout_descriptor(const struct layout *layout, struct strbuf *json)
{
    write_struct(layout, json);
    if (has_longdouble(layout))
        strbuf_fmt(json, ",\"longdouble\":\"%s\"", dtype_longdouble_format());
    strbuf_str(json, "}");
}

/* ---- the name for people ---- */

static void add_short(const struct layout *layout, bool types, struct strbuf *text)
{
    char word[DTYPE_TEXT_SIZE] = "";

    if (layout->dtype.code != ZCT_STRUCT) {
        dtype_to_numpy(&layout->dtype, word);
        strbuf_str(text, word + (word[0] != '>'));
        return;
    }
    strbuf_str(text, "{");
    for (size_t i = 0; i < layout->count; i++) {
        const struct field *field = &layout->fields[i];

        strbuf_fmt(text, "%s%s", i > 0 ? "," : "", field->name);
        if (types) {
            strbuf_str(text, ":");
            add_short(&field->type, true, text);
            for (int d = 0; d < field->ndim; d++)
                strbuf_fmt(text, "%s%lld%s", d == 0 ? "[" : ",", (long long)field->shape[d],
                           d + 1 == field->ndim ? "]" : "");
        }
    }
    strbuf_str(text, "}");
}

void layout_set_name(struct layout *layout)
{
    struct strbuf text = {0};
    bool fits = false;

    for (int types = 1; types >= 0 && !fits; types--) {
        strbuf_clear(&text);
        strbuf_str(&text, "struct");
        add_short(layout, types != 0, &text);
        fits = text.len < sizeof layout->dtype.name;
        for (size_t i = 0; i < text.len; i++)
            fits = fits && text.text[i] >= ' ' && text.text[i] < 0x7F;
    }
    if (!fits) {
        strbuf_clear(&text);
        strbuf_fmt(&text, "struct of %zu fields", layout->count);
    }
    memset(layout->dtype.name, 0, sizeof layout->dtype.name);
    memcpy(layout->dtype.name, text.text, text.len);
    strbuf_free(&text);
}

/* ---- to NumPy's text ---- */

void layout_quote(struct strbuf *text, const char *bytes, size_t len)
{
    strbuf_add(text, "'", 1);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c == '\'' || c == '\\')
            strbuf_fmt(text, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            strbuf_fmt(text, "\\x%02x", c);
        else
            strbuf_add(text, bytes + i, 1);
    }
    strbuf_add(text, "'", 1);
}

void layout_tuple(struct strbuf *text, int count, const int64_t *numbers)
{
    strbuf_str(text, "(");
    for (int i = 0; i < count; i++)
        strbuf_fmt(text, i == 0 ? "%lld" : ", %lld", (long long)numbers[i]);
    strbuf_str(text, count == 1 ? ",)" : ")");
}

static bool write_numpy_fields(const struct layout *layout, struct strbuf *text)
{
    uint64_t end = 0;
    bool first = true;

    strbuf_str(text, "[");
    for (size_t i = 0; i <= layout->count; i++) {
        const struct field *field = i < layout->count ? &layout->fields[i] : NULL;
        uint64_t begin = field != NULL ? field->offset : layout->dtype.itemsize;

        if (begin < end)
            return false;
        if (begin > end) { /* padding is a nameless field */
            strbuf_fmt(text, "%s('', '|V%llu')", first ? "" : ", ", (unsigned long long)(begin - end));
            first = false;
        }
        if (field == NULL)
            break;
        strbuf_str(text, first ? "(" : ", (");
        if (field->title != NULL) {
            strbuf_str(text, "(");
            layout_quote(text, field->title, strlen(field->title));
            strbuf_str(text, ", ");
        }
        layout_quote(text, field->name, field->name_len);
        strbuf_str(text, field->title != NULL ? "), " : ", ");
        if (!layout_numpy(&field->type, text))
            return false;
        if (field->ndim > 0) {
            strbuf_str(text, ", ");
            layout_tuple(text, field->ndim, field->shape);
        }
        strbuf_str(text, ")");
        end = begin + field_elements(field) * field->type.dtype.itemsize;
        first = false;
    }
    strbuf_str(text, "]");
    return true;
}

bool layout_numpy(const struct layout *layout, struct strbuf *text)
{
    char word[DTYPE_TEXT_SIZE];

    if (layout->dtype.code == ZCT_STRUCT)
        return layout->count > 0 && write_numpy_fields(layout, text);
    if (!dtype_to_numpy(&layout->dtype, word))
        return false;
    strbuf_fmt(text, "'%s'", word);
    return true;
}
