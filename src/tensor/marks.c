/* marks.c - who reads what: each thread of a member that reads has a cache line of its own, and writes there what it reads.
 *
 * A thread sets marks in its own lines alone, so a mark that it finds there is a lock that was granted, and locking again is one
 * RMW of that very mark: it never moves, and a writer that looks at one mark after the other cannot miss it. Any thread may
 * clear a mark. A line of a thread that ended is taken over when it is empty. */
#include "tensor/lock.h"

#include "platform/process.h"

__thread struct reading my_reading;

static struct reader *remember(struct zct_store *s, struct reader *first)
{
    static pv32 serials;
    if (my_reading.serial == 0)
        my_reading.serial = pv_add(&serials, 1u) + 1;
    if (my_reading.now.membership != s->membership)
        my_reading.before = my_reading.now;
    my_reading.now = (struct lines){s->membership, first};
    my_reading.only = NULL;
    return first;
}

static struct reader *my_first(struct zct_store *s)
{
    if (likely(my_reading.now.membership == s->membership))
        return my_reading.now.first;
    if (my_reading.before.membership == s->membership)
        return remember(s, my_reading.before.first);
    uint32_t self = thread_id();
    for (unsigned i = 0; i <= LINES_MORE; i++) {
        struct reader *r = &s->readers[i];
        if (pv_get(&r->thread) == self && r->is_first)
            return remember(s, r);
    }
    return remember(s, NULL);
}

/* What a thread did comes before whoever finds that it ended and takes its line over: the kernel orders that, and
 * ThreadSanitizer has to be told. */
static void done_with(struct reader *r)
{
#if defined(__SANITIZE_THREAD__)
    (void)pv_or(&r->thread, 0u);
#endif
    (void)r;
}

/* Look through the marks that may be set, and lower `top` to those that are, and to the free one that is given. */
static sh32 *look_through(struct reader *r, uint32_t t, sh32 **ret_free)
{
    sh32 *found = NULL;
    uint32_t last = 0, unused = LINE_MARKS;
    for (uint32_t i = 0; i < r->top; i++) {
        uint32_t mark = get_relaxed(&r->line->mark[i]);
        if (mark)
            last = i + 1;
        else if (unused == LINE_MARKS)
            unused = i;
        if (mark_is(mark, t))
            found = &r->line->mark[i];
    }
    if (unused == LINE_MARKS)
        unused = last;
    if (!*ret_free && unused < LINE_MARKS) {
        *ret_free = &r->line->mark[unused];
        last = last > unused ? last : unused + 1;
    }
    r->top = last > 1 ? last : 1;
    done_with(r);
    return found;
}

sh32 *marks_find(struct zct_store *s, uint32_t t, sh32 **ret_free)
{
    struct reader *first = my_first(s);
    sh32 *found = NULL;
    *ret_free = NULL;
    for (struct reader *r = first; r && !found; r = r->next)
        found = look_through(r, t, ret_free);
    my_reading.only = first && first->top == 1 && !first->next ? &first->line->mark[0] : NULL;
    if (first)
        done_with(first);
    return found;
}

/* ---- a line for a thread ---- */

static int reserve(struct zct_store *s, struct read_line *line)
{
    uint64_t offset = offset_of(s, line);
    return likely(control_page_present(s, offset)) ? 0 : control_reserve(s, offset, sizeof *line);
}

static bool is_empty(const struct read_line *line)
{
    uint32_t any = 0;
    for (unsigned i = 0; i < LINE_MARKS; i++)
        any |= get_acquire(&((struct read_line *)line)->mark[i]);
    return any == 0;
}

static bool in_chain(const struct reader *first, const struct reader *r)
{
    while (first && first != r)
        first = first->next;
    return first != NULL;
}

/* Nobody's, or of a thread that ended and left no lock in it (another thread may still give one back). */
static bool can_be_had(struct zct_store *s, unsigned i, uint32_t owner, bool ours)
{
    struct read_line *line = line_at(s, s->slot, i);
    bool touched = i == 0 ? control_page_present(s, offset_of(s, line)) : i <= get_sc(&line_at(s, s->slot, 0)->more);
    return !ours && (owner == 0 || owner == thread_id() || thread_gone(owner)) && (!touched || is_empty(line));
}

/* Others look at line i of ours once it counts: before a mark is set in it. */
static void count_line(struct zct_store *s, unsigned i)
{
    sh32 *more = &line_at(s, s->slot, 0)->more;
    uint32_t now = get_sc(more);
    while (now < i && !cas_sc(more, &now, i)) {}
}

int marks_more(struct zct_store *s, sh32 **ret_free)
{
    struct reader *first = my_first(s);
    int rc = reserve(s, line_at(s, s->slot, 0));
    for (unsigned i = 0; rc == 0 && i <= LINES_MORE; i++) {
        struct reader *r = &s->readers[i];
        uint32_t owner = pv_get(&r->thread);
        if (!can_be_had(s, i, owner, in_chain(first, r)) || !pv_cas(&r->thread, &owner, thread_id()))
            continue;
        rc = reserve(s, line_at(s, s->slot, i));
        if (rc < 0) {
            pv_put(&r->thread, 0u);
            return rc;
        }
        count_line(s, i);
        r->line = line_at(s, s->slot, i);
        r->top = 1;
        r->is_first = !first;
        r->next = first ? first->next : NULL;
        (void)remember(s, first ? first : r);
        if (first) {
            first->next = r;
            done_with(first);
        }
        done_with(r);
        *ret_free = &r->line->mark[0];
        return 0;
    }
    return rc < 0 ? rc
                  : fail(ZCT_EFULL,
                         "no more read locks in store '%s': this process may have %u threads that read, or %u locks "
                         "of one thread",
                         s->name, 1 + LINES_MORE, (1 + LINES_MORE) * LINE_MARKS);
}

void marks_forget(struct zct_store *s)
{
    s->membership = store_next_membership();
    for (unsigned i = 0; i <= LINES_MORE; i++)
        pv_put(&s->readers[i].thread, 0u);
}

/* ---- everybody's lines ---- */

static bool line_has(struct read_line *line, uint32_t t)
{
    bool has = false;
    for (unsigned i = 0; i < LINE_MARKS; i++)
        has |= mark_is(get_sc(&line->mark[i]), t);
    return has;
}

/* Lines that exist: a number from shared memory counts no further than there is memory. */
static unsigned lines_of(struct zct_store *s, unsigned p)
{
    unsigned more = (unsigned)min_u64(get_sc(&line_at(s, p, 0)->more), LINES_MORE), n = 0;
    while (n < more && control_page_present(s, offset_of(s, line_at(s, p, n + 1))))
        n++;
    return 1 + n;
}

bool marks_has(struct zct_store *s, unsigned p, uint32_t t)
{
    if (likely(line_is_zero(line_at(s, p, 0)->mark))) /* most are, and that is seen at once */
        return false;
    for (unsigned i = 0, lines = lines_of(s, p); i < lines; i++)
        if (line_has(line_at(s, p, i), t))
            return true;
    return false;
}

int marks_reader(struct zct_store *s, uint32_t t, unsigned p)
{
    uint64_t hint = get_sc(&desc_at(s, t)->hint), groups = line_groups(s);
    for (p = next_in_groups(hint, p, s->g.members); p < s->g.members; p = next_in_groups(hint, p + 1, s->g.members))
        if ((groups >> (p / 64) & 1) && marks_has(s, p, t))
            return (int)p;
    return -1;
}

void marks_each(struct zct_store *s, unsigned p, void (*fn)(void *context, unsigned p, sh32 *mark), void *context)
{
    if (!control_page_present(s, offset_of(s, line_at(s, p, 0))))
        return;
    for (unsigned i = 0, lines = lines_of(s, p); i < lines; i++)
        for (unsigned k = 0; k < LINE_MARKS; k++)
            if (get_sc(&line_at(s, p, i)->mark[k]))
                fn(context, p, &line_at(s, p, i)->mark[k]);
}

static void clear(void *context, unsigned p, sh32 *mark)
{
    struct zct_store *s = context;
    (void)p;
    uint32_t t = mark_desc(get_sc(mark));
    put_sc(mark, 0);
    if (desc_there(s, t))
        lock_reader_left(&desc_at(s, t)->lock);
}

void marks_clear(struct zct_store *s, unsigned p)
{
    if (!MUTANT(12))
        marks_each(s, p, clear, s);
}
