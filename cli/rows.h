/* rows.h - tensors remembered for sorting, packed: a zct_stat is 1.6 KB, most of it unused dimensions. */
#ifndef ZCT_CLI_ROWS_H
#define ZCT_CLI_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include <zct/zct.h>

enum rows_sort { ROWS_NONE, ROWS_NAME, ROWS_SIZE, ROWS_AGE, ROWS_HELD, ROWS_SERIAL };

struct rows {
    struct row **row;
    size_t count;
    size_t room;
    size_t bytes; /* of memory, all together */
};

/* False: no memory. */
bool rows_add(struct rows *rows, const zct_stat *stat);
void rows_get(const struct rows *rows, size_t index, zct_stat *ret_stat);
/* In the order of the key; equal ones by name, then by birth. Names from a to z, all else from much to little. */
void rows_sort(struct rows *rows, enum rows_sort key, bool reverse);
/* The word that people give for a key: "name"; false for none of them. ROWS_SERIAL has none. */
bool rows_parse_sort(const char *word, enum rows_sort *ret_sort);
void rows_free(struct rows *rows);

#endif
