/* moment.h - datetime64, as text. */
#ifndef ZCT_CLI_MOMENT_H
#define ZCT_CLI_MOMENT_H

#include <stdint.h>

#include <zct/zct.h>

#define MOMENT_SIZE 64
#define MOMENT_NAT INT64_MIN

/* "2025-01", "2025-01-31T12:03:00.000000001", as fine as the unit is; "NaT"; the bare number for the unit "generic"
 * and for what lies further away than years can be counted. */
const char *moment_text(char text[MOMENT_SIZE], int64_t ticks, const zct_dtype *dtype);

#endif
