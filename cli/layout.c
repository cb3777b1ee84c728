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
