/* Pages and mappings: huge pages of shared memory, NUMA nodes, how many mappings a process may have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "text.h"

/* The word in brackets of "always [never] force". */
static bool chosen(char *text, const char **ret_word)
{
    char *from = strchr(text, '['), *to = from == NULL ? NULL : strchr(from, ']');

    if (to == NULL)
        return false;
    *to = '\0';
    *ret_word = from + 1;
    return true;
}

static void huge_pages(struct doctor *doctor)
{
    static const char why[] =
        "with huge pages a large tensor is made several times faster in memory that nobody had, and reads "
        "with fewer misses of the address cache; small stores take up to 2 MiB more";
    char knob[256], mount[2048], directory[2048], fix[2200];
    const char *word = "never", *option;
    size_t len;

    if (!sysfile_read(doctor, "/sys/kernel/mm/transparent_hugepage/shmem_enabled", knob, sizeof knob) ||
        !chosen(knob, &word)) {
        doctor_say(doctor, "huge-pages", DOCTOR_OK, why, NULL, "the kernel has none for shared memory");
        return;
    }
    if (strcmp(word, "deny") == 0) {
        doctor_say(doctor, "huge-pages", DOCTOR_NOTE, why,
                   "echo never | sudo tee /sys/kernel/mm/transparent_hugepage/shmem_enabled",
                   "shmem_enabled is 'deny': no mount can have them");
        return;
    }
    option = sysfile_mount(doctor, doctor->directory, mount, sizeof mount) ? strstr(mount, "huge=") : NULL;
    option = option == NULL ? "huge=never" : option;
    len = strcspn(option, ",");
    snprintf(fix, sizeof fix, "sudo mount -o remount,huge=within_size %s",
             text_shell(directory, sizeof directory, doctor->directory));
    if (strcmp(word, "force") == 0)
        doctor_say(doctor, "huge-pages", DOCTOR_OK, why, fix, "shmem_enabled is 'force': always");
    else
        doctor_say(doctor, "huge-pages", strncmp(option, "huge=never", len) == 0 ? DOCTOR_NOTE : DOCTOR_OK, why, fix,
                   "%s is mounted with %.*s (shmem_enabled: %s)", doctor->directory, (int)len, option, word);
}

/* How many numbers "0-3,8" has. */
static unsigned count_list(const char *text)
{
    unsigned count = 0;

    while (*text != '\0') {
        char *end;
        unsigned long from = strtoul(text, &end, 10), to = from;

        if (end == text)
            break;
        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        count += to >= from ? (unsigned)(to - from + 1) : 0;
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

static void numa(struct doctor *doctor)
{
    static const char why[] =
        "a page lies on the node of the process that touches it first; who reads from another node gets it "
        "slower";
    char text[256];
    unsigned nodes = sysfile_read(doctor, "/sys/devices/system/node/online", text, sizeof text) ? count_list(text) : 1;

    if (nodes <= 1)
        doctor_say(doctor, "numa", DOCTOR_OK, why, NULL, "one node");
    else
        doctor_say(doctor, "numa", DOCTOR_NOTE, why,
                   "numactl --interleave=all COMMAND, for who makes what all nodes read; or --membind=NODE",
                   "%u nodes (%s)", nodes, text);
}

static void mappings(struct doctor *doctor)
{
    static const char why[] =
        "a store takes a handful of mappings whatever it holds, a tensor attached copy-on-write one more";
    uint64_t most;

    if (!sysfile_number(doctor, "/proc/sys/vm/max_map_count", &most))
        return; /* not this kernel's way */
    doctor_say(doctor, "mappings", most < 65530 ? DOCTOR_NOTE : DOCTOR_OK, why, "sudo sysctl vm.max_map_count=262144",
               "at most %llu of a process (vm.max_map_count)", (unsigned long long)most);
}

void doctor_pages(struct doctor *doctor)
{
    huge_pages(doctor);
    numa(doctor);
    mappings(doctor);
}
