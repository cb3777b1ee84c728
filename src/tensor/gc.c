/* gc.c - giving back: what the dead held, names nobody needs, memory nobody uses. */
#include "tensor/tensor.h"

#include "platform/file.h"

#include <errno.h>

int gc_unheld(struct zct_store *s, int64_t older_than_ns, deadline limit, uint32_t *ret_count)
{
    int fd = store_file(s, false), rc = 0;
    if (fd < 0)
        return fd;
    int64_t now = clock_real();
    uint32_t limit_t = desc_limit(s);
    for (uint32_t t = 0; rc == 0 && t < limit_t; t++) {
        if (!desc_there(s, t))
            continue;
        struct desc *d = desc_at(s, t);
        if (st_state(get_sc(&d->st)) != ST_LIVE || form_lifetime(get_relaxed(&d->form)) == ZCT_PINNED ||
            (int64_t)((uint64_t)now - get_relaxed(&d->birth_ns)) < older_than_ns)
            continue;
        rc = al_lock(s, limit);
        if (rc < 0)
            break;
        uint64_t form = get_relaxed(&d->form);
        if (st_state(get_sc(&d->st)) == ST_LIVE && form_lifetime(form) != ZCT_PINNED) {
            ending_set(s, t, true);
            if (retire(s, t, ST_DYING, THE_LIVING, fd)) {
                index_remove(s, t, form_hash(form));
                life_changed(s);
                (void)life_free(s, t);
                (*ret_count)++;
            } else {
                ending_set(s, t, ends_by_itself(form));
            }
        }
        al_unlock(s);
    }
    os_close(fd);
    return rc;
}

/* ---- trim: free pages go back to the system. V1 own them, V2 RES = 0, V3 punch, V4 epoch + 1 ---- */

enum { RUN = (4 << 20) / PAGE }; /* pages at a time: a small create of somebody else waits behind one punch */

static void bump_epochs(struct zct_store *s, uint64_t page, uint64_t pages)
{
    for (uint64_t e = page / EPOCH_PAGES; e <= (page + pages - 1) / EPOCH_PAGES; e++)
        (void)add_sc(&REGION(s, sh32, s->g.epochs)[e], 1);
}

/* Trim one run that the descriptor t of ours, in ALLOC, has as its extent. */
static int punch(struct zct_store *s, int fd, uint64_t page, uint64_t pages)
{
    pool_clear_reserved(s, page, pages); /* V2: before the punch, or RES would promise a hole */
    int rc = os_punch(fd, s->g.payload_offset + page * PAGE, pages * PAGE); /* V3 */
    bump_epochs(s, page, pages);                                            /* V4 */
    return rc < 0 ? fail_os(ZCT_EOS, -rc, "cannot give pages of store '%s' back", s->name) : 0;
}

int trim_store(struct zct_store *s, uint64_t keep, deadline limit, uint64_t *ret_bytes)
{
    int64_t none = 0;
    zct_spec spec = {.size = sizeof spec, .ndim = 1, .shape = &none,
                     .dtype = {.code = ZCT_UINT, .bits = 8, .lanes = 1, .itemsize = 1, .name = "uint8"}};
    uint64_t at = 0, given = 0;
    int fd = store_file(s, true), rc = 0;
    if (fd < 0)
        return fd;
    while (get_relaxed(&s->words->warm_free) * PAGE > keep && rc == 0) {
        uint64_t page, pages;
        uint32_t t;
        rc = create_alloc(s, &spec, 0, NULL, limit, &t); /* a descriptor without an extent yet */
        if (rc < 0)
            break;
        rc = al_lock(s, limit);
        bool found = rc == 0 && pool_warm_run(s, at, RUN, &page, &pages);
        if (found) {
            put_release(&desc_at(s, t)->ext, ext_large(page, pages)); /* V1 */
            pool_take_run(s, page, pages);
        }
        if (rc == 0)
            al_unlock(s);
        if (found) {
            rc = punch(s, fd, page, pages);
            given += pages * PAGE;
            at = page + pages;
        }
        create_undo(s, t);
        if (!found)
            break;
    }
    os_close(fd);
    if (ret_bytes)
        *ret_bytes = given;
    return rc;
}

void trim_surplus(struct zct_store *s)
{
    uint64_t most = max_u64(64 * MiB, s->g.capacity / 16);
    if (get_relaxed(&s->words->warm_free) * PAGE > most + 64 * MiB)
        (void)trim_store(s, most, deadline_in(NS_PER_S), NULL);
}

/* End what is only a name, unheld by the living, of lifetime last or a leftover? No: a name is a promise. What may be taken
 * without asking is what the dead held, idle blocks of our stock, and free pages. */
bool relieve(struct zct_store *s, uint64_t bytes)
{
    uint64_t given = 0;
    bool any = reap_all(s, deadline_in(0)) > 0;
    if (s->stock) {
        stock_empty(s);
        any = true;
    }
    if (bytes && trim_store(s, 0, deadline_in(NS_PER_S), &given) == 0)
        any |= given > 0;
    life_sweep(s);
    return any;
}
