/* check.c - the invariants of a whole store, as a function: for debug builds, tests, fuzzers and `zct check`.
 *
 * I1 FREE: no extent, no row has it. I2 extents are in range and disjoint, aux blocks too. I3 with AL free and clean the
 * caches agree with the descriptors: used pages, cells, index, counts. I4 NEXT, BARENEXT and FREEING exist only under AL, and
 * ALLOC belongs to somebody. I5 whoever reads or writes under a tensor's lock has its bit, and who left or was reaped has no
 * lock. A dead member that nobody has reaped yet is no finding; what it left may keep I1 and I4.
 *
 * A member takes AL, so nothing moves. An observer compares `changes` and looks again. */
#include "tensor/lock.h"

#include "pool/bits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct checker {
    struct zct_store *s;
    char *findings; /* sentences, one after the other, NUL-terminated */
    size_t length, room;
    int count;
    uint64_t *pages, *aux; /* in use, as the descriptors say */
    uint64_t *cells;       /* masks of pages that are cut, by position in cut_pages */
    bool quiet;            /* AL was free and clean all the time */
    uint32_t named;
};

static void found(struct checker *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void found(struct checker *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args) + 1;
    va_end(args);
    if (n > (int)sizeof text)
        n = (int)sizeof text;
    c->count++;
    if (c->count > 1000)
        return;
    if (c->length + (size_t)n > c->room) {
        size_t room = c->room ? c->room * 2 : 4096;
        char *more = realloc(c->findings, room);
        if (!more)
            return;
        c->findings = more;
        c->room = room;
    }
    memcpy(c->findings + c->length, text, (size_t)n);
    c->length += (size_t)n;
}

static bool claim_bits(uint64_t *map, uint64_t first, uint64_t count)
{
    bool clean = true;
    for (uint64_t w = first / 64; count && w <= (first + count - 1) / 64; w++) {
        uint64_t part = bits_part(w * 64, first, first + count);
        clean &= !(map[w] & part);
        map[w] |= part;
    }
    return clean;
}

/* I2 for one descriptor. */
static void check_extent(struct checker *c, uint32_t t, uint64_t ext, uint64_t nbytes, bool whole)
{
    struct zct_store *s = c->s;
    if (ext == 0) {
        if (nbytes && whole)
            found(c, "tensor %u has %llu bytes and no extent", t, (unsigned long long)nbytes);
        return;
    }
    uint64_t high = min_u64(get_relaxed(&s->words->high), s->g.pages);
    if (!ext_valid(ext, high)) {
        found(c, "tensor %u: extent %#llx is out of range", t, (unsigned long long)ext);
        return;
    }
    if (whole && ext_bytes(ext).length < nbytes)
        found(c, "tensor %u: extent of %llu bytes is smaller than its %llu bytes", t,
              (unsigned long long)ext_bytes(ext).length, (unsigned long long)nbytes);
    if (!ext_is_small(ext)) {
        if (!claim_bits(c->pages, ext_page(ext), ext_pages(ext)))
            found(c, "tensor %u: extent overlaps another (page %llu, %llu pages)", t, (unsigned long long)ext_page(ext),
                  (unsigned long long)ext_pages(ext));
    } else {
        uint64_t *mask = &c->cells[ext_page(ext)];
        if (*mask & ext_mask(ext))
            found(c, "tensor %u: cells overlap another's (page %llu)", t, (unsigned long long)ext_page(ext));
        *mask |= ext_mask(ext);
    }
    if (whole && nbytes && !pool_reserved(s, ext))
        found(c, "tensor %u: some of its pages are not known to exist", t);
}

static bool any_row(struct zct_store *s, uint32_t t)
{
    for (unsigned p = 0; p < s->g.members; p++) {
        sh64 *word = row_word(s, p, t);
        struct slot *slot = slot_at(s, p);
        if (word && (get_relaxed(word) & bit_of(t)) && control_page_present(s, offset_of(s, slot)) &&
            get_relaxed(&slot->used))
            return true;
    }
    return false;
}

static bool holds(struct zct_store *s, unsigned p, uint32_t t)
{
    sh64 *word = row_word(s, p, t);
    return get_acquire(&slot_at(s, p)->used) && word && (get_sc(word) & bit_of(t));
}

/* I5, the writer. Locks are not AL's: what changed meanwhile is no finding. */
static void check_writer(struct checker *c, uint32_t t)
{
    struct zct_store *s = c->s;
    sh64 *owner = &desc_at(s, t)->lock.owner;
    uint64_t w = get_sc(owner);
    if (owner_of(w) == 0)
        return;
    unsigned p = owner_of(w) - 1;
    bool sound = p < s->g.members && control_page_present(s, offset_of(s, slot_at(s, p))) && holds(s, p, t);
    if (!sound && get_sc(owner) == w)
        found(c, "tensor %u is locked for writing by member %u, which does not hold it", t, p);
}

/* I5, a mark of a reader. */
static void check_mark(void *context, unsigned p, sh32 *mark)
{
    struct checker *c = context;
    struct zct_store *s = c->s;
    uint32_t is = get_sc(mark), t = mark_desc(is);
    bool sound = desc_there(s, t) && holds(s, p, t);
    if (!sound && get_sc(mark) == is)
        found(c, "member %u reads tensor %u under its lock and does not hold it", p, t);
}

static void check_desc(struct checker *c, uint32_t t)
{
    struct zct_store *s = c->s;
    struct desc *d = desc_at(s, t);
    uint64_t st = get_acquire(&d->st), ext = get_relaxed(&d->ext), aux = get_relaxed(&d->aux);
    enum state state = st_state(st);
    int64_t dims[2 * ZCT_MAX_DIMS];
    struct key key;
    if (state >= ST_COUNT) {
        found(c, "descriptor %u has the unknown state %d", t, (int)state);
        return;
    }
    check_writer(c, t);
    if (state == ST_FREE) {
        if (ext || aux)
            found(c, "descriptor %u is free and has memory", t);
        return;
    }
    bool whole = state == ST_LIVE || state == ST_BARE;
    if (c->quiet && (state == ST_NEXT || state == ST_BARENEXT || state == ST_FREEING || st_asked(st)))
        found(c, "tensor %u is in the middle of a change that nobody makes (state %d)", t, (int)state);
    if (state == ST_ALLOC && (st_slot(st) >= s->g.members || !any_row(s, t)))
        found(c, "tensor %u is being made by nobody", t);
    check_extent(c, t, ext, get_relaxed(&d->nbytes), whole);
    if (aux && (aux_units(aux) == 0 || aux_first(aux) >= s->g.aux_units || aux_units(aux) > s->g.aux_units - aux_first(aux)))
        found(c, "tensor %u: its aux block is out of range", t);
    else if (aux && !claim_bits(c->aux, aux_first(aux), aux_units(aux)))
        found(c, "tensor %u: its aux block overlaps another's", t);
    if (!whole)
        return;
    zct_dtype dtype;
    dtype_read(d, &dtype);
    if (!layout_read(s, d, get_relaxed(&d->form), &dtype, get_relaxed(&d->nbytes), dims, dims + ZCT_MAX_DIMS))
        found(c, "tensor %u: shape or strides are impossible", t);
    if (state != ST_LIVE)
        return;
    c->named++;
    if (get_relaxed(&d->next))
        found(c, "tensor %u is alive and says that it was replaced", t);
    if (!key_read(s, d, &key)) {
        found(c, "tensor %u is named and its name cannot be read", t);
        return;
    }
    if (!key_sound(&key)) {
        found(c, "tensor %u: its name is damaged", t);
        return;
    }
    char name[300];
    if (!index_cell(s, t, key.hash))
        found(c, "tensor %u, %s, is not in the index", t, key_show(&key, name, sizeof name));
    else if (index_find_live(s, &key) != t)
        found(c, "two tensors have the name %s", key_show(&key, name, sizeof name));
}

/* I3: the caches. */
static void check_caches(struct checker *c)
{
    struct zct_store *s = c->s;
    uint64_t high = min_u64(get_relaxed(&s->words->high), s->g.pages);
    sh64 *used = REGION(s, sh64, s->g.used), *cut = REGION(s, sh64, s->g.chunkmap);
    uint64_t wrong = 0;
    for (uint64_t page = 0; page < high; page++) {
        uint64_t chunk = page / CHUNK_PAGES;
        bool is_cut = (get_relaxed(&cut[chunk / 64]) >> (chunk % 64)) & 1;
        bool is_used = (get_relaxed(&used[page / 64]) >> (page % 64)) & 1;
        bool taken = (c->pages[page / 64] >> (page % 64)) & 1;
        if (is_cut) {
            uint64_t mask = get_relaxed(&REGION(s, sh64, s->g.masks)[page]);
            wrong += mask != c->cells[page] || taken || !is_used;
        } else {
            wrong += is_used != taken || c->cells[page] != 0;
        }
    }
    if (wrong)
        found(c, "the map of used memory is wrong for %llu pages", (unsigned long long)wrong);
    if (get_relaxed(&s->words->indexed) != c->named)
        found(c, "the index counts %u names, there are %u", get_relaxed(&s->words->indexed), c->named);
    for (uint64_t u = 0; u < s->g.aux_units / 64 && control_present(s, s->g.aux_map, s->g.aux_units / 8); u++)
        if (get_relaxed(&REGION(s, sh64, s->g.aux_map)[u]) != c->aux[u]) {
            found(c, "the map of aux blocks is wrong");
            break;
        }
}

/* Cells of the index name living tensors, each once. */
static void check_index(struct checker *c)
{
    struct zct_store *s = c->s;
    uint64_t root = get_acquire(&s->words->root);
    if (root_log2(root) > s->g.cells_log2) {
        found(c, "the index says it has 2^%u cells", root_log2(root));
        return;
    }
    uint64_t cells = 1ull << root_log2(root), wrong = 0;
    sh32 *table = index_at(s, root_which(root));
    if (!control_present(s, s->g.index[root_which(root)], cells * 4))
        return;
    for (uint64_t i = 0; i < cells; i++) {
        uint32_t cell = get_relaxed(&table[i]);
        if (cell == CELL_NONE || cell == CELL_TOMB)
            continue;
        uint32_t t = cell_desc(cell);
        wrong += !desc_there(s, t) || st_state(get_relaxed(&desc_at(s, t)->st)) != ST_LIVE ||
                 !cell_may_be(cell, form_hash(get_relaxed(&desc_at(s, t)->form)));
    }
    if (wrong)
        found(c, "%llu entries of the index name no living tensor", (unsigned long long)wrong);
}

static int pass(struct checker *c)
{
    struct zct_store *s = c->s;
    uint32_t limit = desc_limit(s);
    c->pages = os_map_memory(s->g.pages / 8 + 16);
    c->cells = os_map_memory(s->g.pages * 8 + 16);
    c->aux = os_map_memory(s->g.aux_units / 8 + 16);
    if (!c->pages || !c->cells || !c->aux)
        return fail(ZCT_ENOMEM, "out of memory for a check");
    for (uint32_t t = 0; t < limit; t++)
        if (desc_there(s, t))
            check_desc(c, t);
    for (unsigned p = 0; p < s->g.members; p++)
        if (control_page_present(s, offset_of(s, slot_at(s, p))))
            marks_each(s, p, check_mark, c);
    if (c->quiet) {
        check_caches(c);
        check_index(c);
    }
    return 0;
}

static void clear(struct checker *c)
{
    os_unmap(c->pages, c->s->g.pages / 8 + 16);
    os_unmap(c->cells, c->s->g.pages * 8 + 16);
    os_unmap(c->aux, c->s->g.aux_units / 8 + 16);
    free(c->findings);
    *c = (struct checker){.s = c->s};
}

int check_at_once(struct zct_store *s)
{
    struct checker c = {.s = s, .quiet = true};
    if (!al_try(s))
        return 0;
    int rc = pass(&c);
    al_unlock(s);
    rc = rc < 0 ? 0 : c.count;
    clear(&c);
    return rc;
}

int zct_check(zct_store *s, zct_finding_fn fn, void *context)
{
    struct checker c = {.s = s};
    int rc = s->observer ? 0 : store_refuse(s);
    if (rc < 0)
        return rc;
    bool member = !s->observer && al_lock(s, deadline_in(WAIT_DEFAULT)) == 0;
    for (int tries = 0; tries < 100; tries++) {
        clear(&c);
        uint64_t before = get_acquire(&s->words->changes), owner = get_acquire(&s->words->al.owner);
        c.quiet = member || (owner_of(owner) == 0 && !(owner & OWNER_DIRTY));
        rc = pass(&c);
        fence_acquire();
        if (rc < 0 || member || c.count == 0 ||
            (get_relaxed(&s->words->changes) == before && get_relaxed(&s->words->al.owner) == owner && c.quiet))
            break;
        clock_nap(NS_PER_MS);
    }
    if (member)
        al_unlock(s);
    size_t at = 0;
    for (int i = 0; rc == 0 && fn && at < c.length; i++) {
        if (fn(context, c.findings + at))
            break;
        at += strlen(c.findings + at) + 1;
    }
    rc = rc < 0 ? rc : c.count;
    clear(&c);
    log_deliver();
    return rc;
}
