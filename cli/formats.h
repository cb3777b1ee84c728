/* formats.h - tensors written as .npy, .npz and .safetensors. */
#ifndef ZCT_CLI_FORMATS_H
#define ZCT_CLI_FORMATS_H

#include "picks.h"
#include "sink.h"

struct format {
    const char *name; /* "npy", and ".npy" is what files of it end with */
    /* Can these be told in such a file? Asked before anything is written; may sort them. False: the sentence has
     * been said. */
    bool (*check)(struct picks *picks);
    /* False: the sentence has been said, by the sink. */
    bool (*write)(const struct picks *picks, struct sink *sink);
};

/* By its name, or with path by what that ends with. NULL: there is none. */
const struct format *format_find(const char *name);
const struct format *format_of_path(const char *path);

#endif
