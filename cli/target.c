#include "target.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "text.h"

static void log_line(void *context, int level, const char *message)
{
    (void)context;
    if (level >= ZCT_LOG_INFO)
        err_fmt("note: %s", message);
}

/* What getopt_long did not like: result is '?' or ':'. */
static int bad_option(char **argv, int result)
{
    const char *command = strcmp(argv[0], "zct") == 0 ? NULL : argv[0];
    const char *word = argv[optind - 1];
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_long = strncmp(word, "--", 2) == 0;
    const char *what = result == ':' ? "needs a value" : is_long && optopt != 0 ? "takes no value" : "is not known";

    return err_usage(command, "%s%soption %s %s", command != NULL ? command : "", command != NULL ? ": " : "",
                     is_long ? word : letter, what);
}

int target_option(int argc, char **argv, const char *letters, const struct option *options, const char *help,
                  struct target *target, bool *ret_over, int *ret_code)
{
    for (;;) {
        int option = getopt_long(argc, argv, letters, options, NULL);

        *ret_over = true;
        switch (option) {
        case OPT_STORE: target->store = optarg; break;
        case OPT_DIR: target->directory = optarg; break;
        case OPT_JSON: target->json = true; break;
        case OPT_VERBOSE:
            target->verbose = true;
            zct_set_log(log_line, NULL);
            break;
        case OPT_HELP:
            if (help != NULL)
                out_str(help);
            *ret_code = EXIT_OK;
            return -1;
        case '?':
        case ':': *ret_code = bad_option(argv, option); return -1;
        default: /* the command's own, or the end */ *ret_over = false; return option;
        }
    }
}

static int open_store(const struct target *target, uint32_t flags, zct_store **ret_store)
{
    zct_store_options options = {
        .size = sizeof options,
        .directory = target->directory,
        .flags = ZCT_STORE_EXISTING | flags,
    };
    int result = zct_store_open(target->store, &options, ret_store);

    if (result < 0)
        err_library(result);
    return result;
}

int target_observe(const struct target *target, zct_store **ret_store)
{
    return open_store(target, ZCT_STORE_OBSERVE, ret_store);
}

int target_join(const struct target *target, zct_store **ret_store) { return open_store(target, 0, ret_store); }

void target_json(zct_store *store)
{
    const uint8_t *uuid = zct_store_uuid(store);
    char digits[33];

    for (size_t i = 0; i < 16; i++)
        snprintf(digits + 2 * i, 3, "%02x", uuid[i]);
    json_object("store");
    json_text("name", zct_store_name(store));
    json_text("path", zct_store_path(store));
    json_text("uuid", digits);
    json_close();
}

const char *target_name(zct_store *store)
{
    static char name[TEXT_ESCAPED(ZCT_MAX_STORE_NAME)];

    text_escape(name, sizeof name, zct_store_name(store), strlen(zct_store_name(store)), TEXT_NAME);
    return name;
}

const char *target_path(zct_store *store)
{
    static char path[4096];

    text_escape(path, sizeof path, zct_store_path(store), strlen(zct_store_path(store)), TEXT_NAME);
    return path;
}
