/* life.c - how tensors end: asked first, in two phases, with a veto. */
#include "tensor/tensor.h"

#include <errno.h>

/* Members seen to hold something that wants to end, to be probed when no lock is held: a fork + exec child dies with its
 * parent's bits set. */
static __thread uint16_t suspect_plus_1;

void note_suspect(unsigned p) { suspect_plus_1 = (uint16_t)(p + 1); }

void reap_suspects(struct zct_store *s)
{
    if (likely(suspect_plus_1 == 0))
        return;
    unsigned p = suspect_plus_1 - 1u;
    suspect_plus_1 = 0;
    if (p != s->slot && member_dead(s, p) == 1)
        (void)reap_if_dead(s, p);
}

void life_changed(struct zct_store *s) { put_relaxed(&s->words->changes, get_relaxed(&s->words->changes) + 1); }

void ending_set(struct zct_store *s, uint32_t t, bool on)
{
    sh64 *word = ending_word(s, t);
    bool is = (get_relaxed(word) & bit_of(t)) != 0;
    if (on && !is)
        or_sc(word, bit_of(t));
    else if (!on && is)
        and_sc(word, ~bit_of(t));
}

int row_holder(struct zct_store *s, uint32_t t, unsigned p)
{
    uint64_t hint = get_sc(&desc_at(s, t)->hint);
    unsigned members = s->g.members;
    for (p = next_in_groups(hint, p, members); p < members; p = next_in_groups(hint, p + 1, members)) {
        sh64 *word = row_word(s, p, t);
        if (word && (get_sc(word) & bit_of(t)))
            return (int)p;
    }
    return -1;
}

unsigned ticket_count(struct zct_store *s, uint32_t t, unsigned p, int64_t *ret_oldest)
{
    struct ticket *row = tickets_at(s, p);
    unsigned found = 0;
    enum { IN_PAGE = PAGE / sizeof(struct ticket) };
    for (unsigned first = 0; first < s->g.tickets; first += IN_PAGE) {
        if (!control_page_present(s, offset_of(s, &row[first])))
            continue;
        for (unsigned i = first; i < first + IN_PAGE && i < s->g.tickets; i++) {
            uint64_t ticket = get_sc(&row[i].word);
            if (ticket == 0 || ticket_desc(ticket) != t)
                continue;
            int64_t made = (int64_t)get_relaxed(&row[i].made_ns);
            if (ret_oldest && (found == 0 || made < *ret_oldest))
                *ret_oldest = made;
            found++;
        }
    }
    return found;
}

/* R2: does anybody count? Bits first, tickets second: goods move bit -> ticket -> bit. */
static bool somebody(struct zct_store *s, uint32_t t, enum who_counts who, int fd)
{
    for (int p = -1; (p = row_holder(s, t, (unsigned)(p + 1))) >= 0;) {
        if (who == THE_OTHERS && (unsigned)p == s->slot)
            continue;
        if (who == THE_LIVING && member_scan(s, fd, (unsigned)p) == 1)
            continue;
        note_suspect((unsigned)p);
        return true;
    }
    uint64_t senders = get_sc(&desc_at(s, t)->sender);
    unsigned members = s->g.members;
    for (unsigned p = next_in_groups(senders, 0, members); p < members; p = next_in_groups(senders, p + 1, members)) {
        if (ticket_count(s, t, p, NULL) == 0)
            continue;
        if (who == THE_LIVING && member_scan(s, fd, p) == 1)
            continue;
        note_suspect(p);
        return true;
    }
    return false;
}

bool retire(struct zct_store *s, uint32_t t, enum state target, enum who_counts who, int fd)
{
    struct desc *d = desc_at(s, t);
    uint64_t st = get_sc(&d->st);
    if (st_asked(st)) /* only a dead owner of AL can have left it, and then AL was rebuilt: or corruption */
        st = st_plain(st);
    uint64_t plain = st, asked = st_ask(st, s->slot);
    if (!cas_sc(&d->st, &st, asked)) /* R1 */
        return false;
    bool counts = somebody(s, t, who, fd); /* R2 */
    if (counts) {
        uint64_t now = asked;
        (void)cas_sc(&d->st, &now, plain); /* R3 */
        return false;
    }
    uint64_t now = asked, next = st_to(plain, target, target == ST_FREEING ? s->slot : 0);
    if (who == THE_OTHERS)
        next = plain | ST_SEALED;
    return cas_sc(&d->st, &now, next); /* R4 <== linearisation; refused: vetoed */
}

void life_unname(struct zct_store *s, uint32_t t)
{
    struct desc *d = desc_at(s, t);
    uint64_t st = get_sc(&d->st);
    ending_set(s, t, true);
    put_sc(&d->st, st_to(st, ST_DYING, 0)); /* <== linearisation of an unlink */
    index_remove(s, t, form_hash(get_relaxed(&d->form)));
    life_changed(s);
    version_ring(s, t);
}

bool life_free(struct zct_store *s, uint32_t t)
{
    struct desc *d = desc_at(s, t);
    uint64_t st = get_sc(&d->st);
    enum state state = st_state(st);
    if (state == ST_LIVE && form_lifetime(get_relaxed(&d->form)) == ZCT_LAST) {
        if (!retire(s, t, ST_DYING, EVERYBODY, -1))
            return false;
        index_remove(s, t, form_hash(get_relaxed(&d->form)));
        life_changed(s);
    } else if (state != ST_DYING && state != ST_BARE) {
        return false;
    }
    if (!retire(s, t, ST_FREEING, EVERYBODY, -1))
        return false;
    uint64_t ext = get_relaxed(&d->ext), aux = get_relaxed(&d->aux);
    put_relaxed(&d->ext, 0);
    put_relaxed(&d->aux, 0);
    if (ext_valid(ext, s->g.pages))
        pool_give(s, ext);
    aux_give(s, aux);
    put_relaxed(&d->hint, 0);
    put_relaxed(&d->sender, 0);
    put_relaxed(&d->next, 0); /* or the descriptor's next tenant would send attachers on for ever */
    put_relaxed(&d->prev, 0);
    put_release(&d->st, st_freed(get_relaxed(&d->st)));
    ending_set(s, t, false);
    or_sc(free_word(s, t), bit_of(t));
    if (t / 64 < get_relaxed(&s->words->desc_free))
        put_relaxed(&s->words->desc_free, t / 64);
    life_changed(s);
    return true;
}

void life_ended(struct zct_store *s, uint32_t t)
{
    struct desc *d = desc_at(s, t);
    uint64_t st = get_sc(&d->st);
    enum state state = st_state(st);
    if (likely(state == ST_LIVE && form_lifetime(get_relaxed(&d->form)) != ZCT_LAST))
        return;
    if (state != ST_DYING && state != ST_BARE && state != ST_LIVE)
        return;
    if (al_try(s)) {
        (void)life_free(s, t);
        al_unlock(s);
        return;
    }
    or_sc(todo_word(s, t), bit_of(t));
    put_sc(&s->words->sweep, 1);
    life_sweep(s);
}

static void sweep_map(struct zct_store *s, uint64_t map, bool take)
{
    uint32_t words = (desc_limit(s) + 63) / 64;
    for (uint32_t w = 0; w < words; w++) {
        sh64 *word = &REGION(s, sh64, map)[w];
        if (!control_page_present(s, offset_of(s, word)))
            continue;
        uint64_t bits = get_sc(word);
        if (bits && take)
            bits = swap_sc(word, 0); /* taken before the looks: whoever adds a bit later also sets `sweep` again */
        for (; bits; bits &= bits - 1) {
            uint32_t t = w * 64 + lowest_bit(bits);
            if (desc_there(s, t))
                (void)life_free(s, t);
        }
    }
}

/* Every release of AL ends here: {sweep = 1; trylock fails} elsewhere pairs with {AL = 0; look at sweep} here. */
void life_sweep(struct zct_store *s)
{
    while (get_sc(&s->words->sweep)) {
        if (!al_try(s))
            return;
        (void)swap_sc(&s->words->sweep, 0);
        bool whole = swap_sc(&s->words->whole, 0) != 0;
        sweep_map(s, s->g.todo, true);
        if (whole)
            sweep_map(s, s->g.ending, false);
        owner_unlock(&s->words->al.owner, s->slot, true);
        pv_put(&s->al_lock.holder, 0u);
        plock_unlock(&s->al_lock);
    }
}
