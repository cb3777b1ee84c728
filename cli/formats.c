#include "formats.h"

#include <stdlib.h>
#include <string.h>

#include "deflate.h"
#include "dtype.h"
#include "gather.h"
#include "npy.h"
#include "out.h"
#include "progress.h"
#include "safetensors.h"
#include "tensor.h"
#include "zip.h"

static bool no_word(const struct pick *pick, const char *format, const char *why)
{
    zct_stat stat = {.dtype = pick->view->dtype};
    char dtype[64];

    err_fmt("tensor '%s' (%s) cannot be saved as .%s: %s; nothing was written", pick->name, tensor_dtype(dtype, &stat),
            format, why);
    return false;
}

/* ---- .npy ---- */

static bool npy_header(const struct pick *pick, struct strbuf *header)
{
    int order = gather_order(pick->view);

    return npy_write(&pick->layout, pick->view->ndim, pick->view->shape, order == ZCT_ORDER_F, header);
}

/* What lies in neither order is written in C order. */
static int npy_order(const struct pick *pick)
{
    return gather_order(pick->view) == ZCT_ORDER_F ? ZCT_ORDER_F : ZCT_ORDER_C;
}

static bool npy_fits(const struct pick *pick, const char *format)
{
    struct strbuf header = {0};
    bool good = pick->fields_known && npy_header(pick, &header);

    strbuf_free(&header);
    if (good)
        return true;
    if (pick->view->dtype.code == ZCT_STRUCT)
        return no_word(pick, format, "its fields overlap or are out of order, which NumPy's files cannot tell");
    return no_word(pick, format,
                   dtype_to_safetensors(&pick->view->dtype) != NULL
                       ? "NumPy's files have no word for it, .safetensors has"
                       : "NumPy's files have no word for it");
}

static bool check_npy(struct picks *picks)
{
    if (picks->count == 1)
        return npy_fits(picks->pick, "npy");
    err_fmt("an .npy file has one tensor, and these are %zu; .npz and .safetensors files have many", picks->count);
    return false;
}

static bool to_sink(void *context, const void *bytes, uint64_t len) { return sink_write(context, bytes, len); }

static bool write_npy(const struct picks *picks, struct sink *sink)
{
    struct strbuf header = {0};
    bool good;

    npy_header(picks->pick, &header);
    good = sink_write(sink, header.text, header.len) &&
           gather(picks->pick->view, npy_order(picks->pick), 0, to_sink, sink);
    strbuf_free(&header);
    return good;
}

/* ---- .npz ---- */

static bool check_npz(struct picks *picks)
{
    if (!deflate_there()) {
        err_fmt("this zct was built without zlib, which .npz files need");
        return false;
    }
    for (size_t i = 0; i < picks->count; i++)
        if (!npy_fits(&picks->pick[i], "npz"))
            return false;
    return true;
}

struct summed {
    struct sink *sink;
    uint32_t crc;
};

/* Others may write to the tensor meanwhile: what is summed is what is written, a private copy of each piece. */
static bool to_summed(void *context, const void *bytes, uint64_t len)
{
    static char piece[128 << 10];
    struct summed *summed = context;
    const char *at = bytes;
    bool good = true;

    for (uint64_t done = 0, part; good && done < len; done += part) {
        part = len - done < sizeof piece ? len - done : sizeof piece;
        memcpy(piece, at + done, part);
        summed->crc = deflate_crc(summed->crc, piece, part);
        good = sink_write(summed->sink, piece, part);
    }
    return good;
}

static bool write_member(const struct pick *pick, struct sink *sink, struct strbuf *directory)
{
    struct strbuf npy = {0}, name = {0}, local = {0};
    struct summed summed = {.sink = sink};
    struct zip_member member = {.header = sink_at(sink)};
    uint8_t crc[4];
    bool good;

    npy_header(pick, &npy);
    strbuf_fmt(&name, "%s.npy", pick->key);
    member.name = name.text;
    member.name_len = name.len;
    member.size = member.packed = npy.len + pick->view->nbytes;
    zip_local_header(&member, &local);
    good = sink_write(sink, local.text, local.len) && to_summed(&summed, npy.text, npy.len) &&
           gather(pick->view, npy_order(pick), 0, to_summed, &summed);
    member.crc = summed.crc;
    for (size_t i = 0; i < sizeof crc; i++)
        crc[i] = (uint8_t)(member.crc >> (8 * i));
    good = good && sink_patch(sink, member.header + ZIP_CRC_AT, crc, sizeof crc);
    zip_central_entry(&member, directory);
    strbuf_free(&npy);
    strbuf_free(&name);
    strbuf_free(&local);
    return good;
}

static bool write_npz(const struct picks *picks, struct sink *sink)
{
    struct strbuf directory = {0}, end = {0};
    bool good = true;

    for (size_t i = 0; good && i < picks->count; i++) {
        good = write_member(&picks->pick[i], sink, &directory);
        progress_add(picks->pick[i].view->nbytes);
    }
    zip_end(picks->count, sink_at(sink), directory.len, &end);
    good = good && (directory.len == 0 || sink_write(sink, directory.text, directory.len)) &&
           sink_write(sink, end.text, end.len);
    strbuf_free(&directory);
    strbuf_free(&end);
    return good;
}

/* ---- .safetensors ---- */

/* As the format's own writer does: each tensor is aligned to its elements then. */
static int by_rank(const void *a, const void *b)
{
    const struct pick *left = a, *right = b;
    int l = dtype_safetensors_rank(&left->view->dtype), r = dtype_safetensors_rank(&right->view->dtype);

    return l != r ? r - l : strcmp(left->key, right->key);
}

static bool check_safetensors(struct picks *picks)
{
    for (size_t i = 0; i < picks->count; i++) {
        struct pick *pick = &picks->pick[i];

        if (dtype_to_safetensors(&pick->view->dtype) == NULL)
            return no_word(pick, "safetensors", "that format has no word for it");
        if (pick->view->dtype.itemsize == 0 && gather_order(pick->view) != ZCT_ORDER_C)
            return no_word(pick, "safetensors", "it is packed, and not in C order");
        if (strcmp(pick->key, "__metadata__") == 0)
            return no_word(pick, "safetensors", "that name means something else there");
    }
    qsort(picks->pick, picks->count, sizeof *picks->pick, by_rank);
    return true;
}

static bool write_safetensors(const struct picks *picks, struct sink *sink)
{
    struct safetensors_entry *entries = memory_new(picks->count, sizeof *entries);
    struct strbuf header = {0};
    bool good;

    for (size_t i = 0; i < picks->count; i++) {
        const struct pick *pick = &picks->pick[i];

        entries[i] = (struct safetensors_entry){.name = pick->key,
                                                .word = dtype_to_safetensors(&pick->view->dtype),
                                                .ndim = pick->view->ndim,
                                                .shape = pick->view->shape,
                                                .nbytes = pick->view->nbytes};
    }
    safetensors_header(entries, picks->count, &header);
    good = sink_write(sink, header.text, header.len);
    for (size_t i = 0; good && i < picks->count; i++) {
        const zct_view *view = picks->pick[i].view;
        size_t swap = view->dtype.big_endian ? dtype_swap_unit(&view->dtype) : 0;

        good = gather(view, ZCT_ORDER_C, swap, to_sink, sink);
        progress_add(view->nbytes);
    }
    strbuf_free(&header);
    free(entries);
    return good;
}

/* ---- */

static const struct format formats[] = {
    {"npy", check_npy, write_npy},
    {"npz", check_npz, write_npz},
    {"safetensors", check_safetensors, write_safetensors},
};
enum { FORMATS = sizeof formats / sizeof formats[0] };

const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const struct format *format_of_path(const char *path)
{
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    const char *dot = strrchr(base, '.');

    return dot != NULL ? format_find(dot + 1) : NULL;
}
