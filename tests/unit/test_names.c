/* Names: every sequence of up to three bytes against a decoder of our own, lengths, hashes, and how they are shown. */
#include "support/test.h"

#include "catalog/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decode the whole, by the definition: shortest form, no surrogate, at most 0x10ffff. */
static bool is_utf8(const unsigned char *at, size_t n)
{
    while (n) {
        unsigned extra = at[0] < 0x80 ? 0 : at[0] >> 5 == 6 ? 1 : at[0] >> 4 == 14 ? 2 : at[0] >> 3 == 30 ? 3 : 9;
        if (extra >= n)
            return false;
        uint32_t point = extra ? at[0] & (0x3fu >> extra) : at[0];
        for (unsigned i = 1; i <= extra; i++) {
            if (at[i] >> 6 != 2)
                return false;
            point = point << 6 | (at[i] & 0x3f);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (point < least[extra] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
        at += extra + 1, n -= extra + 1;
    }
    return true;
}

static bool allowed(const unsigned char *name, size_t n) { return n && n <= 255 && !memchr(name, 0, n) && is_utf8(name, n); }

static void one(const unsigned char *name, size_t n)
{
    struct key key;
    int rc = key_make(&key, (const char *)name, n);
    if (rc != (allowed(name, n) ? 0 : -ZCT_EINVAL))
        test_fail(__FILE__, __LINE__, "%02x %02x %02x %02x (%zu bytes) answered %d", name[0], n > 1 ? name[1] : 0,
                  n > 2 ? name[2] : 0, n > 3 ? name[3] : 0, n, rc);
    if (rc == 0 && (key.length != n || key.words != (n + 7) / 8 || memcmp(key.text, name, n)))
        test_fail(__FILE__, __LINE__, "the key is not the name");
}

static void short_sequences(void)
{
    unsigned char name[8];
    for (unsigned a = 0; a < 256; a++) {
        name[0] = (unsigned char)a;
        one(name, 1);
        for (unsigned b = 0; b < 256; b++) {
            name[1] = (unsigned char)b;
            one(name, 2);
            for (unsigned c = 0; c < 256 && !(test_quick() && c % 5); c++) {
                name[2] = (unsigned char)c;
                one(name, 3);
            }
        }
    }
}

static void four_bytes(void)
{
    static const unsigned char edge[] = {0x00, 0x01, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x91,
                                         0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xff};
    unsigned char name[8];
    for (unsigned a = 0xe0; a < 256; a++)
        for (size_t b = 0; b < sizeof edge; b++)
            for (size_t c = 0; c < sizeof edge; c++)
                for (size_t d = 0; d < sizeof edge; d++) {
                    memcpy(name, (unsigned char[]){(unsigned char)a, edge[b], edge[c], edge[d], 'x'}, 5);
                    one(name, 4);
                    one(name, 5);
                }
}

/* A bad byte, a NUL or the end of a sequence at each place of names of each length: words are looked at, not bytes. */
static void places(void)
{
    unsigned char name[300];
    for (size_t n = 0; n <= 300; n++)
        for (size_t at = 0; at < (n ? n : 1); at++) {
            memset(name, 'n', sizeof name);
            one(name, n);
            name[at] = 0;
            one(name, n);
            name[at] = 0x80;
            one(name, n);
            name[at] = 0xc3; /* two bytes, the second perhaps behind the end */
            name[at + 1 < sizeof name ? at + 1 : at] = 0xa9;
            one(name, n);
        }
}

/* Only the bytes of the name are read, whatever follows: at the end of a page too. */
static void exact_reads(void)
{
    for (size_t n = 1; n <= 64; n++) {
        unsigned char *name = malloc(n);
        struct key key;
        memset(name, 'k', n);
        CHECK_EQ(key_make(&key, (char *)name, n), 0);
        free(name);
    }
    struct key a, b;
    char x[64], y[64];
    for (size_t n = 1; n < 60; n++) { /* what follows is not in the hash */
        memset(x, 'a', sizeof x);
        memset(y, 'a', sizeof y);
        memset(y + n, 'b', sizeof y - n);
        CHECK_EQ(key_make(&a, x, n), 0);
        CHECK_EQ(key_make(&b, y, n), 0);
        CHECK_EQ(a.hash, b.hash);
        CHECK(!memcmp(a.text, b.text, a.words * 8));
    }
}

/* Different names have different hashes as often as chance has it, in the low bits and in the top byte alike. */
static void hashes(void)
{
    enum { N = 65536 };
    uint16_t *low = calloc(N, sizeof *low);
    uint32_t top[256] = {0};
    for (int i = 0; i < N; i++) {
        struct key key;
        char name[64];
        int n = snprintf(name, sizeof name, "model.layers.%d.attention.weight", i);
        CHECK_EQ(key_make(&key, name, (size_t)n), 0);
        low[key.hash & (N - 1)]++;
        top[key.hash >> 24]++;
    }
    uint32_t most = 0;
    for (int i = 0; i < N; i++)
        most = low[i] > most ? low[i] : most;
    CHECK(most < 16); /* at one a cell; 16 comes once in 10^8 tables */
    for (int i = 0; i < 256; i++)
        CHECK(top[i] > 128 && top[i] < 384);
    free(low);
}

static void shown(void)
{
    struct key key;
    char text[300], small[16], name[256];
    CHECK_EQ(key_make(&key, "a\nb\x7f'\xc3\xa9", 7), 0);
    CHECK_STR(key_show(&key, text, sizeof text), "'a\\x0ab\\x7f'\xc3\xa9'");
    memset(name, 1, sizeof name);
    CHECK_EQ(key_make(&key, name, 255), 0);
    CHECK(strlen(key_show(&key, text, sizeof text)) < sizeof text);
    memset(small, 'z', sizeof small);
    key_show(&key, small, sizeof small);
    CHECK(memchr(small, 0, sizeof small) != NULL);
}

TESTS({"sequences of one to three bytes", short_sequences}, {"sequences of four", four_bytes}, {"places", places},
      {"exact reads", exact_reads}, {"hashes", hashes}, {"shown", shown})
