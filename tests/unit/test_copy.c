/* The one copy: any shape, any strides, any order, against a loop over the elements. */
#include "support/test.h"

#include "tensor/tensor.h"

#include <stdlib.h>
#include <string.h>

static zct_store *s;
static uint64_t state;

static const uint8_t *element(const uint8_t *base, int ndim, const int64_t *index, const int64_t *strides)
{
    for (int i = 0; i < ndim; i++)
        base += index[i] * strides[i];
    return base;
}

static bool step(int ndim, int64_t *index, const int64_t *shape)
{
    for (int i = ndim - 1; i >= 0; i--) {
        if (++index[i] < shape[i])
            return true;
        index[i] = 0;
    }
    return false;
}

/* Each element of the tensor is the source's. */
static bool same(const zct_view *v, const uint8_t *source, const int64_t *strides)
{
    int64_t index[ZCT_MAX_DIMS] = {0};
    if (v->nbytes == 0)
        return true;
    do
        if (memcmp(element(v->data, v->ndim, index, v->strides), element(source, v->ndim, index, strides), v->dtype.itemsize))
            return false;
    while (step(v->ndim, index, v->shape));
    return true;
}

static void try_copy(const zct_spec *spec, const uint8_t *source, const int64_t *strides)
{
    zct_tensor *a = NULL;
    OK(zct_create(s, "w", spec, source, strides, NULL, &a));
    if (!a)
        return;
    const zct_view *v = zct_tensor_view(a);
    CHECK(v->ndim == spec->ndim);
    CHECK(same(v, source, strides ? strides : v->strides));
    zct_release(a);
    OK(zct_unlink(s, "w"));
}

static void shuffled(int *axes, int n)
{
    for (int i = 0; i < n; i++)
        axes[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int k = (int)(test_random(&state) % (unsigned)(i + 1)), t = axes[i];
        axes[i] = axes[k], axes[k] = t;
    }
}

/* Dense strides for a random order of the axes. */
static void permuted(int ndim, const int64_t *shape, int64_t item, int64_t *strides)
{
    int axes[ZCT_MAX_DIMS];
    shuffled(axes, ndim);
    int64_t at = item;
    for (int i = 0; i < ndim; i++) {
        strides[axes[i]] = at;
        at *= shape[axes[i]] ? shape[axes[i]] : 1;
    }
}

/* A source that is a view of something larger: steps, gaps, mirrored and repeated axes. */
static void random_source(void)
{
    static const unsigned items[] = {1, 2, 3, 4, 5, 8, 12, 16, 24, 100};
    int64_t shape[8], strides[8], target[8];
    int ndim = (int)(test_random(&state) % 7);
    unsigned item = items[test_random(&state) % COUNT(items)];
    uint64_t elements = 1;
    for (int i = 0; i < ndim; i++) {
        shape[i] = test_random(&state) % 20 ? 1 + (int64_t)(test_random(&state) % (elements > 500 ? 2 : 9)) : 0;
        elements *= shape[i] ? (uint64_t)shape[i] : 1;
    }
    permuted(ndim, shape, item, strides);
    int64_t low = 0, high = item;
    for (int i = 0; i < ndim; i++) {
        int64_t gap = 1 + (int64_t)(test_random(&state) % 3), sign = test_random(&state) % 3 ? 1 : -1;
        strides[i] *= test_random(&state) % 6 ? gap * sign : 0;
        if (test_random(&state) % 8 == 0)
            strides[i] += sign; /* not a multiple of anything */
        int64_t reach = (shape[i] ? shape[i] - 1 : 0) * strides[i];
        reach < 0 ? (low += reach) : (high += reach);
    }
    uint8_t *memory = malloc((size_t)(high - low));
    test_pattern(memory, (size_t)(high - low), test_random(&state));
    permuted(ndim, shape, item, target);
    zct_spec spec = {.size = sizeof spec, .ndim = ndim, .shape = shape, .strides = target,
                     .order = (int32_t)(test_random(&state) % 3),
                     .dtype = {.code = ZCT_BYTES, .lanes = 1, .itemsize = item, .name = "bytes"}};
    try_copy(&spec, memory - low, strides);
    free(memory);
}

static void strided(void)
{
    state = (uint64_t)test_env("TEST_SEED", (long)(test_now() & 0x7fffffff));
    test_say("# seed %llu", (unsigned long long)state);
    s = test_store("s");
    for (int i = 0; i < (test_quick() ? 2000 : 20000) && !test_failed(); i++) {
        test_case("round %d", i);
        random_source();
    }
    test_case("%s", "");
    CHECK_STORE(s);
    zct_store_close(s);
}

/* Layouts that people have: rows, columns, every second one, from the end, broadcast. */
static void known_layouts(void)
{
    int32_t data[6][8];
    for (int i = 0; i < 48; i++)
        data[i / 8][i % 8] = i;
    static const struct { int64_t shape[2], strides[2], first; } views[] = {
        {{6, 8}, {32, 4}, 0}, {{8, 6}, {4, 32}, 0}, {{3, 4}, {64, 8}, 0}, {{6, 8}, {-32, -4}, 47}, {{6, 8}, {0, 4}, 8},
        {{1, 8}, {0, 4}, 0}, {{6, 1}, {32, 4}, 3}, {{1, 1}, {1, 1}, 5}, {{0, 8}, {32, 4}, 0}, {{2, 2}, {0, 0}, 11},
    };
    s = test_store("s");
    for (size_t i = 0; i < COUNT(views); i++)
        for (int order = 0; order < 2; order++) {
            zct_spec spec = {.size = sizeof spec, .ndim = 2, .shape = views[i].shape, .order = order,
                             .dtype = {.code = ZCT_INT, .bits = 32, .lanes = 1, .itemsize = 4, .name = "int32"}};
            test_case("view %zu, order %d", i, order);
            try_copy(&spec, (uint8_t *)data + views[i].first * 4, views[i].strides);
        }
    /* F order from dense memory: the bytes as they are */
    int64_t shape[] = {2, 3};
    zct_spec f = {.size = sizeof f, .ndim = 2, .shape = shape, .order = ZCT_ORDER_F,
                  .dtype = {.code = ZCT_INT, .bits = 32, .lanes = 1, .itemsize = 4, .name = "int32"}};
    zct_tensor *a;
    OK(zct_create(s, "w", &f, data, NULL, NULL, &a));
    CHECK(!memcmp(zct_tensor_view(a)->data, data, 24));
    CHECK(zct_tensor_view(a)->strides[0] == 4 && zct_tensor_view(a)->strides[1] == 8);
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

static void scalars_and_nothing(void)
{
    s = test_store("s");
    double pi = 3.25;
    zct_spec spec = {.size = sizeof spec, .dtype = {.code = ZCT_FLOAT, .bits = 64, .lanes = 1, .itemsize = 8, .name = "float64"}};
    zct_tensor *a;
    for (int order = 0; order < 3; order++) { /* 0 dimensions */
        spec.order = order;
        OK(zct_create(s, "w", &spec, &pi, order ? (const int64_t *)&pi : NULL, NULL, &a));
        CHECK_EQ(zct_tensor_view(a)->nbytes, 8);
        CHECK(*(double *)zct_tensor_view(a)->data == 3.25);
        zct_release(a);
        OK(zct_unlink(s, "w"));
    }
    spec.order = 0;
    for (int zero = 0; zero < 4; zero++) {
        int64_t shape[] = {3, 4, 5, 6}, strides[] = {8, 8, 8, 8};
        shape[zero] = 0;
        spec.ndim = 4, spec.shape = shape;
        OK(zct_create(s, "w", &spec, NULL, NULL, NULL, &a));
        CHECK_EQ(zct_tensor_view(a)->nbytes, 0);
        CHECK(zct_tensor_view(a)->data != NULL);
        CHECK_EQ(test_stats(s).used, 0);
        zct_release(a);
        OK(zct_unlink(s, "w"));
        OK(zct_create(s, "w", &spec, &pi, strides, NULL, &a));
        CHECK_EQ(zct_tensor_view(a)->shape[zero], 0);
        zct_release(a);
        OK(zct_unlink(s, "w"));
    }
    CHECK_STORE(s);
    zct_store_close(s);
}

/* Packed dtypes come from dense memory alone. */
static void packed(void)
{
    s = test_store("s");
    uint8_t data[100];
    test_pattern(data, sizeof data, 4);
    int64_t shape[] = {3, 5}, dense[] = {0, 0}, other[] = {1, 3};
    zct_spec spec = {.size = sizeof spec, .ndim = 2, .shape = shape,
                     .dtype = {.code = ZCT_UINT, .bits = 4, .lanes = 1, .name = "uint4"}};
    zct_tensor *a = NULL;
    OK(zct_create(s, "w", &spec, data, NULL, NULL, &a));
    CHECK_EQ(zct_tensor_view(a)->nbytes, 8);
    CHECK(!memcmp(zct_tensor_view(a)->data, data, 8));
    zct_release(a);
    OK(zct_unlink(s, "w"));
    (void)dense;
    CHECK_RC(zct_create(s, "w", &spec, data, other, NULL, &a), -ZCT_EINVAL);
    CHECK_EQ(test_stats(s).names, 0);
    zct_store_close(s);
}

/* Large ones: cold, resident and warm memory, pieces, sizes around their edges. */
static void large(void)
{
    static const size_t sizes[] = {(256 << 10) - 1, 256 << 10, (256 << 10) + 1, (4 << 20) - 7, 4 << 20, (4 << 20) + 1, 9000001};
    uint8_t *data = malloc(10 << 20);
    s = test_store("s");
    zct_store *again = s;
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int round = 0; round < 4; round++) { /* cold, seen, warm, trimmed */
            int64_t shape, two[2], strides[2];
            test_case("%zu bytes, round %d", sizes[i], round);
            test_pattern(data, sizes[i], i * 10 + (size_t)round);
            zct_spec spec = test_bytes(&shape, (int64_t)sizes[i]);
            try_copy(&spec, data, NULL);
            /* transposed on the way */
            two[0] = 1000, two[1] = (int64_t)sizes[i] / 1000;
            strides[0] = two[1], strides[1] = 1;
            spec.ndim = 2, spec.shape = two, spec.order = ZCT_ORDER_F;
            try_copy(&spec, data, strides);
            zct_create_options zero = {.size = sizeof zero, .zero = 1};
            zct_tensor *a;
            OK(zct_create(s, "w", &spec, NULL, NULL, &zero, &a));
            const uint8_t *z = zct_tensor_view(a)->data;
            CHECK(z[0] == 0 && !memcmp(z, z + 1, zct_tensor_view(a)->nbytes - 1));
            zct_release(a);
            OK(zct_unlink(s, "w"));
            if (round == 2)
                OK(zct_store_trim(s, 0, NULL));
        }
    CHECK(again == s);
    CHECK_STORE(s);
    zct_store_close(s);
    free(data);
}

TESTS({"strided", strided}, {"known layouts", known_layouts}, {"scalars and nothing", scalars_and_nothing}, {"packed", packed},
      {"large", large})
