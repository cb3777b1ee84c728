#include "number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dtype.h"

void number_bytes(uint8_t *to, const void *from, size_t size, bool big_endian)
{
    const uint8_t *bytes = from;

    for (size_t i = 0; i < size; i++)
        to[i] = bytes[big_endian ? size - 1 - i : i];
}

uint64_t number_uint(const void *bytes, size_t size)
{
    uint64_t value = 0;

    for (size_t i = size; i-- > 0;)
        value = value << 8 | ((const uint8_t *)bytes)[i];
    return value;
}

int64_t number_int(const void *bytes, size_t size)
{
    uint64_t value = number_uint(bytes, size), sign = 1ull << ((8 * size - 1) & 63);

    return (int64_t)((value ^ sign) - sign);
}

/* ---- floats ---- */

/* What the exponent of all ones, or the code of negative zero, is taken for. */
enum special { IEEE, LAST_IS_NAN, NEGATIVE_ZERO_IS_NAN, NONE };

static const struct kind {
    uint8_t code, bits;
    uint8_t mantissa;
    int16_t bias;
    enum special special;
} kinds[] = {
    {ZCT_FLOAT, 16, 10, 15, IEEE},
    {ZCT_FLOAT, 32, 23, 127, IEEE},
    {ZCT_FLOAT, 64, 52, 1023, IEEE},
    {ZCT_BFLOAT, 16, 7, 127, IEEE},
    {DLPACK_FLOAT8_E3M4, 8, 4, 3, IEEE},
    {DLPACK_FLOAT8_E4M3, 8, 3, 7, IEEE},
    {DLPACK_FLOAT8_E4M3B11FNUZ, 8, 3, 11, NEGATIVE_ZERO_IS_NAN},
    {DLPACK_FLOAT8_E4M3FN, 8, 3, 7, LAST_IS_NAN},
    {DLPACK_FLOAT8_E4M3FNUZ, 8, 3, 8, NEGATIVE_ZERO_IS_NAN},
    {DLPACK_FLOAT8_E5M2, 8, 2, 15, IEEE},
    {DLPACK_FLOAT8_E5M2FNUZ, 8, 2, 16, NEGATIVE_ZERO_IS_NAN},
    {DLPACK_FLOAT6_E2M3FN, 6, 3, 1, NONE},
    {DLPACK_FLOAT6_E3M2FN, 6, 2, 3, NONE},
    {DLPACK_FLOAT4_E2M1FN, 4, 1, 1, NONE},
};

static const struct kind *kind_of(uint8_t code, uint8_t bits)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].code == code && kinds[i].bits == bits)
            return &kinds[i];
    return NULL;
}

bool number_is_float(uint8_t code, uint8_t bits)
{
    return kind_of(code, bits) != NULL || (code == DLPACK_FLOAT8_E8M0FNU && bits == 8);
}

/* Exact: each of them is a double. */
static double decode(const struct kind *kind, uint64_t number)
{
    unsigned exponent_bits = kind->bits - 1u - kind->mantissa;
    uint64_t sign = number >> (kind->bits - 1) & 1, mantissa = number & ((1ull << kind->mantissa) - 1);
    uint64_t top = (1ull << exponent_bits) - 1, exponent = number >> kind->mantissa & top;
    double value;

    if (kind->special == IEEE && exponent == top)
        value = mantissa != 0 ? (double)NAN : (double)INFINITY;
    else if (kind->special == LAST_IS_NAN && exponent == top && mantissa == (1ull << kind->mantissa) - 1)
        value = (double)NAN;
    else if (kind->special == NEGATIVE_ZERO_IS_NAN && sign == 1 && exponent == 0 && mantissa == 0)
        value = (double)NAN;
    else if (exponent == 0)
        value = ldexp((double)mantissa, 1 - kind->bias - kind->mantissa);
    else
        value = ldexp((double)(mantissa | 1ull << kind->mantissa), (int)exponent - kind->bias - kind->mantissa);
    return sign == 1 ? -value : value;
}

/* Half the way to the nearer neighbour of a finite number: what lies closer means this one. */
static double margin(const struct kind *kind, uint64_t number, double value)
{
    double up = fabs(decode(kind, number + 1) - value), down = fabs(value - decode(kind, number - 1));
    bool is_zero = (number & ((1ull << (kind->bits - 1)) - 1)) == 0;

    if (is_zero || !isfinite(down))
        down = up;
    if (!isfinite(up))
        up = down;
    return (up < down ? up : down) / 2;
}

/* With `digits` digits: plain if that is not much longer than it has to be. */
static void write_decimal(char text[NUMBER_SIZE], long double value, int digits)
{
    char scientific[NUMBER_SIZE];
    int exponent, decimals;

    snprintf(scientific, sizeof scientific, "%.*Le", digits - 1, value);
    exponent = atoi(strchr(scientific, 'e') + 1);
    decimals = digits - 1 - exponent;
    if (exponent >= -4 && exponent < (digits > 7 ? digits : 7))
        snprintf(text, NUMBER_SIZE, "%.*Lf", decimals > 1 ? decimals : 1, value);
    else
        snprintf(text, NUMBER_SIZE, "%s", scientific);
}

static bool write_special(char text[NUMBER_SIZE], double value)
{
    if (!isfinite(value))
        snprintf(text, NUMBER_SIZE, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return !isfinite(value);
}

const char *number_float(char text[NUMBER_SIZE], uint8_t code, uint8_t bits, uint64_t number)
{
    const struct kind *kind = kind_of(code, bits);
    bool power = kind == NULL; /* float8_e8m0fnu: an exponent alone */
    double value = !power ? decode(kind, number) : number == 0xFF ? (double)NAN : ldexp(1.0, (int)number - 127);

    if (write_special(text, value))
        return text;
    for (int digits = 1; digits <= 17; digits++) {
        char *ignored;
        double back;

        snprintf(text, NUMBER_SIZE, "%.*e", digits - 1, value);
        back = strtod(text, &ignored);
        if (back == value || (bits == 32 && strtof(text, &ignored) == (float)value) ||
            (bits < 32 && !power && fabs(back - value) < margin(kind, number, value)) ||
            (power && fabs(back - value) < value / 4)) {
            write_decimal(text, (long double)value, digits);
            break;
        }
    }
    return text;
}

const char *number_longdouble(char text[NUMBER_SIZE], const void *bytes)
{
    long double value;

    memcpy(&value, bytes, sizeof value);
    if (write_special(text, isfinite(value) ? 0.0 : (double)value))
        return text;
    for (int digits = 1; digits <= LDBL_DECIMAL_DIG; digits++) {
        snprintf(text, NUMBER_SIZE, "%.*Le", digits - 1, value);
        if (strtold(text, NULL) == value) {
            write_decimal(text, value, digits);
            break;
        }
    }
    return text;
}
