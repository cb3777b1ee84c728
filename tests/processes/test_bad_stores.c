/* Files that are no sound stores of ours: each is refused with its code and a sentence, and left as it is. */
#include "processes/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>

#include "segment/geometry.h"

static char path[4300];
static zct_store *s;

/* A sound store "s" that nobody has open, with one name in it. */
static void make(void)
{
    zct_tensor *a;
    s = test_store("s");
    snprintf(path, sizeof path, "%s", zct_store_path(s));
    OK(test_create(s, "w", 100, 1, NULL, &a));
    zct_release(a);
    zct_store_close(s);
}

static void write_at(const void *from, size_t length, off_t offset)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0 && pwrite(fd, from, length, offset) == (ssize_t)length);
    close(fd);
}

static struct header header(void)
{
    struct header h;
    int fd = open(path, O_RDONLY);
    REQUIRE(fd >= 0 && pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h);
    close(fd);
    return h;
}

static void put_header(struct header h)
{
    h.checksum = header_checksum(&h);
    write_at(&h, sizeof h, 0);
}

/* Opening it, looking at it and destroying it all refuse, and the file stays as it was. */
static void refuses(const char *name, int code, const char *why)
{
    struct stat before, after;
    CHECK_EQ(lstat(path, &before), 0);
    for (int flags = 0; flags <= ZCT_STORE_OBSERVE; flags++) {
        zct_store_options o = {.size = sizeof o, .flags = (uint32_t)flags};
        zct_store *got = NULL;
        CHECK_RC(zct_store_open(name, &o, &got), -code);
        SAYS(why);
        SAYS(path);
        CHECK(got == NULL);
    }
    CHECK_EQ(lstat(path, &after), 0);
    CHECK_EQ(before.st_ino, after.st_ino);
    CHECK_EQ(before.st_size, after.st_size);
    CHECK_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

static void corrupt(const char *why)
{
    refuses("s", ZCT_ECORRUPT, why);
    CHECK_RC(zct_store_destroy("s", NULL), -ZCT_ECORRUPT);
    unlink(path);
}

static void empty_file(void)
{
    make();
    CHECK_EQ(truncate(path, 0), 0);
    corrupt("empty");
}

static void truncated(void)
{
    static const off_t sizes[] = {1, 100, 519, 520, 4096, 8191};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        make();
        CHECK_EQ(truncate(path, sizes[i]), 0);
        corrupt("too short");
    }
    make();
    struct header h = header();
    CHECK_EQ(truncate(path, (off_t)h.control_size), 0);
    refuses("s", ZCT_ECORRUPT, "truncated");
    CHECK_EQ(truncate(path, (off_t)h.file_size - 1), 0);
    refuses("s", ZCT_ECORRUPT, "truncated");
    CHECK_EQ(truncate(path, (off_t)h.file_size + 4096), 0);
    corrupt("longer");
}

static void random_bytes(void)
{
    uint64_t state = (uint64_t)test_now();
    test_say("# seed %llu", (unsigned long long)state);
    for (int i = 0; i < 20; i++) {
        make();
        uint64_t noise[2048];
        for (size_t k = 0; k < 2048; k++)
            noise[k] = test_random(&state);
        write_at(noise, sizeof noise, 0);
        corrupt("does not begin as a store does");
    }
    /* any one byte of the header is damaged */
    make();
    struct header h = header();
    for (size_t i = 0; i < HEADER_CHECKED + 8; i++) {
        uint8_t byte = ((uint8_t *)&h)[i] ^ (uint8_t)(1 + test_random(&state) % 255);
        write_at(&byte, 1, (off_t)i);
        zct_store *got = NULL;
        test_case("byte %zu", i);
        int rc = zct_store_open("s", NULL, &got);
        CHECK(rc == -ZCT_ECORRUPT || rc == -ZCT_EVERSION);
        SAYS(path);
        write_at(&h, sizeof h, 0);
    }
    test_case("%s", "");
    unlink(path);
}

static void another_version(void)
{
    make();
    struct header h = header(), x = h;
    x.format = 2;
    put_header(x);
    refuses("s", ZCT_EVERSION, "format 2");
    CHECK_RC(zct_store_destroy("s", NULL), -ZCT_EVERSION);
    x = h;
    x.fingerprint ^= 1;
    put_header(x);
    refuses("s", ZCT_EVERSION, "incompatible build");
    x = h;
    x.features_needed = 1;
    put_header(x);
    refuses("s", ZCT_EVERSION, "incompatible build");
    x = h;
    x.page_size = 16384;
    put_header(x);
    refuses("s", ZCT_EVERSION, "16384");
    x = h;
    x.features = 1ull << 40; /* one that need not be understood */
    put_header(x);
    s = test_store("s");
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
    CHECK_EQ(test_files(), 0);
}

static void another_byte_order(void)
{
    make();
    struct header h = header(), x = h;
    x.endian = __builtin_bswap32(h.endian);
    put_header(x);
    refuses("s", ZCT_EVERSION, "byte order");
    x.magic = __builtin_bswap64(h.magic);
    put_header(x);
    refuses("s", ZCT_EVERSION, "byte order");
    unlink(path);
}

static void impossible_geometry(void)
{
    make();
    struct header h = header(), x;
    uint64_t *const words[] = {&x.capacity, &x.control_size, &x.payload_offset, &x.file_size};
    for (size_t i = 0; i < 4; i++)
        for (int k = 0; k < 3; k++) {
            static const uint64_t values[] = {0, ~0ull, 4096};
            x = h;
            *words[i] = values[k];
            put_header(x);
            refuses("s", ZCT_ECORRUPT, "geometry");
        }
    x = h;
    x.max_names = 1 << 25;
    put_header(x);
    refuses("s", ZCT_ECORRUPT, "geometry");
    x = h;
    x.max_members = 0;
    put_header(x);
    corrupt("geometry");
}

static void under_another_name(void)
{
    char other[4400];
    make();
    snprintf(other, sizeof other, "%s/zct1-%u-other", test_directory(), (unsigned)geteuid());
    CHECK_EQ(link(path, other), 0);
    zct_store *got = NULL;
    CHECK_RC(zct_store_open("other", NULL, &got), -ZCT_ECORRUPT);
    SAYS("under another name");
    SAYS("other");
    unlink(other);
    CHECK_EQ(symlink(path, other), 0);
    CHECK_RC(zct_store_open("other", NULL, &got), -ZCT_EACCES);
    SAYS("symbolic link");
    CHECK_RC(zct_store_destroy("other", NULL), -ZCT_EACCES);
    CHECK_EQ(access(path, F_OK), 0);
    unlink(other);
    /* not a file at all */
    CHECK_EQ(mkfifo(other, 0600), 0);
    CHECK_RC(zct_store_open("other", NULL, &got), -ZCT_EACCES);
    SAYS("not a regular file");
    unlink(other);
    CHECK_EQ(mkdir(other, 0700), 0);
    CHECK_RC(zct_store_open("other", NULL, &got), -ZCT_EACCES);
    SAYS("not a regular file");
    rmdir(other);
    unlink(path);
}

/* ---- as somebody else ---- */

static void become_nobody(void)
{
    gid_t none = 65534;
    REQUIRE(setgroups(0, NULL) == 0 && setgid(none) == 0 && setuid(65534) == 0);
}

static void need_root(void)
{
    if (geteuid() != 0)
        test_skip("only root can become another user");
    CHECK_EQ(chmod(test_directory(), 01777), 0);
    pid_t pid = test_fork();
    if (pid == 0) {
        become_nobody();
        _exit(access(test_directory(), W_OK | X_OK) != 0);
    }
    if (test_wait(pid) != 0)
        test_skip("user nobody does not reach %s; set ZCT_DIR", test_directory());
}

static void somebody_elses(void)
{
    need_root();
    make();
    pid_t pid = test_fork();
    if (pid == 0) {
        become_nobody();
        /* by its path: permission of the file */
        zct_store *got = NULL;
        CHECK_RC(zct_store_open(path, NULL, &got), -ZCT_EACCES);
        SAYS(path);
        SAYS("ZCT_DIR");
        CHECK_EQ(zct_last_errno(), EACCES);
        CHECK_RC(zct_store_destroy(path, NULL), -ZCT_EACCES);
        /* `s` is another store for another user */
        CHECK_RC(zct_store_destroy("s", NULL), -ZCT_ENOTFOUND);
        zct_store *mine = test_store("s");
        CHECK(strcmp(zct_store_path(mine), path) != 0);
        CHECK(!there(mine, "w"));
        zct_store_close(mine);
        exit(0);
    }
    test_join(pid);
    CHECK_EQ(test_files(), 1);
    /* readable: observers look, members cannot join */
    CHECK_EQ(chmod(path, 0644), 0);
    pid = test_fork();
    if (pid == 0) {
        become_nobody();
        zct_store *got = NULL;
        CHECK_RC(zct_store_open(path, NULL, &got), -ZCT_EACCES);
        zct_store_options o = {.size = sizeof o, .flags = ZCT_STORE_OBSERVE};
        REQUIRE_OK(zct_store_open(path, &o, &got));
        CHECK_EQ(stat_of(got, "w").nbytes, 100);
        CHECK_STORE(got);
        zct_tensor *a;
        CHECK_RC(zct_attach(got, "w", 0, 0, &a), -ZCT_EACCES);
        SAYS("look only");
        CHECK_RC(zct_unlink(got, "w"), -ZCT_EACCES);
        zct_store_close(got);
        exit(0);
    }
    test_join(pid);
    /* shared on purpose */
    CHECK_EQ(chmod(path, 0666), 0);
    pid = test_fork();
    if (pid == 0) {
        become_nobody();
        zct_store *got = NULL;
        REQUIRE_OK(zct_store_open(path, NULL, &got));
        zct_tensor *a;
        OK(zct_attach(got, "w", ZCT_MODE_WRITE, 0, &a));
        zct_release(a);
        zct_store_close(got);
        exit(0);
    }
    test_join(pid);
    s = test_store("s");
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

/* Somebody took our name first: refused, and never another name in silence. */
static void squatted(void)
{
    need_root();
    snprintf(path, sizeof path, "%s/zct1-65534-s", test_directory());
    write_at("", 0, 0);
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    CHECK_EQ(fchmod(fd, 0666), 0);
    CHECK_EQ(ftruncate(fd, 1 << 20), 0);
    close(fd);
    pid_t pid = test_fork();
    if (pid == 0) {
        become_nobody();
        zct_store *got = NULL;
        CHECK_RC(zct_store_open("s", NULL, &got), -ZCT_EACCES);
        SAYS("belongs to uid 0");
        SAYS("uid 65534");
        SAYS("ZCT_DIR");
        exit(0);
    }
    test_join(pid);
    unlink(path);
}

static void read_only_directory(void)
{
    need_root();
    CHECK_EQ(chmod(test_directory(), 0755), 0);
    pid_t pid = test_fork();
    if (pid == 0) {
        become_nobody();
        zct_store *got = NULL;
        CHECK_RC(zct_store_open("s", NULL, &got), -ZCT_EACCES);
        SAYS("zct1-65534-s");
        SAYS(test_directory());
        SAYS("ZCT_DIR");
        zct_store_options o = {.size = sizeof o, .directory = "/proc/self"};
        int rc = zct_store_open("s", &o, &got);
        CHECK(rc < 0);
        o.directory = "/nowhere/at/all";
        CHECK_RC(zct_store_open("s", &o, &got), -ZCT_ENOTFOUND);
        SAYS("/nowhere/at/all");
        exit(0);
    }
    test_join(pid);
    CHECK_EQ(test_files(), 0);
}

/* A stranger's lock on the whole file stops nobody from seeing who lives. */
static void locked_by_a_backup(void)
{
    make();
    int fd = open(path, O_RDWR);
    struct flock read_all = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    pid_t pid = test_fork();
    if (pid == 0) {
        CHECK_EQ(fcntl(fd, F_OFD_SETLK, &read_all), 0);
        zct_store *got = NULL;
        int rc = zct_store_open("s", NULL, &got);
        CHECK(rc == -ZCT_EBUSY || rc == -ZCT_ETOOMANYMEMBERS);
        exit(0);
    }
    test_join(pid);
    close(fd);
    s = test_store("s");
    OK(zct_unlink(s, "w"));
    zct_store_close(s);
}

TESTS({"empty file", empty_file}, {"truncated", truncated}, {"random bytes", random_bytes},
      {"another version", another_version}, {"another byte order", another_byte_order},
      {"impossible geometry", impossible_geometry}, {"under another name", under_another_name},
      {"somebody else's", somebody_elses}, {"squatted", squatted}, {"read-only directory", read_only_directory},
      {"locked as a whole", locked_by_a_backup})
