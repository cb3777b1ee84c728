/* handle.c - handles in flight: a ticket in the sender's row keeps the tensor until it is taken. */
#include "tensor/tensor.h"

#include <errno.h>
#include <string.h>

static uint32_t checksum(const zct_handle *h)
{
    uint64_t words[5];
    memcpy(words, h, sizeof words);
    uint64_t x = 0x7a6374;
    for (size_t i = 0; i < COUNT(words); i++)
        x = mix64(x ^ words[i]) + i;
    x = mix64(x ^ h->mode);
    return (uint32_t)x;
}
_Static_assert(sizeof(zct_handle) == 48 && offsetof(zct_handle, mode) == 40, "handle layout");

static int fail_handles(struct zct_store *s)
{
    struct ticket *row = tickets_at(s, s->slot);
    int64_t oldest = INT64_MAX;
    for (unsigned i = 0; i < s->g.tickets; i++)
        if (control_page_present(s, offset_of(s, &row[i])) && get_relaxed(&row[i].word))
            oldest = (int64_t)min_u64((uint64_t)oldest, get_relaxed(&row[i].made_ns));
    return fail(ZCT_ETOOMANYHANDLES,
                "this process has %u handles in flight in store '%s', the oldest for %lld s; have them taken, drop old ones "
                "with gc(handles=seconds), or give the tensors names",
                s->g.tickets, s->name, (long long)((clock_real() - oldest) / NS_PER_S));
}

/* Our tickets whose memory is there. */
static unsigned tickets_there(struct zct_store *s, struct ticket *row)
{
    unsigned n = 0;
    while (n < s->g.tickets && control_page_present(s, offset_of(s, &row[n])))
        n += (unsigned)((PAGE - offset_of(s, &row[n]) % PAGE) / sizeof *row);
    return (unsigned)min_u64(n, s->g.tickets);
}

/* Put a ticket for the descriptor into place i; false: it has one. */
static bool ticket_put(struct zct_store *s, struct ticket *place, uint32_t t, uint64_t *ret_ticket)
{
    if (get_relaxed(&place->word))
        return false;
    uint64_t nonce = add_sc(&slot_at(s, s->slot)->nonce, 1), none = 0, ticket = ticket_make(nonce, t);
    put_relaxed(&place->made_ns, (uint64_t)clock_real());
    *ret_ticket = ticket;
    return cas_sc(&place->word, &none, ticket); /* S2 <== linearisation */
}

/* A free place, looked for behind the last one that was taken (before it are those that are in flight), and in memory that
 * is there before more is asked for. The place, or a negative code. */
static int ticket_issue(struct zct_store *s, uint32_t t, uint64_t *ret_ticket)
{
    struct ticket *row = tickets_at(s, s->slot);
    unsigned there = tickets_there(s, row), from = pv_get(&s->ticket_hint);
    for (unsigned n = 0; n < there; n++) {
        unsigned i = (from + n) % there;
        if (ticket_put(s, &row[i], t, ret_ticket)) {
            pv_put(&s->ticket_hint, i + 1);
            return (int)i;
        }
    }
    for (unsigned i = there; i < s->g.tickets; i++) {
        int rc = control_reserve(s, offset_of(s, &row[i]), sizeof row[i]);
        if (rc < 0)
            return rc;
        if (ticket_put(s, &row[i], t, ret_ticket)) {
            pv_put(&s->ticket_hint, i + 1);
            return (int)i;
        }
    }
    return fail_handles(s);
}

int zct_handle_make(zct_tensor *a, zct_handle *ret)
{
    struct zct_store *s = a->store;
    if (!store_ready(s))
        return store_refuse(s);
    if (a->slot_gen != s->slot_gen && !(get_sc(&desc_at(s, a->desc)->st) >> ST_GEN_SHIFT == a->gen))
        return fail(ZCT_ECLOSED, "this attachment's tensor is gone");
    struct desc *d = desc_at(s, a->desc);
    if (!(get_sc(&d->sender) & group_bit(s->slot)))
        or_sc(&d->sender, group_bit(s->slot)); /* S1 */
    uint64_t ticket = 0;
    int place = ticket_issue(s, a->desc, &ticket);
    if (place < 0)
        return place;
    zct_handle h = {.serial = a->view.serial, .ticket = ticket, .desc = a->desc, .slot = (uint16_t)s->slot,
                    .index = (uint16_t)place, .mode = (uint32_t)a->view.mode};
    memcpy(h.store, s->uuid, sizeof h.store);
    h.check = checksum(&h);
    *ret = h;
    return 0;
}

/* The ticket of a handle in its sender's row, or NULL while there is none to look at. */
static struct ticket *ticket_of(struct zct_store *s, const zct_handle *h)
{
    if (h->slot >= s->g.members || h->index >= s->g.tickets)
        return NULL;
    struct ticket *ticket = &tickets_at(s, h->slot)[h->index];
    return control_page_present(s, offset_of(s, ticket)) ? ticket : NULL;
}

static int check_handle(struct zct_store *s, const zct_handle *h)
{
    if (checksum(h) != h->check)
        return fail(ZCT_EINVAL, "the handle's bytes are damaged");
    if (memcmp(h->store, s->uuid, sizeof h->store))
        return fail(ZCT_EMISMATCH, "the handle belongs to another store than '%s' (or to one of this name that was destroyed, "
                                   "or on another host)", s->name);
    if (!desc_there(s, h->desc))
        return fail(ZCT_EINVAL, "the handle names a tensor that cannot be");
    return 0;
}

int zct_handle_take(zct_store *s, const zct_handle *h, int mode, zct_tensor **ret)
{
    if (!store_ready(s))
        return store_refuse(s);
    int rc = check_handle(s, h);
    if (rc < 0)
        return rc;
    uint64_t st = 0;
    uint32_t next;
    do
        rc = hold_take(s, h->desc, false, &st, &next); /* T1 */
    while (rc == AGAIN);
    if (rc < 0)
        return rc;
    bool same = rc == HELD && get_relaxed(&desc_at(s, h->desc)->serial) == h->serial;
    if (rc == HELD && !same)
        hold_drop(s, h->desc);
    if (!same) {
        log_deliver();
        return fail(ZCT_ENOTFOUND,
                    "the handle's tensor is gone from store '%s': a handle keeps it until it is taken once or the process that "
                    "made it ends; if the producer may end first, give the tensor a name", s->name);
    }
    if (mode == ZCT_MODE_DEFAULT)
        mode = st_sealed(st) ? (h->mode == ZCT_MODE_COW ? ZCT_MODE_COW : ZCT_MODE_READ) : (int)h->mode;
    rc = attachment_make(s, h->desc, st, mode, ret);
    struct ticket *ticket = ticket_of(s, h);
    uint64_t expected = h->ticket;
    if (rc == 0 && ticket) /* a take that failed leaves the handle in flight */
        (void)cas_sc(&ticket->word, &expected, 0); /* T3: taken before is no error, we hold the bit */
    log_deliver();
    return rc;
}

int zct_handle_cancel(zct_store *s, const zct_handle *h)
{
    if (!store_ready(s))
        return store_refuse(s);
    int rc = check_handle(s, h);
    if (rc < 0)
        return rc;
    struct ticket *ticket = ticket_of(s, h);
    if (h->slot != s->slot || !ticket)
        return fail(ZCT_ENOTOWNER, "only the process that made a handle can cancel it");
    uint64_t expected = h->ticket;
    if (cas_sc(&ticket->word, &expected, 0))
        life_ended(s, h->desc);
    log_deliver();
    return 0;
}

unsigned tickets_gc(struct zct_store *s, int64_t older_than_ns)
{
    struct ticket *row = tickets_at(s, s->slot);
    int64_t now = clock_real();
    unsigned dropped = 0;
    for (unsigned i = 0; i < s->g.tickets; i++) {
        if (!control_page_present(s, offset_of(s, &row[i])))
            continue;
        uint64_t ticket = get_sc(&row[i].word);
        if (ticket == 0 || now - (int64_t)get_relaxed(&row[i].made_ns) < older_than_ns)
            continue;
        if (cas_sc(&row[i].word, &ticket, 0)) {
            dropped++;
            if (desc_there(s, ticket_desc(ticket)))
                life_ended(s, ticket_desc(ticket));
        }
    }
    return dropped;
}
