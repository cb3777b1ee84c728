/* Arguments outside their contract: refused, with a sentence, and nothing changed. */
#include "processes/peer.h"

#include <stdio.h>

static zct_store *s;
static zct_tensor *a;
static const int64_t large = INT64_MAX;

static zct_spec f4(int ndim, const int64_t *shape)
{
    return (zct_spec){.size = sizeof(zct_spec), .ndim = ndim, .shape = shape,
                      .dtype = {.code = ZCT_FLOAT, .bits = 32, .lanes = 1, .itemsize = 4, .name = "float32"}};
}

static void refused(const char *name, const zct_spec *spec, const char *why)
{
    zct_tensor *t = NULL;
    CHECK_RC(zct_create(s, name, spec, NULL, NULL, NULL, &t), -ZCT_EINVAL);
    SAYS(why);
    CHECK(t == NULL);
}

static void shapes(void)
{
    s = test_store("s");
    int64_t shape[70] = {2, 3};
    zct_spec spec = f4(2, shape);
    shape[1] = -1;
    refused("w", &spec, "negative");
    shape[1] = INT64_MIN;
    refused("w", &spec, "negative");
    shape[0] = large, shape[1] = large;
    refused("w", &spec, "more elements than memory");
    shape[0] = 1ll << 32, shape[1] = 1ll << 32;
    refused("w", &spec, "more elements than memory");
    shape[0] = 1ll << 31, shape[1] = 1ll << 31; /* the bytes overflow, the elements do not */
    refused("w", &spec, "more elements than memory");
    shape[0] = 0, shape[1] = -5; /* also where another dimension is zero */
    refused("w", &spec, "negative");
    spec.ndim = 65;
    refused("w", &spec, "64");
    spec.ndim = -1;
    refused("w", &spec, "64");
    spec.ndim = 1, spec.shape = NULL;
    refused("w", &spec, "dimensions");
    spec = f4(2, shape);
    spec.order = 3;
    refused("w", &spec, "order");
    spec.order = ZCT_ORDER_STRIDED;
    refused("w", &spec, "order");
    spec.size = 8;
    refused("w", &spec, "size");
    refused("w", NULL, "size");
    CHECK_EQ(test_stats(s).names, 0);
    CHECK_EQ(test_stats(s).births, 0);
    zct_store_close(s);
}

static void strides(void)
{
    s = test_store("s");
    static const struct { int64_t shape[3], strides[3]; bool good; } cases[] = {
        {{2, 3, 4}, {48, 16, 4}, true}, {{2, 3, 4}, {4, 8, 24}, true}, {{2, 3, 4}, {16, 32, 4}, true},
        {{2, 1, 4}, {16, 999, 4}, true}, {{0, 3, 4}, {-7, 0, 4}, true}, {{1, 1, 1}, {0, 0, 0}, true},
        {{2, 3, 4}, {48, 16, 8}, false}, {{2, 3, 4}, {-48, 16, 4}, false}, {{2, 3, 4}, {0, 16, 4}, false},
        {{3, 3, 1}, {8, 8, 4}, false}, {{2, 2, 2}, {4, 4, 20}, false}, {{2, 3, 4}, {96, 16, 4}, false},
        {{2, 3, 4}, {1ll << 62, 1ll << 62, 1ll << 62}, false}, {{2, 3, 4}, {12, 4, 24}, true}, {{2, 3, 4}, {12, 4, 20}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        zct_spec spec = f4(3, cases[i].shape);
        spec.order = ZCT_ORDER_STRIDED;
        spec.strides = cases[i].strides;
        test_case("case %zu", i);
        if (!cases[i].good) {
            refused("w", &spec, "strides");
            continue;
        }
        OK(zct_create(s, "w", &spec, NULL, NULL, NULL, &a));
        CHECK(!memcmp(zct_tensor_view(a)->strides, cases[i].strides, 24));
        zct_release(a);
        OK(zct_unlink(s, "w"));
    }
    zct_store_close(s);
}

static void dtypes(void)
{
    s = test_store("s");
    int64_t shape = 8;
    zct_spec spec = f4(1, &shape);
    memset(spec.dtype.name, 'x', 32);
    refused("w", &spec, "name");
    spec = f4(1, &shape);
    spec.dtype.code = ZCT_BLOCK;
    refused("w", &spec, "block");
    spec = f4(1, &shape);
    spec.dtype.itemsize = 0;
    refused("w", &spec, "item size");
    spec = f4(1, &shape);
    char blob[8];
    spec.metadata = blob, spec.metadata_len = ZCT_MAX_BLOB + 1;
    refused("w", &spec, "65535");
    spec.metadata_len = 0, spec.descriptor = blob, spec.descriptor_len = (size_t)-1;
    refused("w", &spec, "65535");
    zct_store_close(s);
}

static void names(void)
{
    s = test_store("s");
    int64_t shape = 1;
    zct_spec spec = f4(1, &shape);
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    refused("", &spec, "empty");
    refused(name, &spec, "255");
    refused("\xff", &spec, "UTF-8");
    refused("bad \xc3", &spec, "byte 4");
    refused("\xed\xa0\x80", &spec, "UTF-8"); /* a surrogate */
    refused("\xc0\xaf", &spec, "UTF-8");     /* an overlong */
    zct_tensor *t;
    CHECK_RC(zct_attach(s, "", 0, 0, &t), -ZCT_EINVAL);
    CHECK_RC(zct_attach(s, name, 0, 0, &t), -ZCT_EINVAL);
    CHECK_RC(zct_attach_n(s, "a\0b", 3, 0, 0, &t), -ZCT_EINVAL);
    SAYS("NUL");
    CHECK_RC(zct_unlink(s, "\xff\xfe"), -ZCT_EINVAL);
    zct_stat st = {.size = sizeof st};
    CHECK_RC(zct_stat_name(s, "", &st), -ZCT_EINVAL);
    /* and what is allowed */
    static const char *const good[] = {"a", "model/layer.1.weight", "mit Leerzeichen", "\xc3\xa9t\xc3\xa9",
                                       "\xe5\xbc\xa0\xe9\x87\x8f",
                                       "\xf0\x9f\x8c\x8d", "\x01\n\t", "..", "/", "'"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        OK(zct_create(s, good[i], &spec, NULL, NULL, NULL, &a));
        OK(zct_attach(s, good[i], 0, 0, &t));
        char got[256];
        OK(zct_tensor_name(t, got, sizeof got));
        CHECK_STR(got, good[i]);
        CHECK_RC(zct_tensor_name(t, got, strlen(good[i])), -ZCT_EINVAL);
        zct_release(t);
        CHECK_RC(zct_create(s, good[i], &spec, NULL, NULL, NULL, &t), -ZCT_EEXISTS);
        zct_release(a);
        OK(zct_unlink(s, good[i]));
    }
    name[255] = 0;
    OK(zct_create(s, name, &spec, NULL, NULL, NULL, &a));
    CHECK_STR(stat_of(s, name).name, name);
    zct_release(a);
    OK(zct_unlink(s, name));
    CHECK_STORE(s);
    zct_store_close(s);
}

static void store_names(void)
{
    static const char *const bad[] = {"", ".", ".hidden", "a b", "x\n", "x.tmp", "\x7f",
                                      "0123456789012345678901234567890123456789012345678901234567890123"};
    zct_store *t = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_RC(zct_store_open(bad[i], NULL, &t), -ZCT_EINVAL);
        CHECK_RC(zct_store_destroy(bad[i], NULL), -ZCT_EINVAL);
    }
    CHECK_RC(zct_store_open("/tmp/", NULL, &t), -ZCT_EINVAL);
    zct_store_options o = {.size = sizeof o, .mode = 01777};
    CHECK_RC(zct_store_open("s", &o, &t), -ZCT_EINVAL);
    SAYS("mode");
    o = (zct_store_options){.size = sizeof o, .flags = ZCT_STORE_EXISTING};
    CHECK_RC(zct_store_open("s", &o, &t), -ZCT_ENOTFOUND);
    SAYS("zct1-");
    o.flags = ZCT_STORE_OBSERVE;
    CHECK_RC(zct_store_open("s", &o, &t), -ZCT_ENOTFOUND);
    CHECK_EQ(test_files(), 0);
}

static void options(void)
{
    s = test_store("s");
    zct_create_options o = {.size = 4};
    CHECK_RC(test_create(s, "w", 1, 1, &o, &a), -ZCT_EINVAL);
    o = how(4, 0);
    CHECK_RC(test_create(s, "w", 1, 1, &o, &a), -ZCT_EINVAL);
    o = how(-1, 0);
    CHECK_RC(test_create(s, "w", 1, 1, &o, &a), -ZCT_EINVAL);
    o = how(0, 4);
    CHECK_RC(test_create(s, "w", 1, 1, &o, &a), -ZCT_EINVAL);
    zct_gc_options g = {.size = 2};
    CHECK_RC(zct_store_gc(s, &g, NULL), -ZCT_EINVAL);
    zct_store_stats st = {.size = 3};
    CHECK_RC(zct_store_stats_get(s, &st), -ZCT_EINVAL);
    zct_stat sn = {.size = 1};
    CHECK_RC(zct_stat_name(s, "w", &sn), -ZCT_EINVAL);
    CHECK_RC(zct_stat_name(s, "w", NULL), -ZCT_EINVAL);
    zct_memory_stats m = {.size = 1};
    CHECK_RC(zct_memory_stats_get(s, &m), -ZCT_EINVAL);
    zct_holder h = {.size = 1};
    CHECK_RC(zct_members(s, &h, 1), -ZCT_EINVAL);
    CHECK_EQ(zct_members(s, NULL, 0), 1);
    CHECK(!there(s, "w"));
    zct_store_close(s);
}

static void expectations(void)
{
    s = test_store("s");
    int64_t shape[2] = {2, 3}, other[2] = {3, 2};
    zct_spec spec = f4(2, shape);
    OK(zct_create(s, "w", &spec, NULL, NULL, NULL, &a));
    OK(zct_expect(a, NULL, -1, NULL));
    OK(zct_expect(a, &spec.dtype, 2, shape));
    OK(zct_expect(a, NULL, 2, NULL));
    CHECK_RC(zct_expect(a, NULL, 2, other), -ZCT_EMISMATCH);
    SAYS("'w'");
    SAYS("float32 2x3");
    SAYS("float32 3x2");
    CHECK_RC(zct_expect(a, NULL, 1, shape), -ZCT_EMISMATCH);
    zct_dtype big = spec.dtype;
    big.big_endian = 1;
    CHECK_RC(zct_expect(a, &big, 2, shape), -ZCT_EMISMATCH);
    SAYS(">float32");
    zct_release(a);
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

/* An errno of the system's stays beneath; codes and notes have names and texts. */
static void codes(void)
{
    static const int all[] = {2, 4, 12, 13, 16, 17, 22, 24, 28, 35, 87, 110, 116, 117, 4096, 4097, 4098, 4099, 4100, 4101, 4102,
                              4103, 4104};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK(strncmp(zct_error_name(-all[i]), "ZCT_E", 5) == 0);
        CHECK_STR(zct_error_name(all[i]), zct_error_name(-all[i]));
        CHECK(strcmp(zct_strerror(-all[i]), "unknown code") != 0);
        CHECK_STR(zct_strerror(all[i]), zct_strerror(-all[i]));
    }
    CHECK_STR(zct_error_name(-9999), "ZCT_?");
    CHECK_STR(zct_error_name(INT32_MIN), "ZCT_?");
    CHECK_STR(zct_strerror(INT32_MIN), "unknown code");
    CHECK_STR(zct_strerror(0), "success");
    CHECK(zct_strerror(ZCT_REPLACED) && zct_strerror(ZCT_COPIED));
    CHECK_STR(zct_version(), ZCT_VERSION_STRING);
}

TESTS({"shapes", shapes}, {"strides", strides}, {"dtypes", dtypes}, {"names", names}, {"store names", store_names},
      {"options", options}, {"expectations", expectations}, {"codes", codes})
