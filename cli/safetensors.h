/* safetensors.h - eight bytes, the length of a JSON header; the header; the bytes of the tensors, one after another. */
#ifndef ZCT_CLI_SAFETENSORS_H
#define ZCT_CLI_SAFETENSORS_H

#include "array.h"

/* All arrays of the file. As the format's own reader has it, they lie without gaps and overlaps and fill the file. */
bool safetensors_read(const uint8_t *bytes, uint64_t size, struct array **ret_arrays, size_t *ret_count,
                      struct strbuf *why);

/* One tensor of a file that is to be written. */
struct safetensors_entry {
    const char *name;
    const char *word; /* of dtype_to_safetensors */
    int ndim;
    const int64_t *shape;
    uint64_t nbytes;
};
/* The length and the header, padded to 8 bytes. The bytes of the tensors follow in this order. */
void safetensors_header(const struct safetensors_entry *entries, size_t count, struct strbuf *header);

#endif
