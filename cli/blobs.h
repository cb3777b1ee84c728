/* blobs.h - what a tensor carries besides its elements: a struct's descriptor, and the user's metadata. */
#ifndef ZCT_CLI_BLOBS_H
#define ZCT_CLI_BLOBS_H

#include <zct/zct.h>

struct blobs {
    char *descriptor, *metadata;
    size_t descriptor_len, metadata_len;
};

/* Private copies, which blobs_free frees. Returns 0 or a negative code. */
int blobs_fetch(zct_store *store, const zct_stat *stat, struct blobs *ret_blobs);
void blobs_free(struct blobs *blobs);
/* Lines "  fields ..." and "  metadata ...", cut where they get long; nothing for what is empty. */
void blobs_text(const struct blobs *blobs);
/* Members "descriptor", "metadata", "metadata_hex". */
void blobs_json(const struct blobs *blobs);

#endif
