/* A reader by the document alone: the file's bytes, literal offsets, none of the library's headers but zct.h. What it finds is
 * what was put in. */
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint8_t *file;

static uint64_t u64(uint64_t at)
{
    uint64_t x;
    memcpy(&x, file + at, 8);
    return x;
}
static uint32_t u32(uint64_t at) { return (uint32_t)(u64(at & ~7ull) >> (at & 4 ? 32 : 0)); }

static uint64_t up(uint64_t x, uint64_t to) { return (x + to - 1) / to * to; }

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint32_t hash_of(const char *name)
{
    uint64_t h = strlen(name) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < strlen(name); i += 8) {
        uint64_t w = 0;
        memcpy(&w, name + i, strlen(name) - i < 8 ? strlen(name) - i : 8);
        h = ((h ^ w) * 0xff51afd7ed558ccdu) ^ (h >> 29);
    }
    return (uint32_t)(mix(h) >> 32);
}

/* Section 5: where the regions are. */
static struct { uint64_t slots, rows, row, tickets, descs, index[2], aux, reserved, payload; } at;

static void find_regions(void)
{
    uint64_t capacity = u64(200), N = u32(208), P = u32(212), G = capacity / 4096, C = up(G, 64) / 64, I = 1;
    uint64_t T = capacity < 1ull << 30 ? 512 : 4096, U = 4 * N < 4096 ? 4096 : 4 * N, map = up(up(N, 64) / 8, 4096);
    while (I < 2 * N)
        I *= 2;
    at.row = up(N / 8, 64) + 320;
    /* the map of present pages ends where the slots begin: found from behind */
    uint64_t control = u64(216), p = control;
    p -= up(64 * 255 * P, 4096) + up(64 * P, 4096) + up(up(G, 512) / 512 * 4, 4096) + up(8 * G, 4096) + up(2 * C, 4096) +
         up(up(C, 64) / 8, 4096);
    at.reserved = p -= up(up(G, 64) / 8, 4096);
    p -= up(up(G, 64) / 8, 4096);
    at.aux = p -= up(64 * U, 4096);
    p -= up(up(U, 64) / 8, 4096);
    at.index[1] = p -= up(4 * I, 4096);
    at.index[0] = p -= up(4 * I, 4096);
    at.descs = p -= up(320 * N, 4096);
    at.tickets = p -= up(16 * P * T, 4096);
    at.rows = p -= up(at.row * P, 4096);
    p -= 3 * map;
    at.slots = p - up(256 * P, 4096);
    at.payload = u64(224);
    CHECK_EQ(at.payload, up(control + (2 << 20), 2 << 20));
    CHECK_EQ(u64(232), at.payload + capacity);
    CHECK(at.slots > 8192);
}

/* Section 6: the descriptor of a name, or -1. */
static int64_t look_up(const char *name)
{
    uint64_t root = u64(4096), cells = 1ull << (root >> 1 & 63), hash = hash_of(name);
    for (uint64_t i = hash % cells, n = 0; n < cells; n++, i = (i + 1) % cells) {
        uint32_t cell = u32(at.index[root & 1] + 4 * i);
        if (cell == 0)
            return -1;
        uint64_t t = (cell & 0xffffff) - 1, d = at.descs + 320 * t;
        if (cell == 0xffffffff || cell >> 24 != hash >> 24 || (u64(d) & 15) != 4)
            continue;
        uint64_t form = u64(d + 56), length = form >> 8 & 255;
        const uint8_t *text = length <= 64 ? file + d + 128 : file + at.aux + 64 * (u64(d + 224) >> 32) + 24;
        if (form >> 32 == hash && length == strlen(name) && !memcmp(text, name, length))
            return (int64_t)t;
    }
    return -1;
}

static uint64_t payload_of(uint64_t d)
{
    uint64_t ext = u64(d + 16);
    if (ext >> 63)
        return at.payload + (ext >> 12 & 0xffffffff) * 4096 + (ext >> 6 & 63) * 64;
    return at.payload + (ext >> 32) * 4096;
}

static void load(zct_store *s)
{
    struct stat st;
    int fd = open(zct_store_path(s), O_RDONLY);
    REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
    file = calloc(1, (size_t)st.st_size);
    REQUIRE(file && pread(fd, file, (size_t)st.st_size, 0) == st.st_size);
    close(fd);
}

static void identity(zct_store *s)
{
    CHECK(!memcmp(file, "ZCTSTORE", 8));
    CHECK_EQ(u32(8), 1);
    CHECK_EQ(u32(12), 0x01020304);
    CHECK_EQ(u32(16), 4096);
    CHECK(!memcmp(file + 40, zct_store_uuid(s), 16));
    CHECK_STR((char *)file + 56, strrchr(zct_store_path(s), '/') + 1);
    CHECK_EQ(u32(192), geteuid());
    CHECK_EQ(u64(200), zct_store_capacity(s));
    uint64_t h = 504;
    for (uint64_t i = 0; i < 504; i += 8)
        h = mix(h ^ u64(i)) + i;
    CHECK(h == u64(504));
    char name[64];
    snprintf(name, sizeof name, "zct1-%u-s", (unsigned)geteuid());
    CHECK_STR((char *)file + 56, name);
}

static void reads_a_store(void)
{
    zct_store *s = test_store("s");
    zct_tensor *small, *large, *odd, *nameless;
    char long_name[201], descriptor[] = "{\"fields\":[[\"x\",\"<f4\",0]],\"itemsize\":4}";
    memset(long_name, 'L', 200);
    long_name[200] = 0;
    OK(test_create(s, "weights", 300, 1, NULL, &small));
    zct_create_options pinned = {.size = sizeof pinned, .lifetime = ZCT_PINNED, .sealed = 1};
    OK(test_create(s, "model/layer.1.weight", 50000, 2, &pinned, &large));
    int64_t shape[9] = {1, 2, 1, 3, 1, 1, 1, 1, 2}, strides[9];
    for (int i = 0; i < 9; i++)
        strides[i] = shape[i] == 2 ? (i == 1 ? 4 : 24) : shape[i] == 3 ? 8 : 4;
    zct_spec spec = {.size = sizeof spec, .ndim = 9, .shape = shape, .strides = strides, .order = ZCT_ORDER_STRIDED,
                     .descriptor = descriptor, .descriptor_len = strlen(descriptor), .metadata = "mine", .metadata_len = 4,
                     .dtype = {.code = ZCT_STRUCT, .lanes = 1, .itemsize = 4, .name = "struct"}};
    OK(zct_create(s, long_name, &spec, NULL, NULL, NULL, &odd));
    OK(test_create(s, NULL, 10, 3, NULL, &nameless));
    zct_handle handle;
    OK(zct_handle_make(large, &handle));
    load(s);
    identity(s);
    find_regions();
    CHECK_EQ(u32(4096 + 8), 0);
    CHECK_EQ(u64(4096 + 128), 4); /* births */
    CHECK_EQ(u32(4096 + 156), 3); /* names */

    int64_t t = look_up("weights");
    REQUIRE(t >= 0);
    uint64_t d = at.descs + 320 * (uint64_t)t;
    CHECK_EQ(u64(d + 112), 300);
    CHECK(test_is_pattern(file + payload_of(d), 300, 1));
    CHECK_EQ(file[d + 32], ZCT_UINT);
    CHECK_STR((char *)file + d + 192, "uint8");
    CHECK_EQ(u64(d + 56) & 255, 1);
    CHECK_EQ(u64(d + 64), 300);
    CHECK_EQ(u64(d) >> 5 & 1, 0);

    t = look_up("model/layer.1.weight");
    REQUIRE(t >= 0);
    d = at.descs + 320 * (uint64_t)t;
    CHECK(test_is_pattern(file + payload_of(d), 50000, 2));
    CHECK_EQ(payload_of(d) % 4096, 0);
    CHECK_EQ(u64(d) >> 5 & 1, 1);              /* sealed */
    CHECK_EQ(u64(d + 56) >> 16 & 255, ZCT_PINNED);
    CHECK_EQ(u64(d + 120), 1);                 /* generation */
    uint64_t page = payload_of(d) - at.payload;
    CHECK_EQ(u64(at.reserved + page / 4096 / 64 * 8) >> (page / 4096 % 64) & 1, 1);
    /* who holds it: us, in the slot that made it; and a handle is in flight */
    uint64_t slot = u64(d + 232) & 0xfff;
    CHECK_EQ(u32(at.slots + 256 * slot), 1);
    CHECK_EQ(u32(at.slots + 256 * slot + 4), getpid());
    CHECK_EQ(u64(at.slots + 256 * slot + 8), u64(d + 232) >> 12);
    CHECK_EQ(u64(at.rows + at.row * slot + (uint64_t)t / 64 * 8) >> (t % 64) & 1, 1);
    CHECK_EQ(u64(d + 8) >> (slot % 64) & 1, 1);
    CHECK_EQ(u64(d + 304) >> (slot % 64) & 1, 1);
    uint64_t ticket = u64(at.tickets + 16 * (slot * 512 + handle.index));
    CHECK(ticket == handle.ticket);
    CHECK_EQ((ticket & 0xffffff) - 1, t);

    t = look_up(long_name);
    REQUIRE(t >= 0);
    d = at.descs + 320 * (uint64_t)t;
    uint64_t head = at.aux + 64 * (u64(d + 224) >> 32), part = head + 24;
    CHECK_EQ(u32(head), 200);
    CHECK_EQ(u32(head + 4), 9);
    CHECK_EQ(u32(head + 8), 9);
    CHECK_EQ(u32(head + 12), strlen(descriptor));
    CHECK_EQ(u32(head + 16), 4);
    CHECK(!memcmp(file + part, long_name, 200));
    CHECK(!memcmp(file + part + 200, shape, 72));
    CHECK(!memcmp(file + part + 272, strides, 72));
    CHECK(!memcmp(file + part + 344, descriptor, strlen(descriptor)));
    CHECK(!memcmp(file + part + 344 + up(strlen(descriptor), 8), "mine", 4));
    CHECK_EQ(u64(d + 56) >> 24 & 255, ZCT_ORDER_STRIDED);
    CHECK_EQ(look_up("nothing"), -1);
    CHECK_EQ(look_up(""), -1);
    zct_stat st = {.size = sizeof st};
    OK(zct_stat_tensor(nameless, &st));
    CHECK_EQ(u64(at.descs + 320ull * st.index) & 15, 2); /* BARE */
    CHECK_EQ(st.offset, payload_of(at.descs + 320ull * st.index));
    free(file);
    zct_release(small);
    zct_release(large);
    zct_release(odd);
    zct_release(nameless);
    OK(zct_handle_cancel(s, &handle));
    OK(zct_unlink(s, "weights"));
    OK(zct_unlink(s, "model/layer.1.weight"));
    OK(zct_unlink(s, long_name));
    zct_store_close(s);
}

TESTS({"reads a store", reads_a_store})
