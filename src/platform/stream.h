/* stream.h - copying much memory that nobody reads at once. */
#ifndef ZCT_PLATFORM_STREAM_H
#define ZCT_PLATFORM_STREAM_H

#include <stddef.h>

/* As memcpy, past the caches where the processor can: the target's lines are not read first, and what is in the caches
 * stays. Complete when it returns. Slower than memcpy for what is read again at once from a cache. */
void copy_streaming(void *to, const void *from, size_t length);

#endif
