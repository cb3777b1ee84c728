/* index.h - name -> descriptor: open addressing, two tables, one in force.
 *
 * A look-up takes no lock and never waits. A hit is a candidate: the caller holds the descriptor and then compares the name.
 * A miss is valid if `root` did not change meanwhile (index_settled). The table in force is never wrong for hits: every change
 * is one store to one cell, and a LIVE name is in it before its state says LIVE. A rebuild fills the other table under AL and
 * flips root with one store. */
#ifndef ZCT_CATALOG_INDEX_H
#define ZCT_CATALOG_INDEX_H

#include "catalog/name.h"

struct lookup {
    uint64_t root;
    sh32 *cells, *cell; /* cell: of the last candidate */
    uint32_t mask, at, left, seen, hash;
};

#define NO_DESC 0xffffffffu

void lookup_start(struct zct_store *s, struct lookup *l, uint32_t hash);
/* The next candidate's descriptor (in range, memory there), or NO_DESC. */
uint32_t lookup_next(struct zct_store *s, struct lookup *l);
/* Is the candidate's cell still what it was? Pairs with the release store of a cell: what was read of the descriptor before
 * belonged to that cell's tensor. */
static inline bool lookup_same(struct lookup *l)
{
    fence_acquire();
    return get_relaxed(l->cell) == l->seen;
}
static inline bool index_settled(struct zct_store *s, const struct lookup *l)
{
    return get_acquire(&s->words->root) == l->root;
}

/* ---- under AL ---- */

/* Is there room for one more name? 0; -EAGAIN: index_reserve(*ret_log2) without AL, then again; -ZCT_EFULL. May rebuild into
 * the other table when that is there already. */
int index_room(struct zct_store *s, unsigned *ret_log2);
int index_reserve(struct zct_store *s, unsigned log2); /* without AL */
void index_add(struct zct_store *s, uint32_t desc, uint32_t hash);
/* The cell that has this descriptor, or NULL. */
sh32 *index_cell(struct zct_store *s, uint32_t desc, uint32_t hash);
void index_remove(struct zct_store *s, uint32_t desc, uint32_t hash);
/* A name changes its tensor: one store in the same cell. */
void index_swap(struct zct_store *s, uint32_t from, uint32_t to, uint32_t hash);
/* Fill the other table from the LIVE descriptors and put it in force. Its memory must be there. */
void index_rebuild(struct zct_store *s, unsigned log2);
/* The LIVE descriptor of this name, or NO_DESC. */
uint32_t index_find_live(struct zct_store *s, const struct key *key);

#endif
