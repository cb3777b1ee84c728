/* stat.c - looking at tensors and members without touching them. Observers come here too: every page is asked for first. */
#include "tensor/lock.h"

#include "platform/file.h"
#include "platform/process.h"

#include <stdlib.h>
#include <string.h>

static int state_of(uint64_t st)
{
    switch (st_state(st)) {
    case ST_LIVE: case ST_NEXT: case ST_BARENEXT: return ZCT_STATE_NAMED;
    case ST_BARE: return ZCT_STATE_NAMELESS;
    case ST_DYING: case ST_FREEING: return ZCT_STATE_ENDING;
    default: return ZCT_STATE_BEING_MADE;
    }
}

static bool has_bit(struct zct_store *s, unsigned p, uint32_t t, uint64_t hint)
{
    sh64 *word = hint & group_bit(p) ? row_word(s, p, t) : NULL;
    return word && (get_relaxed(word) & bit_of(t));
}

/* Who is alive, each member asked once: a list of a million tensors makes no more system calls than one of ten. */
struct census {
    int fd; /* of the store's file; the owner's to close */
    uint64_t asked[ZCT_MAX_MEMBERS / 64], alive[ZCT_MAX_MEMBERS / 64];
};

static bool is_living(struct zct_store *s, struct census *census, unsigned p)
{
    if (!(census->asked[p / 64] & bit_of(p))) {
        census->asked[p / 64] |= bit_of(p);
        census->alive[p / 64] |= member_scan(s, census->fd, p) == 0 ? bit_of(p) : 0;
    }
    return census->alive[p / 64] & bit_of(p);
}

/* What member p does with t's lock. */
static uint32_t lock_by(struct zct_store *s, unsigned p, uint32_t t)
{
    struct lock_words *lock = &desc_at(s, t)->lock;
    uint64_t w = get_sc(&lock->owner);
    uint32_t state = 0;
    if (owner_of(w) == p + 1)
        state = owner_draining(w, get_acquire(&lock->active)) ? ZCT_LOCK_WANTED : ZCT_LOCK_WRITTEN;
    if (control_page_present(s, offset_of(s, line_at(s, p, 0))) && marks_has(s, p, t))
        state |= ZCT_LOCK_READ;
    return state;
}

/* Describe descriptor t as it is at one moment: read between two equal reads of its state. Without a census (NULL) nobody
 * is counted. */
static int stat_desc(struct zct_store *s, uint32_t t, struct census *census, zct_stat *ret)
{
    if (!desc_there(s, t))
        return -ZCT_ENOTFOUND;
    struct desc *d = desc_at(s, t);
    size_t size = ret->size;
    for (int tries = 0; tries < 1000; tries++) {
        uint64_t st = get_acquire(&d->st);
        if (!st_used(st))
            return -ZCT_ENOTFOUND;
        memset(ret, 0, sizeof *ret);
        ret->size = size;
        ret->index = t;
        ret->state = state_of(st);
        ret->sealed = st_sealed(st);
        struct key key;
        if (key_read(s, d, &key))
            memcpy(ret->name, key.text, key.length);
        uint64_t form = get_relaxed(&d->form), ext = get_relaxed(&d->ext);
        ret->ndim = (int32_t)min_u64(form_ndim(form), ZCT_MAX_DIMS);
        ret->order = (int32_t)form_order(form);
        ret->lifetime = (int32_t)form_lifetime(form);
        dtype_read(d, &ret->dtype);
        ret->nbytes = get_relaxed(&d->nbytes);
        bool sound = layout_read(s, d, form, &ret->dtype, ret->nbytes, ret->shape, ret->strides);
        ret->generation = get_relaxed(&d->generation);
        ret->serial = get_relaxed(&d->serial);
        ret->version = get_relaxed(&d->version);
        ret->birth_ns = (int64_t)get_relaxed(&d->birth_ns);
        ret->offset = s->g.payload_offset + ext_bytes(ext).offset;
        ret->extent_bytes = ext_bytes(ext).length;
        ret->descriptor_len = (uint32_t)blob_read(s, d, false, NULL, 0);
        ret->metadata_len = (uint32_t)blob_read(s, d, true, NULL, 0);
        ret->lock = get_sc(&d->lock.owner) & OWNER_DIRTY ? ZCT_LOCK_POISONED : 0;
        uint64_t hint = get_relaxed(&d->hint), sender = get_relaxed(&d->sender);
        unsigned members = census ? s->g.members : 0;
        for (unsigned p = next_in_groups(hint | sender, 0, members); p < members;
             p = next_in_groups(hint | sender, p + 1, members)) {
            bool bit = has_bit(s, p, t, hint);
            unsigned tickets = sender & group_bit(p) ? ticket_count(s, t, p, NULL) : 0;
            if ((bit || tickets) && is_living(s, census, p)) {
                ret->holders += bit;
                ret->handles += tickets;
                ret->lock |= bit ? lock_by(s, p, t) : 0;
            }
        }
        fence_acquire();
        bool settled = get_relaxed(&d->st) == st;
        if (settled && sound)
            return 0;
        if (settled && ret->state == ZCT_STATE_BEING_MADE) { /* nobody has said yet what it will be */
            ret->ndim = 0;
            ret->nbytes = 0;
            return 0;
        }
        spin_pause(); /* a nameless block is described anew when it is published */
    }
    return fail(ZCT_ECORRUPT, "descriptor %u of store '%s' contradicts itself; run 'zct check'", t, s->name);
}

static int check_record(const zct_stat *ret)
{
    return ret && ret->size >= sizeof *ret ? 0 : fail(ZCT_EINVAL, "set the size field of zct_stat first");
}

/* Whoever looks needs no membership, but a store. */
static int may_look(struct zct_store *s)
{
    return s->observer || store_ready(s) || pv_get(&s->state) == STORE_MEMBER ? 0 : store_refuse(s);
}

int zct_stat_name(zct_store *s, const char *name, zct_stat *ret)
{
    struct key key;
    int rc = check_record(ret);
    if (rc == 0)
        rc = may_look(s);
    if (rc == 0)
        rc = key_make(&key, name, strlen(name));
    if (rc < 0)
        return rc;
    for (int tries = 0; tries < 1000; tries++) {
        struct lookup l;
        lookup_start(s, &l, key.hash);
        bool changed = false;
        for (uint32_t t; !changed && (t = lookup_next(s, &l)) != NO_DESC;) {
            uint64_t st = get_acquire(&desc_at(s, t)->st);
            uint32_t bearer = key_is(s, desc_at(s, t), &key) ? name_bearer(s, t) : NO_DESC;
            if (bearer == NO_DESC) {
                changed = !(lookup_same(&l) && get_acquire(&desc_at(s, t)->st) == st);
                continue;
            }
            struct census census = {.fd = store_file(s, false)};
            if (census.fd < 0)
                return census.fd;
            rc = stat_desc(s, bearer, &census, ret);
            os_close(census.fd);
            changed = rc == -ZCT_ENOTFOUND || strcmp(ret->name, name);
            if (!changed)
                return rc;
        }
        if (!changed && index_settled(s, &l))
            return fail_not_found(s, &key);
    }
    return fail(ZCT_EBUSY, "tensor '%s' changes faster than it can be read", name);
}

int zct_stat_tensor(const zct_tensor *a, zct_stat *ret)
{
    int rc = check_record(ret);
    if (rc < 0)
        return rc;
    struct census census = {.fd = store_file(a->store, false)};
    rc = stat_desc(a->store, a->desc, census.fd >= 0 ? &census : NULL, ret);
    os_close(census.fd);
    return rc == -ZCT_ENOTFOUND ? fail(ZCT_ENOTFOUND, "the tensor is gone") : rc;
}

int zct_stat_blobs(zct_store *s, const zct_stat *stat, void *descriptor, size_t descriptor_size, void *metadata,
                   size_t metadata_size)
{
    int rc = may_look(s);
    if (rc < 0)
        return rc;
    if (!desc_there(s, stat->index))
        return fail(ZCT_EINVAL, "the record names a tensor that cannot be");
    struct desc *d = desc_at(s, stat->index);
    for (int tries = 0; tries < 1000; tries++) {
        uint64_t st = get_acquire(&d->st);
        bool same = st_used(st) && get_relaxed(&d->serial) == stat->serial;
        if (same) {
            (void)blob_read(s, d, false, descriptor, descriptor_size);
            (void)blob_read(s, d, true, metadata, metadata_size);
        }
        fence_acquire();
        if (get_relaxed(&d->st) != st)
            continue;
        return same ? 0 : fail(ZCT_ENOTFOUND, "the tensor of this record is gone");
    }
    return fail(ZCT_EBUSY, "the tensor changes faster than it can be read");
}

/* ---- lists ---- */

struct zct_list {
    struct zct_store *store;
    uint32_t count, at;
    struct census census; /* fd < 0: holders are not counted */
    struct { uint32_t desc; uint64_t st; } items[];
};

/* The tensors of one moment: nobody had AL between the first and the last descriptor, and births, deaths and renamings happen
 * under it alone. A store that never stands still is listed under AL by a member; an observer takes what it saw. */
static uint32_t collect(struct zct_store *s, uint32_t flags, struct zct_list *list, uint32_t limit)
{
    uint32_t n = 0;
    for (uint32_t t = 0; t < limit; t++) {
        if (!desc_there(s, t))
            continue;
        uint64_t st = get_acquire(&desc_at(s, t)->st);
        if (!(flags & ZCT_LIST_ALL ? st_used(st) : name_bearer(s, t) == t))
            continue;
        list->items[n].desc = t;
        list->items[n++].st = st_plain(st);
    }
    return n;
}

int zct_list_open(zct_store *s, uint32_t flags, zct_list **ret)
{
    int rc = may_look(s);
    if (rc == 0)
        rc = store_check_file(s);
    if (rc < 0)
        return rc;
    uint32_t limit = desc_limit(s);
    struct zct_list *list = malloc(sizeof *list + (uint64_t)(limit + 1) * sizeof list->items[0]);
    if (!list)
        return fail(ZCT_ENOMEM, "out of memory for a list of %u tensors", limit);
    *list = (struct zct_list){.store = s, .census.fd = -1};
    bool still = false;
    for (int tries = 0; tries < 5 && !still; tries++) {
        uint64_t before = get_acquire(&s->words->al.owner);
        list->count = collect(s, flags, list, limit);
        fence_acquire();
        still = owner_of(before) == 0 && !(before & OWNER_DIRTY) && get_relaxed(&s->words->al.owner) == before;
    }
    if (!still && store_ready(s) && al_lock(s, deadline_in(NS_PER_S)) == 0) {
        list->count = collect(s, flags, list, limit);
        al_unlock(s);
    }
    if (!(flags & ZCT_LIST_NO_HOLDERS))
        list->census.fd = store_file(s, false);
    *ret = list;
    return 0;
}

int zct_list_next(zct_list *list, zct_stat *ret)
{
    int rc = check_record(ret);
    while (rc == 0 && list->at < list->count) {
        uint32_t t = list->items[list->at].desc;
        uint64_t then = list->items[list->at++].st;
        uint64_t now = get_acquire(&desc_at(list->store, t)->st);
        if (st_gen(now) != st_gen(then) || (st_state(then) == ST_LIVE && st_state(now) != ST_LIVE))
            continue;
        rc = stat_desc(list->store, t, list->census.fd >= 0 ? &list->census : NULL, ret);
        if (rc == -ZCT_ENOTFOUND)
            rc = 0;
        else
            return rc < 0 ? rc : 1;
    }
    return rc;
}

void zct_list_close(zct_list *list)
{
    if (!list)
        return;
    os_close(list->census.fd);
    free(list);
}

/* ---- holders and members ---- */

static void fill_holder(struct zct_store *s, unsigned p, zct_holder *h)
{
    struct slot *slot = slot_at(s, p);
    size_t size = h->size;
    union { uint64_t words[8]; char text[64]; } command;
    memset(h, 0, sizeof *h);
    get_words(command.words, slot->command, 8);
    command.text[63] = 0;
    h->size = size;
    h->slot = p;
    h->pid = (int32_t)get_relaxed(&slot->pid);
    h->uid = get_relaxed(&slot->uid);
    h->same_pid_ns = get_relaxed(&slot->pid_ns) == process_pid_ns();
    h->since_ns = (int64_t)get_relaxed(&slot->since_ns);
    h->is_self = !s->observer && p == s->slot;
    memcpy(h->command, command.text, sizeof h->command);
}

static uint32_t count_row(struct zct_store *s, unsigned p)
{
    uint32_t n = 0, words = (desc_limit(s) + 63) / 64;
    sh64 *row = row_at(s, p);
    for (uint32_t w = 0; w < words; w++)
        if (control_page_present(s, offset_of(s, &row[w])))
            n += (uint32_t)__builtin_popcountll(get_relaxed(&row[w]));
    return n;
}

/* Living members; with t: those that count for it. */
static int each_living(struct zct_store *s, const uint32_t *t, zct_holder *out, int count)
{
    int n = 0, fd = store_file(s, false);
    if (fd < 0)
        return fd;
    if (out && count && out->size < sizeof *out) {
        os_close(fd);
        return fail(ZCT_EINVAL, "set holders[0].size first");
    }
    size_t size = out && count ? out->size : 0;
    uint64_t hint = t ? get_relaxed(&desc_at(s, *t)->hint) : 0, sender = t ? get_relaxed(&desc_at(s, *t)->sender) : 0;
    for (unsigned p = 0; p < s->g.members; p++) {
        if (!control_page_present(s, offset_of(s, slot_at(s, p))) || !get_acquire(&slot_at(s, p)->used))
            continue;
        int64_t oldest = 0;
        bool bit = t && has_bit(s, p, *t, hint);
        unsigned tickets = t && (sender & group_bit(p)) ? ticket_count(s, *t, p, &oldest) : 0;
        if ((t && !bit && !tickets) || member_scan(s, fd, p) != 0)
            continue;
        if (n < count) {
            zct_holder *h = (zct_holder *)(void *)((char *)out + (size_t)n * size);
            h->size = size;
            fill_holder(s, p, h);
            h->holds = t ? bit : count_row(s, p);
            h->handles = tickets;
            h->lock = t ? lock_by(s, p, *t) : 0;
            h->oldest_handle_ns = oldest;
        }
        n++;
    }
    os_close(fd);
    return n;
}

int zct_holders(zct_store *s, const zct_stat *stat, zct_holder *holders, int count)
{
    int rc = may_look(s);
    if (rc < 0)
        return rc;
    if (!desc_there(s, stat->index) || get_relaxed(&desc_at(s, stat->index)->serial) != stat->serial)
        return fail(ZCT_ENOTFOUND, "the tensor of this record is gone");
    return each_living(s, &stat->index, holders, count);
}

int zct_members(zct_store *s, zct_holder *holders, int count)
{
    int rc = may_look(s);
    return rc < 0 ? rc : each_living(s, NULL, holders, count);
}
