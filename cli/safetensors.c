#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "dtype.h"
#include "number.h"
#include "yyjson.h"

enum { HEADER_LIMIT = 100000000 }; /* of the format's own reader */

static bool read_shape(yyjson_val *value, struct array *array)
{
    yyjson_arr_iter left;
    yyjson_val *extent;

    if (!yyjson_is_arr(value) || yyjson_arr_size(value) > ZCT_MAX_DIMS)
        return false;
    array->shape = memory_new(yyjson_arr_size(value), sizeof *array->shape);
    yyjson_arr_iter_init(value, &left);
    while ((extent = yyjson_arr_iter_next(&left)) != NULL) {
        if (!yyjson_is_uint(extent) || yyjson_get_uint(extent) > INT64_MAX)
            return false;
        array->shape[array->ndim++] = (int64_t)yyjson_get_uint(extent);
    }
    return true;
}

static bool read_entry(yyjson_val *entry, const uint8_t *data, uint64_t size, struct array *array, struct strbuf *why)
{
    yyjson_val *dtype = yyjson_obj_get(entry, "dtype"), *shape = yyjson_obj_get(entry, "shape");
    yyjson_val *offsets = yyjson_obj_get(entry, "data_offsets");
    yyjson_val *begin = yyjson_arr_get(offsets, 0), *end = yyjson_arr_get(offsets, 1);

    if (!yyjson_is_obj(entry) || yyjson_obj_size(entry) != 3 || !yyjson_is_str(dtype) ||
        yyjson_arr_size(offsets) != 2 || !yyjson_is_uint(begin) || !yyjson_is_uint(end))
        return refuse(why, "is no object of dtype, shape and data_offsets");
    if (!dtype_from_safetensors(yyjson_get_str(dtype), yyjson_get_len(dtype), &array->layout.dtype)) {
        strbuf_str(why, "has dtype '");
        strbuf_escape(why, yyjson_get_str(dtype), yyjson_get_len(dtype) < 64 ? yyjson_get_len(dtype) : 64,
                      TEXT_SENTENCE);
        return refuse(why, "', which is not known");
    }
    if (!read_shape(shape, array))
        return refuse(why, "has no shape of at most %d dimensions, none negative", ZCT_MAX_DIMS);
    if (!dtype_nbytes(&array->layout.dtype, array->ndim, array->shape, &array->nbytes))
        return refuse(why, "has a shape that no memory can hold");
    if (yyjson_get_uint(begin) > yyjson_get_uint(end) || yyjson_get_uint(end) > size)
        return refuse(why, "lies at %llu to %llu of %llu bytes", (unsigned long long)yyjson_get_uint(begin),
                      (unsigned long long)yyjson_get_uint(end), (unsigned long long)size);
    if (yyjson_get_uint(end) - yyjson_get_uint(begin) != array->nbytes)
        return refuse(why, "has %llu bytes in its place, and its dtype and shape make %llu",
                      (unsigned long long)(yyjson_get_uint(end) - yyjson_get_uint(begin)),
                      (unsigned long long)array->nbytes);
    array->data = data + yyjson_get_uint(begin);
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct array *left = a, *right = b;

    if (left->data != right->data)
        return left->data < right->data ? -1 : 1;
    return left->nbytes < right->nbytes ? -1 : left->nbytes > right->nbytes;
}

/* Sorted by place they follow each other and end where the file ends. */
static bool fill_the_file(struct array *arrays, size_t count, const uint8_t *data, uint64_t size, struct strbuf *why)
{
    const uint8_t *at = data;

    qsort(arrays, count, sizeof *arrays, by_place);
    for (size_t i = 0; i < count; i++) {
        if (arrays[i].data != at) {
            strbuf_str(why, "its tensor '");
            strbuf_escape(why, arrays[i].name, arrays[i].name_len, TEXT_SENTENCE);
            return refuse(why, "' %s", arrays[i].data < at ? "overlaps another one" : "lies behind a gap");
        }
        at += arrays[i].nbytes;
    }
    if (at != data + size)
        return refuse(why, "%llu bytes at its end belong to no tensor",
                      (unsigned long long)size - (unsigned long long)(at - data));
    return true;
}

static bool read_all(yyjson_val *root, const uint8_t *data, uint64_t size, struct array *arrays, size_t *ret_count,
                     struct strbuf *why)
{
    yyjson_obj_iter left;
    yyjson_val *key;

    if (!yyjson_is_obj(root))
        return refuse(why, "its header is no JSON object");
    yyjson_obj_iter_init(root, &left);
    while ((key = yyjson_obj_iter_next(&left)) != NULL) {
        struct array *array = &arrays[*ret_count];
        struct strbuf reason = {0};

        if (yyjson_equals_str(key, "__metadata__"))
            continue;
        array->name_len = yyjson_get_len(key);
        array->name = memory_text(yyjson_get_str(key), array->name_len);
        *ret_count += 1;
        if (!read_entry(yyjson_obj_iter_get_val(key), data, size, array, &reason)) {
            strbuf_str(why, "its tensor '");
            strbuf_escape(why, array->name, array->name_len < 300 ? array->name_len : 300, TEXT_SENTENCE);
            strbuf_fmt(why, "' %s", reason.text);
            strbuf_free(&reason);
            return false;
        }
    }
    return fill_the_file(arrays, *ret_count, data, size, why);
}

bool safetensors_read(const uint8_t *bytes, uint64_t size, struct array **ret_arrays, size_t *ret_count,
                      struct strbuf *why)
{
    uint64_t len = size >= 8 ? number_uint(bytes, 8) : 0;
    yyjson_read_err error = {0};
    yyjson_doc *document;
    bool good;

    if (len < 2 || len > size - 8 || len > HEADER_LIMIT)
        return refuse(why, "it is no .npy, .npz or .safetensors file: nothing that it begins with says so");
    if (bytes[8] != '{')
        return refuse(why, "its header is no JSON object");
    document = yyjson_read_opts((char *)(uintptr_t)(bytes + 8), len, 0, NULL, &error);
    if (document == NULL)
        return refuse(why, "its header is no JSON: %s at byte %zu", error.msg, error.pos);
    *ret_arrays = memory_new(yyjson_obj_size(yyjson_doc_get_root(document)), sizeof **ret_arrays);
    good = read_all(yyjson_doc_get_root(document), bytes + 8 + len, size - 8 - len, *ret_arrays, ret_count, why);
    yyjson_doc_free(document);
    return good;
}

void safetensors_header(const struct safetensors_entry *entries, size_t count, struct strbuf *header)
{
    unsigned long long begin = 0, end;
    uint64_t len;

    strbuf_add(header, "\0\0\0\0\0\0\0", 8);
    strbuf_str(header, "{");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            strbuf_str(header, ",");
        layout_quote_json(header, entries[i].name, strlen(entries[i].name));
        strbuf_fmt(header, ":{\"dtype\":\"%s\",\"shape\":[", entries[i].word);
        for (int d = 0; d < entries[i].ndim; d++)
            strbuf_fmt(header, d == 0 ? "%lld" : ",%lld", (long long)entries[i].shape[d]);
        end = begin + entries[i].nbytes;
        strbuf_fmt(header, "],\"data_offsets\":[%llu,%llu]}", begin, end);
        begin = end;
    }
    strbuf_str(header, "}");
    while (header->len % 8 != 0)
        strbuf_str(header, " ");
    len = header->len - 8;
    for (size_t i = 0; i < 8; i++)
        header->text[i] = (char)(len >> (8 * i));
}
