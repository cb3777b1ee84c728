#include "blobs.h"

#include <stdbool.h>
#include <stdlib.h>

#include "json.h"
#include "out.h"
#include "text.h"

#define SHOWN 500 /* bytes of a blob in text */

int blobs_fetch(zct_store *store, const zct_stat *stat, struct blobs *ret_blobs)
{
    struct blobs blobs = {.descriptor_len = stat->descriptor_len, .metadata_len = stat->metadata_len};
    int result = 0;

    *ret_blobs = (struct blobs){0};
    if (blobs.descriptor_len == 0 && blobs.metadata_len == 0)
        return 0;
    blobs.descriptor = malloc(blobs.descriptor_len + 1);
    blobs.metadata = malloc(blobs.metadata_len + 1);
    if (blobs.descriptor == NULL || blobs.metadata == NULL)
        result = -ZCT_ENOMEM;
    else
        result =
            zct_stat_blobs(store, stat, blobs.descriptor, blobs.descriptor_len, blobs.metadata, blobs.metadata_len);
    if (result < 0)
        blobs_free(&blobs);
    *ret_blobs = blobs;
    return result < 0 ? result : 0;
}

void blobs_free(struct blobs *blobs)
{
    free(blobs->descriptor);
    free(blobs->metadata);
    *blobs = (struct blobs){0};
}

static void text_line(const char *label, const char *blob, size_t len)
{
    char shown[TEXT_ESCAPED(SHOWN)];

    if (len == 0)
        return;
    text_escape(shown, sizeof shown, blob, len < SHOWN ? len : SHOWN, TEXT_SENTENCE);
    out_fmt("  %-11s ", label);
    out_str(shown);
    if (len > SHOWN)
        out_fmt("... (%zu bytes; --json has them all)", len);
    out_str("\n");
}

void blobs_text(const struct blobs *blobs)
{
    text_line("fields", blobs->descriptor, blobs->descriptor_len);
    text_line("metadata", blobs->metadata, blobs->metadata_len);
}

static bool is_text(const char *blob, size_t len)
{
    const char *end = blob + len;

    while (blob < end)
        if (text_next(&blob, end) < 0)
            return false;
    return true;
}

static void json_hex(const char *key, const char *blob, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = malloc(2 * len + 1);

    if (hex == NULL) {
        json_null(key);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        hex[2 * i] = digits[(unsigned char)blob[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)blob[i] & 15];
    }
    json_text_n(key, hex, 2 * len);
    free(hex);
}

void blobs_json(const struct blobs *blobs)
{
    bool text = is_text(blobs->metadata, blobs->metadata_len);

    if (blobs->descriptor_len > 0)
        json_text_n("descriptor", blobs->descriptor, blobs->descriptor_len);
    else
        json_null("descriptor");
    if (blobs->metadata_len > 0 && text)
        json_text_n("metadata", blobs->metadata, blobs->metadata_len);
    else
        json_null("metadata");
    if (blobs->metadata_len > 0 && !text)
        json_hex("metadata_hex", blobs->metadata, blobs->metadata_len);
    else
        json_null("metadata_hex");
}
