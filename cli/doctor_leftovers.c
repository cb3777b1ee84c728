/* What other libraries left in the directory: they name their files in their own ways and take them along only when they end
 * in order. Of each family those files that are ours (all, for root) and that no process has mapped. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "doctor.h"
#include "quantity.h"
#include "text.h"

static const char why[] =
    "a program that was killed leaves its shared memory behind; it counts as used until the next start";

static const struct family {
    const char *prefix, *whose;
} families[] = {
    {"psm_", "multiprocessing.shared_memory"},
    {"sem.", "semaphores (multiprocessing, sem_open)"},
    {"torch_", "PyTorch"},
    {"nccl-", "NCCL"},
    {"cuda.shm.", "CUDA"},
    {"pym-", "multiprocessing.Array"},
    {"loky-", "joblib"},
    {"joblib_memmapping_folder_", "joblib"},
    {"plasma", "Ray"},
    {"iox2_", "iceoryx2"},
    {"fastrtps_", "Fast DDS"},
};
enum { FAMILIES = sizeof families / sizeof families[0], SHOWN = 50 };

struct leftover {
    char name[256];
    size_t family;
    ino_t inode;
    uint64_t bytes;
    bool mapped;
};

struct leftovers {
    struct leftover *item;
    size_t count, room;
};

static bool add(struct leftovers *all, const struct leftover *one)
{
    if (all->count == all->room) {
        size_t room = all->room == 0 ? 64 : 2 * all->room;
        struct leftover *moved = realloc(all->item, room * sizeof *moved);

        if (moved == NULL)
            return false;
        all->item = moved;
        all->room = room;
    }
    all->item[all->count++] = *one;
    return true;
}

static size_t family_of(const char *name)
{
    size_t i = 0;

    while (i < FAMILIES && strncmp(name, families[i].prefix, strlen(families[i].prefix)) != 0)
        i++;
    return i;
}

/* Returns false if the directory cannot be read, or without memory. */
static bool collect(const struct doctor *doctor, struct leftovers *all, dev_t *ret_device)
{
    int fd = open(doctor->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool fine = folder != NULL;
    struct stat file;

    while (fine && (entry = readdir(folder)) != NULL) {
        struct leftover one = {.family = family_of(entry->d_name)};

        if (one.family == FAMILIES || fstatat(fd, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (!S_ISREG(file.st_mode) || (file.st_uid != geteuid() && geteuid() != 0))
            continue;
        snprintf(one.name, sizeof one.name, "%s", entry->d_name);
        one.inode = file.st_ino;
        one.bytes = (uint64_t)file.st_blocks * 512;
        *ret_device = file.st_dev;
        fine = add(all, &one);
    }
    if (folder != NULL)
        closedir(folder); /* and fd with it */
    else if (fd >= 0)
        close(fd);
    return fine;
}

/* Mark what the process maps: its lines are "from-to perms offset major:minor inode path". */
static void mark_mapped(const char *path, struct leftovers *all, dev_t device)
{
    FILE *maps = fopen(path, "re");
    char line[8192];

    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned high, low;
        unsigned long long inode;

        if (sscanf(line, "%*s %*s %*s %x:%x %llu", &high, &low, &inode) != 3 || makedev(high, low) != device)
            continue;
        for (size_t i = 0; i < all->count; i++)
            all->item[i].mapped |= all->item[i].inode == inode;
    }
    if (maps != NULL)
        fclose(maps);
}

static void mark_all_mapped(const struct doctor *doctor, struct leftovers *all, dev_t device)
{
    char path[4096];
    struct dirent *entry;
    DIR *processes;

    snprintf(path, sizeof path, "%s/proc", doctor->root);
    processes = opendir(path);
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "%s/proc/%s/maps", doctor->root, entry->d_name);
        mark_mapped(path, all, device);
    }
    if (processes != NULL)
        closedir(processes);
}

static void write_path(FILE *to, const char *directory, const char *name)
{
    char path[4400], word[9000];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    fprintf(to, " %s", text_shell(word, sizeof word, path));
}

/* The finding of one family, if something of it is left. Returns how many files are. */
static size_t report(struct doctor *doctor, const struct leftovers *all, size_t family)
{
    char *fix = NULL, size[QUANTITY_SIZE];
    size_t fix_len, count = 0;
    uint64_t bytes = 0;
    FILE *command = open_memstream(&fix, &fix_len);

    if (command == NULL)
        return 0;
    fputs("rm", command);
    for (size_t i = 0; i < all->count; i++) {
        const struct leftover *one = &all->item[i];

        if (one->family != family || one->mapped)
            continue;
        bytes += one->bytes;
        if (count++ < SHOWN)
            write_path(command, doctor->directory, one->name);
    }
    if (count > SHOWN)
        fprintf(command, "   # and %zu more: look again afterwards", count - SHOWN);
    if (fclose(command) == 0 && count > 0)
        doctor_say(doctor, "leftovers", DOCTOR_NOTE, why, fix,
                   "%zu file%s %s* of %s, %s, that no process seen from here has mapped", count, count == 1 ? "" : "s",
                   families[family].prefix, families[family].whose, quantity_bytes(size, bytes, false));
    free(fix);
    return count;
}

void doctor_leftovers(struct doctor *doctor)
{
    struct leftovers all = {0};
    size_t left = 0;
    dev_t device = 0;

    if (collect(doctor, &all, &device)) {
        if (all.count > 0)
            mark_all_mapped(doctor, &all, device);
        for (size_t i = 0; i < FAMILIES; i++)
            left += report(doctor, &all, i);
        if (left == 0)
            doctor_say(doctor, "leftovers", DOCTOR_OK, why, NULL, "none of other libraries that no process has mapped");
    }
    free(all.item);
}
