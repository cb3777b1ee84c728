/* payload.h - the bytes of tensors, where others may be at work on them: atomic elements, and copies that may turn out torn.
 *
 * Nothing here is a crash point: recovery never looks at contents. */
#ifndef ZCT_BASE_PAYLOAD_H
#define ZCT_BASE_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define element_load(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define element_add(p, x) __atomic_fetch_add((p), (x), __ATOMIC_SEQ_CST)
#define element_swap(p, x) __atomic_exchange_n((p), (x), __ATOMIC_SEQ_CST)
#define element_cas(p, expected, x) __atomic_compare_exchange_n((p), (expected), (x), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

/* Copy bytes that may change meanwhile; the caller finds out afterwards. The compiler is told nothing of them, and
 * ThreadSanitizer looks away. */
#if defined(__SANITIZE_THREAD__)
__attribute__((no_sanitize("thread"), noinline, unused)) static void copy_opaque(char *to, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((volatile char *)to)[i] = ((const volatile char *)from)[i];
}
#else
static inline void copy_opaque(char *to, const char *from, size_t length)
{
    __asm__ volatile("" : "+r"(from)::"memory");
    memcpy(to, from, length);
    __asm__ volatile("" ::"r"(to) : "memory");
}
#endif

#endif
