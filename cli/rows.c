#include "rows.h"

#include <stdlib.h>
#include <string.h>

struct row {
    zct_dtype dtype;
    uint64_t nbytes, offset, extent_bytes, generation, serial, version;
    int64_t birth_ns;
    uint32_t holders, handles, index, descriptor_len, metadata_len;
    int32_t ndim, order, lifetime, sealed, state;
    int64_t dims[]; /* ndim extents, ndim strides, then the name with its NUL */
};

static const char *row_name(const struct row *row) { return (const char *)(row->dims + 2 * row->ndim); }

bool rows_add(struct rows *rows, const zct_stat *stat)
{
    size_t ndim = stat->ndim < 0 ? 0 : stat->ndim > ZCT_MAX_DIMS ? ZCT_MAX_DIMS : (size_t)stat->ndim;
    size_t name_len = strnlen(stat->name, ZCT_MAX_NAME);
    size_t bytes = sizeof(struct row) + 2 * ndim * sizeof(int64_t) + name_len + 1;
    struct row *row;

    if (rows->count == rows->room) {
        size_t room = rows->room == 0 ? 1024 : 2 * rows->room;
        struct row **moved = realloc(rows->row, room * sizeof *moved);

        if (moved == NULL)
            return false;
        rows->row = moved;
        rows->room = room;
    }
    row = malloc(bytes);
    if (row == NULL)
        return false;
    *row = (struct row){
        .dtype = stat->dtype,
        .nbytes = stat->nbytes,
        .offset = stat->offset,
        .extent_bytes = stat->extent_bytes,
        .generation = stat->generation,
        .serial = stat->serial,
        .version = stat->version,
        .birth_ns = stat->birth_ns,
        .holders = stat->holders,
        .handles = stat->handles,
        .index = stat->index,
        .descriptor_len = stat->descriptor_len,
        .metadata_len = stat->metadata_len,
        .ndim = (int32_t)ndim,
        .order = stat->order,
        .lifetime = stat->lifetime,
        .sealed = stat->sealed,
        .state = stat->state,
    };
    memcpy(row->dims, stat->shape, ndim * sizeof(int64_t));
    memcpy(row->dims + ndim, stat->strides, ndim * sizeof(int64_t));
    memcpy(row->dims + 2 * ndim, stat->name, name_len);
    ((char *)(row->dims + 2 * ndim))[name_len] = '\0';
    rows->row[rows->count++] = row;
    rows->bytes += bytes + 2 * sizeof(void *);
    return true;
}

void rows_get(const struct rows *rows, size_t index, zct_stat *ret_stat)
{
    const struct row *row = rows->row[index];
    size_t ndim = (size_t)row->ndim;

    ret_stat->size = sizeof *ret_stat;
    ret_stat->dtype = row->dtype;
    ret_stat->nbytes = row->nbytes;
    ret_stat->offset = row->offset;
    ret_stat->extent_bytes = row->extent_bytes;
    ret_stat->generation = row->generation;
    ret_stat->serial = row->serial;
    ret_stat->version = row->version;
    ret_stat->birth_ns = row->birth_ns;
    ret_stat->holders = row->holders;
    ret_stat->handles = row->handles;
    ret_stat->index = row->index;
    ret_stat->descriptor_len = row->descriptor_len;
    ret_stat->metadata_len = row->metadata_len;
    ret_stat->ndim = row->ndim;
    ret_stat->order = row->order;
    ret_stat->lifetime = row->lifetime;
    ret_stat->sealed = row->sealed;
    ret_stat->state = row->state;
    memcpy(ret_stat->shape, row->dims, ndim * sizeof(int64_t));
    memcpy(ret_stat->strides, row->dims + ndim, ndim * sizeof(int64_t));
    memcpy(ret_stat->name, row_name(row), strlen(row_name(row)) + 1);
}

static int more_first(uint64_t a, uint64_t b) { return a > b ? -1 : a < b; }

static int compare(const void *left, const void *right, void *key_and_sign)
{
    const struct row *a = *(struct row *const *)left;
    const struct row *b = *(struct row *const *)right;
    const int *how = key_and_sign;
    int order = 0;

    if (how[0] == ROWS_SIZE)
        order = more_first(a->nbytes, b->nbytes);
    else if (how[0] == ROWS_HELD)
        order = more_first(a->holders + (uint64_t)a->handles, b->holders + (uint64_t)b->handles);
    else if (how[0] == ROWS_AGE)
        order = a->birth_ns < b->birth_ns ? -1 : a->birth_ns > b->birth_ns;
    if (order == 0 && how[0] != ROWS_SERIAL)
        order = strcmp(row_name(a), row_name(b));
    if (order == 0)
        order = a->serial < b->serial ? -1 : a->serial > b->serial;
    return how[1] * order;
}

void rows_sort(struct rows *rows, enum rows_sort key, bool reverse)
{
    int how[2] = {(int)key, reverse ? -1 : 1};

    if (key != ROWS_NONE && rows->count > 1)
        qsort_r(rows->row, rows->count, sizeof *rows->row, compare, how);
}

bool rows_parse_sort(const char *word, enum rows_sort *ret_sort)
{
    static const char *const words[] = {"none", "name", "size", "age", "held"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret_sort = (enum rows_sort)i;
            return true;
        }
    return false;
}

void rows_free(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->row[i]);
    free(rows->row);
    *rows = (struct rows){0};
}
