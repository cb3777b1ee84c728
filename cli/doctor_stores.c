/* Stores that take memory though nobody uses them. */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zct/zct.h>

#include "doctor.h"
#include "quantity.h"
#include "text.h"

static const char why[] = "what is in a store stays until it is removed, also when nobody is left who knows of it";

struct visit {
    struct doctor *doctor;
    unsigned seen, stale;
};

/* A store whose user is no more, or where no process is alive and something is left. */
static void judge(struct visit *visit, const char *name, const char *path, const struct stat *file,
                  const zct_store_stats *stats)
{
    bool user = getpwuid(file->st_uid) != NULL;
    char size[QUANTITY_SIZE], word[4400], fix[9000];

    if (stats->members > 0 || (stats->names == 0 && user))
        return;
    visit->stale++;
    quantity_bytes(size, stats->resident, false);
    text_shell(word, sizeof word, path);
    if (!user)
        snprintf(fix, sizeof fix, "sudo zct rm --stores %s", word);
    else
        snprintf(fix, sizeof fix, "zct rm --stores %s   (or: zct gc --unheld --older-than 1d --store %s)", word, word);
    doctor_say(visit->doctor, "stale-store", DOCTOR_NOTE, why, fix,
               "'%s' of uid %u%s: no process uses it, %u tensor%s, %s", name, file->st_uid,
               user ? "" : ", who is no user here", stats->names, stats->names == 1 ? "" : "s", size);
}

static int visit_store(void *context, const char *name, const char *path)
{
    zct_store_options options = {.size = sizeof options, .flags = ZCT_STORE_EXISTING | ZCT_STORE_OBSERVE};
    zct_store_stats stats = {.size = sizeof stats};
    struct visit *visit = context;
    struct stat file;
    zct_store *store;
    char word[4400], fix[4500];
    int result;

    visit->seen++;
    if (lstat(path, &file) < 0)
        return 0; /* gone in between */
    result = zct_store_open(path, &options, &store);
    if (result >= 0) {
        result = zct_store_stats_get(store, &stats);
        zct_store_close(store);
    }
    if (result >= 0) {
        judge(visit, name, path, &file, &stats);
    } else if (result != -ZCT_EACCES && result != -ZCT_ENOTFOUND && result != -ZCT_EGONE) {
        visit->stale++;
        snprintf(fix, sizeof fix, "rm %s   (if nothing uses it)", text_shell(word, sizeof word, path));
        doctor_say(visit->doctor, "stale-store", DOCTOR_NOTE, why, fix, "%s", zct_last_error());
    }
    return 0;
}

void doctor_stores(struct doctor *doctor)
{
    struct visit visit = {.doctor = doctor};

    if (zct_list_stores(doctor->directory, visit_store, &visit) < 0)
        return; /* no directory: said already */
    if (visit.stale == 0)
        doctor_say(doctor, "stale-store", DOCTOR_OK, why, NULL, "none of %u store%s", visit.seen,
                   visit.seen == 1 ? "" : "s");
}
