#include "platform/limits.h"

#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t limit(int which)
{
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)which, &r) < 0 || r.rlim_cur == RLIM_INFINITY)
        return NO_LIMIT;
    return (uint64_t)r.rlim_cur;
}

uint64_t limit_file_size(void) { return limit(RLIMIT_FSIZE); }
uint64_t limit_address_space(void) { return limit(RLIMIT_AS); }
uint64_t limit_locked_memory(void) { return limit(RLIMIT_MEMLOCK); }

static bool slurp(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, to, size - 1);
    close(fd);
    to[n > 0 ? n : 0] = 0;
    return n > 0;
}

static uint64_t number_in(const char *folder, const char *file)
{
    char path[1200], text[64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!slurp(path, text, sizeof text) || !strncmp(text, "max", 3))
        return NO_LIMIT;
    return strtoull(text, NULL, 10);
}

static uint64_t field_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, name, n) && line[n] == ' ')
            return strtoull(line + n + 1, NULL, 10);
    }
    return 0;
}

static uint64_t room_in(const char *folder, bool v1)
{
    char path[1200], text[8192];
    uint64_t most = number_in(folder, v1 ? "memory.limit_in_bytes" : "memory.max");
    uint64_t used = number_in(folder, v1 ? "memory.usage_in_bytes" : "memory.current");
    if (most == NO_LIMIT || used == NO_LIMIT || most >= 1ull << 62)
        return NO_LIMIT;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    uint64_t cache = 0;
    if (slurp(path, text, sizeof text))
        cache = v1 ? field_of(text, "total_inactive_file") + field_of(text, "total_active_file")
                   : field_of(text, "inactive_file") + field_of(text, "active_file");
    used -= min_u64(cache, used);
    return used >= most ? 0 : most - used;
}

/* The lowest room from `top`/`group` up to `top`. */
static uint64_t room_above(const char *root, const char *top, char *group, bool v1)
{
    uint64_t room = NO_LIMIT;
    for (;;) {
        char folder[1100];
        snprintf(folder, sizeof folder, "%s%s%s", root, top, group);
        room = min_u64(room, room_in(folder, v1));
        char *slash = strrchr(group, '/');
        if (!slash)
            return room;
        *slash = 0;
    }
}

uint64_t limit_cgroup_room(const char *root)
{
    char text[4096], path[1100];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (!slurp(path, text, sizeof text))
        return NO_LIMIT;
    uint64_t room = NO_LIMIT;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = 0;
        if (!strcmp(group, "/"))
            *group = 0;
        if (controllers[1] == 0)
            room = min_u64(room, room_above(root, "/sys/fs/cgroup", group, false));
        else if (strstr(controllers + 1, "memory"))
            room = min_u64(room, room_above(root, "/sys/fs/cgroup/memory", group, true));
    }
    return room;
}
