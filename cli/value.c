#include "value.h"

#include <stdio.h>
#include <string.h>

#include "dtype.h"
#include "json.h"
#include "moment.h"
#include "number.h"

/* What an element is shown as. */
enum shown { RAW, TRUTH, SIGNED, UNSIGNED, REAL, LONG_REAL, PAIR, LONG_PAIR, TEXT, BYTES, MOMENT, SPAN, RECORD };

static enum shown shown_as(const struct layout *layout)
{
    const zct_dtype *dtype = &layout->dtype;
    uint32_t size = dtype->itemsize;
    bool whole = dtype->lanes == 1 && size > 0 && size <= 8 && dtype->bits == 8 * size;

    switch (dtype->code) {
    case ZCT_INT: return whole ? SIGNED : RAW;
    case ZCT_UINT: return whole ? UNSIGNED : RAW;
    case ZCT_BOOL: return whole && size == 1 ? TRUTH : RAW;
    case ZCT_COMPLEX: return dtype->lanes == 1 && dtype->bits == 8 * size && (size == 8 || size == 16) ? PAIR : RAW;
    case ZCT_LONGDOUBLE: return !dtype_is_host_longdouble(dtype) ? RAW : dtype->lanes == 2 ? LONG_PAIR : LONG_REAL;
    case ZCT_BYTES: return BYTES;
    case ZCT_UCS4: return size % 4 == 0 ? TEXT : RAW;
    case ZCT_DATETIME64: return size == 8 ? MOMENT : RAW;
    case ZCT_TIMEDELTA64: return size == 8 ? SPAN : RAW;
    case ZCT_STRUCT: return layout->fields != NULL ? RECORD : RAW;
    default: break;
    }
    if (dtype->lanes != 1 || !number_is_float(dtype->code, dtype->bits))
        return RAW;
    return size == 0 || whole || (dtype->subbyte_padded && size == 1) ? REAL : RAW;
}

static uint64_t bits_of(struct element element)
{
    const zct_dtype *dtype = &element.layout->dtype;
    uint8_t bytes[8] = {0};
    uint64_t number;

    if (dtype->itemsize > 0) {
        number_bytes(bytes, element.at, dtype->itemsize, dtype->big_endian);
        number = number_uint(bytes, dtype->itemsize);
    } else { /* packed: the second byte only if it has some of it */
        bytes[0] = element.at[0];
        bytes[1] = element.bit + dtype->bits > 8 ? element.at[1] : 0;
        number = number_uint(bytes, 2) >> element.bit;
    }
    return dtype->bits < 64 ? number & ((1ull << dtype->bits) - 1) : number;
}

static int64_t integer_of(struct element element)
{
    uint64_t bits = bits_of(element);

    return number_int(&bits, element.layout->dtype.itemsize);
}

/* Number `part` of one or two. */
static const char *real_of(char text[NUMBER_SIZE], struct element element, unsigned part)
{
    const zct_dtype *dtype = &element.layout->dtype;
    uint8_t bytes[sizeof(long double)];
    size_t size;

    switch (shown_as(element.layout)) {
    case LONG_REAL:
    case LONG_PAIR:
        size = sizeof(long double);
        number_bytes(bytes, element.at + part * size, size, dtype->big_endian);
        return number_longdouble(text, bytes);
    case PAIR:
        size = dtype->itemsize / 2;
        number_bytes(bytes, element.at + part * size, size, dtype->big_endian);
        return number_float(text, ZCT_FLOAT, (uint8_t)(8 * size), number_uint(bytes, size));
    default: return number_float(text, dtype->code, dtype->bits, bits_of(element));
    }
}

/* UCS-4 as UTF-8, without the NULs at its end; what is no code point is U+FFFD. */
static void utf8_of(struct strbuf *text, struct element element)
{
    const zct_dtype *dtype = &element.layout->dtype;
    size_t count = dtype->itemsize / 4, end = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < (pass == 0 ? count : end); i++) {
            uint8_t bytes[4];
            uint32_t point;

            number_bytes(bytes, element.at + 4 * i, 4, dtype->big_endian);
            point = (uint32_t)number_uint(bytes, 4);
            if (pass == 0) {
                end = point != 0 ? i + 1 : end;
                continue;
            }
            if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
                point = 0xFFFD;
            strbuf_point(text, point);
        }
    }
}

static size_t without_nuls(const uint8_t *bytes, size_t len)
{
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    return len;
}

static void hex_of(struct strbuf *text, struct element element)
{
    const zct_dtype *dtype = &element.layout->dtype;

    if (dtype->itemsize == 0 && dtype->bits > 0) {
        strbuf_fmt(text, "%llx", (unsigned long long)bits_of(element));
        return;
    }
    for (size_t i = 0; i < dtype->itemsize; i++)
        strbuf_fmt(text, "%02x", element.at[i]);
}

/* ---- text ---- */

static void text_bytes(struct strbuf *text, const uint8_t *bytes, size_t len)
{
    strbuf_str(text, "b'");
    for (size_t i = 0; i < without_nuls(bytes, len); i++) {
        if (bytes[i] == '\\' || bytes[i] == '\'')
            strbuf_fmt(text, "\\%c", bytes[i]);
        else if (bytes[i] >= 0x20 && bytes[i] < 0x7F)
            strbuf_fmt(text, "%c", bytes[i]);
        else
            strbuf_fmt(text, "\\x%02x", bytes[i]);
    }
    strbuf_str(text, "'");
}

static void text_quoted(struct strbuf *text, struct element element)
{
    struct strbuf plain = {0};
    const char *rest;

    utf8_of(&plain, element);
    strbuf_str(text, "'");
    for (rest = plain.text; plain.len > 0 && rest < plain.text + plain.len;) {
        const char *quote = memchr(rest, '\'', (size_t)(plain.text + plain.len - rest));
        size_t len = (size_t)((quote != NULL ? quote : plain.text + plain.len) - rest);

        strbuf_escape(text, rest, len, TEXT_NAME);
        if (quote != NULL)
            strbuf_str(text, "\\'");
        rest += len + 1;
    }
    strbuf_str(text, "'");
    strbuf_free(&plain);
}

static void text_array(struct strbuf *text, const struct field *field, int axis, struct element *element)
{
    if (axis == field->ndim) {
        value_text(text, *element);
        element->at += field->type.dtype.itemsize;
        return;
    }
    strbuf_str(text, "[");
    for (int64_t i = 0; i < field->shape[axis]; i++) {
        if (i > 0)
            strbuf_str(text, " ");
        text_array(text, field, axis + 1, element);
    }
    strbuf_str(text, "]");
}

static void text_record(struct strbuf *text, struct element element)
{
    const struct layout *layout = element.layout;

    strbuf_str(text, "(");
    for (size_t i = 0; i < layout->count; i++) {
        struct element part = {&layout->fields[i].type, element.at + layout->fields[i].offset, 0};

        if (i > 0)
            strbuf_str(text, ", ");
        text_array(text, &layout->fields[i], 0, &part);
    }
    strbuf_str(text, ")");
}

void value_text(struct strbuf *text, struct element element)
{
    char number[NUMBER_SIZE], moment[MOMENT_SIZE];

    switch (shown_as(element.layout)) {
    case TRUTH: strbuf_str(text, element.at[0] != 0 ? "True" : "False"); break;
    case SIGNED: strbuf_fmt(text, "%lld", (long long)integer_of(element)); break;
    case UNSIGNED: strbuf_fmt(text, "%llu", (unsigned long long)bits_of(element)); break;
    case REAL:
    case LONG_REAL: strbuf_str(text, real_of(number, element, 0)); break;
    case PAIR:
    case LONG_PAIR:
        strbuf_fmt(text, "(%s", real_of(number, element, 0));
        real_of(number, element, 1);
        strbuf_fmt(text, "%s%sj)", number[0] == '-' ? "" : "+", number);
        break;
    case TEXT: text_quoted(text, element); break;
    case BYTES: text_bytes(text, element.at, element.layout->dtype.itemsize); break;
    case MOMENT: strbuf_str(text, moment_text(moment, integer_of(element), &element.layout->dtype)); break;
    case SPAN:
        if (integer_of(element) == MOMENT_NAT)
            strbuf_str(text, "NaT");
        else
            strbuf_fmt(text, "%lld", (long long)integer_of(element));
        break;
    case RECORD: text_record(text, element); break;
    case RAW:
        strbuf_str(text, "0x");
        hex_of(text, element);
        break;
    }
}

/* ---- JSON ---- */

/* A number, or text where JSON has no number for it. */
static void json_real(const char *key, const char *number)
{
    if (strpbrk(number, "n") != NULL) /* nan, inf */
        json_text(key, number);
    else
        json_number(key, number);
}

static void json_sub_array(const char *key, const struct field *field, int axis, struct element *element)
{
    if (axis == field->ndim) {
        value_json(key, *element);
        element->at += field->type.dtype.itemsize;
        return;
    }
    json_array(key);
    for (int64_t i = 0; i < field->shape[axis]; i++)
        json_sub_array(NULL, field, axis + 1, element);
    json_close();
}

static void json_record(const char *key, struct element element)
{
    const struct layout *layout = element.layout;

    json_array(key);
    for (size_t i = 0; i < layout->count; i++) {
        struct element part = {&layout->fields[i].type, element.at + layout->fields[i].offset, 0};

        json_sub_array(NULL, &layout->fields[i], 0, &part);
    }
    json_close();
}

/* Bytes as the characters U+0000 to U+00FF. */
static void json_bytes(const char *key, const uint8_t *bytes, size_t len)
{
    struct strbuf text = {0};

    strbuf_str(&text, "");
    for (size_t i = 0; i < without_nuls(bytes, len); i++)
        strbuf_point(&text, bytes[i]);
    json_text_n(key, text.text, text.len);
    strbuf_free(&text);
}

void value_json(const char *key, struct element element)
{
    char number[NUMBER_SIZE], moment[MOMENT_SIZE];
    struct strbuf text = {0};

    switch (shown_as(element.layout)) {
    case TRUTH: json_bool(key, element.at[0] != 0); break;
    case SIGNED: json_int(key, integer_of(element)); break;
    case UNSIGNED: json_uint(key, bits_of(element)); break;
    case REAL:
    case LONG_REAL: json_real(key, real_of(number, element, 0)); break;
    case PAIR:
    case LONG_PAIR:
        json_array(key);
        json_real(NULL, real_of(number, element, 0));
        json_real(NULL, real_of(number, element, 1));
        json_close();
        break;
    case TEXT:
        strbuf_str(&text, "");
        utf8_of(&text, element);
        json_text_n(key, text.text, text.len);
        break;
    case BYTES: json_bytes(key, element.at, element.layout->dtype.itemsize); break;
    case MOMENT:
    case SPAN:
        if (integer_of(element) == MOMENT_NAT)
            json_null(key);
        else if (element.layout->dtype.code == ZCT_TIMEDELTA64)
            json_int(key, integer_of(element));
        else
            json_text(key, moment_text(moment, integer_of(element), &element.layout->dtype));
        break;
    case RECORD: json_record(key, element); break;
    case RAW:
        strbuf_str(&text, "");
        hex_of(&text, element);
        json_text_n(key, text.text, text.len);
        break;
    }
    strbuf_free(&text);
}
