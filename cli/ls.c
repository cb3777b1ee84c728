/* ls - the tensors of a store.
 *
 * A short list is sorted and its columns fit. A store may have a million names, though: once more than WINDOW
 * tensors have come, and no order was asked for by name, what is there is written and the rest streams in the
 * store's own order, so that memory stays bounded. */
#include "commands.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "quantity.h"
#include "rows.h"
#include "table.h"
#include "tensor.h"
#include "tensor_cells.h"

#define WINDOW 20000

static const char help[] =
    "usage: zct ls [GLOB] [--sort KEY] [--reverse] [--all] [--bytes] [--names]\n"
    "       zct ls --stores [GLOB] [--bytes]\n"
    "\n"
    "List the tensors of a store, or the stores. GLOB selects by name; its * matches a '/' too.\n"
    "\n"
    "  -s, --sort KEY         name, size, age, held, or none: as they come, without waiting for the last one.\n"
    "                         Default: by name; beyond 20000 tensors, none\n"
    "  -r, --reverse          the other way round\n"
    "  -a, --all              the nameless too: unnamed, unlinked while held, being made\n"
    "  -b, --bytes            sizes in bytes\n"
    "  -n, --names            names alone, one a line, escaped\n"
    "      --stores           all stores of the directory in place of tensors\n" TARGET_HELP "\n"
    "Exit: 0, also if nothing fits GLOB; 1 if the list is incomplete; 2 if the store cannot be opened.\n";

enum { OPT_STORES = 0x200 };

struct ls {
    const struct target *target;
    const char *pattern;
    enum rows_sort sort;
    bool sort_given, reverse, all, exact, names;
    int64_t now;
    struct table table;
    struct rows window;
    uint64_t count, bytes; /* of what was written */
};

static void write_one(struct ls *ls, const zct_stat *stat)
{
    static struct tensor_cells cells;

    ls->count++;
    ls->bytes += stat->nbytes;
    if (ls->target->json) {
        json_object(NULL);
        tensor_json(stat);
        json_close();
    } else if (ls->names) {
        out_str(tensor_name(cells.name, stat));
        out_str("\n");
    } else {
        tensor_cells(&cells, stat, ls->exact, ls->now);
        table_line(&ls->table, cells.cell);
    }
}

/* The heading and what the window has, in order; the columns are as wide as the window needs. */
static void write_window(struct ls *ls)
{
    static struct tensor_cells cells;
    bool columns = !ls->target->json && !ls->names;
    zct_stat stat;

    rows_sort(&ls->window, ls->sort, ls->reverse);
    for (size_t i = 0; columns && i < ls->window.count; i++) {
        rows_get(&ls->window, i, &stat);
        tensor_cells(&cells, &stat, ls->exact, ls->now);
        table_measure(&ls->table, cells.cell);
    }
    if (columns && ls->window.count > 0)
        table_heading(&ls->table);
    for (size_t i = 0; i < ls->window.count && out_open(); i++) {
        rows_get(&ls->window, i, &stat);
        write_one(ls, &stat);
    }
    rows_free(&ls->window);
}

/* All that fit, to the output. Returns 0 or a negative code. */
static int write_list(struct ls *ls, zct_list *list)
{
    zct_stat stat = {.size = sizeof stat};
    bool streaming = false;
    int more;

    while ((more = zct_list_next(list, &stat)) > 0 && out_open()) {
        if (ls->pattern != NULL && fnmatch(ls->pattern, stat.name, 0) != 0)
            continue;
        if (streaming) {
            write_one(ls, &stat);
            continue;
        }
        if (!rows_add(&ls->window, &stat))
            return -ZCT_ENOMEM;
        if (!ls->sort_given && ls->window.count > WINDOW)
            ls->sort = ROWS_NONE;
        if (ls->sort == ROWS_NONE && ls->window.count >= (ls->sort_given ? 1000 : WINDOW)) {
            write_window(ls);
            streaming = true;
        }
    }
    if (!streaming)
        write_window(ls);
    return more < 0 ? more : 0;
}

static int list_tensors(struct ls *ls, zct_store *store)
{
    bool holders = ls->target->json || !ls->names || ls->sort == ROWS_HELD;
    uint32_t flags = (ls->all ? ZCT_LIST_ALL : 0) | (holders ? 0 : ZCT_LIST_NO_HOLDERS);
    zct_list *list;
    int result = zct_list_open(store, flags, &list);

    if (result < 0) {
        err_library(result);
        return EXIT_FAILED;
    }
    if (ls->target->json) {
        json_begin("ls");
        target_json(store);
        json_array("tensors");
    }
    result = write_list(ls, list);
    if (result < 0)
        err_library(result);
    zct_list_close(list);
    rows_free(&ls->window);
    if (ls->target->json) {
        json_close();
        json_uint("count", ls->count);
        json_uint("nbytes", ls->bytes);
        json_bool("complete", result >= 0);
        json_end();
    } else if (!ls->names && out_is_terminal()) {
        char bytes[QUANTITY_SIZE];

        out_fmt("%llu tensor%s, %s, in store '%s'\n", (unsigned long long)ls->count, ls->count == 1 ? "" : "s",
                quantity_bytes(bytes, ls->bytes, ls->exact), target_name(store));
    }
    return result < 0 ? EXIT_FAILED : EXIT_OK;
}

int command_ls(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"sort", required_argument, NULL, 's'},
        {"reverse", no_argument, NULL, 'r'},
        {"all", no_argument, NULL, 'a'},
        {"bytes", no_argument, NULL, 'b'},
        {"names", no_argument, NULL, 'n'},
        {"stores", no_argument, NULL, OPT_STORES},
        TARGET_OPTIONS,
    };
    struct ls ls = {.target = target,
                    .sort = ROWS_NAME,
                    .now = quantity_now(),
                    .table = {.columns = TENSOR_COLUMNS, .headings = tensor_headings}};
    bool stores = false, over;
    zct_store *store;
    int option, code;

    while ((option = target_option(argc, argv, ":s:rabn", options, help, target, &over, &code)) != -1) {
        if (option == 's' && !rows_parse_sort(optarg, &ls.sort))
            return err_usage("ls", "ls: --sort takes name, size, age, held or none, not '%s'", optarg);
        ls.sort_given |= option == 's';
        ls.reverse |= option == 'r';
        ls.all |= option == 'a';
        ls.exact |= option == 'b';
        ls.names |= option == 'n';
        stores |= option == OPT_STORES;
    }
    if (over)
        return code;
    if (argc - optind > 1)
        return err_usage("ls", "ls: one GLOB at most; quote it, so that the shell does not expand it");
    ls.pattern = argv[optind];
    if (stores && (ls.sort_given || ls.reverse || ls.all || ls.names))
        return err_usage("ls", "ls: --stores goes with --bytes and --json alone");
    if (stores)
        return stores_list(target, ls.pattern, ls.exact);
    if (target_observe(target, &store) < 0)
        return EXIT_CANNOT;
    code = list_tensors(&ls, store);
    zct_store_close(store);
    return code;
}
