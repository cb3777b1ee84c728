/* number.h - the numbers that tensors are made of, decoded, and the shortest text that means the same number. */
#ifndef ZCT_CLI_NUMBER_H
#define ZCT_CLI_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include <zct/zct.h>

#define NUMBER_SIZE 64

/* Copy one number of `size` bytes, which begins at `from`, into little-endian order. */
void number_bytes(uint8_t *to, const void *from, size_t size, bool big_endian);
/* An unsigned number of at most 8 bytes, little-endian. */
uint64_t number_uint(const void *bytes, size_t size);
/* The same, with its sign. */
int64_t number_int(const void *bytes, size_t size);

/* True for the floats of at most 64 bits that number_float knows: (code, bits). */
bool number_is_float(uint8_t code, uint8_t bits);
/* The text of the float with these bits: "0.1", "1.0", "1e+20", "nan", "inf", "-inf". */
const char *number_float(char text[NUMBER_SIZE], uint8_t code, uint8_t bits, uint64_t number);
/* The same for this machine's long double. */
const char *number_longdouble(char text[NUMBER_SIZE], const void *bytes);

#endif
