/* name.h - tensors' names: checked, padded to words, hashed; and their comparison with a descriptor's. */
#ifndef ZCT_CATALOG_NAME_H
#define ZCT_CATALOG_NAME_H

#include "segment/store.h"

/* A name in private memory. */
struct key {
    uint32_t length, hash, words; /* words: 8-byte words in use */
    uint64_t text[NAME_MAX_WORDS]; /* NUL padded */
};

/* -ZCT_EINVAL with a sentence for an empty, too long, not UTF-8 name, or one with NUL. */
int key_make(struct key *key, const char *name, size_t length);
/* Does descriptor d have this name just now? A race with its renaming: trust a yes only after a hold, a no only after the
 * cell that led here was read again. */
bool key_is(struct zct_store *s, struct desc *d, const struct key *key);
/* Is what was read from a descriptor a name, and the one that its hash says? */
bool key_sound(const struct key *key);
/* Read the name of d. False: there is none, or its aux block is not readable. */
bool key_read(struct zct_store *s, struct desc *d, struct key *ret);
/* "'weights'", for sentences; control characters escaped. */
const char *key_show(const struct key *key, char *to, size_t size);

/* The aux block of d: NULL when it has none or its pages are not there. */
struct aux_head *aux_of(struct zct_store *s, struct desc *d);
static inline const sh64 *aux_words(const struct aux_head *head) { return (const sh64 *)(const void *)(head + 1); }

#endif
