/* check - every invariant of the store, each violation a sentence. */
#include "commands.h"

#include <string.h>

#include "json.h"
#include "out.h"
#include "text.h"

static const char help[] =
    "usage: zct check [--repair]\n"
    "\n"
    "Check every invariant of the store and say what is violated, a sentence a line. Changes nothing, and may\n"
    "run while the store is in use. A dead process that nobody has reaped yet is no finding.\n"
    "\n"
    "  -r, --repair           first join the store and rebuild what is derived from the tensors' descriptions: maps\n"
    "                         of free memory, index, counts. Tensors stay as they are; those whose memory overlaps\n"
    "                         or lies outside the store are reported, for you to remove\n" TARGET_HELP "\n"
    "Exit: 0 if the store is whole (now); 1 if there are findings; 2 if it cannot be opened, looked at or repaired.\n";

static int say(void *context, const char *finding)
{
    const struct target *target = context;
    char line[2048];

    if (target->json) {
        json_text(NULL, finding);
    } else {
        text_escape(line, sizeof line, finding, strlen(finding), TEXT_SENTENCE);
        out_fmt("%s\n", line);
    }
    return !out_open();
}

/* Returns how many findings there were before, or a negative code whose sentence has been said. */
static int repair(zct_store *store)
{
    int before = zct_check(store, NULL, NULL);
    int result = before < 0 ? before : zct_store_repair(store);

    if (result < 0)
        err_library(result);
    return result < 0 ? result : before;
}

/* `before`: findings before a repair; negative: none was asked for. */
static int check(zct_store *store, struct target *target, int before)
{
    zct_store_stats stats = {.size = sizeof stats};
    int findings, counted;

    if (target->json) {
        json_begin("check");
        target_json(store);
        if (before >= 0)
            json_int("repaired_from", before);
        else
            json_null("repaired_from");
        json_array("findings");
    } else if (before >= 0) {
        out_fmt("rebuilt what is derived; there %s %d finding%s before\n", before == 1 ? "was" : "were", before,
                before == 1 ? "" : "s");
    }
    findings = zct_check(store, say, target);
    if (findings < 0)
        err_library(findings);
    counted = zct_store_stats_get(store, &stats);
    if (target->json) {
        json_close();
        if (findings < 0)
            json_null("whole");
        else
            json_bool("whole", findings == 0);
        json_end();
    } else if (findings == 0 && counted >= 0) {
        out_fmt("store '%s' is whole: %u tensor%s, %u member%s\n", target_name(store), stats.names,
                stats.names == 1 ? "" : "s", stats.members, stats.members == 1 ? "" : "s");
    } else if (findings > 0) {
        err_fmt("store '%s' is not whole: %d finding%s", zct_store_name(store), findings, findings == 1 ? "" : "s");
    }
    return findings == 0 ? EXIT_OK : findings > 0 ? EXIT_FAILED : EXIT_CANNOT;
}

int command_check(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {{"repair", no_argument, NULL, 'r'}, TARGET_OPTIONS};
    int code, before = -1;
    bool mend = false, over;
    zct_store *store;

    while (target_option(argc, argv, ":r", options, help, target, &over, &code) == 'r')
        mend = true;
    if (over)
        return code;
    if (optind < argc)
        return err_usage("check", "check: takes no names; --store says which store");
    if ((mend ? target_join(target, &store) : target_observe(target, &store)) < 0)
        return EXIT_CANNOT;
    if (mend)
        before = repair(store);
    code = mend && before < 0 ? EXIT_CANNOT : check(store, target, before);
    zct_store_close(store);
    return code;
}
