/* array.h - one array as a file has it: what it is, and where its bytes lie. */
#ifndef ZCT_CLI_ARRAY_H
#define ZCT_CLI_ARRAY_H

#include "layout.h"

struct array {
    char *name; /* NUL-terminated; name_len tells of NULs within */
    size_t name_len;
    struct layout layout;
    int ndim;
    int64_t *shape;
    int order; /* ZCT_ORDER_C or ZCT_ORDER_F */
    uint64_t nbytes;

    const uint8_t *data; /* nbytes of them; or, of a deflated one, all of its member ... */
    uint64_t packed; /* ... this many bytes, of which `skip` inflated ones come before the elements. 0: it is not */
    uint64_t skip;
    bool summed; /* in an archive: `sum` is the CRC-32 of `head`, `skip` bytes, and of the data behind them */
    uint32_t sum;
    const uint8_t *head;
};

void array_free(struct array *array);

#endif
