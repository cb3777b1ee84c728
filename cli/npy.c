#include "npy.h"

#include <stdlib.h>
#include <string.h>

#include "dtype.h"
#include "literal.h"
#include "number.h"

/* ---- reading ---- */

static bool layout_from(const struct literal *descr, struct layout *layout, int depth, struct strbuf *why);

static bool read_shape(const struct literal *tuple, int *ret_ndim, int64_t **ret_shape)
{
    bool single = tuple->kind == LITERAL_INT; /* NumPy's 'descr' has (3) for (3,) */
    size_t count = single ? 1 : tuple->count;

    if ((!single && tuple->kind != LITERAL_LIST) || count > ZCT_MAX_DIMS)
        return false;
    *ret_shape = memory_new(count, sizeof **ret_shape);
    *ret_ndim = (int)count;
    for (size_t i = 0; i < count; i++) {
        const struct literal *extent = single ? tuple : &tuple->items[i];

        if (extent->kind != LITERAL_INT || extent->number < 0)
            return false;
        (*ret_shape)[i] = extent->number;
    }
    return true;
}

/* (name, type) or (name, type, shape); the name may be (title, name); a nameless void is padding. */
static bool field_from(const struct literal *item, struct layout *owner, int depth, struct strbuf *why)
{
    struct field *field = layout_add(owner);
    const struct literal *name = item->items;
    uint64_t nbytes;

    if (item->kind != LITERAL_LIST || item->count < 2 || item->count > 3)
        return refuse(why, "its header has a field that is no (name, type)");
    if (name->kind == LITERAL_LIST && name->count == 2) {
        if (name->items[0].kind == LITERAL_TEXT) /* other titles are no text, and nobody's name */
            field->title = memory_text(name->items[0].text, name->items[0].len);
        name = &name->items[1];
    }
    if (name->kind != LITERAL_TEXT)
        return refuse(why, "its header has a field whose name is no text");
    field->name = memory_text(name->text, name->len);
    field->name_len = name->len;
    field->offset = owner->dtype.itemsize;
    if (!layout_from(&item->items[1], &field->type, depth + 1, why))
        return false;
    if (item->count == 3 && !read_shape(&item->items[2], &field->ndim, &field->shape))
        return refuse(why, "its header has a field whose shape is none");
    if (!dtype_nbytes(&field->type.dtype, field->ndim, field->shape, &nbytes) ||
        nbytes > UINT32_MAX - owner->dtype.itemsize)
        return refuse(why, "its header has elements of 4 GiB or more");
    owner->dtype.itemsize += (uint32_t)nbytes;
    if (name->len == 0 && field->type.dtype.code == ZCT_VOID) {
        free(field->name);
        free(field->title);
        free(field->shape);
        owner->count--;
    }
    return true;
}

static bool layout_from(const struct literal *descr, struct layout *layout, int depth, struct strbuf *why)
{
    if (descr->kind == LITERAL_TEXT) {
        if (dtype_from_numpy(descr->text, descr->len, &layout->dtype))
            return true;
        if (memchr(descr->text, 'O', descr->len) != NULL)
            return refuse(why, "it holds Python objects, which mean nothing in another process");
        strbuf_str(why, "its dtype is '");
        strbuf_escape(why, descr->text, descr->len < 64 ? descr->len : 64, TEXT_SENTENCE);
        return refuse(why, "', which is not one that can be shared");
    }
    if (descr->kind != LITERAL_LIST || descr->count == 0 || depth > LAYOUT_DEPTH)
        return refuse(why, "its header has no dtype");
    layout->dtype = (zct_dtype){.code = ZCT_STRUCT, .lanes = 1, .name = "struct"};
    for (size_t i = 0; i < descr->count; i++)
        if (!field_from(&descr->items[i], layout, depth, why))
            return false;
    for (size_t i = 0; i < layout->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(layout->fields[i].name, layout->fields[k].name) == 0)
                return refuse(why, "its header has two fields of one name");
    return true;
}

static bool read_header(const struct literal *header, struct array *array, struct strbuf *why)
{
    const struct literal *descr = literal_get(header, "descr"), *order = literal_get(header, "fortran_order");
    const struct literal *shape = literal_get(header, "shape");

    if (descr == NULL || order == NULL || shape == NULL || header->count != 6 || order->kind != LITERAL_BOOL)
        return refuse(why, "its header is no dict of descr, fortran_order and shape");
    if (shape->kind != LITERAL_LIST || !read_shape(shape, &array->ndim, &array->shape))
        return refuse(why, "its header has no shape of at most %d dimensions, none negative", ZCT_MAX_DIMS);
    array->order = order->number ? ZCT_ORDER_F : ZCT_ORDER_C;
    if (!layout_from(descr, &array->layout, 0, why))
        return false;
    if (array->layout.dtype.code == ZCT_STRUCT)
        layout_set_name(&array->layout);
    if (!dtype_nbytes(&array->layout.dtype, array->ndim, array->shape, &array->nbytes))
        return refuse(why, "its header has a shape that no memory can hold");
    return true;
}

/* Latin-1, as versions 1 and 2 have it, as UTF-8. */
static void from_latin1(struct strbuf *text, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        strbuf_point(text, bytes[i]);
}

bool npy_read(const uint8_t *bytes, uint64_t size, struct array *array, uint64_t *ret_begin, struct strbuf *why)
{
    size_t prefix = size > NPY_MAGIC_LEN && bytes[NPY_MAGIC_LEN] == 1 ? 10 : 12;
    struct strbuf text = {0};
    struct literal header;
    uint64_t len;
    bool good;

    if (size < prefix || memcmp(bytes, NPY_MAGIC, NPY_MAGIC_LEN) != 0)
        return refuse(why, "it does not begin as an .npy file does");
    if (bytes[NPY_MAGIC_LEN] < 1 || bytes[NPY_MAGIC_LEN] > 3 || bytes[NPY_MAGIC_LEN + 1] != 0)
        return refuse(why, "its version is %u.%u, and 1.0 to 3.0 are known", bytes[NPY_MAGIC_LEN],
                      bytes[NPY_MAGIC_LEN + 1]);
    len = number_uint(bytes + NPY_MAGIC_LEN + 2, prefix - NPY_MAGIC_LEN - 2);
    if (len > NPY_HEADER_LIMIT || len > size - prefix)
        return refuse(why, "its header of %llu bytes is not there or too long", (unsigned long long)len);
    if (bytes[NPY_MAGIC_LEN] == 3)
        strbuf_add(&text, (const char *)bytes + prefix, len);
    else
        from_latin1(&text, bytes + prefix, len);
    good = literal_parse(text.len > 0 ? text.text : "", text.len, &header);
    good = good ? read_header(&header, array, why) : refuse(why, "its header is no Python literal");
    literal_free(&header);
    strbuf_free(&text);
    *ret_begin = prefix + len;
    return good;
}

/* ---- writing ---- */

/* True if every character fits into a byte; then *ret_text has it so. */
static bool to_latin1(const struct strbuf *utf8, struct strbuf *ret_text)
{
    const char *at = utf8->text, *end = utf8->text + utf8->len;

    while (at < end) {
        int32_t point = text_next(&at, end);

        if (point < 0 || point > 0xFF)
            return false;
        strbuf_add(ret_text, (char[]){(char)point}, 1);
    }
    return true;
}

/* Spaces so that NumPy can make the array longer in place: as many digits as the growing axis may get. */
static size_t room_to_grow(int ndim, const int64_t *shape, bool fortran)
{
    int64_t extent = ndim > 0 ? shape[fortran ? ndim - 1 : 0] : 0;
    size_t digits = 1;

    for (; extent >= 10; extent /= 10)
        digits++;
    return ndim > 0 ? 21 - digits : 0;
}

bool npy_write(const struct layout *layout, int ndim, const int64_t *shape, bool fortran, struct strbuf *header)
{
    struct strbuf text = {0}, latin1 = {0};
    uint8_t version = 1;
    size_t prefix, len;
    bool good;

    strbuf_str(&text, "{'descr': ");
    good = layout_numpy(layout, &text);
    strbuf_fmt(&text, ", 'fortran_order': %s, 'shape': ", fortran ? "True" : "False");
    layout_tuple(&text, ndim, shape);
    strbuf_fmt(&text, ", }%*s", (int)room_to_grow(ndim, shape, fortran), "");
    if (!to_latin1(&text, &latin1)) {
        version = 3;
    } else {
        strbuf_clear(&text);
        strbuf_add(&text, latin1.text, latin1.len);
        version = text.len + 1 + 63 > UINT16_MAX ? 2 : 1;
    }
    prefix = version == 1 ? 10 : 12;
    len = (prefix + text.len + 1 + 63) / 64 * 64 - prefix;
    strbuf_add(header, NPY_MAGIC, NPY_MAGIC_LEN);
    strbuf_add(header, (char[]){(char)version, 0}, 2);
    for (size_t i = 0; i < prefix - NPY_MAGIC_LEN - 2; i++)
        strbuf_add(header, (char[]){(char)(len >> (8 * i))}, 1);
    strbuf_add(header, text.text, text.len);
    strbuf_fmt(header, "%*s\n", (int)(len - text.len - 1), "");
    strbuf_free(&text);
    strbuf_free(&latin1);
    return good;
}
