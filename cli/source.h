/* source.h - a file that is loaded: mapped, and taken apart without trusting a word of it. */
#ifndef ZCT_CLI_SOURCE_H
#define ZCT_CLI_SOURCE_H

#include "array.h"

struct source {
    const char *path;
    const char *format; /* "npy", "npz", "safetensors" */
    const uint8_t *bytes;
    uint64_t size;
    struct array *arrays;
    size_t count;
};

/* Map the file and read what it says it holds; the format is told by its first bytes. False: the sentence has been
 * said. source_close in any case. While it is open, a file that is cut short ends the process with a sentence (there
 * is no other way to go on behind a mapping); what has no name in a store by then never gets one. */
bool source_open(const char *path, struct source *ret_source);
void source_close(struct source *source);

/* Map the pages of an array at once, which is faster than one by one as they are met. */
void source_fault_in(const struct array *array);
/* Check what was loaded against the CRC, or inflate: to[nbytes] gets the elements. False with the sentence said. */
bool source_verify(const struct source *source, const struct array *array);
bool source_inflate(const struct source *source, const struct array *array, void *to);

#endif
