/* The packed words, as values: every state, every field at its edges; and owner words. No thread, no store. */
#include "support/test.h"

#include "segment/words.h"
#include "sync/owner.h"

static const unsigned slots[] = {0, 1, 2, 63, 64, 511, 1023, 4095};
static const uint64_t gens[] = {0, 1, 2, 1ull << 32, (1ull << 40) - 1, (1ull << 46) - 2, (1ull << 46) - 1};
#define EACH(x, list) for (size_t x = 0; x < COUNT(list); x++)

/* Every state with every flag: its fields are what was put in, and each transition changes what it names alone. */
static void st_fields(void)
{
    for (int state = 0; state < ST_COUNT; state++)
        EACH(i, slots)
            EACH(k, gens)
                for (int sealed = 0; sealed < 2; sealed++) {
                    uint64_t st = st_make((enum state)state, slots[i], gens[k]) | (sealed ? ST_SEALED : 0);
                    CHECK_EQ(st_state(st), state);
                    CHECK_EQ(st_slot(st), slots[i]);
                    CHECK_EQ(st_gen(st), gens[k]);
                    CHECK_EQ(st_sealed(st), sealed);
                    CHECK(!st_asked(st));
                    CHECK(st_plain(st) == st);
                    CHECK_EQ(st_used(st), state != ST_FREE);
                }
}

static void st_transitions(void)
{
    for (int from = 0; from < ST_COUNT; from++)
        for (int to = 0; to < ST_COUNT; to++)
            EACH(i, slots)
                EACH(k, gens)
                    for (int flags = 0; flags < 4; flags++) {
                        uint64_t st = st_make((enum state)from, slots[i], gens[k]) | (flags & 1 ? ST_SEALED : 0) |
                                      (flags & 2 ? ST_ASKED : 0);
                        uint64_t next = st_to(st, (enum state)to, slots[(i + 3) % COUNT(slots)]);
                        CHECK_EQ(st_state(next), to);
                        CHECK_EQ(st_slot(next), slots[(i + 3) % COUNT(slots)]);
                        CHECK(st_gen(next) == gens[k]); /* the same tensor */
                        CHECK_EQ(st_sealed(next), flags & 1);
                        CHECK(!st_asked(next));
                    }
}

/* ASKED(p) means what it means without; clearing it, by anybody, is the veto. */
static void st_questions(void)
{
    for (int state = 0; state < ST_COUNT; state++)
        EACH(i, slots)
            EACH(k, gens)
                for (int sealed = 0; sealed < 2; sealed++) {
                    uint64_t st = st_make((enum state)state, 0, gens[k]) | (sealed ? ST_SEALED : 0);
                    uint64_t asked = st_ask(st, slots[i]);
                    CHECK(st_asked(asked));
                    CHECK(asked != st);
                    CHECK_EQ(st_slot(asked), slots[i]);
                    CHECK_EQ(st_state(asked), state);
                    CHECK(st_gen(asked) == gens[k]);
                    CHECK_EQ(st_sealed(asked), sealed);
                    CHECK_EQ(st_alive(asked), st_alive(st));
                    CHECK_EQ(st_used(asked), st_used(st));
                    CHECK(st_plain(asked) == st); /* the veto gives back the very word */
                    CHECK(st_ask(asked, 7) != asked || slots[i] == 7);
                    /* the answer: another state, no question left */
                    CHECK(!st_asked(st_to(asked, ST_DYING, 0)));
                }
}

static void st_meaning(void)
{
    static const struct { enum state state; bool alive, used; } table[ST_COUNT] = {
        {ST_FREE, false, false}, {ST_ALLOC, false, true}, {ST_BARE, true, true},   {ST_NEXT, true, true},
        {ST_LIVE, true, true},   {ST_BARENEXT, true, true}, {ST_DYING, true, true}, {ST_FREEING, false, true},
    };
    for (int i = 0; i < ST_COUNT; i++) {
        CHECK_EQ(table[i].state, i);
        CHECK_EQ(st_alive(st_make(table[i].state, 3, 5)), table[i].alive);
        CHECK_EQ(st_used(st_make(table[i].state, 3, 5)), table[i].used);
    }
    for (unsigned state = ST_COUNT; state < 16; state++) /* no state of this format */
        CHECK(!st_alive(st_make((enum state)state, 0, 1)));
    EACH(k, gens)
    {
        uint64_t freed = st_freed(st_make(ST_FREEING, 9, gens[k]) | ST_SEALED);
        CHECK_EQ(st_state(freed), ST_FREE);
        CHECK(!st_sealed(freed) && !st_asked(freed) && st_slot(freed) == 0);
        CHECK(st_gen(freed) == ((gens[k] + 1) & ((1ull << 46) - 1))); /* the next tenant is another tensor */
    }
}

/* ---- extents ---- */

static void small_extents(void)
{
    static const uint64_t pages[] = {0, 1, 63, 4095, (1ull << 31) - 1, (1ull << 32) - 1};
    EACH(i, pages)
        for (unsigned cell = 0; cell < 64; cell++)
            for (unsigned cells = 0; cells < 64; cells++) {
                uint64_t ext = ext_small(pages[i], cell, cells);
                CHECK(ext_is_small(ext) && ext != 0);
                CHECK(ext_page(ext) == pages[i]);
                CHECK_EQ(ext_cell(ext), cell);
                CHECK_EQ(ext_cells(ext), cells);
                CHECK_EQ(ext_pages(ext), 1);
                bool valid = cells > 0 && cell + cells <= 64;
                CHECK_EQ(ext_valid(ext, pages[i] + 1), valid);
                CHECK(!ext_valid(ext, pages[i]));
                CHECK(!ext_valid(ext | 1ull << 44, pages[i] + 1)); /* a bit that is nobody's */
                if (!valid)
                    continue;
                CHECK_EQ(__builtin_popcountll(ext_mask(ext)), cells);
                CHECK_EQ(__builtin_ctzll(ext_mask(ext)), cell);
                struct extent b = ext_bytes(ext);
                CHECK(b.offset == pages[i] * 4096 + cell * 64ull && b.length == cells * 64ull);
            }
}

static void large_extents(void)
{
    static const uint64_t values[] = {0, 1, 2, 511, 4096, (1ull << 30) - 1, (1ull << 31) - 1};
    EACH(i, values)
        EACH(k, values)
        {
            uint64_t page = values[i], pages = values[k], ext = ext_large(page, pages);
            CHECK(!ext_is_small(ext));
            CHECK(ext_page(ext) == page && ext_pages(ext) == pages);
            if (page == 0 && pages == 0) { /* the word for none */
                CHECK(ext == 0 && ext_valid(ext, 1) && ext_bytes(ext).length == 0);
                continue;
            }
            CHECK_EQ(ext_valid(ext, page + pages), pages > 0);
            CHECK(!ext_valid(ext, page + pages - 1));
            CHECK(!ext_valid(ext, page));
            CHECK(ext_bytes(ext).offset == page * 4096 && ext_bytes(ext).length == pages * 4096);
        }
}

/* Whatever the word, an extent that is called valid lies inside the payload. */
static void any_extent(void)
{
    uint64_t state = (uint64_t)test_now();
    for (long i = 0; i < (test_quick() ? 100000 : 3000000); i++) {
        uint64_t ext = test_random(&state), pages = test_random(&state) >> (33 + test_random(&state) % 31);
        if (i % 2)
            ext &= 0x8000000fffffffffull;
        if (!ext_valid(ext, pages))
            continue;
        struct extent b = ext_bytes(ext);
        CHECK(b.offset + b.length <= pages * 4096 && b.offset + b.length >= b.offset);
    }
}

/* ---- the others ---- */

static void references(void)
{
    static const uint32_t descs[] = {0, 1, 63, 64, 65535, (1u << 24) - 65};
    CHECK(ref_none(0));
    EACH(i, descs)
        EACH(k, gens)
        {
            uint64_t ref = ref_make(descs[i], gens[k]);
            CHECK(!ref_none(ref));
            CHECK_EQ(ref_desc(ref), descs[i]);
            CHECK(ref_is(ref, gens[k]));
            CHECK(!ref_is(ref, gens[k] + 1));
            uint64_t ticket = ticket_make(gens[k], descs[i]);
            CHECK(ticket != 0);
            CHECK_EQ(ticket_desc(ticket), descs[i]);
            CHECK(ticket != ticket_make(gens[k] + 1, descs[i]));
            for (uint32_t top = 0; top < 256; top++) {
                uint32_t hash = top << 24 | 0xffffff, cell = cell_make(descs[i], hash);
                CHECK(cell != CELL_NONE && cell != CELL_TOMB);
                CHECK_EQ(cell_desc(cell), descs[i]);
                CHECK(cell_may_be(cell, hash));
                CHECK(!cell_may_be(cell, hash ^ 0x80000000u));
            }
        }
    EACH(i, slots)
    {
        CHECK_EQ(who_slot(who_make(slots[i], 1ull << 51)), slots[i]);
        CHECK(who_make(slots[i], 1) != who_make(slots[i], 2));
    }
    uint64_t aux = aux_make(0xfedcba98u, 0x1234567u);
    CHECK(aux_first(aux) == 0xfedcba98u && aux_units(aux) == 0x1234567u);
    for (unsigned log2 = 0; log2 < 40; log2++) {
        uint64_t root = root_next((uint64_t)log2 << 7 | 5 << 1, log2), next = root_next(root, log2 + 1);
        CHECK(root_log2(root) == log2 && root_log2(next) == log2 + 1);
        CHECK(root_which(root) == 1 && root_which(next) == 0);
        CHECK_EQ((next >> 7) - (root >> 7), 1);
    }
}

static const uint64_t epochs[] = {0, 1, 0x7fffffff, 0xfffffffe, 0xffffffff};

static void owner_words(void)
{
    EACH(e, epochs)
        for (unsigned flags = 0; flags < 8; flags++)
            EACH(i, slots)
            {
                uint64_t bits = (flags & 1 ? OWNER_DIRTY : 0) | (flags & 2 ? OWNER_WAIT : 0) | (flags & 4 ? OWNER_HUNGRY : 0);
                uint64_t free = owner_with((uint32_t)epochs[e], bits, 0);
                CHECK_EQ(owner_of(free), 0);
                CHECK_EQ(owner_epoch(free), epochs[e]);
                uint64_t mine = owner_taken(free, slots[i]);
                CHECK_EQ(owner_of(mine), slots[i] + 1);
                CHECK_EQ(owner_epoch(mine), (uint32_t)(epochs[e] + 1)); /* an owner's word is never an earlier one's */
                CHECK((mine & OWNER_DIRTY) == (bits & OWNER_DIRTY));    /* it is told */
                CHECK((mine & OWNER_WAIT) == (bits & OWNER_WAIT));      /* nobody's wake-up is lost */
                CHECK((owner_dropped(mine, true) & OWNER_DIRTY) == 0);
                CHECK((owner_dropped(mine, false) & OWNER_DIRTY) == (bits & OWNER_DIRTY));
                CHECK_EQ(owner_of(owner_dropped(mine, true)), 0);
                CHECK((owner_dropped(mine, true) & OWNER_WAIT) == 0); /* whoever drops wakes all */
                CHECK_EQ(owner_epoch(owner_dropped(mine, true)), owner_epoch(mine));
                uint64_t repaired = owner_repaired(mine, true);
                CHECK_EQ(owner_of(repaired), 0);
                CHECK(repaired & OWNER_DIRTY);
                CHECK((repaired & OWNER_WAIT) == 0);
                CHECK_EQ(owner_epoch(repaired), (uint32_t)(owner_epoch(mine) + 1));
                uint64_t unharmed = owner_repaired(mine, false); /* died before it changed anything: as poisoned as before */
                CHECK_EQ(unharmed & ~OWNER_DIRTY, repaired & ~OWNER_DIRTY);
                CHECK((unharmed & OWNER_DIRTY) == (bits & OWNER_DIRTY));
            }
}

/* The same word with readers beside it. */
static void owner_with_readers(void)
{
    EACH(e, epochs)
        for (unsigned flags = 0; flags < 8; flags++)
            EACH(i, slots)
            {
                uint64_t bits = (flags & 1 ? OWNER_DIRTY : 0) | (flags & 2 ? OWNER_WAIT : 0) | (flags & 4 ? OWNER_HUNGRY : 0);
                uint32_t epoch = (uint32_t)epochs[e];
                uint64_t free = owner_with(epoch, bits, 0), owned = owner_with(epoch, bits, slots[i] + 1);
                CHECK(owner_open_to_writer(free, false) == !(bits & OWNER_HUNGRY));
                CHECK(owner_open_to_writer(free, true));
                CHECK(!owner_open_to_writer(owned, false) && !owner_open_to_writer(owned, true));
                CHECK(!(owner_taken(free, slots[i]) & OWNER_HUNGRY));           /* taken in spite of it: asked for anew */
                CHECK((owner_dropped(owned, true) & OWNER_HUNGRY) == (bits & OWNER_HUNGRY)); /* outlives a release */
                CHECK((owner_repaired(owned, true) & OWNER_HUNGRY) == (bits & OWNER_HUNGRY));
                CHECK(owner_draining(owned, epoch - 1) && !owner_draining(owned, epoch));
                CHECK(!owner_draining(free, epoch - 1) && !owner_draining(free, epoch));
                CHECK(owner_same(owned, owned ^ OWNER_WAIT) && owner_same(owned, owned ^ OWNER_HUNGRY));
                CHECK(!owner_same(owned, owned ^ OWNER_DIRTY) && !owner_same(owned, owned + 1) && !owner_same(owned, owned + (1ull << 32)));
            }
}

static void marks(void)
{
    static const uint32_t descs[] = {0, 1, 255, 65535, 0xfffffe};
    EACH(i, descs)
    {
        uint32_t mark = mark_make(descs[i]);
        CHECK(mark != 0 && !mark_is(0, descs[i]));
        for (unsigned times = 0; times < 256; times++) {
            CHECK(mark_is(mark, descs[i]));
            CHECK(!mark_is(mark, descs[i] + 1));
            CHECK_EQ(mark_desc(mark), descs[i]);
            CHECK(mark_may_nest(mark) == (times < 255));
            if (times < 255)
                mark = mark_nested(mark);
        }
        for (unsigned times = 256; times > 0; times--) {
            CHECK(mark_is(mark, descs[i]));
            mark = mark_left(mark);
        }
        CHECK_EQ(mark, 0);
    }
}

/* A repair compares the whole word that was read before the proof of death. */
static void owner_repairs(void)
{
    sh64 word = {0};
    uint64_t w = 0;
    CHECK(owner_try(&word, 5, &w));
    CHECK(!owner_try(&word, 5, &w));
    CHECK(!owner_try(&word, 6, &w));
    uint64_t seen = get_sc(&word);
    owner_unlock(&word, 6, true); /* not the owner: nothing */
    CHECK(get_sc(&word) == seen);
    owner_unlock(&word, 5, true);
    CHECK(owner_try(&word, 5, &w)); /* the slot was filled again and took it anew */
    CHECK(!owner_repair(&word, seen));
    CHECK_EQ(owner_of(get_sc(&word)), 6);
    seen = get_sc(&word);
    or_sc(&word, OWNER_WAIT); /* a waiter came between: it is still that owner */
    CHECK(owner_repair(&word, seen));
    CHECK_EQ(owner_of(get_sc(&word)), 0);
    CHECK(owner_try(&word, 9, &w));
    CHECK(w & OWNER_DIRTY);
    owner_unlock(&word, 9, false);
    CHECK(owner_try(&word, 9, &w));
    CHECK(w & OWNER_DIRTY); /* not repaired yet: the next one is told too */
    owner_unlock(&word, 9, true);
    CHECK(owner_try(&word, 9, &w));
    CHECK(!(w & OWNER_DIRTY));
    CHECK(!owner_repair(&word, owner_with(owner_epoch(w) - 1, 0, 10)));
    owner_unlock(&word, 9, true);
    CHECK(!owner_repair(&word, get_sc(&word)));
}

static int say(void *context, unsigned slot)
{
    int *calls = context;
    calls[0]++;
    calls[1] = (int)slot;
    return calls[2];
}

static void owner_waits(void)
{
    sh64 word = {0};
    uint64_t w = 0;
    unsigned suspect = 99;
    int calls[3] = {0, 0, 0};
    struct owner_probe probe = {say, calls};
    CHECK(owner_try(&word, 41, &w));
    CHECK_EQ(owner_lock(&word, 7, deadline_in(30000000), &probe, &w, &suspect), -ZCT_EBUSY); /* alive: to the deadline */
    CHECK_EQ(suspect, 41);
    CHECK(calls[0] > 0 && calls[1] == 41);
    CHECK_EQ(owner_lock(&word, 7, deadline_in(0), &probe, &w, &suspect), -ZCT_EBUSY);
    calls[2] = -1; /* it cannot be known: as if alive */
    CHECK_EQ(owner_lock(&word, 7, deadline_in(20000000), &probe, &w, &suspect), -ZCT_EBUSY);
    calls[2] = 1;
    CHECK_EQ(owner_lock(&word, 7, deadline_in(-1), &probe, &w, &suspect), 0);
    CHECK_EQ(owner_of(w), 8);
    CHECK(w & OWNER_DIRTY);
    owner_unlock(&word, 7, true);
    CHECK_EQ(owner_of(get_sc(&word)), 0);
}

TESTS({"fields of st", st_fields}, {"transitions of st", st_transitions}, {"questions", st_questions},
      {"what states mean", st_meaning}, {"small extents", small_extents}, {"large extents", large_extents},
      {"any extent", any_extent}, {"references, tickets, cells, roots", references}, {"owner words", owner_words}, {"an owner with readers", owner_with_readers}, {"marks", marks},
      {"owner repairs", owner_repairs}, {"owner waits", owner_waits})
