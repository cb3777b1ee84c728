#include "dtype.h"

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if LDBL_MANT_DIG == 64
#define LONGDOUBLE_FORMAT "x87"
#elif LDBL_MANT_DIG == 113
#define LONGDOUBLE_FORMAT "binary128"
#elif LDBL_MANT_DIG == 106
#define LONGDOUBLE_FORMAT "double-double"
#else
#define LONGDOUBLE_FORMAT "binary64"
#endif

#define LONGDOUBLE_NAME "longdouble:" LONGDOUBLE_FORMAT

static const char *const units[] = {"", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"};
enum { UNITS = sizeof units / sizeof units[0] };

static void set_name(zct_dtype *dtype, const char *name) { snprintf(dtype->name, sizeof dtype->name, "%s", name); }

const char *dtype_unit(const zct_dtype *dtype) { return dtype->unit < UNITS ? units[dtype->unit] : ""; }

const char *dtype_longdouble_format(void) { return LONGDOUBLE_FORMAT; }

bool dtype_is_host_longdouble(const zct_dtype *dtype)
{
    bool is_complex = dtype->lanes == 2;

    return dtype->code == ZCT_LONGDOUBLE && (dtype->lanes == 1 || is_complex) &&
           dtype->itemsize == (is_complex ? 2 : 1) * sizeof(long double) &&
           strncmp(dtype->name, is_complex ? "c" LONGDOUBLE_NAME : LONGDOUBLE_NAME, sizeof dtype->name) == 0;
}

/* ---- NumPy ---- */

static const struct number_kind {
    char kind;
    uint8_t code;
    const char *name;
    unsigned least, most; /* bytes */
} number_kinds[] = {
    {'b', ZCT_BOOL, "bool", 1, 1},   {'i', ZCT_INT, "int", 1, 8},          {'u', ZCT_UINT, "uint", 1, 8},
    {'f', ZCT_FLOAT, "float", 2, 8}, {'c', ZCT_COMPLEX, "complex", 8, 16},
};
enum { NUMBER_KINDS = sizeof number_kinds / sizeof number_kinds[0] };

static bool is_power_of_two(uint64_t n) { return n > 0 && (n & (n - 1)) == 0; }

static bool number_from(char kind, uint64_t size, zct_dtype *dtype)
{
    if ((kind == 'f' || kind == 'c') && size == (kind == 'c' ? 2 : 1) * sizeof(long double) && LDBL_MANT_DIG != 53) {
        dtype->code = ZCT_LONGDOUBLE;
        dtype->bits = sizeof(long double) * 8;
        dtype->lanes = kind == 'c' ? 2 : 1;
        snprintf(dtype->name, sizeof dtype->name, "%s%s", kind == 'c' ? "c" : "", LONGDOUBLE_NAME);
        return true;
    }
    for (size_t i = 0; i < NUMBER_KINDS; i++) {
        const struct number_kind *known = &number_kinds[i];

        if (known->kind != kind || size < known->least || size > known->most || !is_power_of_two(size))
            continue;
        dtype->code = known->code;
        dtype->bits = (uint8_t)(size * 8);
        if (kind == 'b')
            set_name(dtype, known->name);
        else
            snprintf(dtype->name, sizeof dtype->name, "%s%u", known->name, (unsigned)size * 8);
        return true;
    }
    return false;
}

/* "", "[ns]", "[25s]"; NumPy also has "[25s/4]", a fraction, which it never writes. */
static bool unit_from(const char *text, size_t len, zct_dtype *dtype)
{
    const char *kind = dtype->code == ZCT_DATETIME64 ? "datetime64" : "timedelta64";
    char name[16];
    uint64_t multiplier = 0;
    size_t at = 1;

    if (len == 0) {
        set_name(dtype, kind);
        return true;
    }
    if (len < 3 || len > 15 || text[0] != '[' || text[len - 1] != ']')
        return false;
    for (; at < len - 1 && text[at] >= '0' && text[at] <= '9'; at++)
        multiplier = multiplier * 10 + (uint64_t)(text[at] - '0');
    if (multiplier > INT32_MAX || (at > 1 && multiplier == 0))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)(len - 1 - at), text + at);
    if (strcmp(name, "generic") == 0 && multiplier <= 1) {
        set_name(dtype, kind);
        return true;
    }
    for (int i = 1; i < UNITS; i++)
        if (strcmp(units[i], name) == 0 || (i == 9 && strcmp(name, "\xce\xbcs") == 0)) {
            dtype->unit = (uint8_t)i;
            dtype->multiplier = multiplier > 0 ? (uint32_t)multiplier : 1;
            if (dtype->multiplier == 1)
                snprintf(dtype->name, sizeof dtype->name, "%s[%s]", kind, units[i]);
            else
                snprintf(dtype->name, sizeof dtype->name, "%s[%u%s]", kind, dtype->multiplier, units[i]);
            return true;
        }
    return false;
}

bool dtype_from_numpy(const char *text, size_t len, zct_dtype *ret_dtype)
{
    zct_dtype dtype = {.lanes = 1};
    char order = '|', kind;
    uint64_t size = 0;
    size_t at = 0, digits;
    bool good;

    if (len > 0 && (text[0] == '<' || text[0] == '>' || text[0] == '=' || text[0] == '|'))
        order = text[at++];
    if (at == len)
        return false;
    kind = text[at++];
    for (digits = at; at < len && text[at] >= '0' && text[at] <= '9' && size <= UINT32_MAX; at++)
        size = size * 10 + (uint64_t)(text[at] - '0');
    if (kind == '?' && at == digits) {
        kind = 'b';
        size = 1;
        digits--;
    }
    if (at == digits || size > UINT32_MAX / 4)
        return false;
    dtype.itemsize = (uint32_t)(kind == 'U' ? size * 4 : size);
    good = at == len;
    if (kind == 'M' || kind == 'm') {
        dtype.code = kind == 'M' ? ZCT_DATETIME64 : ZCT_TIMEDELTA64;
        dtype.bits = 64;
        good = size == 8 && unit_from(text + at, len - at, &dtype);
    } else if (kind == 'S' || kind == 'a' || kind == 'U' || kind == 'V') {
        dtype.code = kind == 'U' ? ZCT_UCS4 : kind == 'V' ? ZCT_VOID : ZCT_BYTES;
        snprintf(dtype.name, sizeof dtype.name, "%s%u",
                 kind == 'U'   ? "str"
                 : kind == 'V' ? "void"
                               : "bytes",
                 (unsigned)size);
    } else {
        good = good && number_from(kind, size, &dtype);
    }
    dtype.big_endian = order == '>' && dtype_swap_unit(&dtype) > 1;
    if (good)
        *ret_dtype = dtype;
    return good;
}

bool dtype_to_numpy(const zct_dtype *dtype, char ret_text[DTYPE_TEXT_SIZE])
{
    char order = dtype_swap_unit(dtype) < 2 ? '|' : dtype->big_endian ? '>' : '<';
    char kind = 0;
    unsigned size = dtype->itemsize;

    for (size_t i = 0; i < NUMBER_KINDS; i++)
        if (number_kinds[i].code == dtype->code && dtype->lanes == 1 && dtype->bits == 8 * (uint64_t)size &&
            size >= number_kinds[i].least && size <= number_kinds[i].most && is_power_of_two(size))
            kind = number_kinds[i].kind;
    if (dtype_is_host_longdouble(dtype))
        kind = dtype->lanes == 2 ? 'c' : 'f';
    switch (dtype->code) {
    case ZCT_BYTES: kind = 'S'; break;
    case ZCT_VOID: kind = 'V'; break;
    case ZCT_UCS4:
        kind = size % 4 == 0 ? 'U' : 0;
        size /= 4;
        break;
    case ZCT_DATETIME64:
    case ZCT_TIMEDELTA64:
        kind = size != 8 || dtype->unit >= UNITS ? 0 : dtype->code == ZCT_DATETIME64 ? 'M' : 'm';
        break;
    default: break;
    }
    if (kind == 0)
        return false;
    if ((kind == 'M' || kind == 'm') && dtype->unit != 0 && dtype->multiplier > 1)
        snprintf(ret_text, DTYPE_TEXT_SIZE, "%c%c8[%u%s]", order, kind, dtype->multiplier, dtype_unit(dtype));
    else if ((kind == 'M' || kind == 'm') && dtype->unit != 0)
        snprintf(ret_text, DTYPE_TEXT_SIZE, "%c%c8[%s]", order, kind, dtype_unit(dtype));
    else
        snprintf(ret_text, DTYPE_TEXT_SIZE, "%c%c%u", order, kind, size);
    return true;
}

/* ---- safetensors ---- */

/* In the format's own order: its writer puts tensors of later words first, so that each is aligned. */
static const struct word {
    const char *word;
    uint8_t code, bits;
    const char *name;
} words[] = {
    {"BOOL", ZCT_BOOL, 8, "bool"},
    {"F4", DLPACK_FLOAT4_E2M1FN, 4, "float4_e2m1fn"},
    {"F6_E2M3", DLPACK_FLOAT6_E2M3FN, 6, "float6_e2m3fn"},
    {"F6_E3M2", DLPACK_FLOAT6_E3M2FN, 6, "float6_e3m2fn"},
    {"U8", ZCT_UINT, 8, "uint8"},
    {"I8", ZCT_INT, 8, "int8"},
    {"F8_E5M2", DLPACK_FLOAT8_E5M2, 8, "float8_e5m2"},
    {"F8_E4M3", DLPACK_FLOAT8_E4M3FN, 8, "float8_e4m3fn"},
    {"F8_E8M0", DLPACK_FLOAT8_E8M0FNU, 8, "float8_e8m0fnu"},
    {"F8_E4M3FNUZ", DLPACK_FLOAT8_E4M3FNUZ, 8, "float8_e4m3fnuz"},
    {"F8_E5M2FNUZ", DLPACK_FLOAT8_E5M2FNUZ, 8, "float8_e5m2fnuz"},
    {"I16", ZCT_INT, 16, "int16"},
    {"U16", ZCT_UINT, 16, "uint16"},
    {"F16", ZCT_FLOAT, 16, "float16"},
    {"BF16", ZCT_BFLOAT, 16, "bfloat16"},
    {"I32", ZCT_INT, 32, "int32"},
    {"U32", ZCT_UINT, 32, "uint32"},
    {"F32", ZCT_FLOAT, 32, "float32"},
    {"C64", ZCT_COMPLEX, 64, "complex64"},
    {"F64", ZCT_FLOAT, 64, "float64"},
    {"I64", ZCT_INT, 64, "int64"},
    {"U64", ZCT_UINT, 64, "uint64"},
};
enum { WORDS = sizeof words / sizeof words[0] };

bool dtype_from_safetensors(const char *word, size_t len, zct_dtype *ret_dtype)
{
    for (size_t i = 0; i < WORDS; i++) {
        if (strlen(words[i].word) != len || memcmp(words[i].word, word, len) != 0)
            continue;
        *ret_dtype =
            (zct_dtype){.code = words[i].code, .bits = words[i].bits, .lanes = 1, .itemsize = words[i].bits / 8};
        set_name(ret_dtype, words[i].name);
        return true;
    }
    return false;
}

int dtype_safetensors_rank(const zct_dtype *dtype)
{
    for (int i = 0; i < WORDS; i++)
        if (words[i].code == dtype->code && words[i].bits == dtype->bits && dtype->lanes == 1 &&
            dtype->itemsize == words[i].bits / 8)
            return i;
    return -1;
}

const char *dtype_to_safetensors(const zct_dtype *dtype)
{
    int rank = dtype_safetensors_rank(dtype);

    return rank < 0 ? NULL : words[rank].word;
}

/* ---- sizes ---- */

size_t dtype_swap_unit(const zct_dtype *dtype)
{
    switch (dtype->code) {
    case ZCT_BYTES:
    case ZCT_STRUCT:
    case ZCT_BLOCK:
    case ZCT_VOID: return 1;
    case ZCT_UCS4: return 4;
    case ZCT_COMPLEX: return dtype->itemsize / 2;
    case ZCT_LONGDOUBLE: return dtype->itemsize / (dtype->lanes == 2 ? 2 : 1);
    default: return dtype->itemsize > 0 ? dtype->itemsize : 1;
    }
}

bool dtype_nbytes(const zct_dtype *dtype, int ndim, const int64_t *shape, uint64_t *ret_nbytes)
{
    unsigned __int128 total = 1,
                      bits = dtype->itemsize > 0 ? 8 * (uint64_t)dtype->itemsize : (uint64_t)dtype->bits * dtype->lanes;
    bool empty = false;

    if (dtype->code == ZCT_BLOCK)
        return false;
    for (int i = 0; i < ndim; i++) {
        empty |= shape[i] == 0;
        total *= (uint64_t)(shape[i] > 0 ? shape[i] : 1);
        if (total >> 62 != 0)
            return false;
    }
    total = empty ? 0 : (total * bits + 7) / 8;
    *ret_nbytes = (uint64_t)total;
    return total >> 62 == 0;
}
