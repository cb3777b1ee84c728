#include "moment.h"

#include <stdio.h>

enum unit { GENERIC, YEAR, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND, FINER };

typedef __int128 wide; /* ticks times their multiplier, in seconds */

static wide floor_div(wide n, wide d) { return n / d - (n % d < 0 ? 1 : 0); }
static wide floor_mod(wide n, wide d) { return n - floor_div(n, d) * d; }

/* The proleptic Gregorian calendar, days since 1970: eras of 400 years that begin on 1 March. */
static void date_of(wide days, long long *ret_year, int *ret_month, int *ret_day)
{
    wide era = floor_div(days + 719468, 146097);
    int of_era = (int)floor_mod(days + 719468, 146097);
    int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (5 * of_year + 2) / 153;

    *ret_day = of_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = (long long)(era * 400 + year + (*ret_month <= 2 ? 1 : 0));
}

static int write_year(char text[MOMENT_SIZE], long long year)
{
    return snprintf(text, MOMENT_SIZE, year < 0 ? "%05lld" : "%04lld", year);
}

const char *moment_text(char text[MOMENT_SIZE], int64_t ticks, const zct_dtype *dtype)
{
    static const int64_t per_day[] = {[HOUR] = 24, [MINUTE] = 1440, [SECOND] = 86400};
    wide count = (wide)ticks * (dtype->multiplier > 0 ? dtype->multiplier : 1), days, of_day, per_second = 1;
    int month, day, digits = 0, len, seconds;
    long long year;

    if (ticks == MOMENT_NAT) {
        snprintf(text, MOMENT_SIZE, "NaT");
        return text;
    }
    for (int unit = FINER; unit <= dtype->unit; unit++, digits += 3)
        per_second *= 1000;
    if (dtype->unit == GENERIC || dtype->unit > 13 || count / per_second > INT64_MAX / 2 ||
        count / per_second < INT64_MIN / 2) {
        snprintf(text, MOMENT_SIZE, "%lld", (long long)ticks);
        return text;
    }
    if (dtype->unit == YEAR || dtype->unit == MONTH) {
        wide months = dtype->unit == YEAR ? count * 12 : count;

        len = write_year(text, (long long)(floor_div(months, 12) + 1970));
        if (dtype->unit == MONTH)
            snprintf(text + len, MOMENT_SIZE - (size_t)len, "-%02d", (int)floor_mod(months, 12) + 1);
        return text;
    }
    if (dtype->unit <= DAY) {
        days = dtype->unit == WEEK ? count * 7 : count;
        of_day = 0;
    } else {
        wide in_day = (wide)per_day[dtype->unit < FINER ? dtype->unit : SECOND] * per_second;

        days = floor_div(count, in_day);
        of_day = floor_mod(count, in_day);
    }
    date_of(days, &year, &month, &day);
    len = write_year(text, year);
    len += snprintf(text + len, MOMENT_SIZE - (size_t)len, "-%02d-%02d", month, day);
    seconds = (int)(of_day / per_second);
    if (dtype->unit == HOUR)
        snprintf(text + len, MOMENT_SIZE - (size_t)len, "T%02d", seconds);
    else if (dtype->unit == MINUTE)
        snprintf(text + len, MOMENT_SIZE - (size_t)len, "T%02d:%02d", seconds / 60, seconds % 60);
    else if (dtype->unit >= SECOND)
        len += snprintf(text + len, MOMENT_SIZE - (size_t)len, "T%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60,
                        seconds % 60);
    if (dtype->unit >= FINER)
        snprintf(text + len, MOMENT_SIZE - (size_t)len, ".%0*llu", digits, (unsigned long long)(of_day % per_second));
    return text;
}
