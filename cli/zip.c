#include "zip.h"

#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "number.h"

enum { END_SIZE = 22, LOCATOR_SIZE = 20, END64_SIZE = 56, LOCAL_SIZE = 30, CENTRAL_SIZE = 46, COMMENT = 65535 };
enum { STORED = 0, DEFLATED = 8, ENCRYPTED = 1, UTF8 = 0x800 };
#define FULL32 UINT32_MAX /* "see the 64-bit extension" */

static uint64_t get(const uint8_t *at, size_t size) { return number_uint(at, size); }

static bool is(const uint8_t *at, const char *magic) { return memcmp(at, magic, 4) == 0; }

/* ---- reading ---- */

struct directory {
    uint64_t begin, len, count;
};

/* The record at the end, before a comment of any length; in front of it may be the 64-bit ones. */
static bool find_directory(const uint8_t *bytes, uint64_t size, struct directory *ret)
{
    uint64_t at, least;
    const uint8_t *end;

    if (size < END_SIZE)
        return false;
    least = size - END_SIZE > COMMENT ? size - END_SIZE - COMMENT : 0;
    for (at = size - END_SIZE; !is(bytes + at, ZIP_MAGIC_EMPTY) || at + END_SIZE + get(bytes + at + 20, 2) != size;
         at--)
        if (at == least)
            return false;
    end = bytes + at;
    *ret = (struct directory){.count = get(end + 10, 2), .len = get(end + 12, 4), .begin = get(end + 16, 4)};
    if (at >= LOCATOR_SIZE && is(end - LOCATOR_SIZE, "PK\x06\x07")) {
        uint64_t end64 = get(end - LOCATOR_SIZE + 8, 8);

        if (end64 > at || at - end64 < END64_SIZE + LOCATOR_SIZE || !is(bytes + end64, "PK\x06\x06"))
            return false;
        *ret = (struct directory){.count = get(bytes + end64 + 32, 8),
                                  .len = get(bytes + end64 + 40, 8),
                                  .begin = get(bytes + end64 + 48, 8)};
        at = end64;
    }
    return ret->begin <= at && ret->len <= at - ret->begin && ret->count <= ret->len / CENTRAL_SIZE;
}

/* The sizes that did not fit 32 bits, in the extension's order. */
static bool read_extra(const uint8_t *extra, size_t len, struct zip_member *member)
{
    uint64_t *const wide[] = {&member->size, &member->packed, &member->header};

    while (len >= 4) {
        size_t id = get(extra, 2), part = get(extra + 2, 2), used = 0;

        if (part > len - 4)
            return false;
        for (size_t i = 0; id == 1 && i < 3; i++) {
            if (*wide[i] != FULL32)
                continue;
            if (part - used < 8)
                return false;
            *wide[i] = get(extra + 4 + used, 8);
            used += 8;
        }
        extra += 4 + part;
        len -= 4 + part;
    }
    return true;
}

/* The local header tells where the bytes begin; its own sizes may be 0, and are not believed. */
static bool find_bytes(const uint8_t *bytes, uint64_t directory, struct zip_member *member)
{
    const uint8_t *header = bytes + member->header;

    if (member->header > directory || directory - member->header < LOCAL_SIZE || !is(header, ZIP_MAGIC))
        return false;
    member->begin = member->header + LOCAL_SIZE + get(header + 26, 2) + get(header + 28, 2);
    return member->begin <= directory && member->packed <= directory - member->begin &&
           get(header + 26, 2) == member->name_len && memcmp(header + LOCAL_SIZE, member->name, member->name_len) == 0;
}

static bool read_member(const uint8_t *bytes, const struct directory *directory, uint64_t *at,
                        struct zip_member *member, struct strbuf *why)
{
    const uint8_t *entry = bytes + *at;
    uint64_t left = directory->begin + directory->len - *at, method, extra;

    if (left < CENTRAL_SIZE || !is(entry, "PK\x01\x02"))
        return refuse(why, "the directory of the archive is damaged");
    *member = (struct zip_member){.name = (const char *)entry + CENTRAL_SIZE,
                                  .name_len = get(entry + 28, 2),
                                  .crc = (uint32_t)get(entry + 16, 4),
                                  .packed = get(entry + 20, 4),
                                  .size = get(entry + 24, 4),
                                  .header = get(entry + 42, 4)};
    extra = get(entry + 30, 2);
    if (left - CENTRAL_SIZE < member->name_len + extra + get(entry + 32, 2) ||
        !read_extra(entry + CENTRAL_SIZE + member->name_len, extra, member) ||
        !find_bytes(bytes, directory->begin, member))
        return refuse(why, "the directory of the archive is damaged");
    *at += CENTRAL_SIZE + member->name_len + extra + get(entry + 32, 2);
    method = get(entry + 10, 2);
    member->deflated = method == DEFLATED;
    if (get(entry + 8, 2) & ENCRYPTED)
        return refuse(why, "the archive is encrypted");
    if (method != STORED && method != DEFLATED)
        return refuse(why, "the archive has a member of compression method %llu; stored and deflated ones are known",
                      (unsigned long long)method);
    if (method == STORED && member->packed != member->size)
        return refuse(why, "the directory of the archive is damaged");
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct zip_member *left = a, *right = b;

    return left->header < right->header ? -1 : left->header > right->header;
}

bool zip_read(const uint8_t *bytes, uint64_t size, struct zip_member **ret_members, size_t *ret_count,
              struct strbuf *why)
{
    struct directory directory;
    uint64_t at;

    if (!find_directory(bytes, size, &directory))
        return refuse(why, "it begins as a ZIP archive does, and has no directory at its end: it may be cut short");
    *ret_members = memory_new(directory.count, sizeof **ret_members);
    at = directory.begin;
    for (*ret_count = 0; *ret_count < directory.count; *ret_count += 1)
        if (!read_member(bytes, &directory, &at, &(*ret_members)[*ret_count], why))
            return false;
    qsort(*ret_members, *ret_count, sizeof **ret_members, by_place);
    for (size_t i = 1; i < *ret_count; i++)
        if ((*ret_members)[i].header < (*ret_members)[i - 1].begin + (*ret_members)[i - 1].packed)
            return refuse(why, "members of the archive overlap");
    return true;
}

/* ---- writing ---- */

static void put(struct strbuf *record, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        strbuf_add(record, (char[]){(char)(value >> (8 * i))}, 1);
}

static uint32_t narrow(uint64_t value) { return value < FULL32 ? (uint32_t)value : FULL32; }

/* Version, flags, method, time (1 January 1980), CRC, sizes, length of the name. */
static void put_common(struct strbuf *record, const struct zip_member *member, bool wide)
{
    put(record, wide ? 45 : 20, 2);
    put(record, UTF8, 2);
    put(record, STORED, 2);
    put(record, 0, 2);
    put(record, 0x21, 2);
    put(record, member->crc, 4);
    put(record, wide ? FULL32 : member->packed, 4);
    put(record, wide ? FULL32 : member->size, 4);
    put(record, member->name_len, 2);
}

void zip_local_header(const struct zip_member *member, struct strbuf *record)
{
    bool wide = member->size >= FULL32;

    strbuf_add(record, ZIP_MAGIC, 4);
    put_common(record, member, wide);
    put(record, wide ? 20 : 0, 2);
    strbuf_add(record, member->name, member->name_len);
    if (!wide)
        return;
    put(record, 1, 2);
    put(record, 16, 2);
    put(record, member->size, 8);
    put(record, member->packed, 8);
}

void zip_central_entry(const struct zip_member *member, struct strbuf *directory)
{
    bool wide = member->size >= FULL32, far = member->header >= FULL32;
    unsigned extra = (wide ? 16 : 0) + (far ? 8 : 0);

    strbuf_add(directory, "PK\x01\x02", 4);
    put(directory, (wide || far ? 45 : 20) | 3 << 8, 2); /* made on Unix */
    put_common(directory, member, wide);
    put(directory, extra > 0 ? extra + 4 : 0, 2);
    put(directory, 0, 2 + 2 + 2);            /* comment, disk, what text it is */
    put(directory, (uint64_t)0100644 << 16, 4); /* a regular file */
    put(directory, narrow(member->header), 4);
    strbuf_add(directory, member->name, member->name_len);
    if (extra > 0) {
        put(directory, 1, 2);
        put(directory, extra, 2);
    }
    if (wide) {
        put(directory, member->size, 8);
        put(directory, member->packed, 8);
    }
    if (far)
        put(directory, member->header, 8);
}

void zip_end(uint64_t count, uint64_t begin, uint64_t len, struct strbuf *record)
{
    if (count >= UINT16_MAX || begin >= FULL32 || len >= FULL32) {
        strbuf_add(record, "PK\x06\x06", 4);
        put(record, END64_SIZE - 12, 8);
        put(record, 45 | 3 << 8, 2);
        put(record, 45, 2);
        put(record, 0, 8); /* disks */
        put(record, count, 8);
        put(record, count, 8);
        put(record, len, 8);
        put(record, begin, 8);
        strbuf_add(record, "PK\x06\x07", 4);
        put(record, 0, 4);
        put(record, begin + len, 8);
        put(record, 1, 4);
    }
    strbuf_add(record, ZIP_MAGIC_EMPTY, 4);
    put(record, 0, 4);
    put(record, count < UINT16_MAX ? count : UINT16_MAX, 2);
    put(record, count < UINT16_MAX ? count : UINT16_MAX, 2);
    put(record, narrow(len), 4);
    put(record, narrow(begin), 4);
    put(record, 0, 2);
}
