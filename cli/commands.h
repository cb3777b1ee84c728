/* commands.h - the verbs. Each file has one: its options, its help, its text and its JSON. */
#ifndef ZCT_CLI_COMMANDS_H
#define ZCT_CLI_COMMANDS_H

#include "target.h"

int command_ls(int argc, char **argv, struct target *target);
int command_stat(int argc, char **argv, struct target *target);
int command_head(int argc, char **argv, struct target *target);
int command_load(int argc, char **argv, struct target *target);
int command_save(int argc, char **argv, struct target *target);
int command_rm(int argc, char **argv, struct target *target);
int command_gc(int argc, char **argv, struct target *target);
int command_trim(int argc, char **argv, struct target *target);
int command_check(int argc, char **argv, struct target *target);
int command_bench(int argc, char **argv, struct target *target);
int command_doctor(int argc, char **argv, struct target *target);
int command_watch(int argc, char **argv, struct target *target);

/* ls --stores: all stores of the directory that `pattern` (NULL: any) fits. */
int stores_list(const struct target *target, const char *pattern, bool exact);

#endif
