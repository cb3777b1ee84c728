/* literal.h - a Python literal of texts, integers, True, False, None, tuples, lists and dicts: what the header of a
 * .npy file is. Nothing is evaluated. */
#ifndef ZCT_CLI_LITERAL_H
#define ZCT_CLI_LITERAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum literal_kind { LITERAL_NONE, LITERAL_BOOL, LITERAL_INT, LITERAL_TEXT, LITERAL_LIST, LITERAL_DICT };

struct literal {
    enum literal_kind kind;
    int64_t number;        /* of an integer; 0 or 1 of a truth */
    char *text;            /* UTF-8, NUL-terminated */
    size_t len;            /* of the text */
    struct literal *items; /* of a list or tuple; of a dict keys and values in turn */
    size_t count;
};

/* Parse UTF-8. False if it is no literal, or one that is nested deeply; *ret_literal is the caller's in any case. */
bool literal_parse(const char *text, size_t len, struct literal *ret_literal);
void literal_free(struct literal *literal);
/* The value of a key; NULL if the dict does not have it exactly once. */
const struct literal *literal_get(const struct literal *dict, const char *key);

#endif
