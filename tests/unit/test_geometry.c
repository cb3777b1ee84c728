/* Where everything lies: regions are disjoint, page-aligned, large enough, and known to the map of present pages. */
#include "support/test.h"

#include "base/util.h"
#include "segment/geometry.h"
#include "platform/map.h"

#include <stdlib.h>
#include <string.h>

struct region { const char *name; uint64_t at, bytes; };

static size_t regions_of(const struct geometry *g, struct region *r)
{
    uint64_t descs = div_up(g->names, 64) * 8, page_bits = div_up(g->pages, 64) * 8, chunks = div_up(g->pages, CHUNK_PAGES);
    uint64_t cells = 4ull << g->cells_log2;
    const struct region all[] = {
        {"header", 0, HEADER_SIZE}, {"present", g->present, div_up(g->control_size / PAGE, 64) * 8},
        {"slots", g->slots, g->members * sizeof(struct slot)}, {"ending", g->ending, descs}, {"todo", g->todo, descs},
        {"freemap", g->freemap, descs}, {"rows", g->rows, g->row_stride * (g->members - 1) + g->names / 8},
        {"tickets", g->tickets_at, (uint64_t)g->members * g->tickets * sizeof(struct ticket)},
        {"descs", g->descs, (uint64_t)g->names * sizeof(struct desc)}, {"index 0", g->index[0], cells},
        {"index 1", g->index[1], cells}, {"aux map", g->aux_map, div_up(g->aux_units, 64) * 8},
        {"aux", g->aux, (uint64_t)g->aux_units * AUX_UNIT}, {"used", g->used, page_bits},
        {"reserved", g->reserved, page_bits}, {"chunkmap", g->chunkmap, div_up(chunks, 64) * 8},
        {"chunkfree", g->chunkfree, chunks * 2}, {"masks", g->masks, g->pages * 8},
        {"epochs", g->epochs, div_up(g->pages, EPOCH_PAGES) * 4}, {"lines", g->lines, g->members * 64ull},
        {"more lines", g->lines_more, g->members * 64ull * LINES_MORE},
    };
    memcpy(r, all, sizeof all);
    return COUNT(all);
}

static int by_place(const void *a, const void *b)
{
    const struct region *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void one(uint64_t capacity, uint32_t names, uint32_t members)
{
    struct geometry g, again;
    struct region r[32];
    test_case("capacity %llu, %u names, %u members", (unsigned long long)capacity, names, members);
    REQUIRE(geometry_make(capacity, names, members, &g) == 0);
    CHECK_EQ(geometry_make(capacity, names, members, &again), 0);
    CHECK(!memcmp(&g, &again, sizeof g)); /* a pure function, padding and all */
    CHECK(g.capacity == capacity && g.names == names && g.members == members && g.pages * PAGE == capacity);
    size_t n = regions_of(&g, r);
    qsort(r, n, sizeof *r, by_place);
    for (size_t i = 0; i < n; i++) {
        uint64_t end = i + 1 < n ? r[i + 1].at : g.control_size;
        CHECK_EQ(r[i].at % PAGE, 0);
        if (r[i].at + r[i].bytes > end)
            test_fail(__FILE__, __LINE__, "%s (%llu + %llu) reaches into the next region at %llu", r[i].name,
                      (unsigned long long)r[i].at, (unsigned long long)r[i].bytes, (unsigned long long)end);
        CHECK(end - (r[i].at + r[i].bytes) < 2 * PAGE + (i < 2 ? r[i].bytes : 0)); /* no waste to speak of */
    }
    CHECK((g.slots - g.present) * 8 >= g.control_size / PAGE); /* a bit for each page, its own included */
    CHECK_EQ(g.control_size % PAGE, 0);
    CHECK_EQ(g.payload_offset % PAYLOAD_ALIGN, 0);
    CHECK(g.payload_offset >= g.control_size + PAYLOAD_GAP);
    CHECK(g.payload_offset < g.control_size + PAYLOAD_GAP + PAYLOAD_ALIGN);
    CHECK(g.file_size == g.payload_offset + capacity);
    CHECK(1ull << g.cells_log2 >= 2ull * names); /* never more than half full */
    CHECK(g.aux_units >= 4096);
    CHECK_EQ(g.row_stride % 64, 0);
    CHECK(g.row_stride >= names / 8);
    CHECK_EQ(g.tickets, capacity < GiB ? 512 : 4096);
    CHECK(g.file_size < 1ull << 61); /* where the locks lie */
}

static void known_sizes(void)
{
    static const struct { uint64_t capacity; uint32_t names, members; } table[] = {
        {2 * MiB, 4096, 64}, {64 * MiB, 4096, 64}, {66 * MiB, 65536, 256}, {GiB, 65536, 256}, {16 * GiB, 1 << 20, 1024},
        {1024 * GiB, 1 << 20, 1024}, {4096 * GiB, 1 << 20, 1024},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        CHECK_EQ(geometry_default_names(table[i].capacity), table[i].names);
        CHECK_EQ(geometry_default_members(table[i].capacity), table[i].members);
        one(table[i].capacity, table[i].names, table[i].members);
        struct geometry g;
        CHECK_EQ(geometry_make(table[i].capacity, table[i].names, table[i].members, &g), 0);
        CHECK(g.row_stride % PAGE != 0); /* the rows' first words do not share a cache set */
    }
    for (uint64_t capacity = 2 * MiB; capacity <= 4096 * GiB; capacity = round_up(capacity * 9 / 8, 2 * MiB))
        one(capacity, geometry_default_names(capacity), geometry_default_members(capacity));
}

static void edges(void)
{
    static const uint64_t capacities[] = {2 * MiB, 4 * MiB, 126 * MiB, GiB - 2 * MiB, GiB + 2 * MiB, 4096 * GiB};
    static const uint32_t names[] = {64, 128, 1984, 32768, (1u << 20) - 64, (1u << 24) - 64};
    static const uint32_t members[] = {2, 3, 63, 64, 65, 1023, 1024};
    for (size_t c = 0; c < COUNT(capacities); c++)
        for (size_t n = 0; n < COUNT(names); n++)
            for (size_t m = 0; m < COUNT(members); m++)
                one(capacities[c], names[n], members[m]);
}

static void odd_sizes(void)
{
    uint64_t state = (uint64_t)test_now();
    test_say("# seed %llu", (unsigned long long)state);
    for (int i = 0; i < (test_quick() ? 500 : 20000); i++) {
        uint64_t capacity = round_up(1 + (test_random(&state) >> (22 + test_random(&state) % 20)), 2 * MiB);
        uint32_t names = (uint32_t)round_up(1 + (test_random(&state) >> (40 + test_random(&state) % 20)), 64);
        one(capacity > 4096 * GiB ? 4096 * GiB : capacity, names > (1u << 24) - 64 ? (1u << 24) - 64 : names,
            2 + (uint32_t)(test_random(&state) % 1023));
    }
}

static void refused(void)
{
    struct geometry g;
    CHECK_EQ(geometry_make(0, 64, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(MiB, 64, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(2 * MiB + PAGE, 64, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make((1ull << 42) + 2 * MiB, 64, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(~0ull & ~(2 * MiB - 1), 64, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(2 * MiB, 0, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(2 * MiB, 65, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(2 * MiB, 1u << 24, 2, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(2 * MiB, 64, 1, &g), -ZCT_EINVAL);
    CHECK_EQ(geometry_make(2 * MiB, 64, 1025, &g), -ZCT_EINVAL);
}

/* The checksum sees every bit of what it covers, and nothing behind it. */
static void checksum(void)
{
    struct header h;
    memset(&h, 0x5a, sizeof h);
    uint64_t sum = header_checksum(&h);
    for (size_t bit = 0; bit < sizeof h * 8; bit++) {
        ((uint8_t *)&h)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_EQ(header_checksum(&h) != sum, bit / 8 < HEADER_CHECKED);
        ((uint8_t *)&h)[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Another number here is another format: docs/FORMAT.md changes with it and, once there are stores in the world,
 * ZCT_FORMAT_VERSION. */
static void fingerprint(void) { CHECK_EQ(geometry_fingerprint(), 1918031908); }

TESTS({"known sizes", known_sizes}, {"edges", edges}, {"odd sizes", odd_sizes}, {"refused", refused}, {"checksum", checksum},
      {"fingerprint", fingerprint})
