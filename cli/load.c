/* load - arrays of files, straight into the store: all of them, or none. */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "plan.h"
#include "quantity.h"
#include "tensor.h"

static const char help[] =
    "usage: zct load [--prefix TEXT] [--exists error|replace|attach] FILE...\n"
    "\n"
    "Load .npy, .npz and .safetensors files into the store, which is made if there is none. A tensor has its name in\n"
    "the file; that of a .npy file is the file's own, without .npy. The tensors are pinned: they stay until they are\n"
    "removed, whoever holds them. Either all of them are loaded, or none.\n"
    "\n"
    "  -p, --prefix TEXT      put TEXT before each name: 'model/'\n"
    "  -e, --exists WHAT      of a name that is pinned or in use: error (the default), replace (who holds the old one\n"
    "                         keeps it), attach (leave what is there, if it has the same dtype and shape)\n" TARGET_HELP
    "\n"
    "Exit: 0; 1 if nothing was loaded; 2 if the store cannot be opened.\n";

static const char *const outcomes[] = {
    [PLAN_MADE] = "made", [PLAN_REPLACED] = "replaced", [PLAN_ATTACHED] = "attached"};

static void write_json(const struct plan *plan, zct_store *store)
{
    zct_stat stat = {.size = sizeof stat};

    json_begin("load");
    target_json(store);
    json_array("tensors");
    for (size_t i = 0; i < plan->count && out_open(); i++) {
        if (zct_stat_tensor(plan->items[i].tensor, &stat) < 0)
            continue; /* the store was destroyed meanwhile */
        json_object(NULL);
        tensor_json(&stat);
        json_text("file", plan->items[i].source->path);
        json_text("outcome", outcomes[plan->items[i].outcome]);
        json_close();
    }
    json_close();
    json_uint("count", plan->count);
    json_uint("loaded_nbytes", plan->nbytes);
    json_end();
}

static void write_text(const struct plan *plan, zct_store *store)
{
    size_t counts[3] = {0};
    char size[QUANTITY_SIZE];

    for (size_t i = 0; i < plan->count; i++)
        counts[plan->items[i].outcome]++;
    out_fmt("%zu tensor%s, %s, loaded into store '%s'", counts[PLAN_MADE] + counts[PLAN_REPLACED],
            counts[PLAN_MADE] + counts[PLAN_REPLACED] == 1 ? "" : "s", quantity_bytes(size, plan->nbytes, false),
            target_name(store));
    if (counts[PLAN_REPLACED] > 0)
        out_fmt("; %zu replaced", counts[PLAN_REPLACED]);
    if (counts[PLAN_ATTACHED] > 0)
        out_fmt("; %zu were there", counts[PLAN_ATTACHED]);
    out_str("\n");
}

static int open_or_make(const struct target *target, zct_store **ret_store)
{
    zct_store_options options = {.size = sizeof options, .directory = target->directory};
    int result = zct_store_open(target->store, &options, ret_store);

    if (result < 0)
        err_library(result);
    return result;
}

static int carry_out(struct plan *plan, const struct target *target, int exists)
{
    zct_store *store;
    bool good;

    if (open_or_make(target, &store) < 0)
        return EXIT_CANNOT;
    good = plan_check_store(plan, store, exists) && plan_fill(plan, store) && plan_publish(plan, store, exists);
    if (good && target->json)
        write_json(plan, store);
    else if (good)
        write_text(plan, store);
    plan_free(plan);
    zct_store_close(store);
    return good ? EXIT_OK : EXIT_FAILED;
}

static bool parse_exists(const char *word, int *ret_exists)
{
    static const char *const words[] = {
        [ZCT_EXISTS_ERROR] = "error", [ZCT_EXISTS_REPLACE] = "replace", [ZCT_EXISTS_ATTACH] = "attach"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(word, words[i]) == 0) {
            *ret_exists = (int)i;
            return true;
        }
    return false;
}

int command_load(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"prefix", required_argument, NULL, 'p'},
        {"exists", required_argument, NULL, 'e'},
        TARGET_OPTIONS,
    };
    struct plan plan = {0};
    struct source *sources;
    const char *prefix = "";
    int option, code, exists = ZCT_EXISTS_ERROR, files;
    bool over, good = true;

    while ((option = target_option(argc, argv, ":p:e:", options, help, target, &over, &code)) != -1) {
        if (option == 'p')
            prefix = optarg;
        if (option == 'e' && !parse_exists(optarg, &exists))
            return err_usage("load", "load: --exists takes error, replace or attach, not '%s'", optarg);
    }
    if (over)
        return code;
    files = argc - optind;
    if (files == 0)
        return err_usage("load", "load: which file?");
    sources = memory_new((size_t)files, sizeof *sources);
    for (int i = 0; good && i < files; i++) {
        good = source_open(argv[optind + i], &sources[i]);
        if (good)
            plan_add(&plan, &sources[i], prefix);
    }
    good = good && plan_check_names(&plan);
    code = good ? carry_out(&plan, target, exists) : EXIT_FAILED;
    plan_free(&plan);
    for (int i = 0; i < files; i++)
        source_close(&sources[i]);
    free(sources);
    return code;
}
