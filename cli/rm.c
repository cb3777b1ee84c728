/* rm - end names; the bytes live until their last holder lets go. With --stores: end whole stores. */
#include "commands.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "text.h"

static const char help[] =
    "usage: zct rm [--force] NAME...\n"
    "       zct rm [--force] --glob GLOB...\n"
    "       zct rm [--force] --stores STORE...\n"
    "\n"
    "Remove tensors from the store by name, pinned ones too. Processes that hold one keep it: only its name\n"
    "ends now, its memory with the last of them.\n"
    "\n"
    "  -f, --force            a NAME that is not there is no error; with --stores, also stores in use\n"
    "  -g, --glob             each argument selects by pattern; * matches a '/' too\n"
    "      --stores           remove whole stores. Members keep their live arrays\n" TARGET_HELP "\n"
    "Exit: 0; 1 if something could not be removed; 2 if the store cannot be opened.\n";

enum { OPT_STORES = 0x200 };

struct rm {
    const struct target *target;
    bool force, glob;
    int code;
    char **removed; /* names, in the order of removal */
    size_t count, room;
    struct failure {
        const char *name;
        int code;
    } *failed;
    size_t failures;
};

static _Noreturn void out_of_memory(void)
{
    err_fmt("out of memory");
    exit(out_finish(EXIT_FAILED)); /* nothing is half-done between two names */
}

static void *enlarge(void *memory, size_t bytes)
{
    void *moved = realloc(memory, bytes);

    if (moved == NULL)
        out_of_memory();
    return moved;
}

static void note_removed(struct rm *rm, const char *name)
{
    char *kept = strdup(name);

    if (kept == NULL)
        out_of_memory();
    if (rm->count == rm->room) {
        rm->room = rm->room == 0 ? 16 : 2 * rm->room;
        rm->removed = enlarge(rm->removed, rm->room * sizeof *rm->removed);
    }
    rm->removed[rm->count++] = kept;
}

static void note_failed(struct rm *rm, const char *name, int code)
{
    rm->code = EXIT_FAILED;
    rm->failed = enlarge(rm->failed, (rm->failures + 1) * sizeof *rm->failed);
    rm->failed[rm->failures++] = (struct failure){name, code};
}

static void unlink_one(struct rm *rm, zct_store *store, const char *name)
{
    int result = zct_unlink(store, name);

    if (result >= 0) {
        note_removed(rm, name);
    } else if (result != -ZCT_ENOTFOUND || !rm->force) {
        err_library(result);
        note_failed(rm, name, result);
    }
}

/* All names that fit: collected first, then removed, so that the walk does not depend on what it ends. */
static void unlink_matching(struct rm *rm, zct_store *store, const char *pattern)
{
    zct_stat stat = {.size = sizeof stat};
    struct rm found = {.target = rm->target};
    zct_list *list;
    int result = zct_list_open(store, ZCT_LIST_NO_HOLDERS, &list);

    if (result >= 0) {
        while ((result = zct_list_next(list, &stat)) > 0)
            if (fnmatch(pattern, stat.name, 0) == 0)
                note_removed(&found, stat.name);
        zct_list_close(list);
    }
    if (result < 0) {
        err_library(result);
        note_failed(rm, pattern, result);
    } else if (found.count == 0 && !rm->force) {
        err_fmt("no name in store '%s' fits '%s'", zct_store_name(store), pattern);
        note_failed(rm, pattern, -ZCT_ENOTFOUND);
    }
    for (size_t i = 0; i < found.count; i++) {
        result = zct_unlink(store, found.removed[i]);
        if (result >= 0) {
            note_removed(rm, found.removed[i]);
        } else if (result != -ZCT_ENOTFOUND) { /* gone in between: as wanted */
            err_library(result);
            note_failed(rm, pattern, result);
        }
        free(found.removed[i]);
    }
    free(found.removed);
}

/* Living members of a store by name; negative if it cannot be opened. */
static int members_of(const struct rm *rm, const char *name)
{
    zct_store_options options = {
        .size = sizeof options, .directory = rm->target->directory, .flags = ZCT_STORE_EXISTING | ZCT_STORE_OBSERVE};
    zct_store_stats stats = {.size = sizeof stats};
    zct_store *store;
    int result = zct_store_open(name, &options, &store);

    if (result >= 0) {
        result = zct_store_stats_get(store, &stats);
        zct_store_close(store);
    }
    return result < 0 ? result : (int)stats.members;
}

static void destroy_one(struct rm *rm, const char *name)
{
    int members = rm->force ? 0 : members_of(rm, name);
    int result = members;

    if (members > 0) {
        err_fmt("store '%s' has %d member%s; --force removes it all the same, they keep their live arrays", name,
                members, members == 1 ? "" : "s");
        note_failed(rm, name, -ZCT_EBUSY);
        return;
    }
    if (members == 0)
        result = zct_store_destroy(name, rm->target->directory);
    if (result >= 0) {
        note_removed(rm, name);
    } else if (result != -ZCT_ENOTFOUND || !rm->force) {
        err_library(result);
        note_failed(rm, name, result);
    }
}

static void write_json(const struct rm *rm, zct_store *store)
{
    json_begin(store != NULL ? "rm" : "rm --stores");
    if (store != NULL)
        target_json(store);
    json_array("removed");
    for (size_t i = 0; i < rm->count; i++)
        json_text(NULL, rm->removed[i]);
    json_close();
    json_array("failed");
    for (size_t i = 0; i < rm->failures; i++) {
        json_object(NULL);
        json_text("name", rm->failed[i].name);
        json_text("error", zct_error_name(rm->failed[i].code));
        json_close();
    }
    json_end();
}

int command_rm(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'},
        {"glob", no_argument, NULL, 'g'},
        {"stores", no_argument, NULL, OPT_STORES},
        TARGET_OPTIONS,
    };
    struct rm rm = {.target = target};
    zct_store *store = NULL;
    bool stores = false, over;
    int option, code;

    while ((option = target_option(argc, argv, ":fg", options, help, target, &over, &code)) != -1) {
        rm.force |= option == 'f';
        rm.glob |= option == 'g';
        stores |= option == OPT_STORES;
    }
    if (over)
        return code;
    if (optind == argc)
        return err_usage("rm", "rm: which %s?", stores ? "store" : "tensor");
    if (stores && (rm.glob || target->store != NULL))
        return err_usage("rm", "rm: --stores takes the stores' names as arguments, without --glob or --store");
    if (!stores && target_join(target, &store) < 0)
        return EXIT_CANNOT;
    for (int i = optind; i < argc; i++) {
        if (stores)
            destroy_one(&rm, argv[i]);
        else if (rm.glob)
            unlink_matching(&rm, store, argv[i]);
        else
            unlink_one(&rm, store, argv[i]);
    }
    if (target->json)
        write_json(&rm, store);
    zct_store_close(store);
    for (size_t i = 0; i < rm.count; i++)
        free(rm.removed[i]);
    free(rm.removed);
    free(rm.failed);
    return rm.code;
}
