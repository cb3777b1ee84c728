/* plan.h - what a load is to do, and how it does all of it or nothing.
 *
 * First everything is looked at: files, names, what has these names already. Then the bytes go into nameless tensors of
 * ours: whatever happens to us until all are there, the store has no name more or less than before. Then they get their
 * names, some microseconds each, without an interrupt in between; if one cannot have its name after all, those that
 * have theirs lose it again. */
#ifndef ZCT_CLI_PLAN_H
#define ZCT_CLI_PLAN_H

#include "source.h"

enum outcome { PLAN_MADE, PLAN_REPLACED, PLAN_ATTACHED };

struct item {
    char *name; /* in the store */
    const struct source *source;
    const struct array *array;
    zct_tensor *tensor; /* ours, or with PLAN_ATTACHED the one that was there */
    enum outcome outcome;
};

struct plan {
    struct item *items; /* in the order of their names after plan_check_names */
    size_t count;
    uint64_t nbytes; /* that are to be moved */
};

/* Each array of the file, which stays open while there is a plan. */
void plan_add(struct plan *plan, const struct source *source, const char *prefix);
/* Can all of them be names, and each of one tensor? False with the sentence said; so are all below. */
bool plan_check_names(struct plan *plan);
/* Is there anything in the way? With ZCT_EXISTS_ATTACH what is there already is joined. */
bool plan_check_store(struct plan *plan, zct_store *store, int exists);
/* Move the bytes. */
bool plan_fill(struct plan *plan, zct_store *store);
/* Give the names. */
bool plan_publish(struct plan *plan, zct_store *store, int exists);
void plan_free(struct plan *plan);

#endif
