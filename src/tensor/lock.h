/* lock.h - the reader-writer lock that every tensor carries: what its files offer each other and the rest of this room.
 *
 * A writer owns the tensor's lock word (sync/owner.h) and then waits until no mark names the tensor any more. A reader sets a
 * MARK in a line of its own thread, and then looks at the lock word: free, it has the lock; owned, it takes the mark back and
 * waits. Nobody counts readers, so a dead one is a line to clear, and a dead writer a word to repair. */
#ifndef ZCT_TENSOR_LOCK_H
#define ZCT_TENSOR_LOCK_H

#include "tensor/tensor.h"

/* ---- marks.c: lines of marks ---- */

/* What a thread knows of its lines in the store that it locked in last, and in the one before. In the thread's static block,
 * where the C library keeps room there for libraries that are loaded later: a lock takes nanoseconds. */
#if defined(__GLIBC__)
#define TLS_NEAR __attribute__((tls_model("initial-exec")))
#else
#define TLS_NEAR
#endif
struct lines {
    uint32_t membership;
    struct reader *first;
};
struct reading {
    struct lines now;
    sh32 *only; /* the one mark that it has used in that store, NULL: several, or none yet */
    struct lines before;
    uint32_t serial; /* its number, never another thread's; given when it locks for the first time */
};
extern __thread struct reading my_reading TLS_NEAR;
/* This thread is known in the store and reads nothing, as far as that can be told at once. */
static inline bool marks_none(uint32_t membership)
{
    return my_reading.now.membership == membership &&
           (!my_reading.now.first || (my_reading.only && !get_relaxed(my_reading.only)));
}

/* The mark by which this thread reads t, or NULL. *ret_free: one of its marks that is free, NULL if all are used. */
sh32 *marks_find(struct zct_store *s, uint32_t t, sh32 **ret_free);
/* Give this thread one more line; *ret_free is in it. -ZCT_EFULL with a sentence. May do system calls. */
int marks_more(struct zct_store *s, sh32 **ret_free);
/* The first member from p on that reads t, by its hint; -1: nobody. After a seq_cst change of t's lock word. */
int marks_reader(struct zct_store *s, uint32_t t, unsigned p);
/* Does member p read t? */
bool marks_has(struct zct_store *s, unsigned p, uint32_t t);
/* Under REPAIR(p), or of our own when we leave: clear the marks of p, and wake the writers that wait for them. */
void marks_clear(struct zct_store *s, unsigned p);
/* Call fn for each mark of p that is set. */
void marks_each(struct zct_store *s, unsigned p, void (*fn)(void *context, unsigned p, sh32 *mark), void *context);
/* In a forked child: no thread has a line yet. */
void marks_forget(struct zct_store *s);

/* ---- lock.c ---- */

/* Of a lock word: why there is more to do than to take it. */
#define LOCK_IN_THE_WAY (0xffff | OWNER_DIRTY | OWNER_HUNGRY)

/* All: 0, ZCT_RECOVERED, or a code with a sentence. timeout_ns as in zct.h. The caller's attachment keeps t. `passed_over`: a
 * writer came between before. */
int lock_read(struct zct_store *s, uint32_t t, int64_t timeout_ns, bool recover, bool passed_over, sh32 **ret_mark);
int lock_read_drop(struct zct_store *s, uint32_t t, sh32 *mark);
/* *ret_mine: the lock word as we own it, without flags. */
int lock_write(struct zct_store *s, uint32_t t, int64_t timeout_ns, bool recover, uint64_t *ret_mine);
/* The same once we own the word, as `w`: wait for the readers. */
int lock_write_drain(struct zct_store *s, uint32_t t, int64_t timeout_ns, uint64_t w, uint64_t *ret_mine);
/* `clean`: what DIRTY told of has been repaired. */
int lock_write_drop(struct zct_store *s, uint32_t t, uint64_t mine, bool clean);
/* Is it still ours? */
bool lock_write_held(struct zct_store *s, uint32_t t, uint64_t mine);
/* `w`: t's lock word, owned. Prove whether its owner lives, and repair the lock if not. At most one question in a while. */
void lock_doubt_owner(struct zct_store *s, uint32_t t, uint64_t w);
int lock_fail_dirty(struct zct_store *s, uint32_t t); /* -ZCT_EWRITERDIED */
/* As marks_clear: t's lock word, if p owns it. */
void lock_repair_of(struct zct_store *s, uint32_t t, unsigned p);
/* A mark of t was cleared: does a writer wait for that? */
void lock_reader_left(struct lock_words *lock);

/* ---- snapshot.c ---- */

/* Copy the contents, nbytes of the view, as no writer under the lock leaves them half done; *ret_version is at most theirs. */
int tensor_snapshot(const zct_tensor *a, void *out, int64_t timeout_ns, uint64_t *ret_version);

/* Under AL, of a descriptor that gets a new tenant: nobody has it, nobody died with it. */
void lock_begin(struct desc *d);

/* The short way in, for a thread that reads nothing else while nobody writes, died writing, or was passed over: its mark, to be
 * set and then looked behind; NULL: go the long way. */
static inline sh32 *lock_read_short(uint32_t membership, struct lock_words *lock)
{
    sh32 *mark = my_reading.only;
    if (unlikely(my_reading.now.membership != membership || !mark || get_relaxed(mark) ||
                 (get_relaxed(&lock->owner) & LOCK_IN_THE_WAY)))
        return NULL;
    return mark;
}
/* True: the lock is ours. Else the mark is to be taken back (lock_read_drop). */
static inline bool lock_read_mark(struct lock_words *lock, sh32 *mark, uint32_t t)
{
    (void)swap_sc(mark, mark_make(t)); /* Dekker with the writer's {take; look at marks} */
    return likely(!(get_sc(&lock->owner) & LOCK_IN_THE_WAY));
}
/* Does nobody read anything, of those whom t's hint names? After a seq_cst change of the lock word: Dekker with the reader's
 * {mark; look at the word}. */
static inline bool lock_unread(struct zct_store *s, struct desc *d)
{
    uint64_t hint = get_sc(&d->hint);
    for (uint64_t groups = line_groups(s); groups; groups &= groups - 1) {
        struct read_line *lines = line_at(s, lowest_bit(groups) * 64, 0);
        for (uint64_t members = hint; members; members &= members - 1)
            if (unlikely(!line_is_zero(lines[lowest_bit(members)].mark)))
                return false;
    }
    return true;
}
/* We own the word, in this epoch: this thread does. */
static inline void lock_note_writer(struct zct_store *s, uint32_t t, uint64_t w)
{
    pv_put(&s->writers[t], (uint64_t)owner_epoch(w) << 32 | my_reading.serial);
}
/* From here on a death leaves the tensor DIRTY. */
static inline void lock_write_begin(struct lock_words *lock, uint64_t w)
{
    fence_release(); /* the word before anything that is written under it */
    put_relaxed(&lock->active, owner_epoch(w));
    fence_compiler();
}

#endif
