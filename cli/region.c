#include "region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

static const char *skip_blanks(const char *at) { return at + strspn(at, " "); }

/* An integer, or nothing. False: it does not fit. */
static bool parse_number(const char **at, int64_t *ret_value, bool *ret_given)
{
    const char *from = skip_blanks(*at);
    char *end;

    *ret_given = (from[0] >= '0' && from[0] <= '9') || (from[0] == '-' && from[1] >= '0' && from[1] <= '9');
    *at = from;
    if (!*ret_given)
        return true;
    errno = 0;
    *ret_value = strtoll(from, &end, 10);
    *at = skip_blanks(end);
    return errno == 0;
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* As Python's slice.indices. */
static void make_slice(struct axis *axis, int64_t size, const int64_t value[3], const bool given[3])
{
    int64_t step = given[2] ? value[2] : 1;
    int64_t least = step > 0 ? 0 : -1, most = step > 0 ? size : size - 1;
    int64_t first =
        !given[0] ? (step > 0 ? least : most) : clamp(value[0] < 0 ? value[0] + size : value[0], least, most);
    int64_t end = !given[1] ? (step > 0 ? most : least) : clamp(value[1] < 0 ? value[1] + size : value[1], least, most);
    uint64_t span = step > 0 ? (uint64_t)(end - first) : (uint64_t)(first - end);
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;

    *axis = (struct axis){.first = first, .step = step};
    if (step > 0 ? end > first : first > end)
        axis->count = (int64_t)((span - 1) / stride + 1);
    else
        axis->first = 0;
}

static int no_index(const char *text)
{
    return err_usage("head", "head: '%s' is no index: numbers, a:b or a:b:c, and one ..., with commas between", text);
}

/* One entry. Returns an exit code. */
static int parse_entry(const char **at, const char *text, int number, int64_t size, struct axis *axis)
{
    int64_t value[3] = {0};
    bool given[3] = {false};
    int colons = 0;
    bool fits = parse_number(at, &value[0], &given[0]);

    while (fits && **at == ':' && colons < 2) {
        *at += 1;
        colons++;
        fits = parse_number(at, &value[colons], &given[colons]);
    }
    if (!fits || (**at != ',' && **at != '\0') || (colons == 0 && !given[0]) || (given[2] && value[2] == 0))
        return no_index(text);
    if (colons > 0) {
        make_slice(axis, size, value, given);
        return EXIT_OK;
    }
    if (value[0] < -size || value[0] >= size) {
        err_fmt("index %lld is outside axis %d, which has %lld", (long long)value[0], number, (long long)size);
        return EXIT_FAILED;
    }
    *axis = (struct axis){.first = value[0] < 0 ? value[0] + size : value[0], .step = 1, .count = 1, .single = true};
    return EXIT_OK;
}

int region_parse(const char *text, int ndim, const int64_t *shape, struct axis *ret_axes)
{
    const char *at = text, *dots = text != NULL ? strstr(text, "...") : NULL;
    int entries = 0, axis = 0;

    for (int i = 0; i < ndim; i++)
        ret_axes[i] = (struct axis){.step = 1, .count = shape[i]};
    if (text == NULL || *skip_blanks(text) == '\0')
        return EXIT_OK;
    for (const char *c = text; *c != '\0'; c++)
        entries += *c == ',';
    entries += dots == NULL;
    if (entries > ndim) {
        err_fmt("index '%s' has %d entries, and the tensor %d dimension%s", text, entries, ndim, ndim == 1 ? "" : "s");
        return EXIT_FAILED;
    }
    for (;; at++) {
        int code = EXIT_OK;

        at = skip_blanks(at);
        if (dots != NULL && at == dots) {
            axis += ndim - entries;
            at = skip_blanks(at + 3);
            if (*at != ',' && *at != '\0')
                code = no_index(text);
        } else if (axis < ndim) {
            code = parse_entry(&at, text, axis, shape[axis], &ret_axes[axis]);
            axis++;
        } else {
            code = no_index(text);
        }
        if (code != EXIT_OK || *at == '\0')
            return code;
    }
}
