/* save - tensors to a file: whole, or as if nothing had happened. */
#include "commands.h"

#include "formats.h"
#include "json.h"
#include "out.h"
#include "progress.h"
#include "quantity.h"
#include "tensor.h"

static const char help[] =
    "usage: zct save FILE [NAME...]\n"
    "       zct save FILE --glob GLOB...\n"
    "\n"
    "Save tensors to an .npy, .npz or .safetensors file; without NAME all named ones of the store. They are held while\n"
    "they are read, and read as they are then. FILE appears under its name, in place of one that was there, when it is\n"
    "whole, and not before.\n"
    "\n"
    "  -g, --glob             each argument after FILE selects by pattern; * matches a '/' too\n"
    "  -f, --format FORMAT    npy, npz or safetensors (default: what FILE ends with)\n"
    "  -s, --strip TEXT       names that begin with TEXT lose it in the file: 'model/'\n" TARGET_HELP "\n"
    "Exit: 0; 1 if nothing was written; 2 if the store cannot be opened.\n";

struct save {
    const struct target *target;
    const char *path, *strip;
    const struct format *format;
    bool glob;
};

static void report(const struct save *save, const struct picks *picks, zct_store *store, uint64_t bytes)
{
    zct_stat stat = {.size = sizeof stat};
    char size[QUANTITY_SIZE];

    if (!save->target->json) {
        out_fmt("%zu tensor%s, %s, saved to ", picks->count, picks->count == 1 ? "" : "s",
                quantity_bytes(size, picks->nbytes, false));
        out_name(save->path);
        out_str("\n");
        return;
    }
    json_begin("save");
    target_json(store);
    json_text("file", save->path);
    json_text("format", save->format->name);
    json_array("tensors");
    for (size_t i = 0; i < picks->count && out_open(); i++) {
        if (zct_stat_tensor(picks->pick[i].tensor, &stat) < 0)
            continue; /* the store was destroyed meanwhile */
        json_object(NULL);
        tensor_json(&stat);
        json_text("key", picks->pick[i].key);
        json_close();
    }
    json_close();
    json_uint("count", picks->count);
    json_uint("nbytes", picks->nbytes);
    json_uint("file_bytes", bytes);
    json_end();
}

static bool write_file(const struct save *save, const struct picks *picks, uint64_t *ret_bytes)
{
    struct sink *sink = sink_open(save->path);
    bool good;

    if (sink == NULL)
        return false;
    progress_begin("saving", picks->nbytes);
    good = save->format->write(picks, sink);
    progress_end();
    *ret_bytes = sink_at(sink);
    if (good)
        return sink_commit(sink);
    sink_abandon(sink);
    return false;
}

static int save_tensors(const struct save *save, zct_store *store, int count, char **arguments)
{
    struct picks picks = {0};
    uint64_t bytes = 0;
    bool good = count > 0 || picks_add_matching(&picks, store, NULL);

    for (int i = 0; good && i < count; i++)
        good = save->glob ? picks_add_matching(&picks, store, arguments[i]) : picks_add(&picks, store, arguments[i]);
    good = good && picks_check(&picks, save->strip) && save->format->check(&picks) && write_file(save, &picks, &bytes);
    if (good)
        report(save, &picks, store, bytes);
    picks_free(&picks);
    return good ? EXIT_OK : EXIT_FAILED;
}

int command_save(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"glob", no_argument, NULL, 'g'},
        {"format", required_argument, NULL, 'f'},
        {"strip", required_argument, NULL, 's'},
        TARGET_OPTIONS,
    };
    struct save save = {.target = target, .strip = ""};
    zct_store *store;
    int option, code;
    bool over;

    while ((option = target_option(argc, argv, ":gf:s:", options, help, target, &over, &code)) != -1) {
        if (option == 'f' && (save.format = format_find(optarg)) == NULL)
            return err_usage("save", "save: --format takes npy, npz or safetensors, not '%s'", optarg);
        if (option == 's')
            save.strip = optarg;
        save.glob |= option == 'g';
    }
    if (over)
        return code;
    if (optind == argc)
        return err_usage("save", "save: to which file?");
    save.path = argv[optind++];
    if (save.format == NULL && (save.format = format_of_path(save.path)) == NULL)
        return err_usage("save", "save: '%s' ends with none of .npy, .npz, .safetensors; say --format", save.path);
    if (save.glob && optind == argc)
        return err_usage("save", "save: --glob of what?");
    if (target_join(target, &store) < 0)
        return EXIT_CANNOT;
    code = save_tensors(&save, store, argc - optind, argv + optind);
    zct_store_close(store);
    return code;
}
