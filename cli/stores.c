/* ls --stores - the stores of a directory, each looked into as an observer. */
#include "commands.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "json.h"
#include "out.h"
#include "quantity.h"
#include "table.h"
#include "text.h"

struct entry {
    char *name, *path;
    unsigned uid, mode;
    bool opened;
    zct_store_stats stats;
    char problem[512]; /* why it could not be opened */
};

struct stores {
    const char *pattern;
    struct entry *entry;
    size_t count, room;
};

/* Its statistics, or why there are none. */
static void look_into(struct entry *entry)
{
    zct_store_options options = {.size = sizeof options, .flags = ZCT_STORE_EXISTING | ZCT_STORE_OBSERVE};
    zct_store *store;
    struct stat file;
    int result;

    if (stat(entry->path, &file) == 0) {
        entry->uid = file.st_uid;
        entry->mode = file.st_mode & 07777;
    }
    entry->stats.size = sizeof entry->stats;
    result = zct_store_open(entry->path, &options, &store); /* by path: it may be another user's */
    if (result >= 0) {
        result = zct_store_stats_get(store, &entry->stats);
        zct_store_close(store);
    }
    entry->opened = result >= 0;
    if (result < 0)
        snprintf(entry->problem, sizeof entry->problem, "%s",
                 zct_last_error()[0] != '\0' ? zct_last_error() : zct_strerror(result));
}

static int add(void *context, const char *name, const char *path)
{
    struct stores *stores = context;
    struct entry entry = {.name = NULL};

    if (stores->pattern != NULL && fnmatch(stores->pattern, name, 0) != 0)
        return 0;
    if (stores->count == stores->room) {
        size_t room = stores->room == 0 ? 16 : 2 * stores->room;
        struct entry *moved = realloc(stores->entry, room * sizeof *moved);

        if (moved == NULL)
            return -ZCT_ENOMEM;
        stores->entry = moved;
        stores->room = room;
    }
    entry.name = strdup(name);
    entry.path = strdup(path);
    if (entry.name == NULL || entry.path == NULL) {
        free(entry.name);
        free(entry.path);
        return -ZCT_ENOMEM;
    }
    stores->entry[stores->count++] = entry;
    return 0;
}

static void write_json(const struct stores *stores)
{
    json_begin("ls --stores");
    json_array("stores");
    for (size_t i = 0; i < stores->count; i++) {
        const struct entry *entry = &stores->entry[i];
        char mode[8];

        snprintf(mode, sizeof mode, "%04o", entry->mode);
        json_object(NULL);
        json_text("name", entry->name);
        json_text("path", entry->path);
        json_uint("uid", entry->uid);
        json_text("mode", mode);
        if (entry->opened) {
            json_uint("capacity", entry->stats.capacity);
            json_uint("used", entry->stats.used);
            json_uint("resident", entry->stats.resident);
            json_uint("names", entry->stats.names);
            json_uint("members", entry->stats.members);
            json_null("error");
        } else {
            json_text("error", entry->problem);
        }
        json_close();
    }
    json_end();
}

enum { COLUMNS = 8 };
static const char *const headings[COLUMNS] = {"NAME",      ">UID",      ">TENSORS", ">USED",
                                              ">RESIDENT", ">CAPACITY", ">MEMBERS", "PATH"};

struct cells {
    char name[TEXT_ESCAPED(ZCT_MAX_NAME)], path[TEXT_ESCAPED(1024)];
    char uid[12], tensors[12], members[12];
    char used[QUANTITY_SIZE], resident[QUANTITY_SIZE], capacity[QUANTITY_SIZE];
    const char *cell[COLUMNS];
};

static void cells_of(struct cells *cells, const struct entry *entry, bool exact)
{
    text_escape(cells->name, sizeof cells->name, entry->name, strlen(entry->name), TEXT_NAME);
    text_escape(cells->path, sizeof cells->path, entry->path, strlen(entry->path), TEXT_NAME);
    snprintf(cells->uid, sizeof cells->uid, "%u", entry->uid);
    snprintf(cells->tensors, sizeof cells->tensors, "%u", entry->stats.names);
    snprintf(cells->members, sizeof cells->members, "%u", entry->stats.members);
    cells->cell[0] = cells->name;
    cells->cell[1] = cells->uid;
    cells->cell[2] = entry->opened ? cells->tensors : "?";
    cells->cell[3] = entry->opened ? quantity_bytes(cells->used, entry->stats.used, exact) : "?";
    cells->cell[4] = entry->opened ? quantity_bytes(cells->resident, entry->stats.resident, exact) : "?";
    cells->cell[5] = entry->opened ? quantity_bytes(cells->capacity, entry->stats.capacity, exact) : "?";
    cells->cell[6] = entry->opened ? cells->members : "?";
    cells->cell[7] = cells->path;
}

static void write_text(const struct stores *stores, bool exact)
{
    static struct cells cells;
    struct table table = {.columns = COLUMNS, .headings = headings};

    for (size_t i = 0; i < stores->count; i++) {
        cells_of(&cells, &stores->entry[i], exact);
        table_measure(&table, cells.cell);
    }
    if (stores->count > 0)
        table_heading(&table);
    for (size_t i = 0; i < stores->count; i++) {
        cells_of(&cells, &stores->entry[i], exact);
        table_line(&table, cells.cell);
    }
}

int stores_list(const struct target *target, const char *pattern, bool exact)
{
    struct stores stores = {.pattern = pattern};
    int code = EXIT_OK;
    int result = zct_list_stores(target->directory, add, &stores);

    for (size_t i = 0; i < stores.count; i++)
        look_into(&stores.entry[i]);
    if (result < 0) {
        err_library(result);
        code = EXIT_CANNOT;
    } else if (target->json) {
        write_json(&stores);
    } else {
        write_text(&stores, exact);
    }
    for (size_t i = 0; i < stores.count; i++) {
        if (code != EXIT_CANNOT && !stores.entry[i].opened) {
            err_fmt("%s", stores.entry[i].problem);
            code = EXIT_FAILED;
        }
        free(stores.entry[i].name);
        free(stores.entry[i].path);
    }
    free(stores.entry);
    return code;
}
