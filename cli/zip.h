/* zip.h - ZIP archives: what lies in one, and the records around a member of a new one. With the 64-bit extension. */
#ifndef ZCT_CLI_ZIP_H
#define ZCT_CLI_ZIP_H

#include "strbuf.h"

#define ZIP_MAGIC "PK\x03\x04"
#define ZIP_MAGIC_EMPTY "PK\x05\x06" /* an archive without members */

struct zip_member {
    const char *name; /* in the archive's own bytes */
    size_t name_len;
    uint64_t begin, packed; /* where its bytes are, as they lie */
    uint64_t size;          /* inflated */
    uint64_t header;        /* where its local header begins */
    uint32_t crc;
    bool deflated;
};

/* List the members, in the order of their place. False with the reason in `why`: no archive, damaged, or with what is
 * not known here (encrypted, other compressions, parts that overlap). *ret_members is the caller's to free. */
bool zip_read(const uint8_t *bytes, uint64_t size, struct zip_member **ret_members, size_t *ret_count,
              struct strbuf *why);

/* Records of an archive that is written: sizes, CRC and name of `member` are set, and where its header begins. */
void zip_local_header(const struct zip_member *member, struct strbuf *record);
#define ZIP_CRC_AT 14 /* of the CRC in the local header: it is known when the member has been written */
void zip_central_entry(const struct zip_member *member, struct strbuf *directory);
/* What ends the archive, behind a directory that begins at `begin` and has `len` bytes. */
void zip_end(uint64_t count, uint64_t begin, uint64_t len, struct strbuf *record);

#endif
