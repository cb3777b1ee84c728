/* dtype.h - a zct_dtype and what files call it: NumPy's text ("<f4", "|S5", "<M8[25s]") and safetensors' words. */
#ifndef ZCT_CLI_DTYPE_H
#define ZCT_CLI_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

#include <zct/zct.h>

#define DTYPE_TEXT_SIZE 48

/* DLPack's codes of small floats, which zct.h does not list. */
enum dlpack_code {
    DLPACK_FLOAT8_E3M4 = 7,
    DLPACK_FLOAT8_E4M3 = 8,
    DLPACK_FLOAT8_E4M3B11FNUZ = 9,
    DLPACK_FLOAT8_E4M3FN = 10,
    DLPACK_FLOAT8_E4M3FNUZ = 11,
    DLPACK_FLOAT8_E5M2 = 12,
    DLPACK_FLOAT8_E5M2FNUZ = 13,
    DLPACK_FLOAT8_E8M0FNU = 14,
    DLPACK_FLOAT6_E2M3FN = 15,
    DLPACK_FLOAT6_E3M2FN = 16,
    DLPACK_FLOAT4_E2M1FN = 17
};

/* NumPy's text of a plain dtype (no struct) -> the record. False if it is none that can be shared: objects, and what
 * this machine's long double is not. */
bool dtype_from_numpy(const char *text, size_t len, zct_dtype *ret_dtype);
/* The other way. False if NumPy's files have no word for it. */
bool dtype_to_numpy(const zct_dtype *dtype, char ret_text[DTYPE_TEXT_SIZE]);

bool dtype_from_safetensors(const char *word, size_t len, zct_dtype *ret_dtype);
/* NULL if the format has no word for it. The byte order is not looked at. */
const char *dtype_to_safetensors(const zct_dtype *dtype);
/* Tensors of a higher rank come first in a file; -1 for NULL. */
int dtype_safetensors_rank(const zct_dtype *dtype);

/* Bytes of one number: what a change of byte order reverses. 1 for what has no byte order. */
size_t dtype_swap_unit(const zct_dtype *dtype);

/* Bytes of a dense array. False if they are more than 2^62. */
bool dtype_nbytes(const zct_dtype *dtype, int ndim, const int64_t *shape, uint64_t *ret_nbytes);

/* "Y" to "as" for the units 1 to 13; "" for the others. */
const char *dtype_unit(const zct_dtype *dtype);
/* What this machine's long double is: "x87". */
const char *dtype_longdouble_format(void);
/* True if this machine's long double has the bytes that the record names. */
bool dtype_is_host_longdouble(const zct_dtype *dtype);

#endif
