/* Limits of this process, and what happens to a user's shared memory when the last session ends. */
#include <dirent.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#include "doctor.h"
#include "quantity.h"

#define UID_OF_USERS 1000 /* systemd leaves what belongs to smaller ones alone */

static void limit(struct doctor *doctor, const char *check, int which, uint64_t wanted, const char *why,
                  const char *fix)
{
    char size[QUANTITY_SIZE];
    struct rlimit now;

    if (getrlimit((__rlimit_resource_t)which, &now) < 0)
        return;
    if (now.rlim_cur == RLIM_INFINITY) {
        doctor_say(doctor, check, DOCTOR_OK, why, fix, "no limit");
        return;
    }
    quantity_bytes(size, now.rlim_cur, false);
    doctor_say(doctor, check, (uint64_t)now.rlim_cur < wanted ? DOCTOR_WARN : DOCTOR_OK, why, fix,
               "%s for this process and those it starts", size);
}

static void resources(struct doctor *doctor)
{
    uint64_t whole_store = doctor->room; /* a new store's capacity, unless one is given */
    struct rlimit locked;
    char size[QUANTITY_SIZE];

    limit(
        doctor, "address-space", RLIMIT_AS, whole_store,
        "a process reserves addresses for the capacity of a store; where they do not suffice, opening fails and says so",
        "ulimit -v unlimited; systemd: LimitAS=infinity; or make the store with a smaller capacity=");
    limit(doctor, "file-size", RLIMIT_FSIZE, whole_store,
          "a store is one file; beyond this limit the kernel sends a signal (SIGXFSZ) that ends the process",
          "ulimit -f unlimited; systemd: LimitFSIZE=infinity");
    if (getrlimit(RLIMIT_MEMLOCK, &locked) < 0)
        return;
    if (locked.rlim_cur == RLIM_INFINITY)
        strcpy(size, "no limit");
    else
        quantity_bytes(size, locked.rlim_cur, false);
    doctor_say(
        doctor, "locked-memory", locked.rlim_cur < 8ull << 20 ? DOCTOR_NOTE : DOCTOR_OK,
        "matters to who calls mlockall, or pins tensors for a device: then what is attached counts, else nothing",
        "ulimit -l unlimited; systemd: LimitMEMLOCK=infinity; docker run --ulimit memlock=-1 ...", "%s", size);
}

/* ---- RemoveIPC ---- */

/* The last setting in a file of [Login]; *setting is left as it is where there is none. */
static void read_setting(const struct doctor *doctor, const char *path, bool *setting)
{
    char text[16384], *rest = NULL;

    if (!sysfile_read(doctor, path, text, sizeof text))
        return;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        line += strspn(line, " \t");
        if (strncasecmp(line, "RemoveIPC", 9) == 0 && strchr("= \t", line[9]) != NULL) {
            line += 9 + strspn(line + 9, "= \t");
            *setting = strncasecmp(line, "no", 2) != 0 && strncasecmp(line, "off", 3) != 0 &&
                       strncasecmp(line, "false", 5) != 0 && line[0] != '0';
        }
    }
}

struct drop_in {
    const char *folder;
    char name[256];
};

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct drop_in *)left)->name, ((const struct drop_in *)right)->name);
}

/* The pieces of all folders, in the order of their names. */
static void read_drop_ins(const struct doctor *doctor, bool *setting)
{
    static const char *const folders[] = {"/usr/lib/systemd/logind.conf.d", "/run/systemd/logind.conf.d",
                                          "/etc/systemd/logind.conf.d"};
    struct drop_in found[64];
    size_t count = 0;

    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[4096];
        struct dirent *entry;
        DIR *folder;

        snprintf(path, sizeof path, "%s%s", doctor->root, folders[i]);
        folder = opendir(path);
        while (folder != NULL && count < 64 && (entry = readdir(folder)) != NULL) {
            size_t len = strlen(entry->d_name);

            if (len <= 5 || strcmp(entry->d_name + len - 5, ".conf") != 0)
                continue;
            found[count].folder = folders[i];
            snprintf(found[count++].name, sizeof found[0].name, "%s", entry->d_name);
        }
        if (folder != NULL)
            closedir(folder);
    }
    qsort(found, count, sizeof found[0], by_name);
    for (size_t i = 0; i < count; i++) {
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", found[i].folder, found[i].name);
        read_setting(doctor, path, setting);
    }
}

static bool lingers(const struct doctor *doctor)
{
    const struct passwd *user = getpwuid(getuid());
    char path[4096];

    if (user == NULL)
        return false;
    snprintf(path, sizeof path, "/var/lib/systemd/linger/%s", user->pw_name);
    return sysfile_exists(doctor, path);
}

static void remove_ipc(struct doctor *doctor)
{
    static const char why[] =
        "logind removes a user's files in /dev/shm when the last session of that user ends: stores vanish "
        "under services, cron jobs and nohup";
    static const char fix[] =
        "sudo mkdir -p /etc/systemd/logind.conf.d && printf '[Login]\\nRemoveIPC=no\\n' | sudo tee "
        "/etc/systemd/logind.conf.d/keep-shm.conf && sudo systemctl restart systemd-logind; or: "
        "loginctl enable-linger";
    bool removes = true; /* systemd's own default */

    if (!sysfile_exists(doctor, "/run/systemd/seats")) {
        doctor_say(doctor, "remove-ipc", DOCTOR_OK, why, NULL, "no logind here");
        return;
    }
    read_setting(doctor, "/usr/lib/systemd/logind.conf", &removes);
    read_setting(doctor, "/etc/systemd/logind.conf", &removes);
    read_drop_ins(doctor, &removes);
    if (!removes)
        doctor_say(doctor, "remove-ipc", DOCTOR_OK, why, NULL, "logind leaves shared memory alone (RemoveIPC=no)");
    else if (getuid() < UID_OF_USERS)
        doctor_say(doctor, "remove-ipc", DOCTOR_OK, why, fix, "RemoveIPC=yes, which does not concern uid %u", getuid());
    else if (lingers(doctor))
        doctor_say(doctor, "remove-ipc", DOCTOR_OK, why, fix,
                   "RemoveIPC=yes, but this user lingers: no session is the last");
    else
        doctor_say(doctor, "remove-ipc", DOCTOR_NOTE, why, fix,
                   "RemoveIPC=yes: stores of uid %u go with its last session", getuid());
}

void doctor_limits(struct doctor *doctor)
{
    resources(doctor);
    remove_ipc(doctor);
}
