/* tensor.h - the life of tensors: what this room's files offer each other. docs/CONCURRENCY.md has the protocol; names here
 * are its names (A1..A5, C1..C5, R1..R4, T1..T3). */
#ifndef ZCT_TENSOR_TENSOR_H
#define ZCT_TENSOR_TENSOR_H

#include "catalog/index.h"
#include "catalog/name.h"
#include "pool/pool.h"

/* An attachment: one reference of this process to one tensor. */
struct zct_tensor {
    zct_view view; /* first: zct_tensor_view is a cast */
    struct zct_store *store;
    struct desc *d;     /* descs[desc] */
    uint32_t desc;
    bool made;          /* by this process, under its present name */
    uint64_t gen;       /* of st */
    uint64_t form;      /* the descriptor's form word when the view was filled */
    uint64_t slot_gen;  /* of the member that attached: a forked child's differs */
    void *cow;          /* the private mapping of ZCT_MODE_COW */
    uint64_t cow_length;
    int64_t dims[];     /* shape, then strides */
};

#define WAIT_DEFAULT (10 * NS_PER_S)

/* ---- al.c: the allocator's lock ---- */

/* Take AL: waits for its owner until `limit` (-ZCT_EBUSY names it). Repairs what a dead owner left, before it returns. */
int al_lock(struct zct_store *s, deadline limit);
bool al_try(struct zct_store *s);
/* Release it, then SWEEP. No stripe may be held. */
void al_unlock(struct zct_store *s);
/* The caches and the undecided states that a dead owner left: under AL. */
void al_rebuild(struct zct_store *s);

/* ---- life.c ---- */

enum who_counts { EVERYBODY, THE_LIVING, THE_OTHERS };

/* Under AL. Ask whether tensor t may go from what it is to `target`: true = done, false = somebody counts or vetoed.
 * THE_LIVING wants a descriptor of the store's file in `fd`. */
bool retire(struct zct_store *s, uint32_t t, enum state target, enum who_counts who, int fd);
/* Under AL: finish t if nobody holds it. False: somebody does (or it is not ending). */
bool life_free(struct zct_store *s, uint32_t t);
/* After a hold was dropped; no stripe, no AL. */
void life_ended(struct zct_store *s, uint32_t t);
void life_sweep(struct zct_store *s);
/* LIVE tensors that end without an unlink: they stand in the ending map. */
static inline bool ends_by_itself(uint64_t form)
{
    return form_lifetime(form) == ZCT_LAST || form_lifetime(form) == ZCT_OWNER;
}
/* Under AL: mark that t ends when nobody holds it / does not. */
void ending_set(struct zct_store *s, uint32_t t, bool on);
/* Under AL: t's name stops meaning it. LIVE -> DYING, index entry off. */
void life_unname(struct zct_store *s, uint32_t t);
/* Look for a member, alive or dead, that holds t by its bit: the first one from p on, or -1. */
int row_holder(struct zct_store *s, uint32_t t, unsigned p);
unsigned ticket_count(struct zct_store *s, uint32_t t, unsigned p, int64_t *ret_oldest);
void life_changed(struct zct_store *s); /* words.changes */
void note_suspect(unsigned p);

/* ---- version.c ---- */

/* The version of t was counted up: wake whoever waits for that. The caller holds t. */
void version_tell(struct zct_store *s, uint32_t t);
/* t lost its name, or a writer of it died: wake whoever waits for a version of it. After the state or lock word has changed. */
void version_ring(struct zct_store *s, uint32_t t);

/* ---- hold.c ---- */

enum hold { HELD, MISS, FOLLOW, AGAIN };

/* Take one more reference of this process to t and validate it (A1..A4). HELD: *ret_st is the state that made it held.
 * FOLLOW: *ret_next is who replaced it. A negative code: no memory for the row. Otherwise nothing is held. */
int hold_take(struct zct_store *s, uint32_t t, bool by_name, uint64_t *ret_st, uint32_t *ret_next);
/* Who carries the name that is written in t, for those who only look: t, whoever replaced it, or NO_DESC. Nothing is held. */
uint32_t name_bearer(struct zct_store *s, uint32_t t);
/* One more reference of one that is held already. */
void hold_more(struct zct_store *s, uint32_t t);
/* Drop one. Never waits. */
void hold_drop(struct zct_store *s, uint32_t t);
/* Claim a FREE descriptor for a create: row bit set, lref 1; not validated. */
int hold_claim(struct zct_store *s, uint32_t t);
/* At exit: no thread of this process takes or drops a hold any more. False, and nothing is changed, when one holds
 * something or is about to. */
bool hold_stop(struct zct_store *s);
/* Undo of a claim whose descriptor somebody else took. */
void hold_unclaim(struct zct_store *s, uint32_t t);

/* ---- attach.c ---- */

/* Find and hold `key` (A1..A5). 0 with *ret_desc and *ret_st; -ZCT_ENOTFOUND without a sentence; other codes with one. */
int name_hold(struct zct_store *s, const struct key *key, uint32_t *ret_desc, uint64_t *ret_st);
/* Make the attachment for a reference that is held (it becomes the attachment's, or is dropped on failure). */
int attachment_make(struct zct_store *s, uint32_t t, uint64_t st, int mode, struct zct_tensor **ret);
int fail_not_found(struct zct_store *s, const struct key *key);
/* Drop USER_OPEN or USER_LIVE; the last one leaves the store, without waiting, and frees it: s is not to be touched again. */
void store_unuse(struct zct_store *s, uint64_t what);

/* ---- create.c, names.c ---- */

int create_alloc(struct zct_store *s, const zct_spec *spec, uint64_t nbytes, const struct key *key, deadline limit,
                 uint32_t *ret_desc);
/* Give an ALLOC descriptor of ours (held) a name: C1..C5. Notes as zct_create. With `spec`, a publish: the descriptor must be
 * BARE, and becomes what the spec says unless handles of it were made; -ZCT_ENOTWHOLE if that cannot be. */
int name_give(struct zct_store *s, uint32_t t, const struct key *key, const zct_create_options *o, deadline limit,
              const zct_spec *spec, uint64_t nbytes);
/* ALLOC -> BARE under AL. */
int name_none(struct zct_store *s, uint32_t t, bool sealed, deadline limit);
/* Under AL: end those that create_undo had to keep; their holds are to be dropped after it. ret_descs: UNDO_MOST. */
unsigned undo_kept(struct zct_store *s, uint32_t *ret_descs);
/* Give back a descriptor of ours that will not be. Waits 10 ms for AL, else it is done later. */
void create_undo(struct zct_store *s, uint32_t t);
int fail_exists(struct zct_store *s, uint32_t t, const struct key *key);
/* Wake who waits for names, in every process: one came, or they are to look. */
void births_ring(struct zct_store *s);
/* Look before copying: -ZCT_EEXISTS when the name is held by the living and `o` says error. */
int name_check_free(struct zct_store *s, const struct key *key, const zct_create_options *o);

/* ---- meta.c: what a tensor is, to and from its descriptor ---- */

int spec_check(const zct_spec *spec, uint64_t *ret_nbytes);
uint64_t spec_aux_bytes(const zct_spec *spec, size_t name_len);
void dtype_read(struct desc *d, zct_dtype *ret);
/* shape[ndim], strides[ndim], as `form` says, read once by the caller; false: the descriptor contradicts itself. */
bool layout_read(struct zct_store *s, struct desc *d, uint64_t form, const zct_dtype *dtype, uint64_t nbytes, int64_t *shape,
                 int64_t *strides);
void strides_dense(const zct_dtype *dtype, int ndim, const int64_t *shape, int order, int64_t *ret_strides);
uint64_t type_bytes(const zct_dtype *dtype, uint64_t elements);
/* Into a descriptor that nobody else reads yet, whose aux block is there. `name_len`: the length of a name to come. */
void meta_write(struct zct_store *s, struct desc *d, const zct_spec *spec, uint64_t nbytes, size_t name_len);
/* The name, and the form word with hash and lifetime. Under AL. */
void name_write(struct zct_store *s, struct desc *d, const struct key *key, int lifetime);
const char *show_type(const zct_dtype *dtype, int ndim, const int64_t *shape, char *to, size_t size);
int64_t blob_read(struct zct_store *s, struct desc *d, bool metadata, void *to, size_t size);
/* aux blocks: under AL */
/* -EAGAIN: reserve *ret_aux's memory (aux_reserve) without AL and try again. */
int aux_take(struct zct_store *s, uint64_t bytes, uint64_t *ret_aux);
int aux_reserve(struct zct_store *s, uint64_t aux);
void aux_give(struct zct_store *s, uint64_t aux);
bool aux_mark(struct zct_store *s, uint64_t aux);
void aux_clear(struct zct_store *s);

/* ---- copy.c ---- */

/* Fill [0, nbytes) of an extent of ours, reserved or not, from memory laid out as the spec says or by strides; `data` NULL
 * and zero: zeros. Reserves as it goes. -EAGAIN: the file system is full. */
int copy_in(struct zct_store *s, uint64_t ext, uint64_t nbytes, const zct_spec *spec, const void *data,
            const int64_t *strides, bool zero);

/* Free the attachments that are kept for the next attach. */
void spares_forget(struct zct_store *s);
/* ---- warmth.c ---- */

/* Forget which pages this process has mapped. */
void warmth_forget(struct zct_store *s);

/* ---- reap.c ---- */

int reap(struct zct_store *s, unsigned p);
/* Prove p dead and reap it: 1 done, 0 alive or not now. Opens the file. */
int reap_if_dead(struct zct_store *s, unsigned p);
/* All the dead; waits until `limit` for a living owner of AL. */
unsigned reap_all(struct zct_store *s, deadline limit);
/* Reap the dead among those whose bits or tickets keep t. */
unsigned reap_holders(struct zct_store *s, uint32_t t);
void reap_suspects(struct zct_store *s);

/* ---- handle.c ---- */
void tickets_drop_own(struct zct_store *s);
unsigned tickets_gc(struct zct_store *s, int64_t older_than_ns);

/* ---- gc.c ---- */
int gc_unheld(struct zct_store *s, int64_t older_than_ns, deadline limit, uint32_t *ret_count);
int trim_store(struct zct_store *s, uint64_t keep, deadline limit, uint64_t *ret_bytes);
/* Give back what is above the limit of warm free bytes, if much is. */
void trim_surplus(struct zct_store *s);
/* Something must be freed: reap, trim, the stock. True if anything was. */
bool relieve(struct zct_store *s, uint64_t bytes);

/* ---- stock.c ---- */
void stock_empty(struct zct_store *s); /* close idle blocks */
void stock_forget(struct zct_store *s, bool child);
/* Is [data, data + nbytes) a whole block that may be published in place? -ZCT_ENOTWHOLE without a sentence. */
int stock_publishable(struct zct_store *s, const void *data, uint64_t nbytes, uint32_t *ret_desc);
void stock_published(struct zct_store *s, const void *data);

/* ---- check.c ---- */

/* The number of findings; 0 also when AL cannot be had at once. */
int check_at_once(struct zct_store *s);

/* ---- fork.c ---- */
int fork_watch(void);

#endif
