/* target.h - which store a command is about, and the options that all commands have. */
#ifndef ZCT_CLI_TARGET_H
#define ZCT_CLI_TARGET_H

#include <getopt.h>
#include <stdbool.h>

#include <zct/zct.h>

struct target {
    const char *store; /* name or path; NULL: $ZCT_STORE, else "default" */
    const char *directory; /* NULL: $ZCT_DIR, else /dev/shm */
    bool json;
    bool verbose;
};

/* A command: argv[0] is its name. Returns an exit code. */
typedef int (*command_fn)(int argc, char **argv, struct target *target);

/* Entries that end every command's getopt_long table; its own values are letters. */
enum { OPT_STORE = 0x100, OPT_DIR, OPT_JSON, OPT_VERBOSE, OPT_HELP };
#define TARGET_OPTIONS                                                                                                 \
    {"store", required_argument, NULL, OPT_STORE}, {"dir", required_argument, NULL, OPT_DIR},                          \
        {"json", no_argument, NULL, OPT_JSON}, {"verbose", no_argument, NULL, OPT_VERBOSE},                            \
        {"help", no_argument, NULL, OPT_HELP}, {NULL, 0, NULL, 0}
#define TARGET_HELP                                                                                                    \
    "\n"                                                                                                               \
    "      --store NAME|PATH  the store; one with a '/' is a file's path (default: $ZCT_STORE, else default)\n"        \
    "      --dir DIR          the directory of stores (default: $ZCT_DIR, else /dev/shm)\n"                            \
    "      --json             one JSON document in place of text\n"                                                    \
    "      --verbose          say on standard error what was reaped, rebuilt or replaced\n"                            \
    "      --help             this text\n"

/* The next of the command's own options, as getopt_long: what all commands have is dealt with here. Returns -1
 * at the end, and also when the command is over: *ret_over is true then and *ret_code its exit code. With `help`
 * NULL a --help ends the command all the same, with EXIT_OK. */
int target_option(int argc, char **argv, const char *letters, const struct option *options, const char *help,
                  struct target *target, bool *ret_over, int *ret_code);

/* Open the store for looking: joins nothing, changes nothing. On failure the sentence has been said. */
int target_observe(const struct target *target, zct_store **ret_store);
/* Join the store, which must exist. On failure the sentence has been said. */
int target_join(const struct target *target, zct_store **ret_store);

/* The JSON member "store": name, path, uuid. */
void target_json(zct_store *store);
/* The store's name, safe for a terminal; valid until the next call. */
const char *target_name(zct_store *store);
const char *target_path(zct_store *store);

#endif
