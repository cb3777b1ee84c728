/* strided.h - copying from any strides: copy's own. */
#ifndef ZCT_TENSOR_STRIDED_H
#define ZCT_TENSOR_STRIDED_H

#include "tensor/tensor.h"

/* Gather the elements at `from`, `strides` apart, into the dense memory at `to`, whose layout is `to_strides`: dense, in any
 * order of the axes. The dtype has whole bytes; no axis is empty. Strides may be negative, zero or odd. */
void copy_strided(char *to, const zct_spec *spec, const int64_t *to_strides, const char *from, const int64_t *strides);

#endif
