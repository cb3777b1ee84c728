/* trim - free memory of the store, given back to the system. */
#include "commands.h"

#include "json.h"
#include "out.h"
#include "quantity.h"

static const char help[] =
    "usage: zct trim [--keep SIZE]\n"
    "\n"
    "Give the store's free memory back to the system. It is kept otherwise, since making a tensor in memory that\n"
    "is there already is several times faster.\n"
    "\n"
    "  -k, --keep SIZE        keep so much of it: 64M, 2G (powers of 1024). Default: none\n" TARGET_HELP "\n"
    "Exit: 0; 1 if it could not be done; 2 if the store cannot be opened.\n";

int command_trim(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"keep", required_argument, NULL, 'k'},
        TARGET_OPTIONS,
    };
    char size[QUANTITY_SIZE];
    uint64_t keep = 0, bytes = 0;
    zct_store *store;
    int option, code;
    bool over;

    while ((option = target_option(argc, argv, ":k:", options, help, target, &over, &code)) != -1)
        if (option == 'k' && !quantity_parse_bytes(optarg, &keep))
            return err_usage("trim", "trim: --keep takes a size as 64M or 2G, not '%s'", optarg);
    if (over)
        return code;
    if (optind < argc)
        return err_usage("trim", "trim: takes no arguments");
    if (target_join(target, &store) < 0)
        return EXIT_CANNOT;
    code = zct_store_trim(store, keep, &bytes);
    if (code < 0) {
        err_library(code);
    } else if (target->json) {
        json_begin("trim");
        target_json(store);
        json_uint("returned", bytes);
        json_end();
    } else {
        out_fmt("%s returned to the system\n", quantity_bytes(size, bytes, false));
    }
    zct_store_close(store);
    return code < 0 ? EXIT_FAILED : EXIT_OK;
}
