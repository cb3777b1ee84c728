/* quantity.h - sizes, lengths of time and moments, as people write and read them. */
#ifndef ZCT_CLI_QUANTITY_H
#define ZCT_CLI_QUANTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUANTITY_SIZE 48
/* "4711", without what printf costs: lists of a million lines are made of it. Returns its length. */
size_t quantity_count(char buffer[QUANTITY_SIZE], uint64_t count);
/* "3.8 MiB"; the plain number if `exact`. */
const char *quantity_bytes(char buffer[QUANTITY_SIZE], uint64_t bytes, bool exact);
/* "12s", "3m", "5h", "2d": the time from `then` to `now`, in one unit; what lies ahead, as a changed clock has it, is "0s". */
const char *quantity_span(char buffer[QUANTITY_SIZE], int64_t then, int64_t now);
/* "2025-01-31T12:03:00.123456789Z". */
const char *quantity_time(char buffer[QUANTITY_SIZE], int64_t ns);
/* "2025-01-31 12:03:00", in the local time zone. */
const char *quantity_local_time(char buffer[QUANTITY_SIZE], int64_t ns);
int64_t quantity_now(void); /* CLOCK_REALTIME, ns */

/* "64", "1.5G", "20 MiB" -> bytes; powers of 1024. False if it is none or does not fit. */
bool quantity_parse_bytes(const char *text, uint64_t *ret_bytes);
/* "90", "250ms", "1.5h", "2d" -> ns; a plain number is seconds. */
bool quantity_parse_span(const char *text, int64_t *ret_ns);

#endif
