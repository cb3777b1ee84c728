/* docs/FORMAT.md says what the code does: its tables, field by field, and its examples. */
#include "support/test.h"

#include "catalog/name.h"
#include "platform/bytelock.h"
#include "segment/geometry.h"
#include "segment/words.h"
#include "sync/owner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the document ---- */

static char *document;

static bool read_from(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    document = calloc(1, 1 << 20);
    bool whole = fread(document, 1, (1 << 20) - 1, file) > 0;
    fclose(file);
    return whole;
}

static void open_document(void)
{
    char beside[1024];
    snprintf(beside, sizeof beside, "%s", __FILE__);
    char *tests = strstr(beside, "tests/format/");
    if (tests)
        strcpy(tests, "docs/FORMAT.md");
    REQUIRE(read_from("docs/FORMAT.md") || read_from(beside));
}

/* One row of a table: its cells, trimmed, without the quotes of code. */
struct row { char cell[6][700]; int cells; };

static const char *next_row(const char *at, struct row *ret)
{
    memset(ret, 0, sizeof *ret);
    if (*at != '|')
        return NULL;
    const char *end = strchr(at, '\n');
    for (at++; at < end && ret->cells < 6; ret->cells++) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        size_t n = bar ? (size_t)(bar - at) : 0;
        while (n && (*at == ' ' || *at == '`'))
            at++, n--;
        while (n && (at[n - 1] == ' ' || at[n - 1] == '`'))
            n--;
        snprintf(ret->cell[ret->cells], sizeof ret->cell[0], "%.*s", (int)n, at);
        at = bar ? bar + 1 : end;
    }
    return end + 1;
}

/* The first row below the heading line that begins so. */
static const char *table_of(const char *heading)
{
    char line[200];
    snprintf(line, sizeof line, "\n%s", heading);
    const char *at = strstr(document, line);
    if (!at) {
        test_fail(__FILE__, __LINE__, "the document has no '%s'", heading);
        test_give_up();
    }
    at = strstr(at, "\n|");
    at = strchr(at + 1, '\n') + 1;  /* the titles */
    return strchr(at, '\n') + 1;    /* the line */
}

/* ---- structs ---- */

struct field { const char *name; size_t offset, size; };
#define F(type, name) {#name, offsetof(type, name), sizeof(((type *)0)->name)}

static void compare(const char *what, size_t size, const struct field *fields, size_t count)
{
    char heading[100];
    struct row r;
    size_t at = 0, n = 0;
    snprintf(heading, sizeof heading, "### `%s`: %zu bytes", what, size);
    test_case("%s", what);
    for (const char *p = table_of(heading); (p = next_row(p, &r)); n++) {
        size_t offset = strtoul(r.cell[0], NULL, 10), bytes = strtoul(r.cell[1], NULL, 10);
        CHECK_EQ(offset, at); /* every byte is somebody's */
        at = offset + bytes;
        if (n >= count) {
            test_fail(__FILE__, __LINE__, "%s: the code has no field '%s'", what, r.cell[2]);
            continue;
        }
        CHECK_STR(r.cell[2], fields[n].name);
        CHECK_EQ(offset, fields[n].offset);
        CHECK_EQ(bytes, fields[n].size);
        CHECK(strchr("FHW-", r.cell[3][0]) != NULL);
        CHECK((r.cell[3][0] == '-') == (!strncmp(r.cell[2], "pad", 3) || !strncmp(r.cell[2], "reserved", 8) ||
                                        !strcmp(r.cell[2], "spare")));
    }
    CHECK_EQ(n, count);
    CHECK_EQ(at, size);
    test_case("%s", "");
}

#define COMPARE(what, type, ...)                                                                                       \
    do {                                                                                                               \
        static const struct field fields[] = {__VA_ARGS__};                                                            \
        compare(what, sizeof(type), fields, COUNT(fields));                                                            \
    } while (0)

static void structs(void)
{
    open_document();
#define H(name) F(struct header, name)
    COMPARE("struct header", struct header, H(magic), H(format), H(endian), H(page_size), H(fingerprint), H(features_needed),
            H(features), H(uuid), H(name), H(birth_ns), H(uid), H(mode), H(capacity), H(max_names), H(max_members),
            H(control_size), H(payload_offset), H(file_size), H(reserved), H(checksum), H(reserved2));
#define W(name) F(struct words, name)
    COMPARE("struct words", struct words, W(root), W(gone), W(door_by), W(high), W(desc_high), W(pad0), W(al), W(sweep),
            W(whole), W(pad1), W(serial), W(changes), W(births), W(births_wait), W(tombs), W(indexed), W(desc_free), W(rotor),
            W(pad2), W(rebuilds), W(reaped), W(warm_free), W(pad3), W(from_pages), W(from_cells), W(pad4), W(freeslot));
    COMPARE("struct lock_words", struct lock_words, F(struct lock_words, owner), F(struct lock_words, active),
            F(struct lock_words, drain));
#define S(name) F(struct slot, name)
    COMPARE("struct slot", struct slot, S(used), S(pid), S(gen), S(uid), S(bell), S(pid_ns), S(since_ns), S(nonce), S(probed_ns),
            S(pad0), S(command), S(pad1));
    COMPARE("struct read_line", struct read_line, F(struct read_line, mark), F(struct read_line, more));
    COMPARE("struct ticket", struct ticket, F(struct ticket, word), F(struct ticket, made_ns));
#define D(name) F(struct desc, name)
    COMPARE("struct desc", struct desc, D(st), D(hint), D(ext), D(serial), D(type), D(form), D(shape), D(nbytes), D(generation),
            D(name), D(type_name), D(aux), D(maker), D(prev), D(next), D(lock), D(version), D(wait_at), D(event), D(kind),
            D(listen), D(sender), D(birth_ns));
#define A(name) F(struct aux_head, name)
    COMPARE("struct aux_head", struct aux_head, A(name_len), A(dims), A(strides), A(descriptor_len), A(metadata_len),
            A(reserved));
#define T(name) F(zct_dtype, name)
    COMPARE("zct_dtype", zct_dtype, T(code), T(bits), T(lanes), T(big_endian), T(unit), T(subbyte_padded), T(reserved),
            T(itemsize), T(block_elems), T(block_bytes), T(multiplier), T(spare), T(name));
#define Z(name) F(zct_handle, name)
    COMPARE("zct_handle", zct_handle, Z(store), Z(serial), Z(ticket), Z(desc), Z(slot), Z(index), Z(mode), Z(check));
}

/* ---- constants ---- */

static void constants(void)
{
#define C(name) {#name, (uint64_t)(name)}
    const struct { const char *name; uint64_t value; } all[] = {
        C(STORE_MAGIC), C(STORE_ENDIAN), C(ZCT_FORMAT_VERSION), C(HEADER_SIZE), C(HEADER_WORDS), C(HEADER_CHECKED),
        C(NAME_INLINE), C(SHAPE_INLINE), C(AUX_UNIT), C(LINE_MARKS), C(LINES_MORE), C(SEARCH_PAGES), C(SEARCH_CELLS), C(CHUNK_PAGES),
        C(EPOCH_PAGES), C(PAYLOAD_GAP), C(PAYLOAD_ALIGN), C(ZCT_MAX_NAME), C(ZCT_MAX_DIMS), C(ZCT_MAX_MEMBERS),
        C(ZCT_MAX_BLOB), C(LOCK_LIFE(0)), C(LOCK_REPAIR(0)), C(LOCK_DOOR), C(LOCK_BORN), C(geometry_fingerprint()),
    };
    struct row r;
    size_t n = 0;
    open_document();
    for (const char *p = table_of("### Constants"); (p = next_row(p, &r)); n++) {
        REQUIRE(n < COUNT(all));
        CHECK_STR(r.cell[0], all[n].name);
        CHECK(strtoull(r.cell[1], NULL, 10) == all[n].value);
    }
    CHECK_EQ(n, COUNT(all));
    uint64_t magic = STORE_MAGIC;
    CHECK(!memcmp(&magic, "ZCTSTORE", 8));
    char text[64];
    snprintf(text, sizeof text, "Format version **%d**", ZCT_FORMAT_VERSION);
    CHECK(strstr(document, text) != NULL);
    /* and examples: a checksum, hashes */
    static struct header zeros;
    snprintf(text, sizeof text, "%#llx", (unsigned long long)header_checksum(&zeros));
    CHECK(strstr(document, text) != NULL);
    n = 0;
    for (const char *p = table_of("### Names"); (p = next_row(p, &r)); n++) {
        struct key key;
        REQUIRE(key_make(&key, r.cell[0], strlen(r.cell[0])) == 0);
        CHECK_EQ(strtoull(r.cell[1], NULL, 16), key.hash);
    }
    CHECK(n >= 3);
}

/* ---- regions ---- */

static void regions(void)
{
    struct geometry g;
    struct row r;
    size_t n = 0;
    REQUIRE(geometry_make(64 * MiB, 4096, 64, &g) == 0);
#define G(name) {#name, g.name}
    const struct { const char *name; uint64_t at; } all[] = {
        G(present), G(slots), G(ending), G(todo), G(freemap), G(rows), G(tickets_at), G(descs), G(index[0]), G(index[1]),
        G(aux_map), G(aux), G(used), G(reserved), G(chunkmap), G(chunkfree), G(masks), G(epochs), G(lines), G(lines_more),
        G(control_size), G(payload_offset), G(file_size),
    };
    open_document();
    for (const char *p = table_of("## 5. Regions"); (p = next_row(p, &r)); n++) {
        REQUIRE(n < COUNT(all));
        CHECK_STR(r.cell[0], all[n].name);
        CHECK_EQ(strtoull(r.cell[4], NULL, 10), all[n].at);
    }
    CHECK_EQ(n, COUNT(all));
}

/* ---- packed words: each field alone, all ones ---- */

static void packed_words(void)
{
    const struct { const char *word, *field; uint64_t ones; } all[] = {
        {"st", "state", st_make((enum state)15, 0, 0)}, {"st", "asked", ST_ASKED}, {"st", "sealed", ST_SEALED},
        {"st", "slot", st_make(0, 0xfff, 0)}, {"st", "generation", st_make(0, 0, (1ull << 46) - 1)},
        {"ext` (small)", "cells", ext_small(0, 0, 63) & ~EXT_SMALL}, {"ext` (small)", "cell", ext_small(0, 63, 0) & ~EXT_SMALL},
        {"ext` (small)", "page", ext_small(0xffffffff, 0, 0) & ~EXT_SMALL}, {"ext` (small)", "small", EXT_SMALL},
        {"ext` (large)", "pages", ext_large(0, 0xffffffff)}, {"ext` (large)", "page", ext_large(0x7fffffff, 0)},
        {"form", "ndim", form_make(255, 0, 0, 0, 0)}, {"form", "name length", form_make(0, 255, 0, 0, 0)},
        {"form", "lifetime", form_make(0, 0, 255, 0, 0)}, {"form", "order", form_make(0, 0, 0, 255, 0)},
        {"form", "name hash", form_make(0, 0, 0, 0, ~0u)},
        {"ref", "desc + 1", ref_make(0xfffffe, 0)}, {"ref", "generation", ref_make(0xffffffff, ~0ull) & ~0xffffffull},
        {"who", "slot", who_make(0xfff, 0)}, {"who", "slot generation", who_make(0, ~0ull >> 12)},
        {"aux", "units", aux_make(0, ~0u)}, {"aux", "first unit", aux_make(~0u, 0)},
        {"ticket", "desc + 1", ticket_make(0, 0xfffffe)}, {"ticket", "nonce", ticket_make(~0ull, 0) - 1},
        {"mark", "desc + 1", mark_make(0xfffffe)}, {"mark", "times more", MARK_MOST},
        {"cell", "desc + 1", cell_make(0xfffffe, 0)}, {"cell", "top byte of the hash", cell_make(0, ~0u) - 1},
        {"root", "which", 1}, {"root", "log2 cells", 126}, {"root", "version", ~127ull},
        {"owner", "slot + 1", owner_with(0, 0, 0xffff)}, {"owner", "dirty", OWNER_DIRTY}, {"owner", "waited for", OWNER_WAIT},
        {"owner", "hungry", OWNER_HUNGRY}, {"owner", "epoch", owner_with(~0u, 0, 0)},
    };
    struct row r;
    size_t n = 0;
    open_document();
    for (const char *p = table_of("## 6. Packed words"); (p = next_row(p, &r)); n++) {
        REQUIRE(n < COUNT(all));
        test_case("%s, %s", all[n].word, all[n].field);
        CHECK_STR(r.cell[0], all[n].word);
        CHECK_STR(r.cell[1], all[n].field);
        unsigned first = (unsigned)strtoul(r.cell[2], NULL, 10), bits = (unsigned)strtoul(r.cell[3], NULL, 10);
        CHECK(low_bits(bits) << first == all[n].ones);
    }
    test_case("%s", "");
    CHECK_EQ(n, COUNT(all));
    CHECK_EQ(root_which(1) + root_log2(126) + (root_next(0, 0) >> 7), 1 + 63 + 1);
    n = 0;
    for (const char *p = table_of("### States"); (p = next_row(p, &r)); n++) {
        static const struct { const char *name; enum state state; } states[] = {
            {"FREE", ST_FREE}, {"ALLOC", ST_ALLOC}, {"BARE", ST_BARE}, {"NEXT", ST_NEXT}, {"LIVE", ST_LIVE},
            {"BARENEXT", ST_BARENEXT}, {"DYING", ST_DYING}, {"FREEING", ST_FREEING},
        };
        REQUIRE(n < COUNT(states));
        CHECK_STR(r.cell[0], states[n].name);
        CHECK_EQ(strtoul(r.cell[1], NULL, 10), states[n].state);
    }
    CHECK_EQ(n, ST_COUNT);
}

TESTS({"structs", structs}, {"constants", constants}, {"regions", regions}, {"packed words", packed_words})
