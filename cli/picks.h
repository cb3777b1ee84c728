/* picks.h - the tensors that are saved, held while that takes. */
#ifndef ZCT_CLI_PICKS_H
#define ZCT_CLI_PICKS_H

#include "layout.h"

struct pick {
    char *name;      /* in the store */
    const char *key; /* in the file: a part of it */
    zct_tensor *tensor;
    const zct_view *view;
    struct layout layout;
    bool fields_known; /* false: a struct whose descriptor tells nothing */
};

struct picks {
    struct pick *pick; /* in the order of their keys after picks_check */
    size_t count;
    uint64_t nbytes;
};

/* Hold one by name; all whose names fit a pattern (NULL: all). False: the sentence has been said. */
bool picks_add(struct picks *picks, zct_store *store, const char *name);
bool picks_add_matching(struct picks *picks, zct_store *store, const char *pattern);
/* Make the keys: names without `strip` where they begin with it. False: two are the same, or one is empty. */
bool picks_check(struct picks *picks, const char *strip);
void picks_free(struct picks *picks);

#endif
