#include "gather.h"

#include <stdlib.h>
#include <string.h>

#include "strbuf.h"

enum { BUFFER = 256 << 10 };

static bool lies(const zct_view *view, int order)
{
    int64_t step = view->dtype.itemsize;

    if (step == 0) /* packed: dense in the order that it says */
        return view->order == order || view->ndim < 2;
    for (int k = 0; k < view->ndim; k++) {
        int i = order == ZCT_ORDER_F ? k : view->ndim - 1 - k;

        if (view->shape[i] > 1 && view->strides[i] != step)
            return false;
        step *= view->shape[i];
    }
    return true;
}

int gather_order(const zct_view *view)
{
    if (view->nbytes == 0 || lies(view, ZCT_ORDER_C))
        return ZCT_ORDER_C;
    return lies(view, ZCT_ORDER_F) ? ZCT_ORDER_F : ZCT_ORDER_STRIDED;
}

static void turn(uint8_t *bytes, size_t len, size_t unit)
{
    for (; len >= unit; bytes += unit, len -= unit)
        for (size_t low = 0, high = unit - 1; low < high; low++, high--) {
            uint8_t byte = bytes[low];

            bytes[low] = bytes[high];
            bytes[high] = byte;
        }
}

/* Where the walk is: axes from the slowest to the fastest. */
struct walk {
    const zct_view *view;
    int axis[ZCT_MAX_DIMS];
    int64_t index[ZCT_MAX_DIMS];
    const uint8_t *at;
};

/* One step of the axes but the fastest. False: that was all. */
static bool advance(struct walk *walk)
{
    for (int k = walk->view->ndim - 2; k >= 0; k--) {
        int i = walk->axis[k];

        walk->at += walk->view->strides[i];
        if (++walk->index[k] < walk->view->shape[i])
            return true;
        walk->at -= walk->view->strides[i] * walk->view->shape[i];
        walk->index[k] = 0;
    }
    return false;
}

static inline void copy_items(uint8_t *to, const uint8_t *from, int64_t step, size_t count, size_t item)
{
    for (size_t i = 0; i < count; i++, to += item, from += step)
        memcpy(to, from, item);
}

static void copy_row(uint8_t *to, const uint8_t *from, int64_t step, size_t count, size_t item)
{
    switch (item) { /* constants that the compiler makes loads and stores of */
    case 1: copy_items(to, from, step, count, 1); break;
    case 2: copy_items(to, from, step, count, 2); break;
    case 4: copy_items(to, from, step, count, 4); break;
    case 8: copy_items(to, from, step, count, 8); break;
    case 16: copy_items(to, from, step, count, 16); break;
    default: copy_items(to, from, step, count, item); break;
    }
}

static bool walk_rows(struct walk *walk, uint8_t *buffer, size_t room, size_t swap, gather_fn fn, void *context)
{
    const zct_view *view = walk->view;
    size_t item = view->dtype.itemsize, used = 0;
    int fastest = view->ndim > 0 ? walk->axis[view->ndim - 1] : -1;
    int64_t extent = fastest < 0 ? 1 : view->shape[fastest], step = fastest < 0 ? 0 : view->strides[fastest];

    do {
        for (int64_t done = 0; done < extent;) {
            size_t fits = (room - used) / item, left = (size_t)(extent - done), count = fits < left ? fits : left;

            copy_row(buffer + used, walk->at + done * step, step, count, item);
            done += (int64_t)count;
            used += count * item;
            if (used + item <= room)
                continue;
            if (swap > 1)
                turn(buffer, used, swap);
            if (!fn(context, buffer, used))
                return false;
            used = 0;
        }
    } while (advance(walk));
    if (swap > 1)
        turn(buffer, used, swap);
    return used == 0 || fn(context, buffer, used);
}

bool gather(const zct_view *view, int order, size_t swap, gather_fn fn, void *context)
{
    size_t item = view->dtype.itemsize, room = item > BUFFER ? item : BUFFER;
    struct walk walk = {.view = view, .at = view->data};
    uint8_t *buffer;
    bool good;

    if (view->nbytes == 0)
        return true;
    if (swap <= 1 && lies(view, order))
        return fn(context, view->data, view->nbytes);
    for (int k = 0; k < view->ndim; k++)
        walk.axis[k] = order == ZCT_ORDER_F ? view->ndim - 1 - k : k;
    buffer = memory_resize(NULL, room, 1);
    good = walk_rows(&walk, buffer, room, swap, fn, context);
    free(buffer);
    return good;
}
