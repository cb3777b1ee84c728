/* json.h - a JSON document, written as it goes: nothing is kept but where we are.
 *
 * The outermost members and the elements of an outermost array get a line each, what lies deeper stays on its
 * line: a list of tensors is one tensor a line. Every function takes the member's key, one of our own words, or
 * NULL inside an array. */
#ifndef ZCT_CLI_JSON_H
#define ZCT_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the documents, in docs/CLI.md: one more when a member is removed or changes its meaning. */
#define JSON_SCHEMA 1

/* Begin a command's document: an object with its "schema" and "command". */
void json_begin(const char *command);
/* The same on one line: documents that come one after the other. */
void json_begin_line(const char *command);
void json_end(void);

void json_object(const char *key);
void json_array(const char *key);
void json_close(void); /* the innermost object or array */

void json_text(const char *key, const char *text); /* bytes that are no UTF-8 become U+FFFD */
void json_text_n(const char *key, const char *text, size_t len);
void json_uint(const char *key, uint64_t value);
void json_int(const char *key, int64_t value);
void json_number(const char *key, const char *number); /* text that is a number already: "1.5", "1e+20" */
void json_bool(const char *key, bool value);
void json_null(const char *key);
/* Two members: KEY_ns, the integer, and KEY, the moment as text; both null for 0. */
void json_moment(const char *key, int64_t ns);

#endif
