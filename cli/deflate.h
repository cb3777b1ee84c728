/* deflate.h - zlib, as far as archives need it. Built without zlib, deflate_there() is false and nothing else here may
 * be called. */
#ifndef ZCT_CLI_DEFLATE_H
#define ZCT_CLI_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool deflate_there(void);

/* CRC-32 of what came before, and of these bytes; it begins with 0. */
uint32_t deflate_crc(uint32_t crc, const void *bytes, size_t len);

/* A raw deflated stream, read from front to end. */
struct inflater;
struct inflater *inflater_open(const uint8_t *packed, uint64_t len);
/* The next bytes, at most `len`. Returns how many: fewer at the end of the stream; -1: it is damaged. */
int64_t inflater_read(struct inflater *inflater, void *to, uint64_t len);
/* True if the stream ended, and with it its bytes. */
bool inflater_ended(const struct inflater *inflater);
void inflater_close(struct inflater *inflater);

#endif
