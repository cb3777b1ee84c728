/* geometry.h - where everything lies, as a pure function of capacity, names and members. */
#ifndef ZCT_SEGMENT_GEOMETRY_H
#define ZCT_SEGMENT_GEOMETRY_H

#include "segment/format.h"

struct geometry {
    uint64_t capacity, pages;         /* payload: bytes, pages */
    uint32_t names, members, tickets; /* tickets: of a member */
    uint32_t cells_log2;              /* of the larger index */
    uint32_t aux_units;
    uint64_t row_stride;              /* bytes from row to row: skewed, so that rows do not alias in the cache */
    /* regions of the control part, byte offsets in the file */
    uint64_t present;   /* [F] a bit per page of the control part: it is allocated, so reading it is no SIGBUS */
    uint64_t slots;     /* struct slot[members] */
    uint64_t ending;    /* [H] AL a bit per descriptor: ends when nobody holds it */
    uint64_t todo;      /* [H] a bit per descriptor: somebody could not end it at once */
    uint64_t freemap;   /* [H] a bit per descriptor: it is FREE and was used before */
    uint64_t rows;      /* [F] bit t of row p: member p may hold tensor t */
    uint64_t tickets_at; /* struct ticket[members][tickets] */
    uint64_t descs;     /* struct desc[names] */
    uint64_t index[2];  /* [H] AL sh32[1 << cells_log2], twice */
    uint64_t aux_map;   /* [H] AL a bit per aux unit: in use */
    uint64_t aux;       /* aux blocks */
    uint64_t used;      /* [H] AL a bit per payload page: in an extent, or in a chunk of cells */
    uint64_t reserved;  /* [F] RES: a bit per payload page: it is allocated */
    uint64_t chunkmap;  /* [H] AL a bit per 64 pages: cut into cells */
    uint64_t chunkfree; /* [H] AL sh16 per 64 pages: free cells */
    uint64_t masks;     /* [H] AL sh64 per page of such a chunk: cells in use */
    uint64_t epochs;    /* [H] sh32 per 2 MiB of payload: trims */
    uint64_t lines;     /* [F] struct read_line[members]: the first of each; 64 of them in a page */
    uint64_t lines_more; /* [F] struct read_line[members][LINES_MORE] */
    uint64_t control_size, payload_offset, file_size;
};

enum { CHUNK_PAGES = 64, EPOCH_PAGES = 512 };

/* -ZCT_EINVAL if the inputs are out of range (no sentence). */
int geometry_make(uint64_t capacity, uint32_t names, uint32_t members, struct geometry *ret);
/* Defaults in proportion: 64 MB: 4096 names, 64 members; 1 GB: 65,536 and 256; from 16 GB on 1,048,576 and 1,024. */
uint32_t geometry_default_names(uint64_t capacity);
uint32_t geometry_default_members(uint64_t capacity);
uint32_t geometry_fingerprint(void);
uint64_t header_checksum(const struct header *header);

#endif
