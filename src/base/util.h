/* util.h - arithmetic on private values. */
#ifndef ZCT_BASE_UTIL_H
#define ZCT_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define KiB 1024ull
#define MiB (1024ull * KiB)
#define GiB (1024ull * MiB)
#define NS_PER_S 1000000000ll
#define NS_PER_MS 1000000ll

static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }
static inline uint64_t clamp_u64(uint64_t x, uint64_t lo, uint64_t hi) { return x < lo ? lo : x > hi ? hi : x; }
/* `to` is a power of two. */
static inline uint64_t round_up(uint64_t x, uint64_t to) { return (x + to - 1) & ~(to - 1); }
static inline uint64_t round_down(uint64_t x, uint64_t to) { return x & ~(to - 1); }
static inline uint64_t div_up(uint64_t x, uint64_t by) { return (x + by - 1) / by; }
static inline unsigned log2_up(uint64_t x) { return x <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(x - 1); }
static inline unsigned lowest_bit(uint64_t x) { return (unsigned)__builtin_ctzll(x); }
/* The low n bits, n <= 64. */
static inline uint64_t low_bits(unsigned n) { return n >= 64 ? ~0ull : (1ull << n) - 1; }
static inline uint64_t mix64(uint64_t x)
{
    /* splitmix64's finaliser (Steele, Lea, Flood 2014) */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* Tell the processor that we spin. */
static inline void spin_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
