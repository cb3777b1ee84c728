/* npy.h - NumPy's .npy: magic, version, the length of a header, the header (a Python literal), the elements. */
#ifndef ZCT_CLI_NPY_H
#define ZCT_CLI_NPY_H

#include "array.h"

#define NPY_MAGIC "\x93NUMPY"
#define NPY_MAGIC_LEN 6
#define NPY_HEADER_LIMIT (1u << 20) /* bytes of a header that is believed */

/* Read the header at the front of `size` bytes: layout, shape, order and nbytes of *array, and where the elements
 * begin. False: not enough bytes, or not good ones; the reason is in `why`. */
bool npy_read(const uint8_t *bytes, uint64_t size, struct array *array, uint64_t *ret_begin, struct strbuf *why);
/* The header as NumPy writes it, magic to line feed. False if NumPy has no word for the layout. */
bool npy_write(const struct layout *layout, int ndim, const int64_t *shape, bool fortran, struct strbuf *header);

#endif
