/* meta.c - what a tensor is: dtype, shape, strides, blobs, name; in a spec, in a descriptor, in a sentence. */
#include "tensor/tensor.h"

#include <stdio.h>
#include <string.h>

uint64_t type_bytes(const zct_dtype *dtype, uint64_t elements)
{
    unsigned __int128 bytes;
    if (dtype->code == ZCT_BLOCK)
        bytes = (unsigned __int128)(elements / dtype->block_elems) * dtype->block_bytes;
    else if (dtype->itemsize == 0)
        bytes = ((unsigned __int128)elements * dtype->bits * dtype->lanes + 7) / 8;
    else
        bytes = (unsigned __int128)elements * dtype->itemsize;
    return bytes > 1ull << 62 ? UINT64_MAX : (uint64_t)bytes;
}

static int check_type(const zct_dtype *t)
{
    bool packed = t->itemsize == 0;
    if (!memchr(t->name, 0, sizeof t->name))
        return fail(ZCT_EINVAL, "a dtype's name has at most 31 bytes");
    if (t->code == ZCT_BLOCK && (t->block_elems == 0 || t->block_bytes == 0)) /* and see spec_check */
        return fail(ZCT_EINVAL, "dtype '%s' says block and has no block size", t->name);
    if (t->code != ZCT_BLOCK && packed && t->code < 0x80 && (t->bits == 0 || t->lanes == 0 || t->bits >= 8))
        return fail(ZCT_EINVAL, "dtype '%s' has no item size", t->name);
    return 0;
}

/* Are the strides those of a dense array in some order of its axes? Then each step of the smallest axis is an item, and each
 * step of the next larger one is what the smaller ones cover. */
static bool strides_cover(const zct_dtype *dtype, int ndim, const int64_t *shape, const int64_t *strides)
{
    bool done[ZCT_MAX_DIMS] = {false};
    uint64_t step = dtype->itemsize;
    for (int left = 0; left < ndim; left++) {
        int next = -1;
        for (int i = 0; i < ndim && next < 0; i++)
            if (!done[i] && (shape[i] <= 1 || (step && strides[i] == (int64_t)step)))
                next = i;
        if (next < 0)
            return false;
        done[next] = true;
        step *= (uint64_t)(shape[next] > 1 ? shape[next] : 1);
    }
    return true;
}

int spec_check(const zct_spec *spec, uint64_t *ret_nbytes)
{
    if (!spec || spec->size < sizeof *spec)
        return fail(ZCT_EINVAL, "a tensor needs a spec whose size field is set");
    if (spec->ndim < 0 || spec->ndim > ZCT_MAX_DIMS || (spec->ndim && !spec->shape))
        return fail(ZCT_EINVAL, "a tensor has 0 to %d dimensions, not %d", ZCT_MAX_DIMS, spec->ndim);
    if (spec->order < ZCT_ORDER_C || spec->order > ZCT_ORDER_STRIDED ||
        (spec->order == ZCT_ORDER_STRIDED && spec->ndim && !spec->strides))
        return fail(ZCT_EINVAL, "order must be C, F or strided with strides");
    if (spec->descriptor_len > ZCT_MAX_BLOB || spec->metadata_len > ZCT_MAX_BLOB)
        return fail(ZCT_EINVAL, "a struct descriptor or metadata has at most %d bytes", ZCT_MAX_BLOB);
    int rc = check_type(&spec->dtype);
    if (rc < 0)
        return rc;
    uint64_t elements = 1;
    bool none = false, over = false;
    for (int i = 0; i < spec->ndim; i++) {
        if (spec->shape[i] < 0)
            return fail(ZCT_EINVAL, "dimension %d of the shape is negative (%lld)", i, (long long)spec->shape[i]);
        none |= spec->shape[i] == 0;
        over |= __builtin_mul_overflow(elements, (uint64_t)(spec->shape[i] ? spec->shape[i] : 1), &elements);
    }
    if (spec->dtype.code == ZCT_BLOCK && !none && elements % spec->dtype.block_elems)
        return fail(ZCT_EINVAL, "%llu elements are no whole number of blocks of %u", (unsigned long long)elements,
                    spec->dtype.block_elems);
    uint64_t nbytes = none ? 0 : type_bytes(&spec->dtype, elements);
    if (over || elements > 1ull << 62 || nbytes > 1ull << 62)
        return fail(ZCT_EINVAL, "the shape has more elements than memory can have");
    if (spec->order == ZCT_ORDER_STRIDED && nbytes &&
        !strides_cover(&spec->dtype, spec->ndim, spec->shape, spec->strides))
        return fail(ZCT_EINVAL, "strides must be those of a dense array in some order of its axes");
    *ret_nbytes = nbytes;
    return 0;
}

void strides_dense(const zct_dtype *dtype, int ndim, const int64_t *shape, int order, int64_t *ret)
{
    uint64_t step = dtype->itemsize; /* wraps for an empty array of large dimensions, where no stride is used */
    for (int k = 0; k < ndim; k++) {
        int i = order == ZCT_ORDER_F ? k : ndim - 1 - k;
        ret[i] = (int64_t)step;
        step *= (uint64_t)(shape[i] > 0 ? shape[i] : 1);
    }
}

/* ---- aux parts ---- */

struct parts { uint64_t name, dims, strides, descriptor, metadata, end; }; /* word offsets behind the head */

static struct parts parts_of(uint32_t name_len, uint32_t dims, uint32_t strides, uint32_t descriptor, uint32_t metadata)
{
    struct parts p = {0};
    p.dims = p.name + div_up(name_len, 8);
    p.strides = p.dims + dims;
    p.descriptor = p.strides + strides;
    p.metadata = p.descriptor + div_up(descriptor, 8);
    p.end = p.metadata + div_up(metadata, 8);
    return p;
}

static struct parts spec_parts(const zct_spec *spec, size_t name_len)
{
    return parts_of(name_len > NAME_INLINE ? (uint32_t)name_len : 0,
                    spec->ndim > SHAPE_INLINE ? (uint32_t)spec->ndim : 0,
                    spec->order == ZCT_ORDER_STRIDED ? (uint32_t)spec->ndim : 0, (uint32_t)spec->descriptor_len,
                    (uint32_t)spec->metadata_len);
}

uint64_t spec_aux_bytes(const zct_spec *spec, size_t name_len)
{
    uint64_t words = spec_parts(spec, name_len).end;
    return words ? sizeof(struct aux_head) + words * 8 : 0;
}

/* The aux block of d and its parts, if they lie inside it. Lengths are read once. */
static sh64 *aux_parts(struct zct_store *s, struct desc *d, struct parts *p, uint32_t *ret_lengths)
{
    struct aux_head *head = aux_of(s, d);
    if (!head)
        return NULL;
    uint32_t n[5] = {get_relaxed(&head->name_len), get_relaxed(&head->dims), get_relaxed(&head->strides),
                     get_relaxed(&head->descriptor_len), get_relaxed(&head->metadata_len)};
    if (n[0] > ZCT_MAX_NAME || n[1] > ZCT_MAX_DIMS || n[2] > ZCT_MAX_DIMS || n[3] > ZCT_MAX_BLOB || n[4] > ZCT_MAX_BLOB)
        return NULL;
    *p = parts_of(n[0], n[1], n[2], n[3], n[4]);
    memcpy(ret_lengths, n, sizeof n);
    if (sizeof *head + p->end * 8 > (uint64_t)aux_units(get_relaxed(&d->aux)) * AUX_UNIT)
        return NULL;
    return (sh64 *)(uintptr_t)aux_words(head);
}

static void put_blob(sh64 *to, const void *from, size_t length)
{
    uint64_t word;
    for (size_t at = 0; at < length; at += 8) {
        size_t n = length - at < 8 ? length - at : 8;
        word = 0;
        memcpy(&word, (const char *)from + at, n);
        put_words(&to[at / 8], &word, 1);
    }
}

void meta_write(struct zct_store *s, struct desc *d, const zct_spec *spec, uint64_t nbytes, size_t name_len)
{
    uint64_t type[7], shape[SHAPE_INLINE] = {0};
    memcpy(type, &spec->dtype, sizeof type);
    fence_release(); /* the state before these bytes is seen by whoever sees one of them */
    put_words(d->type, type, 3);
    put_words(d->type_name, type + 3, 4);
    if (spec->ndim && spec->ndim <= SHAPE_INLINE)
        memcpy(shape, spec->shape, (size_t)spec->ndim * 8);
    put_words(d->shape, shape, SHAPE_INLINE);
    put_relaxed(&d->nbytes, nbytes);
    put_relaxed(&d->form, form_make((unsigned)spec->ndim, 0, ZCT_LAST, (unsigned)spec->order, 0));
    struct aux_head *head = aux_of(s, d);
    if (!head)
        return;
    struct parts p = spec_parts(spec, name_len);
    sh64 *words = (sh64 *)(uintptr_t)aux_words(head);
    put_relaxed(&head->name_len, (uint32_t)(p.dims ? name_len : 0));
    put_relaxed(&head->dims, (uint32_t)(p.strides - p.dims));
    put_relaxed(&head->strides, (uint32_t)(p.descriptor - p.strides));
    put_relaxed(&head->descriptor_len, (uint32_t)spec->descriptor_len);
    put_relaxed(&head->metadata_len, (uint32_t)spec->metadata_len);
    if (p.strides > p.dims)
        put_words(words + p.dims, (const uint64_t *)spec->shape, (size_t)spec->ndim);
    if (p.descriptor > p.strides)
        put_words(words + p.strides, (const uint64_t *)spec->strides, (size_t)spec->ndim);
    put_blob(words + p.descriptor, spec->descriptor, spec->descriptor_len);
    put_blob(words + p.metadata, spec->metadata, spec->metadata_len);
}

void name_write(struct zct_store *s, struct desc *d, const struct key *key, int lifetime)
{
    uint64_t inline_words[NAME_WORDS] = {0}, form = get_relaxed(&d->form);
    memcpy(inline_words, key->text, min_u64(key->words, NAME_WORDS) * 8);
    fence_release();
    put_words(d->name, inline_words, NAME_WORDS);
    struct aux_head *head = key->length > NAME_INLINE ? aux_of(s, d) : NULL;
    if (head)
        put_words((sh64 *)(uintptr_t)aux_words(head), key->text, key->words);
    put_relaxed(&d->form, form_make(form_ndim(form), key->length, (unsigned)lifetime, form_order(form), key->hash));
}

void dtype_read(struct desc *d, zct_dtype *ret)
{
    /* word by word: a copy through an array is a store that cannot be forwarded, 10 ns on the way of every attach */
    for (size_t i = 0; i < 7; i++) {
        uint64_t word = i < 3 ? get_relaxed(&d->type[i]) : get_relaxed(&d->type_name[i - 3]);
        memcpy((char *)ret + 8 * i, &word, 8);
    }
    ret->name[sizeof ret->name - 1] = 0;
}

bool layout_read(struct zct_store *s, struct desc *d, uint64_t form, const zct_dtype *dtype, uint64_t nbytes, int64_t *shape,
                 int64_t *strides)
{
    unsigned ndim = form_ndim(form), order = form_order(form);
    struct parts p;
    uint32_t n[5] = {0};
    sh64 *aux = NULL;
    if (ndim > ZCT_MAX_DIMS)
        return false;
    bool strided = order == ZCT_ORDER_STRIDED && ndim > 0; /* a scalar has none, and perhaps no aux block */
    if (unlikely(ndim > SHAPE_INLINE || strided)) {
        aux = aux_parts(s, d, &p, n);
        if (!aux || (ndim > SHAPE_INLINE && n[1] != ndim) || (strided && n[2] != ndim))
            return false;
    }
    get_words((uint64_t *)shape, ndim > SHAPE_INLINE ? aux + p.dims : d->shape, ndim);
    uint64_t elements = 1;
    bool none = false;
    for (unsigned i = 0; i < ndim; i++) {
        if (shape[i] < 0 || __builtin_mul_overflow(elements, (uint64_t)(shape[i] ? shape[i] : 1), &elements))
            return false;
        none |= shape[i] == 0;
    }
    if (dtype->code == ZCT_BLOCK && dtype->block_elems == 0)
        return false;
    if (nbytes != (none ? 0 : type_bytes(dtype, elements)))
        return false;
    if (strided) {
        get_words((uint64_t *)strides, aux + p.strides, ndim);
        return none || strides_cover(dtype, (int)ndim, shape, strides);
    }
    strides_dense(dtype, (int)ndim, shape, (int)order, strides);
    return true;
}

int64_t blob_read(struct zct_store *s, struct desc *d, bool metadata, void *to, size_t size)
{
    struct parts p;
    uint32_t n[5];
    sh64 *aux = aux_parts(s, d, &p, n);
    if (!aux)
        return 0;
    size_t length = metadata ? n[4] : n[3];
    const sh64 *from = aux + (metadata ? p.metadata : p.descriptor);
    for (size_t at = 0; at < length && at < size; at += 8) {
        uint64_t word;
        get_words(&word, &from[at / 8], 1);
        size_t most = length < size ? length : size;
        memcpy((char *)to + at, &word, most - at < 8 ? most - at : 8);
    }
    return (int64_t)length;
}

const char *show_type(const zct_dtype *dtype, int ndim, const int64_t *shape, char *to, size_t size)
{
    int n = snprintf(to, size, "%s%.31s", dtype->big_endian ? ">" : "", dtype->name[0] ? dtype->name : "?");
    for (int i = 0; i < ndim && n > 0 && (size_t)n < size; i++)
        n += snprintf(to + n, size - (size_t)n, "%c%lld", i ? 'x' : ' ', (long long)shape[i]);
    if (ndim == 0 && n > 0 && (size_t)n < size)
        snprintf(to + n, size - (size_t)n, " scalar");
    return to;
}
