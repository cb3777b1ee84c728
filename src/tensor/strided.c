/* strided.c - copying from any strides.
 *
 * The target is walked in the order of its memory, except in one case: where the source is dense along another axis than
 * the target (a transpose), the two axes are walked in tiles, so that both sides use each cache line and page that they
 * touch while it is at hand. */
#include "tensor/strided.h"

#include <stdlib.h>
#include <string.h>

enum { TILE = 16 /* elements each way */, LINE = 64 };

struct axis { int64_t count, to, from; };

static void copy_row(char *to, const char *from, int64_t count, int64_t step, size_t item)
{
    if (step == (int64_t)item) {
        memcpy(to, from, (size_t)count * item);
        return;
    }
    switch (item) {
#define CASE(n)                                                                                                        \
    case n:                                                                                                            \
        for (int64_t i = 0; i < count; i++)                                                                            \
            memcpy(to + i * n, from + i * step, n);                                                                    \
        return;
        CASE(1) CASE(2) CASE(4) CASE(8) CASE(16)
#undef CASE
    default:
        for (int64_t i = 0; i < count; i++)
            memcpy(to + (size_t)i * item, from + i * step, item);
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* One row of the target after the other, or both axes in tiles. */
static void copy_plane(char *to, const char *from, struct axis rows, struct axis row, bool tiled, size_t item)
{
    int64_t high = tiled ? TILE : 1, wide = tiled ? TILE : row.count;
    for (int64_t r = 0; r < rows.count; r += high)
        for (int64_t c = 0; c < row.count; c += wide)
            for (int64_t k = r; k < least(r + high, rows.count); k++)
                copy_row(to + k * rows.to + c * row.to, from + k * rows.from + c * row.from, least(wide, row.count - c),
                         row.from, item);
}

/* The axes longer than 1, by falling target stride; those that are one long axis on both sides are made one. */
static int axes_of(const zct_spec *spec, const int64_t *to_strides, const int64_t *strides, struct axis *ret)
{
    int n = 0, kept = 0;
    for (int i = 0; i < spec->ndim; i++) {
        if (spec->shape[i] <= 1)
            continue;
        int at = n++;
        for (; at > 0 && ret[at - 1].to < to_strides[i]; at--)
            ret[at] = ret[at - 1];
        ret[at] = (struct axis){spec->shape[i], to_strides[i], strides[i]};
    }
    for (int i = 1; i < n; i++) {
        struct axis *outer = &ret[kept], inner = ret[i];
        if (outer->to == inner.to * inner.count && outer->from == inner.from * inner.count)
            *outer = (struct axis){outer->count * inner.count, inner.to, inner.from};
        else
            ret[++kept] = inner;
    }
    return n ? kept + 1 : 0;
}

/* The axis along which the source's elements lie closest, moved beside the last one. False: rows are as good. */
static bool choose_plane(struct axis *axes, int n)
{
    int closest = -1;
    for (int i = 0; i < n - 1; i++)
        if (axes[i].from && (closest < 0 || llabs(axes[i].from) < llabs(axes[closest].from)))
            closest = i;
    if (closest < 0 || llabs(axes[n - 1].from) < LINE || llabs(axes[closest].from) >= LINE)
        return false;
    struct axis chosen = axes[closest];
    memmove(&axes[closest], &axes[closest + 1], (size_t)(n - 2 - closest) * sizeof *axes);
    axes[n - 2] = chosen;
    return true;
}

void copy_strided(char *to, const zct_spec *spec, const int64_t *to_strides, const char *from, const int64_t *strides)
{
    struct axis axes[ZCT_MAX_DIMS + 2];
    int64_t index[ZCT_MAX_DIMS] = {0};
    int n = axes_of(spec, to_strides, strides, axes);
    for (; n < 2; n++) { /* a plane has two */
        memmove(axes + 1, axes, (size_t)n * sizeof *axes);
        axes[0] = (struct axis){1, 0, 0};
    }
    size_t item = spec->dtype.itemsize;
    bool tiled = choose_plane(axes, n);
    for (;;) {
        copy_plane(to, from, axes[n - 2], axes[n - 1], tiled, item);
        int k = n - 3;
        for (; k >= 0; k--) {
            to += axes[k].to;
            from += axes[k].from;
            if (++index[k] < axes[k].count)
                break;
            to -= axes[k].to * axes[k].count;
            from -= axes[k].from * axes[k].count;
            index[k] = 0;
        }
        if (k < 0)
            return;
    }
}
