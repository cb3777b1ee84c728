/* stores.c - stores and tensors as tests want them: small, with contents that can be recognised. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

zct_store *test_store(const char *name)
{
    zct_store_options o = {.size = sizeof o, .capacity = 16u << 20, .max_names = 256, .max_members = 16};
    zct_store *s = NULL;
    REQUIRE_OK(zct_store_open(name, &o, &s));
    return s;
}

struct place { const char *file; int line, count; };

static int finding(void *context, const char *text)
{
    struct place *p = context;
    test_fail(p->file, p->line, "check: %s", text);
    return ++p->count > 5;
}

void test_check(const char *file, int line, zct_store *store)
{
    struct place p = {file, line, 0};
    int rc = zct_check(store, finding, &p);
    if (rc < 0)
        test_fail(file, line, "zct_check: %s", zct_last_error());
}

zct_store_stats test_stats(zct_store *store)
{
    zct_store_stats stats = {.size = sizeof stats};
    OK(zct_store_stats_get(store, &stats));
    return stats;
}

zct_spec test_bytes(int64_t *shape, int64_t n)
{
    *shape = n;
    return (zct_spec){.size = sizeof(zct_spec), .ndim = 1, .shape = shape,
                      .dtype = {.code = ZCT_UINT, .bits = 8, .lanes = 1, .itemsize = 1, .name = "uint8"}};
}

void test_pattern(void *to, size_t bytes, uint64_t seed)
{
    uint8_t *at = to;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = (seed + 1) * 0x9e3779b97f4a7c15ull ^ i * 0xff51afd7ed558ccdull;
        memcpy(at + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

bool test_is_pattern(const void *from, size_t bytes, uint64_t seed)
{
    const uint8_t *at = from;
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = (seed + 1) * 0x9e3779b97f4a7c15ull ^ i * 0xff51afd7ed558ccdull;
        if (memcmp(at + i, &word, bytes - i < 8 ? bytes - i : 8))
            return false;
    }
    return true;
}

int test_create(zct_store *store, const char *name, int64_t n, uint64_t seed, const zct_create_options *options, zct_tensor **ret)
{
    int64_t shape;
    zct_spec spec = test_bytes(&shape, n);
    void *data = malloc(n ? (size_t)n : 1);
    if (!data)
        test_give_up();
    test_pattern(data, (size_t)n, seed);
    int rc = zct_create(store, name, &spec, data, NULL, options, ret);
    free(data);
    return rc;
}
