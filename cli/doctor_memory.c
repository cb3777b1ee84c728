/* The memory that stores are made of: the directory's file system, the container around it, the cgroup that pays. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "doctor.h"
#include "quantity.h"
#include "text.h"

#define TMPFS 0x01021994
#define RAMFS 0x858458f6
#define HUGETLBFS 0x958458f6

static const char size_fix_container[] =
    "docker run --shm-size=8g ... (or --ipc=host); Kubernetes: an emptyDir with medium: Memory at /dev/shm";
static const char size_fix[] = "sudo mount -o remount,size=8G /dev/shm";

static const char *container(const struct doctor *doctor)
{
    static char kind[64];
    char text[4096];

    if (sysfile_exists(doctor, "/.dockerenv"))
        return "Docker";
    if (sysfile_exists(doctor, "/run/.containerenv"))
        return "Podman";
    if (sysfile_exists(doctor, "/var/run/secrets/kubernetes.io"))
        return "Kubernetes";
    if (sysfile_read(doctor, "/run/systemd/container", kind, sizeof kind) && kind[0] != '\0')
        return kind;
    if (!sysfile_read(doctor, "/proc/1/cgroup", text, sizeof text))
        return NULL;
    return strstr(text, "kubepods") != NULL     ? "Kubernetes"
           : strstr(text, "/docker") != NULL    ? "Docker"
           : strstr(text, "/lxc") != NULL       ? "LXC"
           : strstr(text, "containerd") != NULL ? "containerd"
                                                : NULL;
}

static void directory(struct doctor *doctor)
{
    static const char why[] = "every store is a file in this directory, and every byte of a tensor is memory of it";
    const char *path = doctor->directory;
    struct statfs fs;
    unsigned long type;
    char word[4400], fix[9000];

    text_shell(word, sizeof word, path);
    if (statfs(path, &fs) < 0) {
        snprintf(fix, sizeof fix, "sudo mkdir -p %s && sudo mount -t tmpfs -o mode=1777 tmpfs %s", word, word);
        doctor_say(doctor, "directory", DOCTOR_WARN, why, fix, "%s: %s", path, strerror(errno));
        return;
    }
    type = (unsigned long)fs.f_type & 0xffffffff;
    doctor->room = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
    if (access(path, W_OK | X_OK) < 0) {
        snprintf(fix, sizeof fix, errno == EROFS ? "sudo mount -o remount,rw %s" : "sudo chmod 1777 %s", word);
        doctor_say(doctor, "directory", DOCTOR_WARN, why, fix, "%s cannot be written: %s", path, strerror(errno));
    } else if (type != TMPFS && type != RAMFS && type != HUGETLBFS) {
        doctor_say(doctor, "directory", DOCTOR_NOTE,
                   "what is not tmpfs writes every change of a tensor back to a disk or a network; it works, slowly",
                   "export ZCT_DIR=/dev/shm", "%s is not in memory (file system type %#lx)", path, type);
    } else {
        doctor_say(doctor, "directory", DOCTOR_OK, why, NULL, "%s is in memory and can be written", path);
    }
}

static void space(struct doctor *doctor)
{
    const char *fix = container(doctor) != NULL ? size_fix_container : size_fix;
    uint64_t memory = 1024 * (sysfile_field(doctor, "/proc/meminfo", "MemTotal") +
                              sysfile_field(doctor, "/proc/meminfo", "SwapTotal"));
    char total[QUANTITY_SIZE], free_[QUANTITY_SIZE], all[QUANTITY_SIZE];
    uint64_t available;
    struct statfs fs;

    if (statfs(doctor->directory, &fs) < 0)
        return; /* said already */
    available = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    quantity_bytes(total, doctor->room, false);
    quantity_bytes(free_, available, false);
    quantity_bytes(all, memory, false);
    if (doctor->room == 0)
        doctor_say(doctor, "size", DOCTOR_NOTE,
                   "without a limit, tensors take memory until the kernel's out-of-memory killer ends a process",
                   size_fix, "%s has no limit of size", doctor->directory);
    else if (available < doctor->room / 10)
        doctor_say(doctor, "size", DOCTOR_WARN,
                   "a create that finds no room fails; zct ls --stores and zct gc show and return what is taken", fix,
                   "%s of %s are free in %s", free_, total, doctor->directory);
    else if (doctor->room <= 1ull << 30)
        doctor_say(doctor, "size", DOCTOR_NOTE,
                   "a store's capacity is the file system's size when it is made; a container gets 64 MB by itself",
                   fix, "%s in all, %s free in %s", total, free_, doctor->directory);
    else if (memory != 0 && doctor->room > memory)
        doctor_say(
            doctor, "size", DOCTOR_NOTE,
            "more than memory and swap can be promised: the out-of-memory killer strikes before the file system is "
            "full",
            size_fix, "%s in all, memory and swap have %s", total, all);
    else
        doctor_say(doctor, "size", DOCTOR_OK, "a store's capacity is the file system's size when it is made", fix,
                   "%s in all, %s free in %s", total, free_, doctor->directory);
}

static void around(struct doctor *doctor)
{
    const char *kind = container(doctor);

    if (kind != NULL)
        doctor_say(
            doctor, "container", DOCTOR_NOTE,
            "a container has a /dev/shm of its own: processes of another one, or of the host, do not see these stores",
            "docker run --ipc=host ..., or --ipc=shareable and --ipc=container:NAME; in one Kubernetes pod: one "
            "emptyDir",
            "in a container (%s)", kind);
    else
        doctor_say(doctor, "container", DOCTOR_OK, "a container has a /dev/shm of its own, with 64 MB", NULL,
                   "in no container that shows");
}

/* ---- the memory cgroup ---- */

struct allowance {
    uint64_t limit, room, killed; /* of the group of the hierarchy that has the least room */
};

static void look_into(const struct doctor *doctor, const char *folder, bool v1, struct allowance *least)
{
    char path[2200];
    uint64_t limit = SYSFILE_NO_LIMIT, used = 0, cache, room;

    snprintf(path, sizeof path, "%s/%s", folder, v1 ? "memory.limit_in_bytes" : "memory.max");
    if (!sysfile_number(doctor, path, &limit) || limit >= 1ull << 62)
        return;
    snprintf(path, sizeof path, "%s/%s", folder, v1 ? "memory.usage_in_bytes" : "memory.current");
    sysfile_number(doctor, path, &used);
    snprintf(path, sizeof path, "%s/memory.stat", folder); /* page cache is given up when memory is needed */
    cache = sysfile_field(doctor, path, v1 ? "total_inactive_file" : "inactive_file") +
            sysfile_field(doctor, path, v1 ? "total_active_file" : "active_file");
    used -= cache < used ? cache : used;
    room = used < limit ? limit - used : 0;
    if (room < least->room) {
        snprintf(path, sizeof path, "%s/%s", folder, v1 ? "memory.oom_control" : "memory.events");
        *least = (struct allowance){limit, room, sysfile_field(doctor, path, "oom_kill")};
    }
}

/* The group and all above it. */
static void climb(const struct doctor *doctor, const char *mount, char *group, bool v1, struct allowance *least)
{
    char folder[2100], *slash;

    if (strcmp(group, "/") == 0)
        group[0] = '\0';
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", mount, group);
        look_into(doctor, folder, v1, least);
        slash = strrchr(group, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static struct allowance allowance(const struct doctor *doctor)
{
    struct allowance least = {SYSFILE_NO_LIMIT, SYSFILE_NO_LIMIT, 0};
    char text[4096], *rest = NULL;

    if (!sysfile_read(doctor, "/proc/self/cgroup", text, sizeof text))
        text[0] = '\0';
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');

        if (group == NULL)
            continue;
        *group++ = '\0';
        if (controllers[1] == '\0')
            climb(doctor, "/sys/fs/cgroup", group, false, &least);
        else if (strstr(controllers + 1, "memory") != NULL)
            climb(doctor, "/sys/fs/cgroup/memory", group, true, &least);
    }
    return least;
}

uint64_t doctor_cgroup_room(const struct doctor *doctor) { return allowance(doctor).room; }

static void cgroup(struct doctor *doctor)
{
    static const char why[] =
        "shared memory counts for the group of the process that touches it first; beyond the limit the "
        "kernel kills where the file system would refuse";
    static const char fix[] = "docker run --memory=16g ...; systemd: sudo systemctl set-property UNIT MemoryMax=16G; "
                              "Kubernetes: resources.limits.memory";
    struct allowance least = allowance(doctor);
    char limit[QUANTITY_SIZE], room[QUANTITY_SIZE];

    if (least.limit == SYSFILE_NO_LIMIT) {
        doctor_say(doctor, "cgroup", DOCTOR_OK, why, NULL, "no limit of memory for this process's control group");
        return;
    }
    quantity_bytes(limit, least.limit, false);
    quantity_bytes(room, least.room, false);
    if (least.killed > 0)
        doctor_say(doctor, "cgroup", DOCTOR_WARN, why, fix,
                   "limit %s, %s left; the kernel has killed %llu process(es) of it", limit, room,
                   (unsigned long long)least.killed);
    else
        doctor_say(doctor, "cgroup", least.room < least.limit / 10 ? DOCTOR_WARN : DOCTOR_NOTE, why, fix,
                   "limit %s, %s left", limit, room);
}

void doctor_memory(struct doctor *doctor)
{
    directory(doctor);
    space(doctor);
    around(doctor);
    cgroup(doctor);
}
