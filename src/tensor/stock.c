/* stock.c - malloc in the store: whole nameless blocks, given out and taken back without touching shared memory.
 *
 * A block is a BARE descriptor of ours. The table address -> block and the idle lists are private, under stock_lock. Idle
 * blocks are the only bits that a process keeps without a user, and no hold of a name. A block that was named, or of which a
 * handle was made, is closed when freed, never put back; likewise one that lived across a fork: the child may still read it. */
#include "tensor/tensor.h"

#include "segment/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 8 * 38, PER_CLASS = 32 };

struct block {
    uint64_t offset; /* in the payload; ~0: an empty cell of the table */
    uint64_t size;   /* as asked for */
    uint64_t forks;  /* s->forks when given out */
    uint32_t desc, class;
    bool published;
};

struct idle { uint32_t count; struct { uint32_t desc; uint64_t offset; } blocks[PER_CLASS]; };

struct stock {
    struct block *table; /* open addressing, keyed by offset */
    uint64_t cells, used;
    struct idle *idle[CLASSES];
    uint32_t *orphans; /* in a forked child: idle blocks of the parent that we hold too */
    uint32_t orphan_count;
    uint64_t idle_bytes, idle_blocks, live_bytes, live_blocks, refused, hits, misses;
    bool told;
};

#define EMPTY UINT64_MAX

/* Size classes: 8 to each doubling, at least 64 bytes; a page and more in whole pages. */
static uint64_t class_bytes(uint64_t nbytes, uint32_t *ret_class)
{
    uint64_t n = max_u64(nbytes, 64);
    unsigned top = 63u - (unsigned)__builtin_clzll(n);
    uint64_t step = 1ull << (top - 3), rounded = round_up(n, step);
    if (rounded > PAGE)
        rounded = round_up(rounded, PAGE);
    top = 63u - (unsigned)__builtin_clzll(rounded);
    *ret_class = (top - 6) * 8 + (uint32_t)((rounded >> (top - 3)) & 7);
    return rounded;
}

static uint64_t bytes_of_class(uint32_t class) { return (8ull | (class & 7)) << (class / 8 + 3); }

static struct stock *stock_of(struct zct_store *s)
{
    if (!s->stock)
        s->stock = calloc(1, sizeof *s->stock);
    return s->stock;
}

static struct block *find(struct stock *k, uint64_t offset)
{
    if (!k || !k->cells)
        return NULL;
    for (uint64_t i = mix64(offset) & (k->cells - 1);; i = (i + 1) & (k->cells - 1)) {
        if (k->table[i].offset == offset)
            return &k->table[i];
        if (k->table[i].offset == EMPTY)
            return NULL;
    }
}

static void put(struct stock *k, const struct block *b)
{
    uint64_t i = mix64(b->offset) & (k->cells - 1);
    while (k->table[i].offset != EMPTY)
        i = (i + 1) & (k->cells - 1);
    k->table[i] = *b;
}

static bool insert(struct stock *k, const struct block *b)
{
    if ((k->used + 1) * 2 > k->cells) {
        uint64_t cells = k->cells ? k->cells * 2 : 256, old = k->cells;
        struct block *table = malloc(cells * sizeof *table), *from = k->table;
        if (!table)
            return false;
        for (uint64_t i = 0; i < cells; i++)
            table[i].offset = EMPTY;
        k->table = table;
        k->cells = cells;
        for (uint64_t i = 0; i < old; i++)
            if (from[i].offset != EMPTY)
                put(k, &from[i]);
        free(from);
    }
    put(k, b);
    k->used++;
    return true;
}

/* Take a cell out and close the gap (Knuth 6.4, algorithm R). */
static void erase(struct stock *k, struct block *b)
{
    uint64_t hole = (uint64_t)(b - k->table), mask = k->cells - 1;
    for (uint64_t i = (hole + 1) & mask; k->table[i].offset != EMPTY; i = (i + 1) & mask) {
        uint64_t home = mix64(k->table[i].offset) & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            k->table[hole] = k->table[i];
            hole = i;
        }
    }
    k->table[hole].offset = EMPTY;
    k->used--;
}

/* In a child: drop what the parent's idle list made us hold. No stock lock held. */
static void drop_orphans(struct zct_store *s)
{
    plock_lock(&s->stock_lock);
    struct stock *k = s->stock;
    uint32_t *orphans = k ? k->orphans : NULL, count = k ? k->orphan_count : 0;
    if (k)
        k->orphans = NULL;
    plock_unlock(&s->stock_lock);
    for (uint32_t i = 0; i < count && orphans; i++)
        hold_drop(s, orphans[i]);
    free(orphans);
}

static int make_block(struct zct_store *s, uint64_t bytes, uint32_t *ret_desc)
{
    int64_t shape = (int64_t)bytes;
    zct_spec spec = {.size = sizeof spec, .ndim = 1, .shape = &shape,
                     .dtype = {.code = ZCT_UINT, .bits = 8, .lanes = 1, .itemsize = 1, .name = "uint8"}};
    deadline limit = deadline_in(100 * NS_PER_MS); /* np.empty must not wait for a stopped process */
    uint32_t t = NO_DESC;
    int rc = create_alloc(s, &spec, bytes, NULL, limit, &t);
    if (rc < 0)
        return rc;
    uint64_t ext = get_relaxed(&desc_at(s, t)->ext);
    rc = copy_in(s, ext, bytes, &spec, NULL, NULL, false);
    if (rc == 0)
        rc = name_none(s, t, false, limit);
    if (rc < 0)
        create_undo(s, t);
    else
        *ret_desc = t;
    return rc;
}

/* The thread's last failure says why. */
static void *refuse(struct zct_store *s, size_t nbytes)
{
    plock_lock(&s->stock_lock);
    struct stock *k = stock_of(s);
    bool first = k && !k->told;
    if (k) {
        k->told = true;
        k->refused++;
    }
    plock_unlock(&s->stock_lock);
    if (first)
        log_note(ZCT_LOG_WARNING, "a block of %zu bytes, and others like it, come from ordinary memory and are copied when "
                                  "published: %s", nbytes, zct_last_error());
    log_deliver();
    return NULL;
}

/* A new block, unless AL's owner was found stopped a moment ago: then each would wait for it in vain. */
static int make_or_pass(struct zct_store *s, uint64_t bytes, uint32_t *ret_desc)
{
    int64_t now = clock_now();
    if (now < (int64_t)pv_get(&s->stock_busy_until))
        return fail(ZCT_EBUSY, "store '%s' is held by a process that does not go on", s->name);
    int rc = make_block(s, bytes, ret_desc);
    if (rc == -ZCT_EBUSY)
        pv_put(&s->stock_busy_until, (uint64_t)(clock_now() + NS_PER_S));
    return rc;
}

void *zct_memory_alloc(zct_store *s, size_t nbytes, int zero)
{
    if (!process_may_call())
        return NULL; /* a raw clone's child: its parent's threads may have held our locks */
    if (!store_ready(s)) {
        (void)store_refuse(s);
        return refuse(s, nbytes);
    }
    if (nbytes > s->g.capacity) {
        (void)fail_full(s, "a block", nbytes);
        return refuse(s, nbytes);
    }
    uint32_t class;
    uint64_t bytes = class_bytes(nbytes, &class);
    struct block b = {.size = nbytes, .class = class};
    plock_lock(&s->stock_lock);
    struct stock *k = stock_of(s);
    if (unlikely(k && k->orphans)) {
        plock_unlock(&s->stock_lock);
        drop_orphans(s);
        plock_lock(&s->stock_lock);
    }
    struct idle *idle = k ? k->idle[class] : NULL;
    bool hit = idle && idle->count;
    if (hit) {
        idle->count--;
        b.desc = idle->blocks[idle->count].desc;
        b.offset = idle->blocks[idle->count].offset;
        b.forks = pv_get(&s->forks);
        hit = insert(k, &b);
        if (!hit)
            idle->count++;
    }
    if (hit) {
        k->idle_bytes -= bytes;
        k->idle_blocks--;
        k->hits++;
        k->live_bytes += nbytes;
        k->live_blocks++;
    }
    plock_unlock(&s->stock_lock);
    if (!hit) {
        if ((k ? make_or_pass(s, bytes, &b.desc) : fail(ZCT_ENOMEM, "out of memory")) < 0)
            return refuse(s, nbytes);
        b.offset = ext_bytes(get_relaxed(&desc_at(s, b.desc)->ext)).offset;
        plock_lock(&s->stock_lock);
        b.forks = pv_get(&s->forks);
        bool kept = insert(k, &b);
        k->misses++;
        k->live_bytes += kept ? nbytes : 0;
        k->live_blocks += kept;
        plock_unlock(&s->stock_lock);
        if (!kept) {
            hold_drop(s, b.desc);
            (void)fail(ZCT_ENOMEM, "out of memory");
            return refuse(s, nbytes);
        }
    }
    pv_add(&s->users, USER_LIVE);
    void *at = payload_at(s, b.offset);
    if (zero)
        memset(at, 0, nbytes);
    log_deliver();
    return at;
}

static bool inside(struct zct_store *s, const void *block)
{
    return (const uint8_t *)block >= s->rw.base && (const uint8_t *)block < s->rw.base + s->g.capacity;
}

void zct_memory_free(zct_store *s, void *block)
{
    if (!block || !inside(s, block) || !process_may_call())
        return;
    bool keep = false;
    plock_lock(&s->stock_lock);
    struct stock *k = s->stock;
    struct block *b = find(k, (uint64_t)((uint8_t *)block - s->rw.base));
    if (!b) {
        plock_unlock(&s->stock_lock);
        return;
    }
    struct block gone = *b;
    erase(k, b);
    k->live_bytes -= gone.size;
    k->live_blocks--;
    uint32_t class;
    uint64_t bytes = class_bytes(gone.size, &class), forks = pv_get(&s->forks);
    if (!gone.published && forks == gone.forks && forks % 2 == 0 && store_ready(s) && store_opens(s) &&
        get_relaxed(&desc_at(s, gone.desc)->sender) == 0 &&
        k->idle_bytes + bytes <= min_u64(64 * MiB, s->g.capacity / 16)) {
        if (!k->idle[class])
            k->idle[class] = calloc(1, sizeof *k->idle[class]);
        struct idle *idle = k->idle[class];
        keep = idle && idle->count < PER_CLASS;
        if (keep) {
            idle->blocks[idle->count].desc = gone.desc;
            idle->blocks[idle->count++].offset = gone.offset;
            k->idle_bytes += bytes;
            k->idle_blocks++;
        }
    }
    plock_unlock(&s->stock_lock);
    if (!keep && pv_get(&s->state) == STORE_MEMBER)
        hold_drop(s, gone.desc);
    store_unuse(s, USER_LIVE);
    log_deliver();
}

/* Copy of the record of the block that starts at `block`; false: it is none of ours, or we may not ask. */
static bool look_up(struct zct_store *s, const void *block, struct block *ret)
{
    if (!inside(s, block) || !process_may_call())
        return false;
    plock_lock(&s->stock_lock);
    struct block *b = find(s->stock, (uint64_t)((const uint8_t *)block - s->rw.base));
    if (b)
        *ret = *b;
    plock_unlock(&s->stock_lock);
    return b != NULL;
}

void *zct_memory_realloc(zct_store *s, void *block, size_t nbytes)
{
    struct block b;
    if (!look_up(s, block, &b) || nbytes > s->g.capacity)
        return NULL;
    uint32_t class, old;
    (void)class_bytes(nbytes, &class);
    (void)class_bytes(b.size, &old);
    if (class == old && !b.published) {
        plock_lock(&s->stock_lock);
        struct block *now = find(s->stock, b.offset);
        if (now) {
            s->stock->live_bytes += nbytes - now->size;
            now->size = nbytes;
        }
        plock_unlock(&s->stock_lock);
        return block;
    }
    void *to = zct_memory_alloc(s, nbytes, 0);
    if (!to)
        return NULL;
    memcpy(to, block, b.size < nbytes ? b.size : nbytes);
    zct_memory_free(s, block);
    return to;
}

zct_store *zct_memory_store(const void *address) { return range_find(address); }

size_t zct_memory_owns(const void *block, zct_store **ret_store)
{
    struct block b;
    struct zct_store *s = range_find(block);
    if (!s)
        return 0;
    size_t size;
    if (!process_may_call()) /* nothing can be asked: what can be read from there on */
        size = (size_t)(s->rw.base + pv_get(&s->rw.enabled) - (const uint8_t *)block);
    else if (look_up(s, block, &b))
        size = b.size ? b.size : 1;
    else
        return 0;
    if (ret_store)
        *ret_store = s;
    return size;
}

int zct_memory_stats_get(zct_store *s, zct_memory_stats *ret)
{
    if (!ret || ret->size < sizeof *ret)
        return fail(ZCT_EINVAL, "set the size field of zct_memory_stats first");
    if (!process_may_call())
        return store_refuse(s);
    plock_lock(&s->stock_lock);
    struct stock none = {0}, *k = s->stock ? s->stock : &none;
    *ret = (zct_memory_stats){sizeof *ret, k->idle_bytes, k->idle_blocks, k->live_bytes, k->live_blocks, k->refused, k->hits,
                              k->misses};
    plock_unlock(&s->stock_lock);
    return 0;
}

int stock_publishable(struct zct_store *s, const void *data, uint64_t nbytes, uint32_t *ret_desc)
{
    struct block b;
    if (!look_up(s, data, &b) || b.size != nbytes || b.published || nbytes == 0 ||
        get_sc(&desc_at(s, b.desc)->sender) != 0 || st_state(get_sc(&desc_at(s, b.desc)->st)) != ST_BARE)
        return -ZCT_ENOTWHOLE;
    *ret_desc = b.desc;
    return 0;
}

void stock_published(struct zct_store *s, const void *data)
{
    plock_lock(&s->stock_lock);
    struct block *b = find(s->stock, (uint64_t)((const uint8_t *)data - s->rw.base));
    if (b)
        b->published = true;
    plock_unlock(&s->stock_lock);
}

void stock_empty(struct zct_store *s)
{
    if (!process_may_call() || pv_get(&s->state) == STORE_NOT_MEMBER) /* the idle blocks and the row are our parent's */
        return;
    for (uint32_t class = 0; class < CLASSES; class++)
        for (;;) {
            plock_lock(&s->stock_lock);
            struct stock *k = s->stock;
            struct idle *idle = k ? k->idle[class] : NULL;
            uint32_t desc = NO_DESC;
            if (idle && idle->count) {
                desc = idle->blocks[--idle->count].desc;
                k->idle_blocks--;
                k->idle_bytes -= bytes_of_class(class);
            }
            plock_unlock(&s->stock_lock);
            if (desc == NO_DESC)
                break;
            hold_drop(s, desc);
        }
    drop_orphans(s);
}

void stock_forget(struct zct_store *s, bool child)
{
    struct stock *k = s->stock;
    if (!k)
        return;
    if (!child) {
        for (uint32_t c = 0; c < CLASSES; c++)
            free(k->idle[c]);
        free(k->table);
        free(k->orphans);
        free(k);
        s->stock = NULL;
        return;
    }
    uint32_t n = 0, most = k->orphans ? k->orphan_count : 0;
    for (uint32_t c = 0; c < CLASSES; c++)
        most += k->idle[c] ? k->idle[c]->count : 0;
    uint32_t *orphans = most ? malloc(most * sizeof *orphans) : NULL;
    for (uint32_t i = 0; orphans && k->orphans && i < k->orphan_count; i++) /* our parent's, who is a child itself */
        orphans[n++] = k->orphans[i];
    for (uint32_t c = 0; c < CLASSES; c++)
        while (k->idle[c] && k->idle[c]->count) {
            uint32_t desc = k->idle[c]->blocks[--k->idle[c]->count].desc;
            if (orphans)
                orphans[n++] = desc;
        }
    free(k->orphans);
    k->orphans = orphans;
    k->orphan_count = n;
    k->idle_bytes = k->idle_blocks = 0;
}
