/* How many bytes the memory cgroup leaves, read from files as the kernel shows them. */
#include "support/test.h"

#include "platform/limits.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEGABYTE = 1 << 20 };

static char root[4200];

/* Write a file below the root, folders too. */
static void put(const char *path, const char *format, ...)
{
    char whole[4400];
    va_list args;
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        (void)mkdir(whole, 0700);
    }
    FILE *f = fopen(whole, "w");
    REQUIRE(f != NULL);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    fclose(f);
}

static void v2(const char *group, const char *most, long long used)
{
    char path[1024];
    snprintf(path, sizeof path, "sys/fs/cgroup%s/memory.max", group);
    put(path, "%s\n", most);
    snprintf(path, sizeof path, "sys/fs/cgroup%s/memory.current", group);
    put(path, "%lld\n", used);
}

static void v1(const char *group, const char *most, long long used)
{
    char path[1024];
    snprintf(path, sizeof path, "sys/fs/cgroup/memory%s/memory.limit_in_bytes", group);
    put(path, "%s\n", most);
    snprintf(path, sizeof path, "sys/fs/cgroup/memory%s/memory.usage_in_bytes", group);
    put(path, "%lld\n", used);
}

static void begin(void)
{
    snprintf(root, sizeof root, "%s/root", test_directory());
    CHECK_EQ(mkdir(root, 0700), 0);
}

static void end(void)
{
    char command[4400];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    CHECK_EQ(system(command), 0);
}

static uint64_t room(void) { return limit_cgroup_room(root); }

static void nothing_known(void)
{
    begin();
    CHECK(room() == NO_LIMIT); /* no /proc */
    put("proc/self/cgroup", "%s", "");
    CHECK(room() == NO_LIMIT);
    put("proc/self/cgroup", "0::/a/b\n");
    CHECK(room() == NO_LIMIT); /* another namespace's path, of which nothing is here */
    put("proc/self/cgroup", "nonsense\n7\n::\n");
    CHECK(room() == NO_LIMIT);
    end();
}

static void version_2(void)
{
    begin();
    put("proc/self/cgroup", "0::/a/b\n");
    v2("/a/b", "max", 5 * MEGABYTE);
    CHECK(room() == NO_LIMIT);
    v2("/a/b", "104857600", 4 * MEGABYTE);
    CHECK_EQ(room(), 96 * MEGABYTE);
    /* page cache is given back before anybody is killed; shared memory is not */
    put("sys/fs/cgroup/a/b/memory.stat", "anon 5\nfile 3145728\ninactive_file 1048576\nactive_file 1048576\nshmem 1048576\n");
    CHECK_EQ(room(), 98 * MEGABYTE);
    put("sys/fs/cgroup/a/b/memory.stat", "inactive_file 999999999999\nactive_file 0\n"); /* read later than what is in use */
    CHECK_EQ(room(), 100 * MEGABYTE);
    v2("/a/b", "104857600", 200ll * MEGABYTE); /* the limit was lowered */
    put("sys/fs/cgroup/a/b/memory.stat", "inactive_file 0\n");
    CHECK_EQ(room(), 0);
    end();
}

/* The lowest of all above counts, wherever there is none between them. */
static void ancestors(void)
{
    begin();
    put("proc/self/cgroup", "0::/a/b/c\n");
    v2("/a/b/c", "max", 1);
    v2("/a", "52428800", 2 * MEGABYTE);
    CHECK_EQ(room(), 48 * MEGABYTE);
    v2("", "20971520", 10 * MEGABYTE); /* the root of a container's namespace */
    CHECK_EQ(room(), 10 * MEGABYTE);
    v2("/a/b/c", "4194304", MEGABYTE);
    CHECK_EQ(room(), 3 * MEGABYTE);
    put("proc/self/cgroup", "0::/\n");
    CHECK_EQ(room(), 10 * MEGABYTE);
    end();
}

static void version_1(void)
{
    begin();
    put("proc/self/cgroup", "12:pids:/x\n4:cpu,memory:/docker/1234\n1:name=systemd:/x\n0::/\n");
    v1("/docker/1234", "9223372036854771712", MEGABYTE); /* version 1's word for no limit */
    CHECK(room() == NO_LIMIT);
    v1("/docker/1234", "67108864", 32 * MEGABYTE);
    CHECK_EQ(room(), 32 * MEGABYTE);
    put("sys/fs/cgroup/memory/docker/1234/memory.stat",
        "inactive_file 9\nactive_file 9\ntotal_inactive_file 2097152\ntotal_active_file 1048576\n");
    CHECK_EQ(room(), 35 * MEGABYTE);
    v1("", "67108864", 60 * MEGABYTE);
    CHECK_EQ(room(), 4 * MEGABYTE);
    put("proc/self/cgroup", "4:memory:/somewhere/else\n"); /* of the host: here it is the root */
    CHECK_EQ(room(), 4 * MEGABYTE);
    end();
}

TESTS({"nothing is known", nothing_known}, {"version 2", version_2}, {"ancestors", ancestors}, {"version 1", version_1})
