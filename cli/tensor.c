#include "tensor.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "quantity.h"

/* The word for `value` out of a list; "?" for one that a newer library made. */
static const char *word(const char *const *words, size_t count, int32_t value)
{
    return value >= 0 && (size_t)value < count && words[value] != NULL ? words[value] : "?";
}
#define WORD(words, value) word(words, sizeof words / sizeof words[0], value)

const char *tensor_lifetime(const zct_stat *stat)
{
    static const char *const words[] = {
        [ZCT_PERSISTENT] = "persistent", [ZCT_PINNED] = "pinned", [ZCT_OWNER] = "owner", [ZCT_LAST] = "last"};

    return WORD(words, stat->lifetime);
}

const char *tensor_order(const zct_stat *stat)
{
    static const char *const words[] = {[ZCT_ORDER_C] = "C", [ZCT_ORDER_F] = "F", [ZCT_ORDER_STRIDED] = "strided"};

    return WORD(words, stat->order);
}

const char *tensor_state(const zct_stat *stat)
{
    static const char *const words[] = {[ZCT_STATE_NAMED] = "named",
                                        [ZCT_STATE_NAMELESS] = "nameless",
                                        [ZCT_STATE_ENDING] = "ending",
                                        [ZCT_STATE_BEING_MADE] = "being made"};

    return WORD(words, stat->state);
}

const char *tensor_name(char buffer[TEXT_ESCAPED(ZCT_MAX_NAME)], const zct_stat *stat)
{
    if (stat->name[0] == '\0')
        return "(nameless)";
    text_escape(buffer, TEXT_ESCAPED(ZCT_MAX_NAME), stat->name, strnlen(stat->name, sizeof stat->name), TEXT_NAME);
    return buffer;
}

const char *tensor_dtype(char buffer[64], const zct_stat *stat)
{
    const zct_dtype *dtype = &stat->dtype;
    char name[sizeof dtype->name + 1];
    size_t used = 0;

    memcpy(name, dtype->name, sizeof dtype->name);
    name[sizeof dtype->name] = '\0';
    if (dtype->big_endian)
        buffer[used++] = '>';
    if (name[0] != '\0')
        text_escape(buffer + used, 64 - used, name, strlen(name), TEXT_NAME);
    else
        snprintf(buffer + used, 64 - used, "type %u, %u bits", dtype->code, dtype->bits);
    return buffer;
}

const char *tensor_shape(char buffer[TENSOR_SHAPE_SIZE], const zct_stat *stat)
{
    size_t used = 0;

    if (stat->ndim == 0)
        return "scalar";
    for (int i = 0; i < stat->ndim && i < ZCT_MAX_DIMS; i++) {
        if (i > 0)
            buffer[used++] = 'x';
        used += quantity_count(buffer + used, stat->shape[i] < 0 ? 0 : (uint64_t)stat->shape[i]);
    }
    return buffer;
}

const char *tensor_flags(char buffer[64], const zct_stat *stat)
{
    const char *flags[4];
    size_t count = 0;
    size_t used = 0;

    if (stat->lifetime != ZCT_PERSISTENT && stat->state == ZCT_STATE_NAMED)
        flags[count++] = tensor_lifetime(stat);
    if (stat->sealed)
        flags[count++] = "sealed";
    if (stat->order != ZCT_ORDER_C)
        flags[count++] = tensor_order(stat);
    if (stat->state != ZCT_STATE_NAMED && stat->state != ZCT_STATE_NAMELESS)
        flags[count++] = tensor_state(stat);
    if (count == 0)
        return "-";
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(buffer + used, 64 - used, i == 0 ? "%s" : ",%s", flags[i]);
    return buffer;
}

static void json_extents(const char *key, const int64_t *extents, int count)
{
    json_array(key);
    for (int i = 0; i < count && i < ZCT_MAX_DIMS; i++)
        json_int(NULL, extents[i]);
    json_close();
}

static void json_dtype(const zct_dtype *dtype)
{
    json_object("dtype");
    json_text_n("name", dtype->name, strnlen(dtype->name, sizeof dtype->name));
    json_uint("code", dtype->code);
    json_uint("bits", dtype->bits);
    json_uint("lanes", dtype->lanes);
    json_uint("itemsize", dtype->itemsize);
    json_text("byteorder", dtype->big_endian ? "big" : "little");
    json_uint("unit", dtype->unit);
    json_uint("multiplier", dtype->multiplier);
    json_bool("subbyte_padded", dtype->subbyte_padded);
    json_uint("block_elems", dtype->block_elems);
    json_uint("block_bytes", dtype->block_bytes);
    json_close();
}

void tensor_json(const zct_stat *stat)
{
    if (stat->name[0] == '\0')
        json_null("name");
    else
        json_text_n("name", stat->name, strnlen(stat->name, sizeof stat->name));
    json_dtype(&stat->dtype);
    json_extents("shape", stat->shape, stat->ndim);
    json_extents("strides", stat->strides, stat->ndim);
    json_text("order", tensor_order(stat));
    json_uint("nbytes", stat->nbytes);
    json_uint("offset", stat->offset);
    json_uint("extent_bytes", stat->extent_bytes);
    json_uint("generation", stat->generation);
    json_uint("serial", stat->serial);
    json_uint("version", stat->version);
    json_moment("born", stat->birth_ns);
    json_text("lifetime", tensor_lifetime(stat));
    json_bool("sealed", stat->sealed);
    json_text("state", tensor_state(stat));
    json_uint("holders", stat->holders);
    json_uint("handles", stat->handles);
    json_uint("descriptor_bytes", stat->descriptor_len);
    json_uint("metadata_bytes", stat->metadata_len);
}
