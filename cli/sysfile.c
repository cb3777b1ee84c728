#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

static int open_below(const struct doctor *doctor, const char *path)
{
    char whole[4096];

    snprintf(whole, sizeof whole, "%s%s", doctor->root, path);
    return open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

bool sysfile_read(const struct doctor *doctor, const char *path, char *buffer, size_t size)
{
    int fd = open_below(doctor, path);
    size_t used = 0;
    ssize_t part;

    if (fd < 0)
        return false;
    while (used < size - 1 && (part = read(fd, buffer + used, size - 1 - used)) > 0)
        used += (size_t)part;
    close(fd);
    if (used > 0 && buffer[used - 1] == '\n')
        used--;
    buffer[used] = '\0';
    return true;
}

bool sysfile_exists(const struct doctor *doctor, const char *path)
{
    char whole[4096];

    snprintf(whole, sizeof whole, "%s%s", doctor->root, path);
    return access(whole, F_OK) == 0;
}

bool sysfile_number(const struct doctor *doctor, const char *path, uint64_t *ret_number)
{
    char text[64];

    if (!sysfile_read(doctor, path, text, sizeof text) || text[0] == '\0')
        return false;
    *ret_number = strncmp(text, "max", 3) == 0 ? SYSFILE_NO_LIMIT : strtoull(text, NULL, 10);
    return true;
}

uint64_t sysfile_field(const struct doctor *doctor, const char *path, const char *key)
{
    char text[16384];
    size_t len = strlen(key);
    const char *line = text;

    if (!sysfile_read(doctor, path, text, sizeof text))
        return 0;
    while (line != NULL) {
        if (strncmp(line, key, len) == 0 && strchr(" :\t", line[len]) != NULL)
            return strtoull(line + len + strspn(line + len, " :\t"), NULL, 10);
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return 0;
}

/* Is `directory` the mount point or below it? */
static bool lies_in(const char *directory, const char *point)
{
    size_t len = strlen(point);

    return strcmp(point, "/") == 0 ||
           (strncmp(directory, point, len) == 0 && (directory[len] == '/' || directory[len] == '\0'));
}

bool sysfile_mount(const struct doctor *doctor, const char *directory, char *buffer, size_t size)
{
    char line[4096], point[2048], options[1024], super[1024];
    int fd = open_below(doctor, "/proc/self/mountinfo");
    size_t longest = 0;
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        const char *second = strstr(line, " - ");

        if (second == NULL || sscanf(line, "%*s %*s %*s %*s %2047s %1023s", point, options) != 2 ||
            sscanf(second, " - %*s %*s %1023s", super) != 1)
            continue;
        if (lies_in(directory, point) && strlen(point) >= longest) { /* the last of equals lies on top */
            longest = strlen(point);
            snprintf(buffer, size, "%s,%s", options, super);
        }
    }
    fclose(file);
    return longest > 0;
}
