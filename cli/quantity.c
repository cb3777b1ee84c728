#include "quantity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000LL

size_t quantity_count(char buffer[QUANTITY_SIZE], uint64_t count)
{
    char digits[24];
    char *at = digits + sizeof digits;
    size_t len;

    do
        *--at = (char)('0' + count % 10);
    while ((count /= 10) > 0);
    len = (size_t)(digits + sizeof digits - at);
    memcpy(buffer, at, len);
    buffer[len] = '\0';
    return len;
}

const char *quantity_bytes(char buffer[QUANTITY_SIZE], uint64_t bytes, bool exact)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1023.5 && unit < 6) {
        value /= 1024;
        unit++;
    }
    if (exact)
        quantity_count(buffer, bytes);
    else if (unit == 0)
        memcpy(buffer + quantity_count(buffer, bytes), " B", 3);
    else if (value >= 99.95)
        snprintf(buffer, QUANTITY_SIZE, "%.0f %s", value, units[unit]);
    else
        snprintf(buffer, QUANTITY_SIZE, "%.1f %s", value, units[unit]);
    return buffer;
}

const char *quantity_span(char buffer[QUANTITY_SIZE], int64_t then, int64_t now)
{
    uint64_t s = now < then ? 0 : ((uint64_t)now - (uint64_t)then) / NS_PER_S;
    uint64_t unit = s < 120 ? 1 : s < 120 * 60 ? 60 : s < 48 * 3600 ? 3600 : 86400;
    char *end = buffer + quantity_count(buffer, s / unit);

    end[0] = unit == 1 ? 's' : unit == 60 ? 'm' : unit == 3600 ? 'h' : 'd';
    end[1] = '\0';
    return buffer;
}

const char *quantity_time(char buffer[QUANTITY_SIZE], int64_t ns)
{
    int64_t fraction = ((ns % NS_PER_S) + NS_PER_S) % NS_PER_S;
    time_t seconds = (time_t)(ns / NS_PER_S - (ns % NS_PER_S < 0));
    struct tm parts;
    size_t len = 0;

    buffer[0] = '\0';
    if (gmtime_r(&seconds, &parts) != NULL)
        len = strftime(buffer, QUANTITY_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    if (len > 0)
        snprintf(buffer + len, QUANTITY_SIZE - len, ".%09lldZ", (long long)fraction);
    return buffer;
}

const char *quantity_local_time(char buffer[QUANTITY_SIZE], int64_t ns)
{
    time_t seconds = (time_t)(ns / NS_PER_S);
    struct tm parts;

    buffer[0] = '\0';
    if (localtime_r(&seconds, &parts) != NULL)
        strftime(buffer, QUANTITY_SIZE, "%Y-%m-%d %H:%M:%S", &parts);
    return buffer;
}

int64_t quantity_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

struct unit {
    const char *name;
    double factor;
};

/* A decimal number, blanks, a unit of the list (ends with a NULL name; its factor is that of no unit). */
static bool parse_with_unit(const char *text, const struct unit *units, double *ret_value)
{
    double number;
    char *rest;

    if (strspn(text, "0123456789.") == 0 || strpbrk(text, "xX") != NULL)
        return false; /* strtod would take signs, blanks in front, "nan" and hexadecimal */
    number = strtod(text, &rest);
    if (rest == text || !isfinite(number))
        return false;
    rest += strspn(rest, " ");
    while (units->name != NULL && strcmp(rest, units->name) != 0)
        units++;
    if (units->name == NULL && *rest != '\0')
        return false;
    *ret_value = number * units->factor;
    return true;
}

bool quantity_parse_bytes(const char *text, uint64_t *ret_bytes)
{
    static const double K = 1024.0;
    const struct unit units[] = {
        {"B", 1},
        {"K", K},
        {"KiB", K},
        {"k", K},
        {"M", K * K},
        {"MiB", K * K},
        {"G", K * K * K},
        {"GiB", K * K * K},
        {"T", K * K * K * K},
        {"TiB", K * K * K * K},
        {NULL, 1},
    };
    double value;

    if (!parse_with_unit(text, units, &value) || value >= 18446744073709551616.0)
        return false;
    *ret_bytes = (uint64_t)value;
    return true;
}

bool quantity_parse_span(const char *text, int64_t *ret_ns)
{
    const struct unit units[] = {
        {"ns", 1},     {"us", 1e3},   {"ms", 1e6},    {"s", 1e9},         {"m", 60e9},
        {"min", 60e9}, {"h", 3600e9}, {"d", 86400e9}, {"w", 7 * 86400e9}, {NULL, 1e9},
    };
    double value;

    if (!parse_with_unit(text, units, &value) || value >= 9223372036854775807.0)
        return false;
    *ret_ns = (int64_t)value;
    return true;
}
