#include "segment/geometry.h"

#include "base/util.h"
#include "platform/map.h"

enum { ROW_SKEW = 5 * 64 };
static const uint64_t capacity_least = 2 * MiB, capacity_most = 1ull << 42; /* 4 TiB: page numbers have 31 bits */

static uint64_t place(uint64_t *at, uint64_t bytes)
{
    uint64_t here = *at;
    *at += round_up(bytes, PAGE);
    return here;
}

int geometry_make(uint64_t capacity, uint32_t names, uint32_t members, struct geometry *ret)
{
    if (capacity < capacity_least || capacity > capacity_most || capacity % PAYLOAD_ALIGN || names < 64 ||
        names > (1u << 24) - 64 || names % 64 || members < 2 || members > ZCT_MAX_MEMBERS)
        return -ZCT_EINVAL;
    struct geometry g = {.capacity = capacity, .pages = capacity / PAGE, .names = names, .members = members};
    g.tickets = capacity < GiB ? 512 : 4096;
    g.cells_log2 = log2_up(2ull * names);
    g.aux_units = (uint32_t)max_u64(4096, (uint64_t)names * 4);
    g.row_stride = round_up(names / 8, 64) + ROW_SKEW;

    uint64_t at = HEADER_SIZE, map = round_up(div_up(names, 64) * 8, PAGE);
    uint64_t page_bits = div_up(g.pages, 64) * 8, chunks = div_up(g.pages, CHUNK_PAGES);
    /* The map of present pages covers the whole control part, itself included: 1 bit for 4 KiB. Its size is bounded by
     * twice what the rest needs. */
    uint64_t rest = 4 * map + g.row_stride * members + (uint64_t)members * g.tickets * sizeof(struct ticket) +
                    (uint64_t)names * sizeof(struct desc) + (8ull << g.cells_log2) + (uint64_t)g.aux_units * (AUX_UNIT + 1) +
                    2 * page_bits + chunks * 3 + g.pages * 8 + g.pages / 64 + members * 64ull * (LINES_MORE + 5) +
                    32 * PAGE;
    g.present = place(&at, div_up(rest, PAGE) / 8 * 9 / 8 + 64);
    g.slots = place(&at, (uint64_t)members * sizeof(struct slot));
    g.ending = place(&at, map);
    g.todo = place(&at, map);
    g.freemap = place(&at, map);
    g.rows = place(&at, g.row_stride * members);
    g.tickets_at = place(&at, (uint64_t)members * g.tickets * sizeof(struct ticket));
    g.descs = place(&at, (uint64_t)names * sizeof(struct desc));
    g.index[0] = place(&at, 4ull << g.cells_log2);
    g.index[1] = place(&at, 4ull << g.cells_log2);
    g.aux_map = place(&at, div_up(g.aux_units, 64) * 8);
    g.aux = place(&at, (uint64_t)g.aux_units * AUX_UNIT);
    g.used = place(&at, page_bits);
    g.reserved = place(&at, page_bits);
    g.chunkmap = place(&at, div_up(chunks, 64) * 8);
    g.chunkfree = place(&at, chunks * 2);
    g.masks = place(&at, g.pages * 8);
    g.epochs = place(&at, div_up(g.pages, EPOCH_PAGES) * 4);
    g.lines = place(&at, members * sizeof(struct read_line));
    g.lines_more = place(&at, members * sizeof(struct read_line) * LINES_MORE);
    g.control_size = at;
    g.payload_offset = round_up(at + PAYLOAD_GAP, PAYLOAD_ALIGN);
    g.file_size = g.payload_offset + capacity;
    *ret = g;
    return 0;
}

/* From (64 MB, a) over (1 GB, b) to (16 GB, c), by powers of two. */
static uint32_t in_proportion(uint64_t capacity, uint32_t a, uint32_t b, uint32_t c)
{
    return capacity <= 64 * MiB ? a : capacity <= GiB ? b : capacity < 16 * GiB ? (b + c) / 4 : c;
}

uint32_t geometry_default_names(uint64_t capacity) { return in_proportion(capacity, 4096, 65536, 1u << 20) & ~63u; }
uint32_t geometry_default_members(uint64_t capacity) { return in_proportion(capacity, 64, 256, ZCT_MAX_MEMBERS); }

uint32_t geometry_fingerprint(void)
{
    const uint64_t sizes[] = {sizeof(struct header), sizeof(struct words), sizeof(struct slot), sizeof(struct ticket),
                              sizeof(struct desc), sizeof(struct aux_head), HEADER_WORDS, NAME_INLINE, SHAPE_INLINE,
                              AUX_UNIT, LINE_MARKS, LINES_MORE, CHUNK_PAGES, EPOCH_PAGES, ROW_SKEW, ZCT_FORMAT_VERSION};
    uint64_t h = 0;
    for (size_t i = 0; i < COUNT(sizes); i++)
        h = mix64(h ^ sizes[i]);
    return (uint32_t)h;
}

uint64_t header_checksum(const struct header *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    uint64_t h = HEADER_CHECKED;
    for (size_t i = 0; i < HEADER_CHECKED; i += 8) {
        uint64_t w;
        __builtin_memcpy(&w, bytes + i, 8);
        h = mix64(h ^ w) + i;
    }
    return h;
}
