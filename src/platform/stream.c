#include "platform/stream.h"

#include "base/util.h"

#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>

enum { LINE = 64 };

static void stream_lines(uint8_t *to, const uint8_t *from, size_t lines)
{
    for (; lines; lines--, to += LINE, from += LINE) {
        const __m128i *source = (const void *)from;
        __m128i *target = (void *)to;
        __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1);
        __m128i c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
    _mm_sfence(); /* such stores are in no order with later ones, and a name will be published after them */
}

void copy_streaming(void *to, const void *from, size_t length)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    size_t head = min_u64((LINE - (uintptr_t)target % LINE) % LINE, length), lines = (length - head) / LINE;
    memcpy(target, source, head);
    stream_lines(target + head, source + head, lines);
    head += lines * LINE;
    memcpy(target + head, source + head, length - head);
}

#else
void copy_streaming(void *to, const void *from, size_t length) { memcpy(to, from, length); } /* libc knows best */
#endif
