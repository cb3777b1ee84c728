/* Segments that other programs made, and where our tensors lie for other programs. */
#include "processes/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char name[64]; /* of a segment that is this test's alone, with its slash */

/* A segment of `bytes` bytes whose byte i is i mod 251. */
static void segment(size_t bytes)
{
    snprintf(name, sizeof name, "/zct-test-%d", (int)getpid());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    REQUIRE(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    for (size_t i = 0; i < bytes; i++) {
        uint8_t value = (uint8_t)(i % 251);
        REQUIRE(pwrite(fd, &value, 1, (off_t)i) == 1);
    }
    close(fd);
}

static uint8_t byte_of_file(size_t at)
{
    uint8_t value = 0;
    int fd = shm_open(name, O_RDONLY, 0);
    REQUIRE(fd >= 0 && pread(fd, &value, 1, (off_t)at) == 1);
    close(fd);
    return value;
}

static void any_part(void)
{
    segment(9001);
    for (size_t offset = 0; offset <= 9001; offset += offset < 4090 || offset > 4100 ? 409 : 1) {
        test_case("from byte %zu", offset);
        uint8_t *data = NULL;
        void *at;
        if (OK(zct_posix_map(name, offset, 9001 - offset, ZCT_MODE_READ, &at)) < 0)
            continue;
        data = at;
        for (size_t i = offset; i < 9001; i++)
            if (data[i - offset] != i % 251) {
                CHECK(data[i - offset] == i % 251);
                break;
            }
        zct_posix_unmap(data, 9001 - offset);
    }
    test_case("%s", "");
    zct_posix_unmap(NULL, 5);
    shm_unlink(name);
}

static void modes(void)
{
    void *r, *w, *c;
    segment(100);
    OK(zct_posix_map(name + 1, 0, 100, ZCT_MODE_READ, &r)); /* with the slash or without */
    OK(zct_posix_map(name, 10, 1, ZCT_MODE_DEFAULT, &w));
    OK(zct_posix_map(name, 0, 100, ZCT_MODE_COW, &c));
    *(uint8_t *)w = 200;
    CHECK_EQ(((uint8_t *)r)[10], 200);
    CHECK_EQ(((uint8_t *)c)[10], 200); /* not written yet: it follows */
    ((uint8_t *)c)[10] = 7;
    CHECK_EQ(((uint8_t *)r)[10], 200);
    CHECK_EQ(byte_of_file(10), 200);
    shm_unlink(name);
    *(uint8_t *)w = 201; /* a mapping outlives the name */
    CHECK_EQ(((uint8_t *)r)[10], 201);
    pid_t child = test_fork(); /* read-only is the hardware's */
    if (child == 0) {
        struct sigaction plain = {.sa_handler = SIG_DFL}; /* a sanitizer would report it, and exit */
        sigaction(SIGSEGV, &plain, NULL);
        *(volatile uint8_t *)r = 1;
        _exit(0);
    }
    CHECK_EQ(test_wait(child), 256 + 11);
    zct_posix_unmap(r, 100);
    zct_posix_unmap(w, 1);
    zct_posix_unmap(c, 100);
}

static void refused(void)
{
    void *at = NULL;
    segment(100);
    CHECK_RC(zct_posix_map(name, 0, 101, ZCT_MODE_READ, &at), -ZCT_EMISMATCH);
    SAYS("100");
    SAYS("101");
    SAYS(name);
    CHECK_RC(zct_posix_map(name, 101, 0, ZCT_MODE_READ, &at), -ZCT_EMISMATCH);
    CHECK_RC(zct_posix_map(name, 1, UINT64_MAX, ZCT_MODE_READ, &at), -ZCT_EMISMATCH);
    CHECK_RC(zct_posix_map(name, UINT64_MAX, 1, ZCT_MODE_READ, &at), -ZCT_EMISMATCH);
    CHECK_RC(zct_posix_map(name, 0, 1, 9, &at), -ZCT_EINVAL);
    CHECK_RC(zct_posix_map(NULL, 0, 1, 0, &at), -ZCT_EINVAL);
    CHECK_RC(zct_posix_map(name, 0, 1, 0, NULL), -ZCT_EINVAL);
    shm_unlink(name);
    CHECK_RC(zct_posix_map(name, 0, 1, ZCT_MODE_READ, &at), -ZCT_ENOTFOUND);
    SAYS(name);
    static const char *const names[] = {"", "/", "//", "a/b", "/a/", "..", "/.", "../etc/passwd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        test_case("name '%s'", names[i]);
        CHECK_RC(zct_posix_map(names[i], 0, 1, ZCT_MODE_READ, &at), -ZCT_EINVAL);
    }
    char longest[300];
    memset(longest, 'x', sizeof longest);
    longest[255] = 0;
    CHECK_RC(zct_posix_map(longest, 0, 1, ZCT_MODE_READ, &at), -ZCT_ENOTFOUND);
    longest[255] = 'x', longest[256] = 0;
    CHECK_RC(zct_posix_map(longest, 0, 1, ZCT_MODE_READ, &at), -ZCT_EINVAL);
    CHECK(at == NULL);
}

/* What lies there and is no segment: nothing hangs, nothing is mapped. */
static void of_another_kind(void)
{
    char path[96];
    void *at = NULL;
    snprintf(name, sizeof name, "/zct-test-%d", (int)getpid());
    snprintf(path, sizeof path, "/dev/shm%s", name);
    REQUIRE(mkfifo(path, 0600) == 0);
    CHECK_RC(zct_posix_map(name, 0, 0, ZCT_MODE_READ, &at), -ZCT_EINVAL);
    unlink(path);
    REQUIRE(symlink("/etc/passwd", path) == 0);
    CHECK_RC(zct_posix_map(name, 0, 0, ZCT_MODE_READ, &at), -ZCT_EACCES);
    unlink(path);
    CHECK(at == NULL);
}

static void empty(void)
{
    void *at = NULL;
    segment(0);
    OK(zct_posix_map(name, 0, 0, ZCT_MODE_WRITE, &at));
    CHECK(at != NULL);
    zct_posix_unmap(at, 0);
    shm_unlink(name);
}

/* ---- where a tensor lies ---- */

static void location(void)
{
    static const int64_t sizes[] = {1, 100, 4095, 4096, 5000, 100000};
    zct_store *s = test_store("s");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        zct_tensor *a;
        const char *path;
        uint64_t offset, nbytes;
        test_case("%lld bytes", (long long)sizes[i]);
        OK(test_create(s, "a", sizes[i], 3, NULL, &a));
        REQUIRE_OK(zct_tensor_location(a, &path, &offset, &nbytes));
        CHECK_STR(path, zct_store_path(s));
        CHECK_EQ(nbytes, sizes[i]);
        CHECK(sizes[i] < 4096 || offset % 4096 == 0);
        uint8_t *read = malloc((size_t)nbytes), *data = zct_tensor_view(a)->data;
        int fd = open(path, O_RDWR);
        CHECK(pread(fd, read, (size_t)nbytes, (off_t)offset) == (ssize_t)nbytes);
        CHECK(memcmp(read, data, (size_t)nbytes) == 0);
        OK(zct_unlink(s, "a")); /* held without a name, it lies where it lay */
        uint8_t mark = (uint8_t)(data[0] + 1);
        CHECK(pwrite(fd, &mark, 1, (off_t)offset) == 1);
        CHECK_EQ(data[0], mark);
        close(fd);
        free(read);
        zct_release(a);
    }
    test_case("%s", "");
    zct_tensor *a;
    const char *path;
    uint64_t offset, nbytes;
    OK(test_create(s, "a", 10, 3, NULL, &a));
    OK(zct_store_destroy("s", NULL));
    CHECK_RC(zct_tensor_location(a, &path, &offset, &nbytes), -ZCT_EGONE);
    zct_release(a);
    zct_store_close(s);
}

TESTS({"any part of a segment", any_part}, {"modes", modes}, {"what is refused", refused},
      {"what is no segment", of_another_kind}, {"an empty one", empty}, {"where a tensor lies", location})
