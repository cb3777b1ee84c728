/* Atomic elements: what they do alone, what two processes add up to, and what is refused. */
#include "processes/peer.h"

enum { COUNT = 64 };

static zct_store *s;
static zct_tensor *a;

static zct_dtype type_of(int code, int bits, const char *name)
{
    zct_dtype t = {.code = (uint8_t)code, .bits = (uint8_t)bits, .lanes = 1, .itemsize = (uint32_t)bits / 8};
    strcpy(t.name, name);
    return t;
}

static int make(const char *name, zct_dtype type, zct_tensor **ret)
{
    int64_t shape = COUNT;
    zct_spec spec = {.size = sizeof spec, .dtype = type, .ndim = 1, .shape = &shape};
    zct_create_options o = {.size = sizeof o, .zero = 1};
    return zct_create(s, name, &spec, NULL, NULL, &o, ret);
}

static void end(void)
{
    zct_release(a);
    zct_unlink(s, "w");
    CHECK_STORE(s);
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

static void integers(void)
{
    s = test_store("s");
    OK(make("w", type_of(ZCT_INT, 32, "int32"), &a));
    int32_t one = 5, old = 9, *data = zct_tensor_view(a)->data;
    OK(zct_element_add(a, 8, &one, &old));
    CHECK(old == 0 && data[2] == 5);
    one = -7;
    OK(zct_element_add(a, 8, &one, &old));
    CHECK(old == 5 && data[2] == -2);
    one = INT32_MAX;
    OK(zct_element_exchange(a, 8, &one, &old));
    CHECK(old == -2 && data[2] == INT32_MAX);
    one = 1; /* wraps around */
    OK(zct_element_add(a, 8, &one, &old));
    CHECK_EQ(data[2], INT32_MIN);
    int32_t expected = 3;
    CHECK_EQ(zct_element_compare_exchange(a, 8, &expected, &one), 0);
    CHECK_EQ(expected, INT32_MIN);
    CHECK_EQ(zct_element_compare_exchange(a, 8, &expected, &one), 1);
    CHECK_EQ(data[2], 1);
    CHECK(data[1] == 0 && data[3] == 0);
    end();
}

static void floats(void)
{
    zct_tensor *b;
    s = test_store("s");
    OK(make("w", type_of(ZCT_FLOAT, 64, "float64"), &a));
    OK(make(NULL, type_of(ZCT_FLOAT, 32, "float32"), &b));
    double x = 0.25, old = 1;
    OK(zct_element_add(a, 0, &x, &old));
    OK(zct_element_add(a, 0, &x, &old));
    CHECK(old == 0.25 && *(double *)zct_tensor_view(a)->data == 0.5);
    float y = 1.5f, before = 2;
    OK(zct_element_add(b, COUNT * 4 - 4, &y, &before));
    CHECK(before == 0 && ((float *)zct_tensor_view(b)->data)[COUNT - 1] == 1.5f);
    zct_release(b);
    end();
}

static void refused(void)
{
    zct_tensor *b;
    int64_t x = 1, old;
    s = test_store("s");
    OK(make("w", type_of(ZCT_UINT, 64, "uint64"), &a));
    CHECK_RC(zct_element_add(a, 4, &x, &old), -ZCT_EINVAL);
    SAYS("aligned");
    CHECK_RC(zct_element_add(a, COUNT * 8, &x, &old), -ZCT_EINVAL);
    CHECK_RC(zct_element_exchange(a, UINT64_MAX - 7, &x, &old), -ZCT_EINVAL);
    SAYS("not in the tensor");
    for (int mode = ZCT_MODE_READ; mode <= ZCT_MODE_COW; mode += 2) {
        OK(zct_attach(s, "w", mode, 0, &b));
        CHECK_RC(zct_element_add(b, 0, &x, &old), -ZCT_EACCES);
        zct_release(b);
    }
    static const struct { int code, bits; const char *name; } others[] = {
        {ZCT_INT, 16, "int16"}, {ZCT_COMPLEX, 128, "complex128"}, {ZCT_COMPLEX, 64, "complex64"}};
    for (int i = 0; i < 3; i++) {
        OK(make(NULL, type_of(others[i].code, others[i].bits, others[i].name), &b));
        CHECK_RC(zct_element_add(b, 0, &x, &old), -ZCT_EINVAL);
        SAYS(others[i].name);
        zct_release(b);
    }
    zct_dtype swapped = type_of(ZCT_INT, 64, ">int64");
    swapped.big_endian = 1;
    OK(make(NULL, swapped, &b));
    CHECK_RC(zct_element_add(b, 0, &x, &old), -ZCT_EINVAL);
    SAYS("byte order");
    OK(zct_element_exchange(b, 0, &x, &old)); /* bytes are bytes */
    zct_release(b);
    end();
}

static int attach(long unused)
{
    (void)unused;
    s = test_store("s");
    return zct_attach(s, "w", ZCT_MODE_WRITE, 0, &a);
}

static int add_many(long rounds)
{
    float x = 1, old;
    int rc = 0;
    for (long i = 0; rc == 0 && i < rounds; i++)
        rc = zct_element_add(a, (uint64_t)(i % COUNT) * 4, &x, &old);
    return rc;
}

static void two_add_up(void)
{
    long rounds = COUNT * (test_quick() ? 500L : 5000L);
    struct peer p = peer_new();
    s = test_store("s");
    OK(make("w", type_of(ZCT_FLOAT, 32, "float32"), &a));
    CHECK_EQ(peer_do(&p, attach, 0), 0);
    peer_ask(&p, add_many, rounds);
    OK(add_many(rounds));
    CHECK_EQ(peer_answer(&p), 0);
    const float *data = zct_tensor_view(a)->data;
    for (int i = 0; i < COUNT; i++)
        CHECK(data[i] == (float)(2 * rounds / COUNT));
    peer_end(&p);
    end();
}

TESTS({"integers", integers}, {"floats", floats}, {"refused", refused}, {"two add up", two_add_up})
