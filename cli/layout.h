/* layout.h - how an element is made up: a plain dtype, or the fields of a struct, which may be structs and arrays
 * themselves. Read from the descriptor that a tensor carries (docs/FORMAT.md), which may be anybody's: what does not
 * lie within its element is refused. */
#ifndef ZCT_CLI_LAYOUT_H
#define ZCT_CLI_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include <zct/zct.h>

#include "strbuf.h"

#define LAYOUT_DEPTH 32 /* structs in structs */

struct layout {
    zct_dtype dtype; /* code ZCT_STRUCT: then the fields */
    struct field *fields; /* NULL for a plain dtype */
    size_t count;
};

struct field {
    char *name; /* UTF-8, NUL-terminated; len tells of NULs within */
    size_t name_len;
    char *title; /* another name that NumPy has for it, or NULL */
    struct layout type; /* of one element, if it is an array */
    uint64_t offset;
    int ndim;
    int64_t *shape;
};

/* A plain dtype, no fields. */
struct layout layout_plain(const zct_dtype *dtype);
/* The fields that a tensor's descriptor tells. False: it is none, or lies about the element; *ret_layout is as
 * layout_plain then. The caller frees it with layout_free in any case. */
bool layout_of_descriptor(const zct_dtype *dtype, const char *json, size_t len, struct layout *ret_layout);
void layout_free(struct layout *layout);

/* Add a field, made of zeros, at the end. The pointer is good until the next one is added. */
struct field *layout_add(struct layout *layout);
/* Elements of a field: 1 if it is no array. */
uint64_t field_elements(const struct field *field);

/* The outermost struct's name for people, into dtype.name: "struct{x:f4,y:i8}", as much of it as fits. */
void layout_set_name(struct layout *layout);
/* The descriptor, as docs/FORMAT.md has it. */
void layout_descriptor(const struct layout *layout, struct strbuf *json);
/* What NumPy's files call it: '<f4', quotes and all, or a list of fields. False if they have no word for it (a field
 * that lies before the end of the one before it). */
bool layout_numpy(const struct layout *layout, struct strbuf *text);
/* Text as a Python literal and as a JSON string, quotes and all; integers as a tuple. */
void layout_quote(struct strbuf *text, const char *bytes, size_t len);
void layout_quote_json(struct strbuf *json, const char *text, size_t len);
void layout_tuple(struct strbuf *text, int count, const int64_t *numbers);

#endif
