#include "catalog/index.h"

#include <errno.h>

static uint64_t table_bytes(unsigned log2) { return 4ull << log2; }

static bool table_present(struct zct_store *s, unsigned which, unsigned log2)
{
    return control_present(s, s->g.index[which & 1], table_bytes(log2));
}

/* log2 of the table in force, never beyond what the geometry has room for. */
static unsigned log2_of(struct zct_store *s, uint64_t root)
{
    return root_log2(root) <= s->g.cells_log2 ? root_log2(root) : s->g.cells_log2;
}

void lookup_start(struct zct_store *s, struct lookup *l, uint32_t hash)
{
    l->root = get_acquire(&s->words->root);
    unsigned log2 = log2_of(s, l->root);
    l->cells = index_at(s, root_which(l->root));
    l->mask = (1u << log2) - 1;
    l->at = hash & l->mask;
    l->hash = hash;
    /* a table is reserved as a whole before it comes into force; only a store's first has not been yet */
    l->left = control_page_present(s, offset_of(s, l->cells)) ? l->mask + 1 : 0;
}

uint32_t lookup_next(struct zct_store *s, struct lookup *l)
{
    while (l->left) {
        l->cell = &l->cells[l->at];
        l->seen = get_acquire(l->cell);
        l->at = (l->at + 1) & l->mask;
        l->left--;
        if (l->seen == CELL_NONE)
            break;
        if (l->seen != CELL_TOMB && cell_may_be(l->seen, l->hash) && likely(desc_there(s, cell_desc(l->seen))))
            return cell_desc(l->seen);
    }
    l->left = 0;
    return NO_DESC;
}

static void insert(sh32 *cells, uint32_t mask, uint32_t desc, uint32_t hash, bool *reused)
{
    uint32_t at = hash & mask;
    for (uint32_t left = mask + 1; left; left--, at = (at + 1) & mask) {
        uint32_t cell = get_relaxed(&cells[at]);
        if (cell != CELL_NONE && cell != CELL_TOMB)
            continue;
        *reused = cell == CELL_TOMB;
        put_release(&cells[at], cell_make(desc, hash)); /* pairs with the acquire in lookup_next */
        return;
    }
}

int index_room(struct zct_store *s, unsigned *ret_log2)
{
    uint64_t root = get_relaxed(&s->words->root);
    unsigned log2 = log2_of(s, root);
    uint64_t cells = 1ull << log2, live = get_relaxed(&s->words->indexed), tombs = get_relaxed(&s->words->tombs);
    *ret_log2 = log2;
    if (!table_present(s, 0, log2) || !table_present(s, 1, log2)) /* both: whoever follows a death rebuilds into the other */
        return -EAGAIN;
    if ((live + tombs + 1) * 2 <= cells && tombs * 8 <= cells)
        return 0;
    unsigned wanted = (live + 1) * 2 > cells / 2 && log2 < s->g.cells_log2 ? log2 + 1 : log2;
    *ret_log2 = wanted;
    if (!table_present(s, 0, wanted) || !table_present(s, 1, wanted))
        return -EAGAIN;
    if ((live + 1) * 2 > 1ull << wanted && wanted == s->g.cells_log2 && live >= s->g.names)
        return -ZCT_EFULL;
    index_rebuild(s, wanted);
    return 0;
}

int index_reserve(struct zct_store *s, unsigned log2)
{
    int rc = control_reserve(s, s->g.index[0], table_bytes(log2));
    return rc < 0 ? rc : control_reserve(s, s->g.index[1], table_bytes(log2));
}

void index_add(struct zct_store *s, uint32_t desc, uint32_t hash)
{
    uint64_t root = get_relaxed(&s->words->root);
    bool reused = false;
    insert(index_at(s, root_which(root)), (1u << log2_of(s, root)) - 1, desc, hash, &reused);
    put_relaxed(&s->words->indexed, get_relaxed(&s->words->indexed) + 1);
    if (reused)
        put_relaxed(&s->words->tombs, get_relaxed(&s->words->tombs) - 1);
}

sh32 *index_cell(struct zct_store *s, uint32_t desc, uint32_t hash)
{
    struct lookup l;
    lookup_start(s, &l, hash);
    for (uint32_t d; (d = lookup_next(s, &l)) != NO_DESC;)
        if (d == desc)
            return l.cell;
    return NULL;
}

void index_remove(struct zct_store *s, uint32_t desc, uint32_t hash)
{
    sh32 *cell = index_cell(s, desc, hash);
    if (!cell)
        return;
    uint64_t root = get_relaxed(&s->words->root);
    sh32 *cells = index_at(s, root_which(root));
    uint32_t mask = (1u << log2_of(s, root)) - 1, at = (uint32_t)(cell - cells);
    put_relaxed(&s->words->indexed, get_relaxed(&s->words->indexed) - 1);
    if (get_relaxed(&cells[(at + 1) & mask]) != CELL_NONE) {
        put_relaxed(&s->words->tombs, get_relaxed(&s->words->tombs) + 1);
        put_release(cell, CELL_TOMB);
        return;
    }
    put_release(cell, CELL_NONE);
    /* nothing follows: the tombstones before it mark nothing any more */
    for (uint32_t left = mask; left; left--) {
        at = (at - 1) & mask;
        if (get_relaxed(&cells[at]) != CELL_TOMB)
            break;
        put_release(&cells[at], CELL_NONE);
        put_relaxed(&s->words->tombs, get_relaxed(&s->words->tombs) - 1);
    }
}

void index_swap(struct zct_store *s, uint32_t from, uint32_t to, uint32_t hash)
{
    sh32 *cell = index_cell(s, from, hash);
    if (cell)
        put_release(cell, cell_make(to, hash));
}

void index_rebuild(struct zct_store *s, unsigned log2)
{
    uint64_t root = get_relaxed(&s->words->root);
    unsigned which = root_which(root) ^ 1;
    sh32 *cells = index_at(s, which);
    log2 = log2 < s->g.cells_log2 ? log2 : s->g.cells_log2;
    uint32_t mask = (1u << log2) - 1, limit = desc_limit(s), live = 0;
    if (!table_present(s, which, log2))
        return; /* a store whose first name is not there yet */
    fence_release(); /* whoever still reads this old table and sees it cleared must see that root has moved on */
    fill_words((sh64 *)(void *)cells, 0, table_bytes(log2) / 8);
    for (uint32_t t = 0; t < limit; t++) {
        if (!desc_there(s, t))
            continue;
        struct desc *d = desc_at(s, t);
        bool reused;
        if (st_state(get_relaxed(&d->st)) != ST_LIVE)
            continue;
        insert(cells, mask, t, form_hash(get_relaxed(&d->form)), &reused);
        live++;
    }
    put_relaxed(&s->words->indexed, live);
    put_relaxed(&s->words->tombs, 0);
    put_release(&s->words->root, root_next(root, log2)); /* pairs with the acquire in lookup_start and index_settled */
}

uint32_t index_find_live(struct zct_store *s, const struct key *key)
{
    struct lookup l;
    lookup_start(s, &l, key->hash);
    for (uint32_t t; (t = lookup_next(s, &l)) != NO_DESC;)
        if (st_state(get_relaxed(&desc_at(s, t)->st)) == ST_LIVE && key_is(s, desc_at(s, t), key))
            return t;
    return NO_DESC;
}
