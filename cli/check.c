/* check - every invariant of the store, each violation a sentence. */
#include "commands.h"

#include <string.h>

#include "json.h"
#include "out.h"
#include "text.h"

static const char help[] =
    "usage: zct check\n"
    "\n"
    "Check every invariant of the store and say what is violated, a sentence a line. Changes nothing, and may\n"
    "run while the store is in use. A dead process that nobody has reaped yet is no finding.\n" TARGET_HELP "\n"
    "Exit: 0 if the store is whole; 1 if there are findings; 2 if it cannot be opened or looked at.\n";

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

static int check(zct_store *store, struct target *target)
{
    zct_store_stats stats = {.size = sizeof stats};
    int findings, counted;

    if (target->json) {
        json_begin("check");
        target_json(store);
        json_array("findings");
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
    static const struct option options[] = {TARGET_OPTIONS};
    zct_store *store;
    bool over;
    int code;

    target_option(argc, argv, ":", options, help, target, &over, &code);
    if (over)
        return code;
    if (optind < argc)
        return err_usage("check", "check: takes no names; --store says which store");
    if (target_observe(target, &store) < 0)
        return EXIT_CANNOT;
    code = check(store, target);
    zct_store_close(store);
    return code;
}
