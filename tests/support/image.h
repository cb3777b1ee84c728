/* image.h - the bytes of a store's file as they were at a moment, to be put back any number of times. Holes stay holes. */
#ifndef ZCT_TESTS_IMAGE_H
#define ZCT_TESTS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image {
    bool exists;
    uint64_t size;
    size_t count, used, room;
    struct { uint64_t offset, length; } parts[512];
    uint8_t *bytes;
};

void image_take(struct image *image, const char *path);
/* The file is another one afterwards (a new inode); what was at the path is removed. */
void image_put(const struct image *image, const char *path);
void image_free(struct image *image);

#endif
