/* shared.h - the only way to touch shared memory, and the only file that names a memory order.
 *
 * What lies in shared memory has one of the types sh8..sh64: one-field structs, so a plain assignment does not
 * compile and an unsynchronised read cannot be written by accident. The order is in the operation's name. Every
 * operation that stores is a crash point (step.h).
 *
 * pv32/pv64 are this process's own atomics: the same operations without a crash point, prefix pv_. */
#ifndef ZCT_BASE_SHARED_H
#define ZCT_BASE_SHARED_H

#include "base/step.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct { _Atomic uint8_t v; } sh8;
typedef struct { _Atomic uint16_t v; } sh16;
typedef struct { _Atomic uint32_t v; } sh32;
typedef struct { _Atomic uint64_t v; } sh64;
typedef struct { _Atomic uint32_t v; } pv32;
typedef struct { _Atomic uint64_t v; } pv64;

_Static_assert(sizeof(sh64) == 8 && sizeof(sh32) == 4 && sizeof(sh16) == 2 && sizeof(sh8) == 1, "no hidden lock words");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free between processes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex word is the low half of a 64-bit word");

#define get_relaxed(p) atomic_load_explicit(&(p)->v, memory_order_relaxed)
#define get_acquire(p) atomic_load_explicit(&(p)->v, memory_order_acquire)
#define get_sc(p) atomic_load_explicit(&(p)->v, memory_order_seq_cst)

#define put_relaxed(p, x)                                                                                              \
    do {                                                                                                               \
        STEP("put_relaxed " #p);                                                                                       \
        atomic_store_explicit(&(p)->v, (x), memory_order_relaxed);                                                     \
    } while (0)
#define put_release(p, x)                                                                                              \
    do {                                                                                                               \
        STEP("put_release " #p);                                                                                       \
        atomic_store_explicit(&(p)->v, (x), memory_order_release);                                                     \
    } while (0)
#define put_sc(p, x)                                                                                                   \
    do {                                                                                                               \
        STEP("put_sc " #p);                                                                                            \
        atomic_store_explicit(&(p)->v, (x), memory_order_seq_cst);                                                     \
    } while (0)

#define SH_RMW(what_, call_)                                                                                           \
    __extension__({                                                                                                    \
        STEP(what_);                                                                                                   \
        call_;                                                                                                         \
    })
#define or_sc(p, x) SH_RMW("or_sc " #p, atomic_fetch_or_explicit(&(p)->v, (x), memory_order_seq_cst))
#define and_sc(p, x) SH_RMW("and_sc " #p, atomic_fetch_and_explicit(&(p)->v, (x), memory_order_seq_cst))
#define add_sc(p, x) SH_RMW("add_sc " #p, atomic_fetch_add_explicit(&(p)->v, (x), memory_order_seq_cst))
#define swap_sc(p, x) SH_RMW("swap_sc " #p, atomic_exchange_explicit(&(p)->v, (x), memory_order_seq_cst))
/* *expected is rewritten on failure. Success and failure are seq_cst. */
#define cas_sc(p, expected, x)                                                                                         \
    SH_RMW("cas_sc " #p, atomic_compare_exchange_strong_explicit(&(p)->v, (expected), (x), memory_order_seq_cst,       \
                                                                 memory_order_seq_cst))
/* Statistics and hints that may lose an update when their writer dies. */
#define add_relaxed(p, x) SH_RMW("add_relaxed " #p, atomic_fetch_add_explicit(&(p)->v, (x), memory_order_relaxed))
#define fence_acquire() atomic_thread_fence(memory_order_acquire)
#define fence_release() atomic_thread_fence(memory_order_release)
#define fence_sc() atomic_thread_fence(memory_order_seq_cst)
/* What was copied before was read before what is read next. On x86 `rep movs`, which a copy may be made of, is weaker than a
 * load. */
#if defined(__x86_64__)
#define fence_copied() __asm__ volatile("lfence" ::: "memory")
#else
#define fence_copied() fence_acquire()
#endif
/* Between a store here and stores of the caller's own code: for whoever dies between them. */
#define fence_compiler() atomic_signal_fence(memory_order_seq_cst)

/* Fill `count` words with one value; relaxed, one crash point before the whole and one after the first half: words
 * that are not yet published, whose torn state nobody may read. */
static inline void fill_words(sh64 *words, uint64_t value, size_t count)
{
    STEP("fill_words");
    for (size_t i = 0; i < count; i++) {
        if (i == count / 2)
            STEP("fill_words half");
        atomic_store_explicit(&words[i].v, value, memory_order_relaxed);
    }
}

/* Copy private words in, under the same rule. */
static inline void put_words(sh64 *words, const uint64_t *from, size_t count)
{
    STEP("put_words");
    for (size_t i = 0; i < count; i++) {
        if (i == count / 2)
            STEP("put_words half");
        atomic_store_explicit(&words[i].v, from[i], memory_order_relaxed);
    }
}

static inline void get_words(uint64_t *to, const sh64 *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = atomic_load_explicit(&((sh64 *)&words[i])->v, memory_order_relaxed);
}

/* Are the 16 words of a cache line 0, each read once, after whatever seq_cst RMW came before? */
static inline bool line_is_zero(const sh32 *line)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    /* Loads stay behind a locked instruction, and a lane of an aligned vector is read as a word is. */
    typedef uint64_t vector __attribute__((vector_size(16), may_alias));
    const volatile vector *v = (const volatile vector *)(const volatile void *)line;
    vector any = (v[0] | v[1]) | (v[2] | v[3]);
    return (any[0] | any[1]) == 0;
#else
    uint32_t any = 0;
    for (int i = 0; i < 16; i++)
        any |= get_sc(&((sh32 *)line)[i]);
    return any == 0;
#endif
}

#define pv_get(p) atomic_load_explicit(&(p)->v, memory_order_acquire)
#define pv_put(p, x) atomic_store_explicit(&(p)->v, (x), memory_order_release)
/* A private structure that is made on first use: its pointer is put when it is whole, and taken without a lock. */
#define pv_get_pointer(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define pv_put_pointer(p, x) __atomic_store_n((p), (x), __ATOMIC_RELEASE)
#define pv_add(p, x) atomic_fetch_add_explicit(&(p)->v, (x), memory_order_acq_rel)
#define pv_sub(p, x) atomic_fetch_sub_explicit(&(p)->v, (x), memory_order_acq_rel)
#define pv_or(p, x) atomic_fetch_or_explicit(&(p)->v, (x), memory_order_acq_rel)
/* seq_cst: a private mutex stands in front of AL, and {sweep = 1; trylock} x {unlock; look at sweep} is a Dekker pair. */
#define pv_swap(p, x) atomic_exchange_explicit(&(p)->v, (x), memory_order_seq_cst)
#define pv_cas(p, expected, x)                                                                                         \
    atomic_compare_exchange_strong_explicit(&(p)->v, (expected), (x), memory_order_seq_cst, memory_order_seq_cst)

#endif
