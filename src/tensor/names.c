/* names.c - giving a name, also one that is taken: C1 to C5, all under AL. */
#include "tensor/tensor.h"

#include "platform/file.h"
#include "platform/futex.h"
#include "platform/process.h"

#include <errno.h>
#include <stdio.h>

void births_ring(struct zct_store *s)
{
    if (get_sc(&s->words->births_wait)) {
        put_sc(&s->words->births_wait, 0);
        (void)add_sc(&s->words->births, 1);
        futex_wake_shared(&s->words->births);
    }
}

/* The first living member that counts for t, from p on: by its bit, or a handle in flight. -1: none. */
static int living_holder(struct zct_store *s, uint32_t t, unsigned p, int fd)
{
    uint64_t hint = get_sc(&desc_at(s, t)->hint), sender = get_sc(&desc_at(s, t)->sender);
    unsigned members = s->g.members;
    for (p = next_in_groups(hint | sender, p, members); p < members; p = next_in_groups(hint | sender, p + 1, members)) {
        bool holds = false;
        if (hint & group_bit(p)) {
            sh64 *word = row_word(s, p, t);
            holds = word && (get_sc(word) & bit_of(t));
        }
        if (!holds && (sender & group_bit(p)))
            holds = ticket_count(s, t, p, NULL) > 0;
        if (holds && member_scan(s, fd, p) == 0)
            return (int)p;
    }
    return -1;
}

/* The process that gave t its name, if it lives: its slot; else -1. */
static int living_maker(struct zct_store *s, uint32_t t, int fd)
{
    uint64_t maker = get_relaxed(&desc_at(s, t)->maker);
    unsigned p = who_slot(maker);
    if (p >= s->g.members || !control_page_present(s, offset_of(s, slot_at(s, p))))
        return -1;
    bool lives = get_acquire(&slot_at(s, p)->gen) == who_gen(maker) && member_scan(s, fd, p) == 0;
    return lives ? (int)p : -1;
}

int fail_exists(struct zct_store *s, uint32_t t, const struct key *key)
{
    char name[300], type[256], who[160] = "another process", since[32] = "";
    struct desc *d = desc_at(s, t);
    int64_t dims[2 * ZCT_MAX_DIMS];
    zct_dtype dtype;
    dtype_read(d, &dtype);
    uint64_t form = get_relaxed(&d->form);
    unsigned ndim = form_ndim(form);
    if (!layout_read(s, d, form, &dtype, get_relaxed(&d->nbytes), dims, dims + ZCT_MAX_DIMS))
        ndim = 0;
    show_type(&dtype, (int)ndim, dims, type, sizeof type);
    key_show(key, name, sizeof name);
    unsigned long long generation = get_relaxed(&d->generation);
    if (form_lifetime(get_relaxed(&d->form)) == ZCT_PINNED)
        return fail(ZCT_EEXISTS,
                    "tensor %s (%s, generation %llu, store '%s') is pinned; pass exists=\"replace\" to swap it, "
                    "exists=\"attach\" to join it, or run: zct rm %s", name, type, generation, s->name, name);
    int fd = store_file(s, false), more = 0, first = -1;
    for (int p = -1; fd >= 0 && (p = living_holder(s, t, (unsigned)(p + 1), fd)) >= 0;) {
        if (first < 0)
            first = p;
        else
            more++;
    }
    bool held = first >= 0;
    if (!held && fd >= 0)
        first = living_maker(s, t, fd);
    os_close(fd);
    if (first == (int)s->slot)
        snprintf(who, sizeof who, "this process (pid %u)", process_id());
    else if (first >= 0) {
        member_describe(s, (unsigned)first, who, sizeof who);
        char clock[16];
        snprintf(since, sizeof since, ", since %s",
                 clock_show((int64_t)get_relaxed(&slot_at(s, (unsigned)first)->since_ns), clock, sizeof clock));
    }
    char others[32] = "";
    if (more)
        snprintf(others, sizeof others, " and %d more", more);
    return fail(ZCT_EEXISTS,
                "tensor %s (%s, generation %llu, store '%s' of uid %u) %s %s%s%s; pass exists=\"replace\" to swap "
                "it (they keep the old one), exists=\"attach\" to join it, or run: zct rm %s",
                name, type, generation, s->name, process_uid(), held || first < 0 ? "is in use by" : "was made and kept by", who,
                since, others, name);
}

/* Look before copying. A holder that was just killed keeps its lock until its memory is torn down (80 ms a GiB): wait for
 * those that are seen to be dying, at most 2 s. */
int name_check_free(struct zct_store *s, const struct key *key, const zct_create_options *o)
{
    if (o->exists != ZCT_EXISTS_ERROR && o->exists != ZCT_EXISTS_OWNED)
        return 0;
    uint32_t t = index_find_live(s, key);
    if (likely(t == NO_DESC))
        return 0;
    if (form_lifetime(get_relaxed(&desc_at(s, t)->form)) == ZCT_PINNED)
        return fail_exists(s, t, key);
    deadline limit = deadline_in(2 * NS_PER_S);
    for (;;) {
        int fd = store_file(s, false);
        if (fd < 0)
            return fd;
        bool held = false, dying = true;
        for (int p = -1; (p = living_holder(s, t, (unsigned)(p + 1), fd)) >= 0;) {
            struct slot *slot = slot_at(s, (unsigned)p);
            held = true;
            dying &= (unsigned)p != s->slot && get_relaxed(&slot->pid_ns) == process_pid_ns() &&
                     process_ending(get_relaxed(&slot->pid));
        }
        bool owned = !held && o->exists == ZCT_EXISTS_OWNED && living_maker(s, t, fd) >= 0;
        os_close(fd);
        if (owned)
            return fail_exists(s, t, key);
        if (!held || st_state(get_sc(&desc_at(s, t)->st)) != ST_LIVE || !key_is(s, desc_at(s, t), key))
            return 0;
        if (!dying || deadline_left(limit) == 0)
            return fail_exists(s, t, key);
        clock_nap(5 * NS_PER_MS);
    }
}

/* The undo of C1, under AL. `was_sealed`: a block that was to be published was so before. */
static void undo(struct zct_store *s, uint32_t t, uint32_t old, bool was_sealed)
{
    struct desc *d = desc_at(s, t);
    uint64_t st = get_sc(&d->st);
    put_release(&desc_at(s, old)->next, 0);
    if (st_state(st) == ST_BARENEXT) {
        put_release(&d->st, st_to(st, ST_BARE, 0) & ~(was_sealed ? 0 : ST_SEALED));
        put_release(&d->prev, 0); /* after st, here and below: a NEXT without prev would count as decided */
        return;
    }
    ending_set(s, t, true);
    put_sc(&d->st, st_to(st, ST_DYING, 0)); /* never straight to FREE: a fork may have given a child its bit */
    put_release(&d->prev, 0);
    put_sc(&s->words->sweep, 1);
    or_sc(todo_word(s, t), bit_of(t));
}

/* C1 for a descriptor of ours, ALLOC or BARE. */
static void announce(struct zct_store *s, uint32_t t, uint32_t old, const struct key *key, const zct_create_options *o)
{
    struct desc *d = desc_at(s, t);
    uint64_t st = get_sc(&d->st);
    bool bare = st_state(st) == ST_BARE;
    uint64_t generation = 1;
    put_relaxed(&d->prev, 0);
    if (old != NO_DESC) {
        struct desc *o_desc = desc_at(s, old);
        generation = get_relaxed(&o_desc->generation) + 1;
        put_relaxed(&d->prev, ref_make(old, st_gen(get_relaxed(&o_desc->st))));
    }
    name_write(s, d, key, o->lifetime);
    put_relaxed(&d->generation, generation);
    put_relaxed(&d->maker, who_make(s->slot, s->slot_gen));
    put_relaxed(&d->birth_ns, (uint64_t)clock_real());
    if (!bare) { /* a BARE one keeps its serial: it is the identity in handles */
        put_relaxed(&s->words->serial, get_relaxed(&s->words->serial) + 1);
        put_relaxed(&d->serial, get_relaxed(&s->words->serial));
    }
    uint64_t next = st_to(st, bare ? ST_BARENEXT : ST_NEXT, s->slot) | (o->sealed ? ST_SEALED : 0);
    put_sc(&d->st, next);
    if (old != NO_DESC)
        put_release(&desc_at(s, old)->next, ref_make(t, st_gen(st)));
}

static void arrive(struct zct_store *s, uint32_t t)
{
    struct desc *d = desc_at(s, t);
    put_sc(&d->st, st_to(get_sc(&d->st), ST_LIVE, 0)); /* C3 */
}

static bool end_old(struct zct_store *s, uint32_t old, int exists, int fd)
{
    struct desc *d = desc_at(s, old);
    ending_set(s, old, true);
    if (exists == ZCT_EXISTS_REPLACE) {
        put_sc(&d->st, st_to(get_sc(&d->st), ST_DYING, 0)); /* <== linearisation of a replace */
        version_ring(s, old);
        return true;
    }
    if (retire(s, old, ST_DYING, THE_LIVING, fd))
        return true;
    ending_set(s, old, ends_by_itself(get_relaxed(&d->form)));
    return false;
}

/* A block that is published sealed must be nobody else's, and says so before it has a name. */
static bool seal_first(struct zct_store *s, uint32_t t, uint64_t st, const zct_create_options *o)
{
    return st_state(st) != ST_BARE || !o->sealed || st_sealed(st) || retire(s, t, ST_BARE, THE_OTHERS, -1);
}

static int fail_not_alone(void)
{
    return fail(ZCT_ENOTWHOLE, "the block is held by another process and cannot be sealed in place");
}

/* What give_locked must have, got without AL: the index's size, aux memory, a descriptor of the file. */
struct wants { unsigned log2; bool aux; uint64_t aux_block; int fd; };

/* A publish, before it is announced: is it still a nameless block, and can it be described as the spec says? */
static int describe(struct zct_store *s, uint32_t t, const struct key *key, const zct_spec *spec, uint64_t nbytes,
                    struct wants *wants)
{
    struct desc *d = desc_at(s, t);
    uint64_t bytes = spec_aux_bytes(spec, key->length), old = get_relaxed(&d->aux), aux = 0;
    bool room = bytes <= (uint64_t)aux_units(old) * AUX_UNIT && key->length <= NAME_INLINE;
    if (st_state(get_sc(&d->st)) != ST_BARE)
        return fail(ZCT_ENOTWHOLE, "the block was published or unlinked meanwhile");
    if (get_sc(&d->sender) != 0)
        return room ? 0 : fail(ZCT_ENOTWHOLE, "handles of the block are in flight");
    if (!room) {
        int rc = aux_take(s, bytes, &aux);
        wants->aux = rc == -EAGAIN;
        wants->aux_block = aux;
        if (rc < 0)
            return rc == -ZCT_EFULL ? fail(ZCT_EFULL, "store '%s' has no room for a name of %u bytes and a shape; unlink some "
                                                      "tensors", s->name, key->length) : rc;
        put_release(&d->aux, aux);
        aux_give(s, old);
    }
    meta_write(s, d, spec, nbytes, key->length);
    return 0;
}

/* One attempt under AL. Positive: a note. -EAGAIN: *wants is wanted. */
static int give_locked(struct zct_store *s, uint32_t t, const struct key *key, const zct_create_options *o,
                       const zct_spec *spec, uint64_t nbytes, struct wants *wants, uint32_t *ret_old)
{
    unsigned *log2 = &wants->log2;
    int fd = wants->fd;
    wants->aux = false;
    *log2 = 0;
    *ret_old = NO_DESC;
    int rc = index_room(s, log2);
    if (rc == -ZCT_EFULL)
        return fail(ZCT_EFULL, "store '%s' has %u names, all taken; unlink some, or make it with a larger max_names", s->name,
                    s->g.names);
    if (rc < 0)
        return rc;
    *log2 = 0;
    uint64_t st = get_sc(&desc_at(s, t)->st);
    uint32_t old = index_find_live(s, key);
    if (old == NO_DESC) {
        rc = spec ? describe(s, t, key, spec, nbytes, wants) : 0;
        if (rc < 0)
            return rc;
        if (!seal_first(s, t, st, o))
            return fail_not_alone();
        announce(s, t, NO_DESC, key, o);
        ending_set(s, t, true);
        index_add(s, t, key->hash);
        arrive(s, t); /* <== linearisation of a create */
        ending_set(s, t, ends_by_itself(get_relaxed(&desc_at(s, t)->form)));
        life_changed(s);
        return 0;
    }
    *ret_old = old;
    if (o->exists == ZCT_EXISTS_ATTACH)
        return -ZCT_EEXISTS;
    bool asks = o->exists != ZCT_EXISTS_REPLACE;
    if (asks && form_lifetime(get_relaxed(&desc_at(s, old)->form)) == ZCT_PINNED)
        return -ZCT_EEXISTS;
    if (asks && fd < 0)
        return -EAGAIN;
    if (o->exists == ZCT_EXISTS_OWNED && living_maker(s, old, fd) >= 0)
        return -ZCT_EEXISTS;
    rc = spec ? describe(s, t, key, spec, nbytes, wants) : 0;
    if (rc < 0)
        return rc;
    if (!seal_first(s, t, st, o))
        return fail_not_alone();
    announce(s, t, old, key, o);
    if (!end_old(s, old, o->exists, fd)) { /* C2 */
        undo(s, t, old, st_sealed(st));
        return -ZCT_EEXISTS;
    }
    arrive(s, t);
    index_swap(s, old, t, key->hash); /* C4: one store, in the same cell */
    ending_set(s, t, ends_by_itself(get_relaxed(&desc_at(s, t)->form))); /* C5 */
    life_changed(s);
    return asks ? ZCT_REPLACED : 0;
}

int name_give(struct zct_store *s, uint32_t t, const struct key *key, const zct_create_options *o, deadline limit,
              const zct_spec *spec, uint64_t nbytes)
{
    int rc;
    struct wants wants = {.fd = -1};
    uint32_t old = NO_DESC;
    for (;;) {
        rc = al_lock(s, limit);
        if (rc < 0)
            break;
        rc = give_locked(s, t, key, o, spec, nbytes, &wants, &old);
        al_unlock(s);
        if (rc != -EAGAIN)
            break;
        if (wants.log2) {
            rc = index_reserve(s, wants.log2);
        } else if (wants.aux) {
            rc = aux_reserve(s, wants.aux_block);
        } else {
            wants.fd = store_file(s, false);
            rc = wants.fd < 0 ? wants.fd : 0;
        }
        if (rc < 0)
            break;
    }
    os_close(wants.fd);
    if (rc == -ZCT_EEXISTS && o->exists != ZCT_EXISTS_ATTACH)
        return fail_exists(s, old, key);
    if (rc < 0)
        return rc;
    births_ring(s);
    if (old != NO_DESC) {
        char name[300];
        if (rc == ZCT_REPLACED)
            log_note(ZCT_LOG_INFO, "store '%s': tensor %s was a leftover that no living process held; replaced it", s->name,
                     key_show(key, name, sizeof name));
        (void)reap_holders(s, old);
        life_ended(s, old);
    }
    return rc;
}

int name_none(struct zct_store *s, uint32_t t, bool sealed, deadline limit)
{
    struct desc *d = desc_at(s, t);
    int rc = al_lock(s, limit);
    if (rc < 0)
        return rc;
    put_relaxed(&s->words->serial, get_relaxed(&s->words->serial) + 1);
    put_relaxed(&d->serial, get_relaxed(&s->words->serial));
    put_relaxed(&d->generation, 1);
    put_relaxed(&d->maker, who_make(s->slot, s->slot_gen));
    put_relaxed(&d->birth_ns, (uint64_t)clock_real());
    ending_set(s, t, true);
    put_sc(&d->st, st_to(get_sc(&d->st), ST_BARE, 0) | (sealed ? ST_SEALED : 0));
    al_unlock(s);
    return 0;
}
