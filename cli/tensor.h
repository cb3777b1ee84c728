/* tensor.h - one tensor described: the words for what a zct_stat says, as text and as JSON. */
#ifndef ZCT_CLI_TENSOR_H
#define ZCT_CLI_TENSOR_H

#include <zct/zct.h>

#include "text.h"

#define TENSOR_SHAPE_SIZE (21 * ZCT_MAX_DIMS)

const char *tensor_name(char buffer[TEXT_ESCAPED(ZCT_MAX_NAME)], const zct_stat *stat); /* "(nameless)" */
const char *tensor_dtype(char buffer[64], const zct_stat *stat);  /* "float32", ">float32" */
const char *tensor_shape(char buffer[TENSOR_SHAPE_SIZE], const zct_stat *stat); /* "1000x1000", "scalar" */
const char *tensor_flags(char buffer[64], const zct_stat *stat);  /* "pinned,sealed", "-" */
const char *tensor_lifetime(const zct_stat *stat);
const char *tensor_order(const zct_stat *stat);
const char *tensor_state(const zct_stat *stat);

/* The members of an object that describes the tensor; the object is the caller's. */
void tensor_json(const zct_stat *stat);

#endif
