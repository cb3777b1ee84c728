/* file.h - files that hold stores. Descriptors are opened and closed within one call of the library. Functions return
 * a descriptor or 0, or a negative errno. None retries EINTR for ever; none sets a sentence. */
#ifndef ZCT_PLATFORM_FILE_H
#define ZCT_PLATFORM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os_stat {
    uint64_t device, inode, size, occupied; /* occupied: bytes of memory or disk */
    uint32_t uid, mode, links;
    bool regular;
};

int os_open(const char *path, bool writable); /* never follows a link, never blocks, never creates */
int os_open_unnamed(const char *directory);   /* O_TMPFILE; -EOPNOTSUPP, -EISDIR or -EINVAL where there is none */
int os_open_twice(int fd);                    /* the same file with an open file description of its own; wants /proc */
int os_open_new(const char *path);            /* O_CREAT | O_EXCL */
int os_link(int fd, const char *path);        /* name an unnamed file; -EEXIST */
int os_rename_new(const char *from, const char *to); /* -EEXIST; -EINVAL where the file system cannot */
int os_unlink(const char *path);
void os_close(int fd);
int os_fstat(int fd, struct os_stat *ret);
int os_stat(const char *path, struct os_stat *ret); /* of the link itself, if it is one */
int os_truncate(int fd, uint64_t size);
int os_chmod(int fd, uint32_t mode);
int os_reserve(int fd, uint64_t offset, uint64_t length); /* fallocate: allocate pages, keep contents */
int os_punch(int fd, uint64_t offset, uint64_t length);   /* give pages back; they read as zeros */
int os_write_at(int fd, const void *from, size_t length, uint64_t offset); /* all of it, or an error */
int os_read_at(int fd, void *to, size_t length, uint64_t offset); /* all of it, or -EIO at the end of the file */
int os_space(const char *path, uint64_t *ret_total, uint64_t *ret_available); /* of the file system, bytes */
/* Names in a directory, sorted; each passed to fn until it returns non-zero. */
int os_list(const char *directory, int (*fn)(void *context, const char *name), void *context);
/* realpath of the directory part + the base name, malloc'ed; NULL: no memory. */
char *os_absolute(const char *path);
int os_random(void *to, size_t length);

#endif
