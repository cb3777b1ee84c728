#include "image.h"

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void add(struct image *image, int fd, uint64_t offset, uint64_t length)
{
    if (image->used + length > image->room) {
        image->room = (image->used + length) * 2;
        image->bytes = realloc(image->bytes, image->room);
    }
    REQUIRE(image->bytes && image->count < sizeof image->parts / sizeof *image->parts);
    REQUIRE(pread(fd, image->bytes + image->used, length, (off_t)offset) == (ssize_t)length);
    image->parts[image->count].offset = offset;
    image->parts[image->count++].length = length;
    image->used += length;
}

void image_take(struct image *image, const char *path)
{
    image->count = image->used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    image->exists = fd >= 0;
    if (!image->exists)
        return;
    struct stat st;
    REQUIRE(fstat(fd, &st) == 0);
    image->size = (uint64_t)st.st_size;
    for (off_t at = 0; at < st.st_size;) {
        off_t from = lseek(fd, at, SEEK_DATA);
        if (from < 0)
            break;
        off_t end = lseek(fd, from, SEEK_HOLE);
        REQUIRE(end > from);
        add(image, fd, (uint64_t)from, (uint64_t)(end - from));
        at = end;
    }
    close(fd);
}

void image_put(const struct image *image, const char *path)
{
    (void)unlink(path);
    if (!image->exists)
        return;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, (off_t)image->size) == 0);
    const uint8_t *bytes = image->bytes;
    for (size_t i = 0; i < image->count; i++) {
        REQUIRE(pwrite(fd, bytes, image->parts[i].length, (off_t)image->parts[i].offset) == (ssize_t)image->parts[i].length);
        bytes += image->parts[i].length;
    }
    close(fd);
}

void image_free(struct image *image)
{
    free(image->bytes);
    *image = (struct image){0};
}
