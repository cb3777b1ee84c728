/* store.h - an open store: this process's private side of it, and the bounds-checked way to every shared word. */
#ifndef ZCT_SEGMENT_STORE_H
#define ZCT_SEGMENT_STORE_H

#include "base/error.h"
#include "base/log.h"
#include "base/util.h"
#include "platform/clock.h"
#include "platform/map.h"
#include "segment/geometry.h"
#include "segment/words.h"
#include "sync/owner.h"
#include "sync/plock.h"

enum { STRIPES = 64, SPARES = 1024, UNDO_MOST = 64 };

struct stripe {
    _Alignas(64) plock lock; /* of lref[t] and of this process's row bit t, for t mod STRIPES */
};

/* One of our lines of read locks: whose it is. Written by that thread, or by one that found it gone. */
struct reader {
    _Alignas(64) struct read_line *line;
    pv32 thread;         /* its number, 0: nobody's */
    uint32_t top;        /* marks below it may be set: at least 1 */
    bool is_first;       /* of its thread's */
    struct reader *next; /* the same thread's next line */
};

/* A part of the payload's address space: nothing is accessible beyond `enabled`. */
struct window {
    uint8_t *base;
    pv64 enabled; /* bytes; only grows */
};

struct stock;

struct zct_store {
    uint8_t *control;       /* mapped file, [0, control_size) */
    struct words *words;
    struct geometry g;
    unsigned slot;          /* ours */
    uint64_t slot_gen;
    pv32 state;             /* enum store_state */
    pv32 lost;              /* 1: the path means another file to this process */
    uint64_t view;          /* process_view() when it was opened */
    bool observer;
    uint32_t *lref;         /* [names] this process's references to each tensor; under its stripe */
    uint8_t *row;           /* ours, in control */
    struct reader *readers; /* tensor/marks: [1 + LINES_MORE], which thread has which of our lines */
    pv64 *writers;          /* tensor/lock: [names] {epoch:32 | thread:32}: which of ours write-locked it last */
    uint32_t membership;    /* number of this process's: a new one for each time it joins, and in a child */
    pv64 hungry_word, hungry_since; /* tensor/lock: a lock word that was left to readers, and since when */
    struct window rw, ro;   /* the payload; ro.base NULL until the first read-only attach */
    struct stripe stripes[STRIPES];
    pv64 spares[SPARES];    /* tensor/attach: a released attachment, kept for the next attach to t (t mod SPARES); 0: none */
    plock reap_lock, arena_lock, stock_lock;
    plock al_lock;          /* in front of the shared allocator lock */
    pv32 leaver;            /* at exit: the one thread that may still take it, 0: any */
    pv64 forks;             /* odd: a fork is being prepared; changes at each */

    pv64 *warmth;           /* tensor/warmth: 2 bits per 64 KiB of payload */
    pv32 *epochs_seen;      /* per 2 MiB: the trim epoch at which warmth was noted */
    pv64 huge_rest;         /* pool/huge: bytes of plain pages until huge ones are tried again, or HUGE_NEVER */
    pv64 huge_wait;         /* its last value at the beginning */
    pv32 huge_step;         /* huge pages to ask for at once, 0: 1 */
    struct stock *stock;    /* tensor/stock */
    pv64 stock_busy_until;  /* no new blocks before this time: AL's owner was found stopped */
    pv32 ticket_hint;       /* tensor/handle: where to look for a free ticket first */
    pv32 undo_count;        /* tensor/create: descriptors that could not be given back yet; under stock_lock */
    uint32_t undo[UNDO_MOST];
    int32_t fork_child_slot; /* between prepare and parent/child: the slot taken for the child, -1: none */
    int fork_child_fd;
    uint64_t fork_child_gen;

    pv64 users;             /* {opens - closes:32 | attachments and blocks:32}: whoever brings it to 0 leaves; never up from 0 */
    char *path, *directory;
    char name[ZCT_MAX_STORE_NAME + 1];
    uint8_t uuid[16];
    uint64_t device, inode;
    uint8_t *token;         /* the page that pins our life lock, between two pages of nothing */
    uint8_t *reservation;
    uint64_t reservation_size;
    struct zct_store *next; /* registry */
};

enum store_state { STORE_MEMBER = 1, STORE_NOT_MEMBER = 2 /* a child without a slot */, STORE_LEFT = 3, STORE_OBSERVER = 4 };

#define HUGE_NEVER UINT64_MAX
#define USER_OPEN (1ull << 32)
#define USER_LIVE 1ull
static inline uint32_t store_opens(struct zct_store *s) { return (uint32_t)(pv_get(&s->users) >> 32); }
static inline uint32_t store_live(struct zct_store *s) { return (uint32_t)pv_get(&s->users); }

/* ---- the way to shared words: the index must be in range, checked by the caller where it comes from shared memory ---- */

#define REGION(s, type, offset) ((type *)(void *)((s)->control + (offset)))
static inline struct slot *slot_at(struct zct_store *s, unsigned p) { return &REGION(s, struct slot, s->g.slots)[p]; }
static inline struct desc *desc_at(struct zct_store *s, uint32_t t) { return &REGION(s, struct desc, s->g.descs)[t]; }
static inline sh64 *row_at(struct zct_store *s, unsigned p)
{
    return REGION(s, sh64, s->g.rows + (uint64_t)p * s->g.row_stride);
}
static inline struct ticket *tickets_at(struct zct_store *s, unsigned p)
{
    return &REGION(s, struct ticket, s->g.tickets_at)[(uint64_t)p * s->g.tickets];
}
static inline sh32 *index_at(struct zct_store *s, unsigned which) { return REGION(s, sh32, s->g.index[which & 1]); }
static inline sh64 *ending_word(struct zct_store *s, uint32_t t) { return &REGION(s, sh64, s->g.ending)[t / 64]; }
static inline sh64 *todo_word(struct zct_store *s, uint32_t t) { return &REGION(s, sh64, s->g.todo)[t / 64]; }
static inline sh64 *free_word(struct zct_store *s, uint32_t t) { return &REGION(s, sh64, s->g.freemap)[t / 64]; }
static inline uint64_t bit_of(uint32_t t) { return 1ull << (t % 64); }
static inline uint64_t group_bit(unsigned p) { return 1ull << (p % 64); } /* of hint, sender, listen */
/* The first member from p on whose group bit is in the mask, or `members`. */
static inline unsigned next_in_groups(uint64_t mask, unsigned p, unsigned members)
{
    while (p < members) {
        uint64_t rest = mask >> (p % 64);
        if (rest)
            return p + lowest_bit(rest) < members ? p + lowest_bit(rest) : members;
        p = (p / 64 + 1) * 64;
    }
    return members;
}
static inline uint64_t offset_of(struct zct_store *s, const void *p)
{
    return (uint64_t)((const uint8_t *)p - s->control);
}

/* ---- control.c: which pages of the control part may be touched ---- */

/* True when every page of [offset, offset + length) is allocated: reading an unallocated one would allocate it, and be a
 * SIGBUS when there is nothing left. */
bool control_present(struct zct_store *s, uint64_t offset, uint64_t length);
/* Make it so. -ZCT_EFULL with a sentence. May do system calls: never under a stripe or the allocator's lock. */
int control_reserve(struct zct_store *s, uint64_t offset, uint64_t length);
static inline bool control_page_present(struct zct_store *s, uint64_t offset)
{
    uint64_t page = offset / PAGE;
    return (get_acquire(&REGION(s, sh64, s->g.present)[page / 64]) >> (page % 64)) & 1;
}
/* The word of member p's row that has tensor t, or NULL while its page does not exist (then p holds nothing there). */
static inline sh64 *row_word(struct zct_store *s, unsigned p, uint32_t t)
{
    sh64 *word = row_at(s, p) + t / 64;
    return control_page_present(s, offset_of(s, word)) ? word : NULL;
}
/* Line i of member p, i <= LINES_MORE. Its page must be asked for. */
static inline struct read_line *line_at(struct zct_store *s, unsigned p, unsigned i)
{
    return likely(i == 0) ? &REGION(s, struct read_line, s->g.lines)[p]
                          : &REGION(s, struct read_line, s->g.lines_more)[(uint64_t)p * LINES_MORE + i - 1];
}
/* 64 first lines lie in one page, and their members have the 64 bits of a hint: bit g, the page of members 64 g and on exists. */
static inline uint64_t line_groups(struct zct_store *s)
{
    const sh64 *words = REGION(s, sh64, s->g.present);
    uint64_t page = s->g.lines / PAGE, shift = page % 64, bits = get_sc((sh64 *)&words[page / 64]) >> shift;
    if (unlikely(shift > 48))
        bits |= get_sc((sh64 *)&words[page / 64 + 1]) << (64 - shift);
    return bits & low_bits((s->g.members + 63) / 64);
}
/* A descriptor index that came from shared memory: in range, and its memory is there. */
static inline bool desc_there(struct zct_store *s, uint32_t t)
{
    return t < s->g.names && control_page_present(s, s->g.descs + (uint64_t)t * sizeof(struct desc)) &&
           control_page_present(s, s->g.descs + ((uint64_t)t + 1) * sizeof(struct desc) - 1);
}
/* Descriptors ever used, as far as we can look. */
uint32_t desc_limit(struct zct_store *s);
/* Sentence for "no space": names the store, what was wanted and what to do. */
int fail_full(struct zct_store *s, const char *what, uint64_t bytes);

/* ---- open.c ---- */

/* A descriptor of the store's file, checked to be the one that we mapped. -ZCT_EGONE (and the store is marked gone) when
 * the path means something else now. The caller closes it. */
int store_file(struct zct_store *s, bool writable);
/* Does the path still mean our file? Else the store is marked gone for all its members: -ZCT_EGONE. One stat: asked where
 * it is cheap, on a miss, a cold create, a list, gc. */
int store_check_file(struct zct_store *s);
int store_is_gone(struct zct_store *s); /* -ZCT_EGONE with its sentence */
/* 0, or why this process may not use the store. Two loads. */
int store_refuse(struct zct_store *s);
/* A page that reads as zero in the child of any fork or clone, also one that runs no handlers. Set by the first open. */
extern pv64 here; /* its address; 0 before */
static inline pv32 *here_page(void) { return (pv32 *)(uintptr_t)pv_get(&here); }
static inline bool process_may_call(void) { return pv_get(here_page()) == 1; }
static inline bool process_is_raw_child(void) { return here_page() && !process_may_call(); }
static inline bool store_ready(struct zct_store *s)
{
    return likely(pv_get(&s->state) == STORE_MEMBER && !pv_get(&s->lost) && !get_relaxed(&s->words->gone) && process_may_call());
}
uint32_t store_next_membership(void); /* under F, or where there is one thread */
int store_map_window(struct zct_store *s, struct window *w, enum os_access access);
int window_need(struct zct_store *s, struct window *w, uint64_t end, enum os_access access);

/* ---- member.c ---- */

/* Is the member in slot p dead? 1: its life lock is free; 0: alive, or it cannot be known. Opens the file. */
int member_dead(struct zct_store *s, unsigned p);
/* Ask in one pass, with one descriptor: dead[p] for each of the members in the set. */
int member_scan(struct zct_store *s, int fd, unsigned p);
/* Take a free slot through fd: its life lock and its record. -ZCT_ETOOMANYMEMBERS. `reap_own`: called, with the life lock
 * held, when the only slots left are those of the dead. */
int member_take_slot(struct zct_store *s, int fd, bool never_reap, unsigned *ret_slot, uint64_t *ret_gen);
void member_write_record(struct zct_store *s, unsigned p);
/* "slot 7 (pid 4711, python train.py)" */
const char *member_describe(struct zct_store *s, unsigned p, char *to, size_t size);

/* ---- what the rooms above do for us; set once by tensor/ ---- */

struct upper_room {
    int (*reap)(struct zct_store *s, unsigned p); /* precondition: the caller holds REPAIR(p), LIFE(p) is free or ours */
    void (*reap_some)(struct zct_store *s);       /* notice a few of the dead */
    bool (*leaving)(struct zct_store *s, bool wait);         /* give back all that we hold; false: something stays for a reaper */
    bool (*empty)(struct zct_store *s);           /* no descriptor but free ones */
    void (*forget)(struct zct_store *s);          /* private memory of the rooms above */
};
extern struct upper_room upper;

/* registry, guarded by the process-wide lock F */
extern plock registry_lock;
extern struct zct_store *registry;
int store_open_member(const char *path, const zct_store_options *options, bool own_path, struct zct_store **ret);
int store_open_observer(const char *path, struct zct_store **ret);
/* F held; let go for a nap at the door. `wait`: at most 100 ms for AL and for the door, else each is tried once. */
void store_leave(struct zct_store *s, bool wait);
void store_free_private(struct zct_store *s);
int store_destroy(const char *path);
int store_birth(const char *path, const zct_store_options *options);
int store_fail_locks(const char *path); /* open.c: -ZCT_EUNSUPPORTED */
int header_read(int fd, const char *path, bool own_path, struct header *ret, struct geometry *ret_geometry);

#endif
