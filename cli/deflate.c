#include "deflate.h"

#if ZCT_ZLIB

#include <stdlib.h>
#include <zlib.h>

#include "strbuf.h"

enum { PIECE = 1 << 30 }; /* zlib counts in 32 bits */

struct inflater {
    z_stream stream;
    const uint8_t *end;
    bool ended;
};

bool deflate_there(void) { return true; }

uint32_t deflate_crc(uint32_t crc, const void *bytes, size_t len) { return (uint32_t)crc32_z(crc, bytes, len); }

struct inflater *inflater_open(const uint8_t *packed, uint64_t len)
{
    struct inflater *inflater = memory_new(1, sizeof *inflater);

    inflater->stream.next_in = (Bytef *)(uintptr_t)packed;
    inflater->end = packed + len;
    if (inflateInit2(&inflater->stream, -MAX_WBITS) != Z_OK) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

int64_t inflater_read(struct inflater *inflater, void *to, uint64_t len)
{
    z_stream *stream = &inflater->stream;
    uint64_t done = 0;

    while (done < len && !inflater->ended) {
        uint64_t in = (uint64_t)(inflater->end - stream->next_in), out = len - done;
        uInt room = out < PIECE ? (uInt)out : PIECE;
        int result;

        stream->avail_in = in < PIECE ? (uInt)in : PIECE;
        stream->next_out = (Bytef *)to + done;
        stream->avail_out = room;
        result = inflate(stream, Z_NO_FLUSH);
        done += room - stream->avail_out;
        inflater->ended = result == Z_STREAM_END;
        if (result != Z_OK && result != Z_STREAM_END)
            return -1; /* damaged, or cut short: no input is Z_BUF_ERROR */
    }
    return (int64_t)done;
}

bool inflater_ended(const struct inflater *inflater)
{
    return inflater->ended && inflater->stream.next_in == inflater->end;
}

void inflater_close(struct inflater *inflater)
{
    if (inflater == NULL)
        return;
    inflateEnd(&inflater->stream);
    free(inflater);
}

#else

bool deflate_there(void) { return false; }
uint32_t deflate_crc(uint32_t crc, const void *bytes, size_t len) { return (void)bytes, (void)len, crc; }
struct inflater *inflater_open(const uint8_t *packed, uint64_t len) { return (void)packed, (void)len, NULL; }
int64_t inflater_read(struct inflater *inflater, void *to, uint64_t len)
{
    return (void)inflater, (void)to, (void)len, -1;
}
bool inflater_ended(const struct inflater *inflater) { return (void)inflater, false; }
void inflater_close(struct inflater *inflater) { (void)inflater; }

#endif
