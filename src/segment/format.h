/* format.h - every byte of a store's file. docs/FORMAT.md mirrors it; tests/format holds the two together.
 *
 *   0                 struct header: identity and geometry, written before the file has a name, never again
 *   HEADER_WORDS      struct words: the store's mutable words
 *   ...               the control part's regions, in the order of struct geometry, each starting on a page
 *   control_size      a gap of 2 MiB that nobody maps
 *   payload_offset    the payload: capacity bytes
 *
 * Everything is little-endian. [F] marks a fact: recovery believes it. [H] marks a hint or a cache: derived from facts,
 * rebuilt, or harmless when wrong. No pointer is ever stored.
 *
 * Facts have one owner: a word of slot p's row, ticket row or slot record is changed by p, by the process that forks p, or
 * by whoever repairs p. A word that the allocator's lock (words.al) guards is marked AL. */
#ifndef ZCT_SEGMENT_FORMAT_H
#define ZCT_SEGMENT_FORMAT_H

#include "base/shared.h"

#include <zct/zct.h>

enum {
    HEADER_SIZE = 8192,
    HEADER_WORDS = 4096,
    HEADER_CHECKED = 504, /* bytes that the checksum covers */
    NAME_WORDS = 8,       /* of a name in its descriptor: up to 64 bytes; longer ones lie in aux */
    NAME_INLINE = NAME_WORDS * 8,
    NAME_MAX_WORDS = 32,
    SHAPE_INLINE = 6,
    AUX_UNIT = 64,
    LINE_MARKS = 15,      /* read locks in one line */
    LINES_MORE = 255,     /* further lines of read locks a member may have */
    SEARCH_PAGES = 33,    /* hints: one for each power of two of a run's pages */
    SEARCH_CELLS = 8,
    FREESLOT_WORDS = ZCT_MAX_MEMBERS / 64
};

#define STORE_MAGIC 0x45524f545354435aull /* "ZCTSTORE" */
#define STORE_ENDIAN 0x01020304u
#define PAYLOAD_GAP (2ull << 20)
#define PAYLOAD_ALIGN (2ull << 20)

/* Identity and geometry. Plain bytes: written before the file has a name, copied to private memory at attach. */
struct header {
    uint64_t magic;
    uint32_t format;      /* ZCT_FORMAT_VERSION */
    uint32_t endian;      /* STORE_ENDIAN */
    uint32_t page_size;
    uint32_t fingerprint; /* of the sizes of all structs here: two builds that differ refuse each other */
    uint64_t features_needed; /* a reader that lacks one must refuse */
    uint64_t features;        /* others */
    uint8_t uuid[16];
    char name[128];       /* the file's base name */
    int64_t birth_ns;     /* CLOCK_REALTIME */
    uint32_t uid, mode;
    /* Inputs of the geometry; all else follows (geometry.c). */
    uint64_t capacity;    /* payload bytes */
    uint32_t max_names, max_members;
    uint64_t control_size, payload_offset, file_size; /* redundant: compared */
    uint8_t reserved[264];
    uint64_t checksum;    /* of all the bytes above */
    uint64_t reserved2;
};
_Static_assert(sizeof(struct header) == 520 && offsetof(struct header, checksum) == HEADER_CHECKED, "header layout");

/* The lock of 64 bits and what belongs to it: the allocator's (AL), and one in each tensor for the user. */
struct lock_words {
    sh64 owner;  /* [F] sync/owner.h */
    sh32 active; /* [F] == epoch: the owner is past draining */
    sh32 drain;  /* futex: a writer waits here while readers leave */
};

struct words {
    /* line 0: read by every attach */
    sh64 root;        /* [H] AL {version:57 | log2 cells:6 | which:1}: the index table in force */
    sh32 gone;        /* [F] 1: destroyed, or its file was unlinked behind our back */
    sh32 door_by;     /* [H] pid of the last who held the door exclusively */
    sh64 high;        /* [H] AL payload pages ever used: what a process makes accessible */
    sh32 desc_high;   /* [H] AL descriptors ever used: bounds every walk */
    sh32 pad0[9];
    /* line 1: the allocator's lock */
    struct lock_words al; /* [F] */
    sh32 sweep;       /* [H] 1: something waits to be freed */
    sh32 whole;       /* [H] 1: look at the whole ending map, not just at todo */
    sh32 pad1[10];
    /* line 2 */
    sh64 serial;      /* [F] AL last birth number given; only grows */
    sh64 changes;     /* [H] AL births, deaths and renamings, counted, for a checker that only looks */
    sh32 births;      /* futex: somebody waits for a name */
    sh32 births_wait; /* [H] 1: somebody does */
    sh32 tombs;       /* [H] AL tombstones in the index */
    sh32 indexed;     /* [H] AL live cells in the index */
    sh32 desc_free;   /* [H] lowest word of the free map that may have a bit */
    sh32 rotor;       /* [H] next slot that a joiner looks at */
    sh64 pad2[3];
    /* line 3: statistics, all [H] */
    sh64 rebuilds, reaped, warm_free /* pages reserved and in no extent */;
    sh64 pad3[5];
    /* [H] AL where a search starts: no free run of 2^i pages, no free cells of class i, below it */
    sh32 from_pages[SEARCH_PAGES];
    sh32 from_cells[SEARCH_CELLS];
    sh32 pad4[7];
    sh64 freeslot[FREESLOT_WORDS]; /* [H] a bit per slot: perhaps free */
};
_Static_assert(sizeof(struct words) % 64 == 0 && sizeof(struct words) <= HEADER_SIZE - HEADER_WORDS, "words layout");
_Static_assert(offsetof(struct words, al) == 64 && offsetof(struct words, serial) == 128, "words layout");

/* One member. Changed by the member, its forker or its reaper. */
struct slot {
    sh32 used;      /* [F] 1 from join until leave or the end of a reap */
    sh32 pid;       /* [H] in its own PID namespace */
    sh64 gen;       /* [F] one more for each tenant, and for each reap */
    sh32 uid;       /* [H] */
    sh32 bell;      /* futex: doorbell of this member */
    sh64 pid_ns;    /* [H] */
    sh64 since_ns;  /* [H] CLOCK_REALTIME of the join */
    sh64 nonce;     /* [F] of tickets; only grows */
    sh64 probed_ns; /* [H] clock of the last answer "alive" */
    sh64 pad0;
    sh64 command[8]; /* [H] head of the command line, NUL padded */
    sh64 pad1[16];
};
_Static_assert(sizeof(struct slot) == 256, "slot layout");

/* What one thread of a member read-locks: written by that thread, cleared by whoever gives the lock back or reaps. The bit in
 * the member's row is set as long as a mark says so. */
struct read_line {
    sh32 mark[LINE_MARKS]; /* [F] {times more:8 | desc + 1:24}, 0: none */
    sh32 more;             /* [F] in a member's first line: how many further ones it has; only grows */
};
_Static_assert(sizeof(struct read_line) == 64, "a cache line");

/* A handle in flight. */
struct ticket {
    sh64 word;    /* [F] {nonce:40 | desc + 1:24}, 0: free */
    sh64 made_ns; /* [H] CLOCK_REALTIME */
};
_Static_assert(sizeof(struct ticket) == 16, "ticket layout");

/* One tensor. Which words are written when: 2-phase life in docs/CONCURRENCY.md. */
struct desc {
    /* line 0: what every attach reads */
    sh64 st;     /* [F] segment/words.h */
    sh64 hint;   /* [H] bit p mod 64: a row p may have this tensor */
    sh64 ext;    /* [F] AL */
    sh64 serial; /* [F] AL birth number: the identity in handles */
    sh64 type[3]; /* [F] the first 24 bytes of zct_dtype */
    sh64 form;   /* [F] AL {name hash:32 | order:8 | lifetime:8 | name length:8 | ndim:8} */
    /* line 1 */
    sh64 shape[SHAPE_INLINE]; /* [F] of up to 6 dimensions; more lie in aux */
    sh64 nbytes;     /* [F] */
    sh64 generation; /* [F] as people count it */
    /* line 2 */
    sh64 name[NAME_WORDS]; /* [F] NUL padded; of a longer name the head */
    /* line 3 */
    sh64 type_name[4]; /* [F] */
    sh64 aux;   /* [F] AL {first unit:32 | units:32} */
    sh64 maker; /* [F] {slot generation:52 | slot:12} */
    sh64 prev;  /* [F] AL {generation:40 | desc + 1:24}: whom a NEXT replaces */
    sh64 next;  /* [F] AL who replaces this one */
    /* line 4: locks, versions, waiting */
    struct lock_words lock; /* [F] */
    sh64 version; /* [F] completed writes */
    sh64 wait_at; /* [H] */
    sh32 event;   /* futex */
    sh32 kind;    /* [F] 0: a tensor; others: named primitives */
    sh64 listen;  /* [H] */
    sh64 sender;  /* [H] bit p mod 64: ticket row p may name this tensor */
    sh64 birth_ns; /* [H] CLOCK_REALTIME */
};
_Static_assert(sizeof(struct desc) == 320, "descriptor layout");

/* form */
static inline uint64_t form_make(unsigned ndim, unsigned name_len, unsigned lifetime, unsigned order, uint32_t hash)
{
    return (uint64_t)hash << 32 | (uint64_t)order << 24 | (uint64_t)lifetime << 16 | (uint64_t)name_len << 8 | ndim;
}
static inline unsigned form_ndim(uint64_t form) { return (unsigned)form & 255; }
static inline unsigned form_name_len(uint64_t form) { return (unsigned)(form >> 8) & 255; }
static inline unsigned form_lifetime(uint64_t form) { return (unsigned)(form >> 16) & 255; }
static inline unsigned form_order(uint64_t form) { return (unsigned)(form >> 24) & 255; }
static inline uint32_t form_hash(uint64_t form) { return (uint32_t)(form >> 32); }

/* The head of a tensor's aux block; the parts follow in this order, each padded to 8 bytes. */
struct aux_head {
    sh32 name_len;       /* 0, or the whole length of a name longer than NAME_INLINE */
    sh32 dims;           /* 0, or the number of shape words that follow (ndim > SHAPE_INLINE) */
    sh32 strides;        /* 0, or the number of stride words that follow */
    sh32 descriptor_len; /* bytes of the struct descriptor */
    sh32 metadata_len;   /* bytes of the user's metadata */
    sh32 reserved;
};
_Static_assert(sizeof(struct aux_head) == 24, "aux layout");

#endif
