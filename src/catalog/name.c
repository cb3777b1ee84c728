#include "catalog/name.h"

#include <stdio.h>
#include <string.h>

static uint32_t hash_words(const uint64_t *words, uint32_t n, uint32_t length)
{
    uint64_t h = length * 0x9e3779b97f4a7c15ull;
    for (uint32_t i = 0; i < n; i++)
        h = ((h ^ words[i]) * 0xff51afd7ed558ccdull) ^ (h >> 29);
    return (uint32_t)(mix64(h) >> 32);
}

/* The length of the well-formed UTF-8 sequence at `at`, 0 if there is none (RFC 3629: no surrogates, no overlongs). */
static unsigned utf8_length(const unsigned char *at, size_t left)
{
    unsigned c = at[0];
    if (c < 0x80)
        return 1;
    unsigned n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || left < n)
        return 0;
    for (unsigned i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
        (c == 0xf4 && at[1] > 0x8f))
        return 0;
    return n;
}

/* A NUL byte in a word? (Mycroft 1987) */
static bool has_nul(uint64_t w) { return ((w - 0x0101010101010101ull) & ~w & 0x8080808080808080ull) != 0; }

/* The 1 to 8 bytes at `at` as a word, NUL padded; at least two loads overlap instead of a loop over bytes. */
static uint64_t tail_word(const char *at, size_t n)
{
    uint32_t low, high;
    if (n >= 4) {
        memcpy(&low, at, 4);
        memcpy(&high, at + n - 4, 4);
        return low | (uint64_t)high << (8 * (n - 4));
    }
    const unsigned char *byte = (const unsigned char *)at;
    return byte[0] | (uint64_t)byte[n / 2] << (8 * (n / 2)) | (uint64_t)byte[n - 1] << (8 * (n - 1));
}

static int check_utf8(const char *name, size_t length)
{
    for (size_t i = 0; i < length;) {
        unsigned n = utf8_length((const unsigned char *)name + i, length - i);
        if (n == 0)
            return fail(ZCT_EINVAL, "a tensor's name must be UTF-8; byte %zu of this one is not", i);
        i += n;
    }
    return 0;
}

int key_make(struct key *key, const char *name, size_t length)
{
    if (unlikely(length == 0))
        return fail(ZCT_EINVAL, "a tensor's name cannot be empty");
    if (unlikely(length > ZCT_MAX_NAME))
        return fail(ZCT_EINVAL, "a tensor's name has at most %d bytes of UTF-8; '%.32s...' has %zu", ZCT_MAX_NAME, name,
                    length);
    uint32_t whole = (uint32_t)(length - 1) / 8;
    size_t rest = length - whole * 8ull;
    uint64_t high = 0;
    bool nul = false;
    key->length = (uint32_t)length;
    key->words = whole + 1;
    for (uint32_t i = 0; i < whole; i++) {
        memcpy(&key->text[i], name + i * 8ull, 8);
        high |= key->text[i];
        nul |= has_nul(key->text[i]);
    }
    /* read as one word where eight bytes of the name allow it */
    uint64_t last;
    if (length >= 8) {
        memcpy(&last, name + length - 8, 8);
        last >>= 8 * (8 - rest);
    } else {
        last = tail_word(name, rest);
    }
    key->text[whole] = last;
    high |= last;
    nul |= has_nul(rest == 8 ? last : last | ~0ull << (8 * rest));
    if (unlikely(nul))
        return fail(ZCT_EINVAL, "a tensor's name cannot contain NUL; this one has one after '%s'", name);
    if (unlikely(high & 0x8080808080808080ull)) {
        int rc = check_utf8(name, length);
        if (rc < 0)
            return rc;
    }
    key->hash = hash_words(key->text, key->words, key->length);
    return 0;
}

struct aux_head *aux_of(struct zct_store *s, struct desc *d)
{
    uint64_t aux = get_acquire(&d->aux), first = aux_first(aux), units = aux_units(aux);
    if (units == 0 || first >= s->g.aux_units || units > s->g.aux_units - first ||
        !control_present(s, s->g.aux + first * AUX_UNIT, units * AUX_UNIT))
        return NULL;
    return REGION(s, struct aux_head, s->g.aux + first * AUX_UNIT);
}

bool key_sound(const struct key *key)
{
    const char *text = (const char *)key->text;
    if (key->length == 0 || hash_words(key->text, key->words, key->length) != key->hash)
        return false;
    for (size_t i = 0; i < key->length;) {
        unsigned n = text[i] ? utf8_length((const unsigned char *)text + i, key->length - i) : 0;
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

/* Where the words of d's name are, for `length` bytes; NULL if nowhere. */
static const sh64 *name_words(struct zct_store *s, struct desc *d, unsigned length)
{
    if (length <= NAME_INLINE)
        return d->name;
    const struct aux_head *head = aux_of(s, d);
    if (!head || get_relaxed(&((struct aux_head *)(uintptr_t)head)->name_len) != length ||
        aux_units(get_relaxed(&d->aux)) * AUX_UNIT < sizeof *head + round_up(length, 8))
        return NULL;
    return aux_words(head);
}

bool key_is(struct zct_store *s, struct desc *d, const struct key *key)
{
    uint64_t form = get_relaxed(&d->form);
    if (form_hash(form) != key->hash || form_name_len(form) != key->length)
        return false;
    const sh64 *words = name_words(s, d, key->length);
    if (!words)
        return false;
    for (uint32_t i = 0; i < key->words; i++)
        if (get_relaxed((sh64 *)(uintptr_t)&words[i]) != key->text[i])
            return false;
    return true;
}

bool key_read(struct zct_store *s, struct desc *d, struct key *ret)
{
    uint64_t form = get_relaxed(&d->form);
    ret->length = form_name_len(form);
    ret->hash = form_hash(form);
    ret->words = (ret->length + 7) / 8;
    const sh64 *words = ret->length ? name_words(s, d, ret->length) : NULL;
    if (!words)
        return false;
    get_words(ret->text, words, ret->words);
    return true;
}

const char *key_show(const struct key *key, char *to, size_t size)
{
    const unsigned char *from = (const unsigned char *)key->text;
    size_t at = 0;
    to[at++] = '\'';
    for (uint32_t i = 0; i < key->length && at + 7 < size; i++) {
        if (from[i] < 32 || from[i] == 127)
            at += (size_t)snprintf(to + at, size - at, "\\x%02x", from[i]);
        else
            to[at++] = (char)from[i];
    }
    to[at++] = '\'';
    to[at] = 0;
    return to;
}
