#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "dtype.h"
#include "yyjson.h"

struct layout layout_plain(const zct_dtype *dtype) { return (struct layout){.dtype = *dtype}; }

struct field *layout_add(struct layout *layout)
{
    layout->fields = memory_resize(layout->fields, layout->count + 1, sizeof *layout->fields);
    layout->fields[layout->count] = (struct field){0};
    return &layout->fields[layout->count++];
}

void layout_free(struct layout *layout)
{
    for (size_t i = 0; i < layout->count; i++) {
        free(layout->fields[i].name);
        free(layout->fields[i].title);
        free(layout->fields[i].shape);
        layout_free(&layout->fields[i].type);
    }
    free(layout->fields);
    layout->fields = NULL;
    layout->count = 0;
}

uint64_t field_elements(const struct field *field)
{
    uint64_t elements = 1;

    for (int i = 0; i < field->ndim; i++)
        elements *= (uint64_t)field->shape[i];
    return elements;
}

/* ---- from the descriptor ---- */

static bool read_struct(yyjson_val *object, int depth, struct layout *layout);

static bool read_type(yyjson_val *value, int depth, struct layout *layout)
{
    if (yyjson_is_str(value))
        return dtype_from_numpy(yyjson_get_str(value), yyjson_get_len(value), &layout->dtype);
    return yyjson_is_obj(value) && depth < LAYOUT_DEPTH && read_struct(value, depth + 1, layout);
}

static bool read_extents(yyjson_val *array, struct field *field)
{
    size_t count = yyjson_arr_size(array);
    uint64_t elements = 1;

    if (!yyjson_is_arr(array) || count > ZCT_MAX_DIMS)
        return false;
    field->shape = memory_new(count, sizeof *field->shape);
    for (size_t i = 0; i < count; i++) {
        yyjson_val *extent = yyjson_arr_get(array, i);

        if (!yyjson_is_uint(extent) || yyjson_get_uint(extent) > INT32_MAX)
            return false;
        field->shape[i] = (int64_t)yyjson_get_uint(extent);
        if (__builtin_mul_overflow(elements, (uint64_t)field->shape[i], &elements))
            return false;
    }
    field->ndim = (int)count;
    return elements <= UINT32_MAX;
}

/* [name, type, offset] or [name, type, offset, title]; a sub-array's type is [type, [extents]]. */
static bool read_field(yyjson_val *array, int depth, const struct layout *owner, struct field *field)
{
    yyjson_val *name = yyjson_arr_get(array, 0), *type = yyjson_arr_get(array, 1), *offset = yyjson_arr_get(array, 2);
    uint64_t bytes;

    if (!yyjson_is_str(name) || !yyjson_is_uint(offset))
        return false;
    field->name_len = yyjson_get_len(name);
    field->name = memory_text(yyjson_get_str(name), field->name_len);
    field->offset = yyjson_get_uint(offset);
    if (yyjson_is_str(yyjson_arr_get(array, 3)))
        field->title = memory_text(yyjson_get_str(yyjson_arr_get(array, 3)), yyjson_get_len(yyjson_arr_get(array, 3)));
    if (yyjson_is_arr(type)) {
        if (!read_extents(yyjson_arr_get(type, 1), field))
            return false;
        type = yyjson_arr_get(type, 0);
    }
    if (!read_type(type, depth, &field->type))
        return false;
    bytes = field_elements(field) * field->type.dtype.itemsize; /* both fit 32 bits */
    return field->offset <= owner->dtype.itemsize && bytes <= owner->dtype.itemsize - field->offset;
}

static bool read_struct(yyjson_val *object, int depth, struct layout *layout)
{
    yyjson_val *fields = yyjson_obj_get(object, "fields"), *itemsize = yyjson_obj_get(object, "itemsize"), *one;
    yyjson_arr_iter fields_left;

    if (!yyjson_is_arr(fields) || !yyjson_is_uint(itemsize) || yyjson_get_uint(itemsize) > UINT32_MAX)
        return false;
    layout->dtype =
        (zct_dtype){.code = ZCT_STRUCT, .lanes = 1, .itemsize = (uint32_t)yyjson_get_uint(itemsize), .name = "struct"};
    layout->fields = memory_new(yyjson_arr_size(fields), sizeof *layout->fields);
    yyjson_arr_iter_init(fields, &fields_left);
    while ((one = yyjson_arr_iter_next(&fields_left)) != NULL)
        if (!read_field(one, depth, layout, &layout->fields[layout->count++]))
            return false;
    return true;
}

/* A descriptor may say of which format its long doubles are; then they must be ours. */
static bool longdoubles_are_ours(yyjson_val *object)
{
    yyjson_val *format = yyjson_obj_get(object, "longdouble");

    return format == NULL || yyjson_equals_str(format, dtype_longdouble_format());
}

bool layout_of_descriptor(const zct_dtype *dtype, const char *json, size_t len, struct layout *ret_layout)
{
    yyjson_doc *document = yyjson_read(json, len, 0);
    bool good;

    *ret_layout = (struct layout){0};
    good = document != NULL && yyjson_is_obj(yyjson_doc_get_root(document)) &&
           longdoubles_are_ours(yyjson_doc_get_root(document)) &&
           read_struct(yyjson_doc_get_root(document), 0, ret_layout) && ret_layout->dtype.itemsize == dtype->itemsize;
    yyjson_doc_free(document);
    if (!good)
        layout_free(ret_layout);
    ret_layout->dtype = *dtype;
    return good;
}

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
