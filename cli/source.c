#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deflate.h"
#include "npy.h"
#include "out.h"
#include "safetensors.h"
#include "zip.h"

enum { DEFLATE_MOST = 1032 }; /* a deflated byte makes at most so many */
enum { PAGE = 4096, FEW = 256 << 10, MANY = 256 << 20 };
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

void array_free(struct array *array)
{
    free(array->name);
    free(array->shape);
    layout_free(&array->layout);
}

/* ---- a file that is cut short while it is mapped ---- */

static void on_bus_error(int signal)
{
    static const char sentence[] =
        "zct: a file was cut short, or could not be read, while it was loaded; nothing of it "
        "was loaded\n";

    (void)signal;
    if (write(STDERR_FILENO, sentence, sizeof sentence - 1) < 0)
        _exit(EXIT_FAILED);
    _exit(EXIT_FAILED);
}

static bool map_file(const char *path, struct source *source, struct strbuf *why)
{
    struct sigaction action = {.sa_handler = on_bus_error, .sa_flags = (int)SA_RESETHAND};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe without a writer would be waited for */
    struct stat stat;
    void *bytes = MAP_FAILED;

    if (fd < 0 || fstat(fd, &stat) < 0) {
        refuse(why, "%s", strerror(errno));
    } else if (!S_ISREG(stat.st_mode)) {
        refuse(why, "it is no regular file");
    } else if (stat.st_size == 0) {
        refuse(why, "it is empty");
    } else {
        bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            refuse(why, "it cannot be mapped: %s", strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    if (bytes == MAP_FAILED)
        return false;
    sigaction(SIGBUS, &action, NULL);
    madvise(bytes, (size_t)stat.st_size, MADV_SEQUENTIAL);
    source->bytes = bytes;
    source->size = (uint64_t)stat.st_size;
    return true;
}

/* ---- the formats ---- */

/* The name of the tensor in a file of one: "dir/weights.npy" is "weights". */
static char *stem(const char *path)
{
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    size_t len = strlen(base);

    if (len > 4 && strcmp(base + len - 4, ".npy") == 0)
        len -= 4;
    return memory_text(base, len);
}

static bool npy_size_fits(const struct array *array, uint64_t begin, uint64_t size, struct strbuf *why)
{
    return array->nbytes == size - begin ||
           refuse(why, "its header tells of %llu bytes, and %llu are there", (unsigned long long)array->nbytes,
                  (unsigned long long)(size - begin));
}

static bool open_npy(struct source *source, struct strbuf *why)
{
    uint64_t begin;

    source->format = "npy";
    source->arrays = memory_new(1, sizeof *source->arrays);
    source->count = 1;
    source->arrays->name = stem(source->path);
    source->arrays->name_len = strlen(source->arrays->name);
    if (!npy_read(source->bytes, source->size, source->arrays, &begin, why) ||
        !npy_size_fits(source->arrays, begin, source->size, why))
        return false;
    source->arrays->data = source->bytes + begin;
    return true;
}

/* The .npy header within a deflated member: the front of it is inflated, and again when the elements are. */
static bool read_deflated_head(const uint8_t *packed, const struct zip_member *member, struct array *array,
                               uint64_t *ret_begin, struct strbuf *why)
{
    uint64_t room = member->size < NPY_HEADER_LIMIT + 64 ? member->size : NPY_HEADER_LIMIT + 64;
    struct inflater *inflater;
    uint8_t *head;
    int64_t len;
    bool good;

    if (member->size / DEFLATE_MOST > member->packed)
        return refuse(why, "%llu bytes cannot become %llu", (unsigned long long)member->packed,
                      (unsigned long long)member->size);
    head = memory_resize(NULL, room, 1);
    inflater = inflater_open(packed, member->packed);
    len = inflater != NULL ? inflater_read(inflater, head, room) : -1;
    good = len >= 0 ? npy_read(head, (uint64_t)len, array, ret_begin, why) : refuse(why, "it is damaged");
    inflater_close(inflater);
    free(head);
    return good;
}

static bool read_npz_member(struct source *source, const struct zip_member *member, struct array *array,
                            struct strbuf *why)
{
    const uint8_t *bytes = source->bytes + member->begin;
    uint64_t begin = 0;

    if (member->name_len <= 4 || memcmp(member->name + member->name_len - 4, ".npy", 4) != 0)
        return refuse(why, "it is no .npy file");
    if (member->deflated ? !read_deflated_head(bytes, member, array, &begin, why)
                         : !npy_read(bytes, member->size, array, &begin, why))
        return false;
    if (!npy_size_fits(array, begin, member->size, why))
        return false;
    array->name_len = member->name_len - 4;
    array->name = memory_text(member->name, array->name_len);
    array->sum = member->crc;
    array->skip = begin;
    array->head = bytes;
    if (member->deflated) {
        array->data = bytes;
        array->packed = member->packed;
    } else {
        array->data = bytes + begin;
        array->summed = true;
    }
    return true;
}

static bool open_npz(struct source *source, struct strbuf *why)
{
    struct zip_member *members = NULL;
    size_t count = 0;
    bool good;

    source->format = "npz";
    if (!deflate_there())
        return refuse(why, "this zct was built without zlib, which .npz files need");
    good = zip_read(source->bytes, source->size, &members, &count, why);
    source->arrays = memory_new(count, sizeof *source->arrays);
    for (size_t i = 0; good && i < count; i++) {
        struct strbuf reason = {0};

        good = read_npz_member(source, &members[i], &source->arrays[i], &reason);
        source->count++;
        if (!good) {
            strbuf_str(why, "its member '");
            strbuf_escape(why, members[i].name, members[i].name_len < 300 ? members[i].name_len : 300, TEXT_SENTENCE);
            strbuf_fmt(why, "': %s", reason.text);
        }
        strbuf_free(&reason);
    }
    free(members);
    return good;
}

static bool read_source(struct source *source, struct strbuf *why)
{
    const char *front = (const char *)source->bytes;

    if (source->size >= NPY_MAGIC_LEN && memcmp(front, NPY_MAGIC, NPY_MAGIC_LEN) == 0)
        return open_npy(source, why);
    if (source->size >= 4 && (memcmp(front, ZIP_MAGIC, 4) == 0 || memcmp(front, ZIP_MAGIC_EMPTY, 4) == 0))
        return open_npz(source, why);
    source->format = "safetensors";
    return safetensors_read(source->bytes, source->size, &source->arrays, &source->count, why);
}

bool source_open(const char *path, struct source *ret_source)
{
    struct strbuf why = {0};
    bool good;

    *ret_source = (struct source){.path = path};
    good = map_file(path, ret_source, &why) && read_source(ret_source, &why);
    if (!good)
        err_fmt("cannot load '%s': %s", path, why.text);
    strbuf_free(&why);
    return good;
}

void source_close(struct source *source)
{
    for (size_t i = 0; i < source->count; i++)
        array_free(&source->arrays[i]);
    free(source->arrays);
    if (source->bytes != NULL)
        munmap((void *)(uintptr_t)source->bytes, source->size);
    *source = (struct source){0};
}

/* ---- contents ---- */

void source_fault_in(const struct array *array)
{
    uintptr_t begin = (uintptr_t)array->data & ~(uintptr_t)(PAGE - 1);

    if (array->nbytes >= FEW && array->nbytes <= MANY && array->packed == 0)
        (void)madvise((void *)begin, (uintptr_t)array->data + array->nbytes - begin, MADV_POPULATE_READ);
}

static bool bad_sum(const struct source *source, const struct array *array)
{
    err_fmt("cannot load '%s': its member '%s.npy' is damaged: its checksum is another one", source->path, array->name);
    return false;
}

bool source_verify(const struct source *source, const struct array *array)
{
    return !array->summed || deflate_crc(0, array->head, array->skip + array->nbytes) == array->sum ||
           bad_sum(source, array);
}

bool source_inflate(const struct source *source, const struct array *array, void *to)
{
    struct inflater *inflater = inflater_open(array->data, array->packed);
    uint8_t *head = memory_new(array->skip, 1), more;
    bool whole = inflater != NULL && inflater_read(inflater, head, array->skip) == (int64_t)array->skip &&
                 inflater_read(inflater, to, array->nbytes) == (int64_t)array->nbytes &&
                 inflater_read(inflater, &more, 1) == 0 && inflater_ended(inflater);
    uint32_t sum = whole ? deflate_crc(deflate_crc(0, head, array->skip), to, array->nbytes) : 0;

    inflater_close(inflater);
    free(head);
    if (!whole)
        err_fmt("cannot load '%s': its member '%s.npy' is damaged: it does not inflate to what it says", source->path,
                array->name);
    return whole && (sum == array->sum || bad_sum(source, array));
}
