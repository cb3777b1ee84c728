#include "excerpt.h"

#include <string.h>

#include "json.h"
#include "out.h"

enum { MANY = 1000, FEW = 3, COLUMNS = 80, WIDEST = 32 };

static struct element element_at(const struct excerpt *excerpt, int64_t bit)
{
    return (struct element){&excerpt->layout, excerpt->data + bit / 8, (unsigned)(bit % 8)};
}

static bool is_cut(const struct excerpt *excerpt, int axis)
{
    return 2 * excerpt->shown[axis] < excerpt->axes[axis].count;
}

/* Bits per step of each axis; packed elements lie C- or F-dense. */
static void bit_strides(const zct_view *view, int64_t *ret_stride)
{
    int64_t step = (int64_t)view->dtype.bits * view->dtype.lanes;

    for (int k = 0; k < view->ndim; k++) {
        int i = view->order == ZCT_ORDER_F ? k : view->ndim - 1 - k;

        ret_stride[i] = view->dtype.itemsize > 0 ? 8 * view->strides[i] : step;
        step *= view->shape[i];
    }
}

int excerpt_take(struct excerpt *excerpt, const zct_view *view, const struct layout *layout, const char *index,
                 int64_t ends)
{
    int64_t stride[ZCT_MAX_DIMS], shape[ZCT_MAX_DIMS], values = 1;
    struct axis axes[ZCT_MAX_DIMS];
    int ndim = view->ndim, code;

    memcpy(shape, view->shape, (size_t)ndim * sizeof *shape);
    bit_strides(view, stride);
    if (view->dtype.code == ZCT_BLOCK) { /* opaque: a row of blocks */
        ndim = 1;
        shape[0] = (int64_t)(view->nbytes / view->dtype.block_bytes);
        stride[0] = 8 * view->dtype.block_bytes;
    }
    code = region_parse(index, ndim, shape, axes);
    if (code != EXIT_OK)
        return code;
    *excerpt = (struct excerpt){.layout = *layout, .data = view->data};
    for (int i = 0; i < ndim; i++) {
        excerpt->first += axes[i].count > 0 ? axes[i].first * stride[i] : 0;
        if (__builtin_mul_overflow(values, axes[i].count, &values))
            values = INT64_MAX;
        if (axes[i].single)
            continue;
        excerpt->axes[excerpt->ndim] = axes[i];
        excerpt->stride[excerpt->ndim++] = stride[i];
    }
    for (int i = 0; i < excerpt->ndim; i++) {
        int64_t count = excerpt->axes[i].count;

        excerpt->axes[i].first = 0;
        excerpt->stride[i] *= excerpt->axes[i].step;
        excerpt->shown[i] = ends > 0 ? ends : ends == EXCERPT_ALL || values <= MANY ? count : FEW;
        if (excerpt->shown[i] > count)
            excerpt->shown[i] = count;
    }
    return EXIT_OK;
}

/* The k-th of the shown indices of an axis -> the index; *ret_gap: what was left out stands before it. -1: no more. */
static int64_t shown_index(const struct excerpt *excerpt, int axis, int64_t k, bool *ret_gap)
{
    int64_t count = excerpt->axes[axis].count;

    *ret_gap = is_cut(excerpt, axis) && k == excerpt->shown[axis];
    if (!is_cut(excerpt, axis))
        return k < count ? k : -1;
    return k < excerpt->shown[axis] ? k : k < 2 * excerpt->shown[axis] ? count - 2 * excerpt->shown[axis] + k : -1;
}

/* ---- text ---- */

struct page {
    const struct excerpt *of;
    struct strbuf cell;
    size_t width; /* of the widest value, to which the others are padded */
};

static void measure(struct page *page, int axis, int64_t bit)
{
    bool gap;

    if (axis == page->of->ndim) {
        size_t width;

        strbuf_clear(&page->cell);
        value_text(&page->cell, element_at(page->of, bit));
        width = text_width(page->cell.text);
        if (width > page->width)
            page->width = width < WIDEST ? width : WIDEST;
        return;
    }
    for (int64_t k = 0, i; (i = shown_index(page->of, axis, k, &gap)) >= 0; k++)
        measure(page, axis + 1, bit + i * page->of->stride[axis]);
}

static void write_value(struct page *page, int64_t bit)
{
    size_t width;

    strbuf_clear(&page->cell);
    value_text(&page->cell, element_at(page->of, bit));
    width = text_width(page->cell.text);
    if (page->of->ndim > 0 && width < page->width)
        out_pad(page->width - width);
    out_bytes(page->cell.text, page->cell.len);
}

/* The innermost axis: a line, broken where it gets long. */
static void write_row(struct page *page, int64_t bit)
{
    size_t indent = (size_t)page->of->ndim, column = indent;
    bool gap;

    for (int64_t k = 0, i; out_open() && (i = shown_index(page->of, page->of->ndim - 1, k, &gap)) >= 0; k++) {
        if (k > 0 && column + 1 + page->width + (gap ? 4 : 0) > COLUMNS - 2) {
            out_str("\n");
            out_pad(indent);
            column = indent;
        } else if (k > 0) {
            out_str(" ");
            column++;
        }
        if (gap) {
            out_str("... ");
            column += 4;
        }
        write_value(page, bit + i * page->of->stride[page->of->ndim - 1]);
        column += page->width;
    }
}

static void write_axis(struct page *page, int axis, int64_t bit)
{
    bool gap;

    out_str("[");
    if (axis == page->of->ndim - 1) {
        write_row(page, bit);
    } else {
        for (int64_t k = 0, i; out_open() && (i = shown_index(page->of, axis, k, &gap)) >= 0; k++) {
            for (int line = axis; k > 0 && line < page->of->ndim - 1; line++)
                out_str("\n");
            if (k > 0)
                out_pad((size_t)axis + 1);
            if (gap) {
                out_str("...");
                for (int line = axis; line < page->of->ndim - 1; line++)
                    out_str("\n");
                out_pad((size_t)axis + 1);
            }
            write_axis(page, axis + 1, bit + i * page->of->stride[axis]);
        }
    }
    out_str("]");
}

void excerpt_text(const struct excerpt *excerpt)
{
    struct page page = {.of = excerpt};

    if (excerpt->ndim == 0) {
        write_value(&page, excerpt->first);
    } else {
        measure(&page, 0, excerpt->first);
        write_axis(&page, 0, excerpt->first);
    }
    out_str("\n");
    strbuf_free(&page.cell);
}

/* ---- JSON ---- */

static void json_values(const struct excerpt *excerpt, const char *key, int axis, int64_t bit)
{
    bool gap;

    if (axis == excerpt->ndim) {
        value_json(key, element_at(excerpt, bit));
        return;
    }
    json_array(key);
    for (int64_t k = 0, i; out_open() && (i = shown_index(excerpt, axis, k, &gap)) >= 0; k++)
        json_values(excerpt, NULL, axis + 1, bit + i * excerpt->stride[axis]);
    json_close();
}

static void json_range(int64_t begin, int64_t end)
{
    json_array(NULL);
    json_int(NULL, begin);
    json_int(NULL, end);
    json_close();
}

void excerpt_json(const struct excerpt *excerpt)
{
    json_array("part");
    for (int i = 0; i < excerpt->ndim; i++)
        json_int(NULL, excerpt->axes[i].count);
    json_close();
    json_array("shown");
    for (int i = 0; i < excerpt->ndim; i++) {
        int64_t count = excerpt->axes[i].count;

        json_array(NULL);
        json_range(0, is_cut(excerpt, i) ? excerpt->shown[i] : count);
        if (is_cut(excerpt, i))
            json_range(count - excerpt->shown[i], count);
        json_close();
    }
    json_close();
    json_values(excerpt, "values", 0, excerpt->first);
}
