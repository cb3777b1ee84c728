/* value.h - one element of a tensor, as text for people and as a value of JSON. */
#ifndef ZCT_CLI_VALUE_H
#define ZCT_CLI_VALUE_H

#include "layout.h"

/* The element at `at`. A packed one, less than a byte, is the one `bit` bits further on. */
struct element {
    const struct layout *layout;
    const uint8_t *at;
    unsigned bit;
};

/* 1.5, (1+2j), True, 'text', b'bytes', 2025-01-31, (1, 'a') for a struct, [1 2] for an array in it; what nothing is
 * known of is 0x and its bytes as they lie. Safe for a terminal. */
void value_text(struct strbuf *text, struct element element);
/* docs/CLI.md says what is what. `key` as in json.h. */
void value_json(const char *key, struct element element);

#endif
