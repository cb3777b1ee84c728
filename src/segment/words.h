/* words.h - the packed words of a descriptor and their transitions, as pure functions on values.
 *
 *   st   = { state:4 | asked:1 | sealed:1 | slot:12 | generation:46 }
 *          FREE -> ALLOC(p) -> BARE (alive, nameless) | NEXT(p) -> LIVE (named);  BARE -> BARENEXT(p) -> LIVE: a publish
 *          LIVE, BARE -> DYING -> FREEING(p) -> FREE of the next generation
 *          ASKED(p): "p asks whether it may change". For everybody else it means what it means without; anyone may clear
 *          it, and that is the veto.
 *   ext  = 0 (none) | small:1 page:32 cell:6 cells:6 | large: page:31 pages:32
 *   ref  = { generation:40 | desc + 1:24 }             prev, next
 *   who  = { slot generation:52 | slot:12 }            maker
 *   aux  = { first unit:32 | units:32 }
 *   mark = { times more:8 | desc + 1:24 }              read locks */
#ifndef ZCT_SEGMENT_WORDS_H
#define ZCT_SEGMENT_WORDS_H

#include "base/util.h"

enum state { ST_FREE, ST_ALLOC, ST_BARE, ST_NEXT, ST_LIVE, ST_BARENEXT, ST_DYING, ST_FREEING, ST_COUNT };

#define ST_ASKED (1ull << 4)
#define ST_SEALED (1ull << 5)
#define ST_SLOT_SHIFT 6
#define ST_GEN_SHIFT 18

static inline enum state st_state(uint64_t st) { return (enum state)(st & 15); }
static inline bool st_asked(uint64_t st) { return (st & ST_ASKED) != 0; }
static inline bool st_sealed(uint64_t st) { return (st & ST_SEALED) != 0; }
static inline unsigned st_slot(uint64_t st) { return (unsigned)(st >> ST_SLOT_SHIFT) & 0xfff; }
static inline uint64_t st_gen(uint64_t st) { return st >> ST_GEN_SHIFT; }
static inline uint64_t st_make(enum state state, unsigned slot, uint64_t gen)
{
    return (uint64_t)state | (uint64_t)slot << ST_SLOT_SHIFT | gen << ST_GEN_SHIFT;
}
/* Another state of the same tensor: generation and seal stay, a question does not. */
static inline uint64_t st_to(uint64_t st, enum state state, unsigned slot)
{
    return (st & ~(0xfffull << ST_SLOT_SHIFT | 15 | ST_ASKED)) | (uint64_t)state | (uint64_t)slot << ST_SLOT_SHIFT;
}
static inline uint64_t st_plain(uint64_t st) { return st & ~(ST_ASKED | (st_asked(st) ? 0xfffull << ST_SLOT_SHIFT : 0)); }
static inline uint64_t st_ask(uint64_t st, unsigned slot)
{
    return (st & ~(0xfffull << ST_SLOT_SHIFT)) | ST_ASKED | (uint64_t)slot << ST_SLOT_SHIFT;
}
static inline uint64_t st_freed(uint64_t st) { return st_make(ST_FREE, 0, st_gen(st) + 1); }
/* Somebody's bytes: handles, fork and close accept it. */
static inline bool st_alive(uint64_t st)
{
    enum state s = st_state(st);
    return s == ST_BARE || s == ST_BARENEXT || s == ST_LIVE || s == ST_NEXT || s == ST_DYING;
}
/* It owns an extent or is about to: everything but FREE. */
static inline bool st_used(uint64_t st) { return st_state(st) != ST_FREE; }

/* ---- extents ---- */

enum { CELL = 64, CELLS_PER_PAGE = 64, PAGE_SHIFT = 12, LARGEST_SMALL = 63 * CELL };
#define EXT_SMALL (1ull << 63)

struct extent { uint64_t offset, length; }; /* bytes of the payload */

static inline uint64_t ext_small(uint64_t page, unsigned cell, unsigned cells)
{
    return EXT_SMALL | page << 12 | (uint64_t)cell << 6 | cells;
}
static inline uint64_t ext_large(uint64_t page, uint64_t pages) { return page << 32 | pages; }
static inline bool ext_is_small(uint64_t ext) { return (ext & EXT_SMALL) != 0; }
static inline uint64_t ext_page(uint64_t ext)
{
    return ext_is_small(ext) ? (ext >> 12) & 0xffffffffull : (ext >> 32) & 0x7fffffffull;
}
static inline uint64_t ext_pages(uint64_t ext) { return ext_is_small(ext) ? 1 : ext & 0xffffffffull; }
static inline unsigned ext_cell(uint64_t ext) { return (unsigned)(ext >> 6) & 63; }
static inline unsigned ext_cells(uint64_t ext) { return (unsigned)ext & 63; }
static inline struct extent ext_bytes(uint64_t ext)
{
    if (ext == 0)
        return (struct extent){0, 0};
    if (ext_is_small(ext))
        return (struct extent){(ext_page(ext) << PAGE_SHIFT) + (uint64_t)ext_cell(ext) * CELL,
                               (uint64_t)ext_cells(ext) * CELL};
    return (struct extent){ext_page(ext) << PAGE_SHIFT, ext_pages(ext) << PAGE_SHIFT};
}
/* The cells of a page that a small extent has, as a mask. */
static inline uint64_t ext_mask(uint64_t ext) { return low_bits(ext_cells(ext)) << ext_cell(ext); }
/* Could this extent be one of a payload of `pages` pages? */
static inline bool ext_valid(uint64_t ext, uint64_t pages)
{
    if (ext == 0)
        return true;
    if (ext_is_small(ext))
        return (ext & ~(EXT_SMALL | 0xfffffffffffull)) == 0 && ext_page(ext) < pages && ext_cells(ext) > 0 &&
               ext_cell(ext) + ext_cells(ext) <= CELLS_PER_PAGE;
    return ext_pages(ext) > 0 && ext_page(ext) < pages && ext_pages(ext) <= pages - ext_page(ext);
}

/* ---- references between descriptors, makers ---- */

#define REF_GEN_MASK ((1ull << 40) - 1)
static inline uint64_t ref_make(uint32_t desc, uint64_t gen) { return (gen & REF_GEN_MASK) << 24 | (desc + 1); }
static inline bool ref_none(uint64_t ref) { return (ref & 0xffffff) == 0; }
static inline uint32_t ref_desc(uint64_t ref) { return (uint32_t)(ref & 0xffffff) - 1; }
static inline bool ref_is(uint64_t ref, uint64_t gen) { return ref >> 24 == (gen & REF_GEN_MASK); }

static inline uint64_t who_make(unsigned slot, uint64_t slot_gen) { return slot_gen << 12 | slot; }
static inline unsigned who_slot(uint64_t who) { return (unsigned)who & 0xfff; }
static inline uint64_t who_gen(uint64_t who) { return who >> 12; }

static inline uint64_t aux_make(uint32_t first, uint32_t units) { return (uint64_t)first << 32 | units; }
static inline uint32_t aux_first(uint64_t aux) { return (uint32_t)(aux >> 32); }
static inline uint32_t aux_units(uint64_t aux) { return (uint32_t)aux; }

/* ---- tickets: handles in flight ---- */

#define TICKET_NONCE_MASK ((1ull << 40) - 1)
static inline uint64_t ticket_make(uint64_t nonce, uint32_t desc) { return (nonce & TICKET_NONCE_MASK) << 24 | (desc + 1); }
static inline uint32_t ticket_desc(uint64_t ticket) { return (uint32_t)(ticket & 0xffffff) - 1; }

/* ---- marks: what a thread read-locks, and how many times more than once ---- */

#define MARK_ONCE (1u << 24)
#define MARK_MOST (255u << 24)
static inline uint32_t mark_make(uint32_t desc) { return desc + 1; }
static inline bool mark_is(uint32_t mark, uint32_t desc) { return (mark & 0xffffff) == desc + 1; }
static inline uint32_t mark_desc(uint32_t mark) { return (mark & 0xffffff) - 1; }
static inline bool mark_may_nest(uint32_t mark) { return mark < MARK_MOST; }
static inline uint32_t mark_nested(uint32_t mark) { return mark + MARK_ONCE; }
static inline uint32_t mark_left(uint32_t mark) { return mark >= MARK_ONCE ? mark - MARK_ONCE : 0; }

/* ---- index ---- */

#define CELL_NONE 0u
#define CELL_TOMB 0xffffffffu
/* { top byte of the name's hash:8 | desc + 1:24 } */
static inline uint32_t cell_make(uint32_t desc, uint32_t hash) { return (hash & 0xff000000u) | (desc + 1); }
static inline uint32_t cell_desc(uint32_t cell) { return (cell & 0xffffff) - 1; }
static inline bool cell_may_be(uint32_t cell, uint32_t hash) { return cell >> 24 == hash >> 24; }

/* root = { version:57 | log2 cells:6 | which:1 } */
static inline unsigned root_which(uint64_t root) { return (unsigned)root & 1; }
static inline unsigned root_log2(uint64_t root) { return (unsigned)(root >> 1) & 63; }
static inline uint64_t root_next(uint64_t root, unsigned log2)
{
    return ((root >> 7) + 1) << 7 | (uint64_t)log2 << 1 | (root_which(root) ^ 1);
}

#endif
