/* gc - what the dead left, returned; and, if asked for, what nobody alive holds. */
#include "commands.h"

#include "json.h"
#include "out.h"
#include "quantity.h"

static const char help[] =
    "usage: zct gc [--unheld [--older-than TIME]]\n"
    "\n"
    "Reap dead processes: finish what they left half-done and let go of what they held. Whoever uses a store\n"
    "does that as well when it notices; this does it now, for all of them.\n"
    "\n"
    "  -u, --unheld           also remove the tensors that no living process holds or has in flight;\n"
    "                         never pinned ones\n"
    "  -o, --older-than TIME  of those, the ones that were made at least so long ago: 90, 30m, 12h, 2d\n" TARGET_HELP
    "\n"
    "Exit: 0; 1 if it could not be done; 2 if the store cannot be opened.\n";

static const char *plural(unsigned count, const char *one, const char *many) { return count == 1 ? one : many; }

/* What is there, seen without joining. On failure the sentence has been said. */
static int look(const struct target *target, zct_store_stats *ret_stats)
{
    zct_store *store;
    int result = target_observe(target, &store);

    if (result < 0)
        return result;
    ret_stats->size = sizeof *ret_stats;
    result = zct_store_stats_get(store, ret_stats);
    if (result < 0)
        err_library(result);
    zct_store_close(store);
    return result;
}

/* To join may reap already: what counts is the difference to what was there before. */
static void count_from(const zct_store_stats *before, zct_store *store, zct_gc_result *result)
{
    zct_store_stats after = {.size = sizeof after};

    if (zct_store_stats_get(store, &after) < 0)
        return;
    if (after.reaped > before->reaped + result->members)
        result->members = (uint32_t)(after.reaped - before->reaped);
    if (before->names > after.names + result->tensors)
        result->tensors = before->names - after.names;
}

int command_gc(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"unheld", no_argument, NULL, 'u'},
        {"older-than", required_argument, NULL, 'o'},
        TARGET_OPTIONS,
    };
    zct_gc_options how = {.size = sizeof how};
    zct_gc_result result = {.size = sizeof result};
    zct_store_stats before;
    bool aged = false, over;
    zct_store *store;
    int option, code;

    while ((option = target_option(argc, argv, ":uo:", options, help, target, &over, &code)) != -1) {
        if (option == 'u')
            how.flags |= ZCT_GC_UNHELD;
        if (option == 'o' && !quantity_parse_span(optarg, &how.older_than_ns))
            return err_usage("gc", "gc: --older-than takes a time as 90, 30m, 12h or 2d, not '%s'", optarg);
        aged |= option == 'o';
    }
    if (over)
        return code;
    if (optind < argc)
        return err_usage("gc", "gc: takes no names; zct rm removes by name");
    if (aged && (how.flags & ZCT_GC_UNHELD) == 0)
        return err_usage("gc", "gc: --older-than goes with --unheld: what dead processes held is returned at any age");
    if (look(target, &before) < 0 || target_join(target, &store) < 0)
        return EXIT_CANNOT;
    code = zct_store_gc(store, &how, &result);
    if (code >= 0)
        count_from(&before, store, &result);
    if (code < 0) {
        err_library(code);
    } else if (target->json) {
        json_begin("gc");
        target_json(store);
        json_uint("members", result.members);
        json_uint("tensors", result.tensors);
        json_uint("handles", result.handles);
        json_end();
    } else {
        out_fmt("%u dead process%s reaped, %u tensor%s ended, %u reference%s in flight dropped\n", result.members,
                plural(result.members, "", "es"), result.tensors, plural(result.tensors, "", "s"), result.handles,
                plural(result.handles, "", "s"));
    }
    zct_store_close(store);
    return code < 0 ? EXIT_FAILED : EXIT_OK;
}
