/* What a tensor is: sizes without overflow, packed and block dtypes, layouts and blobs there and back. */
#include "support/test.h"

#include "pool/bits.h"
#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

static zct_store *s;

static zct_dtype dtype(int code, int bits, unsigned itemsize)
{
    return (zct_dtype){.code = (uint8_t)code, .bits = (uint8_t)bits, .lanes = 1, .itemsize = itemsize, .name = "a type"};
}

static zct_spec spec_of(zct_dtype type, int ndim, const int64_t *shape)
{
    return (zct_spec){.size = sizeof(zct_spec), .dtype = type, .ndim = ndim, .shape = shape};
}

static void sizes(void)
{
    zct_dtype f4 = dtype(ZCT_FLOAT, 32, 4), c16 = dtype(ZCT_COMPLEX, 128, 16);
    zct_dtype u4 = dtype(ZCT_UINT, 4, 0), b1 = dtype(ZCT_UINT, 1, 0);
    CHECK_EQ(type_bytes(&f4, 0), 0);
    CHECK_EQ(type_bytes(&f4, 7), 28);
    CHECK_EQ(type_bytes(&c16, 3), 48);
    static const unsigned packed[] = {0, 1, 1, 2, 2, 3};
    for (unsigned n = 0; n < 6; n++) {
        CHECK_EQ(type_bytes(&u4, n), packed[n]);
        CHECK_EQ(type_bytes(&b1, n * 8), n);
        CHECK_EQ(type_bytes(&b1, n * 8 + 1), n + 1);
    }
    zct_dtype pair = u4;
    pair.lanes = 2;
    CHECK_EQ(type_bytes(&pair, 5), 5);
    zct_dtype block = dtype(ZCT_BLOCK, 0, 0);
    block.block_elems = 32, block.block_bytes = 18;
    CHECK_EQ(type_bytes(&block, 32), 18);
    CHECK_EQ(type_bytes(&block, 3200), 1800);
    CHECK_EQ(type_bytes(&block, 0), 0);
    /* nothing wraps */
    CHECK(type_bytes(&f4, 1ull << 62) == UINT64_MAX);
    CHECK(type_bytes(&c16, ~0ull) == UINT64_MAX);
    CHECK(type_bytes(&u4, ~0ull) >= 1ull << 62);
    zct_dtype huge = dtype(ZCT_BYTES, 0, ~0u);
    CHECK(type_bytes(&huge, ~0ull) == UINT64_MAX);
    CHECK(type_bytes(&huge, 2) == 2ull * ~0u);
}

/* Products of random extents: too large exactly where 128 bits say so. */
static void overflows(void)
{
    uint64_t state = (uint64_t)test_now();
    test_say("# seed %llu", (unsigned long long)state);
    zct_dtype types[] = {dtype(ZCT_FLOAT, 32, 4), dtype(ZCT_UINT, 8, 1), dtype(ZCT_BYTES, 0, 1000003), dtype(ZCT_UINT, 4, 0)};
    for (int i = 0; i < (test_quick() ? 20000 : 400000); i++) {
        int64_t shape[8];
        int ndim = (int)(test_random(&state) % 9);
        bool none = false, over = false;
        unsigned __int128 elements = 1;
        for (int k = 0; k < ndim; k++) {
            shape[k] = (int64_t)(test_random(&state) >> (1 + test_random(&state) % 63));
            none |= shape[k] == 0;
            if (shape[k] && elements < (unsigned __int128)1 << 66)
                elements *= (uint64_t)shape[k];
        }
        over = elements > (unsigned __int128)1 << 62;
        zct_spec spec = spec_of(types[i % 4], ndim, shape);
        unsigned __int128 bytes = i % 4 == 3 ? (elements + 1) / 2 : elements * spec.dtype.itemsize;
        over |= !none && bytes > (unsigned __int128)1 << 62;
        uint64_t nbytes = 42;
        int rc = spec_check(&spec, &nbytes);
        CHECK_EQ(rc, over ? -ZCT_EINVAL : 0);
        CHECK(rc < 0 ? nbytes == 42 : nbytes == (none ? 0 : (uint64_t)bytes));
    }
}

static void dense(void)
{
    int64_t shape[] = {2, 3, 4}, strides[3];
    zct_dtype f8 = dtype(ZCT_FLOAT, 64, 8);
    strides_dense(&f8, 3, shape, ZCT_ORDER_C, strides);
    CHECK(strides[0] == 96 && strides[1] == 32 && strides[2] == 8);
    strides_dense(&f8, 3, shape, ZCT_ORDER_F, strides);
    CHECK(strides[0] == 8 && strides[1] == 16 && strides[2] == 48);
    shape[1] = 0; /* as NumPy: an extent of 0 counts as 1 */
    strides_dense(&f8, 3, shape, ZCT_ORDER_C, strides);
    CHECK(strides[0] == 32 && strides[1] == 32 && strides[2] == 8);
}

/* Every layout comes back from the store as it went in: dimensions, order, strides, dtype, both blobs. */
static void round_trip(uint64_t *state)
{
    int64_t shape[ZCT_MAX_DIMS], strides[ZCT_MAX_DIMS] = {0};
    int ndim = (int)(test_random(state) % (ZCT_MAX_DIMS + 1)), axes[ZCT_MAX_DIMS];
    zct_dtype type = {.code = (uint8_t)test_random(state), .bits = 16, .lanes = 1 + (uint16_t)test_random(state) % 4,
                      .big_endian = 1, .unit = 9, .itemsize = 1 + (uint32_t)test_random(state) % 12,
                      .block_elems = 1, .block_bytes = 1, .multiplier = 25, .name = "0123456789012345678901234567890"};
    if (type.code == ZCT_BLOCK)
        type.code = ZCT_STRUCT;
    uint64_t elements = 1;
    for (int i = 0; i < ndim; i++) {
        shape[i] = elements < 2000 ? (int64_t)(test_random(state) % 6) : 1;
        elements *= shape[i] ? (uint64_t)shape[i] : 1;
        axes[i] = i;
    }
    for (int i = ndim - 1; i > 0; i--) {
        int k = (int)(test_random(state) % (unsigned)(i + 1)), t = axes[i];
        axes[i] = axes[k], axes[k] = t;
    }
    int64_t step = type.itemsize;
    for (int i = 0; i < ndim; i++) {
        strides[axes[i]] = step;
        step *= shape[axes[i]] ? shape[axes[i]] : 1;
    }
    char descriptor[3000], metadata[3000], got[3000], name[100];
    memset(descriptor, (int)test_random(state), sizeof descriptor);
    memset(metadata, (int)test_random(state), sizeof metadata);
    zct_spec spec = spec_of(type, ndim, shape);
    spec.order = (int)(test_random(state) % 3);
    spec.strides = strides;
    spec.descriptor = descriptor, spec.descriptor_len = test_random(state) % 3 ? 0 : test_random(state) % sizeof descriptor;
    spec.metadata = metadata, spec.metadata_len = test_random(state) % 3 ? 0 : test_random(state) % sizeof metadata;
    memset(name, 'r', sizeof name);
    name[1 + test_random(state) % 98] = 0;
    zct_tensor *made = NULL, *a = NULL;
    OK(zct_create(s, name, &spec, NULL, NULL, NULL, &made));
    OK(zct_attach(s, name, ZCT_MODE_READ, 0, &a));
    if (!a)
        return;
    const zct_view *v = zct_tensor_view(a);
    if (spec.order != ZCT_ORDER_STRIDED)
        strides_dense(&type, ndim, shape, spec.order, strides);
    CHECK(v->ndim == ndim && v->order == spec.order);
    CHECK(!memcmp(v->shape, shape, (size_t)ndim * 8));
    CHECK(!memcmp(v->strides, strides, (size_t)ndim * 8));
    CHECK(!memcmp(&v->dtype, &type, sizeof type));
    CHECK_EQ(zct_tensor_descriptor(a, got, sizeof got), spec.descriptor_len);
    CHECK(!memcmp(got, descriptor, spec.descriptor_len));
    CHECK_EQ(zct_tensor_metadata(a, got, sizeof got), spec.metadata_len);
    CHECK(!memcmp(got, metadata, spec.metadata_len));
    memset(got, 'g', sizeof got); /* cut short: no more than asked for is written */
    CHECK_EQ(zct_tensor_metadata(a, got, 13), spec.metadata_len);
    CHECK(got[13] == 'g');
    CHECK_EQ(zct_tensor_metadata(a, NULL, 0), spec.metadata_len);
    zct_release(a);
    zct_release(made);
    OK(zct_unlink(s, name));
}

static void round_trips(void)
{
    uint64_t state = (uint64_t)test_now();
    test_say("# seed %llu", (unsigned long long)state);
    s = test_store("s");
    for (int i = 0; i < (test_quick() ? 500 : 10000) && !test_failed(); i++)
        round_trip(&state);
    CHECK_STORE(s);
    CHECK_EQ(bits_count(REGION(s, sh64, s->g.aux_map), 0, s->g.aux_units), 0); /* every aux block came back */
    zct_store_close(s);
}

/* Blobs of every length around their edges. */
static void blobs(void)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 39, 40, 41, 63, 64, 65, 4095, 4096, 65534, 65535};
    char *blob = malloc(ZCT_MAX_BLOB), *got = malloc(ZCT_MAX_BLOB);
    int64_t shape = 1;
    s = test_store("s");
    for (size_t i = 0; i < COUNT(lengths); i++)
        for (size_t k = 0; k < COUNT(lengths); k++) {
            zct_spec spec = test_bytes(&shape, 1);
            zct_tensor *a = NULL;
            test_pattern(blob, ZCT_MAX_BLOB, i);
            spec.descriptor = blob, spec.descriptor_len = lengths[i];
            spec.metadata = blob + ZCT_MAX_BLOB - lengths[k], spec.metadata_len = lengths[k];
            OK(zct_create(s, "blob", &spec, NULL, NULL, NULL, &a));
            if (!a)
                break;
            CHECK_EQ(zct_tensor_descriptor(a, got, ZCT_MAX_BLOB), lengths[i]);
            CHECK(!memcmp(got, blob, lengths[i]));
            CHECK_EQ(zct_tensor_metadata(a, got, ZCT_MAX_BLOB), lengths[k]);
            CHECK(!memcmp(got, spec.metadata, lengths[k]));
            zct_release(a);
            OK(zct_unlink(s, "blob"));
        }
    CHECK_STORE(s);
    free(blob);
    free(got);
    zct_store_close(s);
}

/* An aux block that contradicts itself is seen as such, not followed. */
static void damaged_aux(void)
{
    int64_t shape[8] = {1, 2, 1, 2, 1, 2, 1, 2};
    s = test_store("s");
    zct_spec spec = spec_of(dtype(ZCT_UINT, 8, 1), 8, shape);
    zct_tensor *a, *b = NULL;
    OK(zct_create(s, "w", &spec, NULL, NULL, NULL, &a));
    struct desc *d = desc_at(s, a->desc);
    struct aux_head *head = aux_of(s, d);
    REQUIRE(head);
    sh32 *const fields[] = {&head->name_len, &head->dims, &head->strides, &head->descriptor_len, &head->metadata_len};
    for (size_t i = 0; i < COUNT(fields); i++) {
        uint32_t was = get_relaxed(fields[i]);
        static const uint32_t bad[] = {1000, 65535, 65536, 0x7fffffff, 0xffffffff};
        for (size_t k = 0; k < COUNT(bad); k++) {
            put_relaxed(fields[i], bad[k]);
            CHECK_RC(zct_attach(s, "w", 0, 0, &b), -ZCT_ECORRUPT);
            CHECK(zct_check(s, NULL, NULL) > 0);
        }
        put_relaxed(fields[i], was);
    }
    uint64_t aux = get_relaxed(&d->aux);
    static const uint64_t words[] = {0, ~0ull, 1, 0xffffffffull, 0xffffffff00000001ull};
    for (size_t k = 0; k < COUNT(words); k++) {
        put_relaxed(&d->aux, words[k]);
        CHECK_RC(zct_attach(s, "w", 0, 0, &b), -ZCT_ECORRUPT);
    }
    put_relaxed(&d->aux, aux);
    uint64_t form = get_relaxed(&d->form);
    put_relaxed(&d->form, (form & ~255ull) | 65);
    CHECK_RC(zct_attach(s, "w", 0, 0, &b), -ZCT_ECORRUPT);
    put_relaxed(&d->form, form);
    uint64_t ext = get_relaxed(&d->ext);
    put_relaxed(&d->ext, ext_large(s->g.pages, 1));
    CHECK_RC(zct_attach(s, "w", 0, 0, &b), -ZCT_ECORRUPT);
    put_relaxed(&d->ext, ext);
    put_relaxed(&d->nbytes, 1 << 20);
    CHECK_RC(zct_attach(s, "w", 0, 0, &b), -ZCT_ECORRUPT);
    put_relaxed(&d->nbytes, 16);
    OK(zct_attach(s, "w", 0, 0, &b));
    zct_release(b);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    CHECK_STORE(s);
    zct_store_close(s);
}

TESTS({"sizes", sizes}, {"overflows", overflows}, {"dense strides", dense}, {"round trips", round_trips}, {"blobs", blobs},
      {"damaged aux", damaged_aux})
