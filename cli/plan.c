#include "plan.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "progress.h"

void plan_add(struct plan *plan, const struct source *source, const char *prefix)
{
    plan->items = memory_resize(plan->items, plan->count + source->count, sizeof *plan->items);
    for (size_t i = 0; i < source->count; i++) {
        const struct array *array = &source->arrays[i];
        struct strbuf name = {0};

        strbuf_str(&name, prefix);
        strbuf_add(&name, array->name, array->name_len);
        plan->items[plan->count++] = (struct item){.name = name.text, .source = source, .array = array};
    }
}

void plan_free(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        zct_release(plan->items[i].tensor);
        free(plan->items[i].name);
    }
    free(plan->items);
    *plan = (struct plan){0};
}

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
    const struct item *left = a, *right = b;

    return strcmp(left->name, right->name);
}

static bool is_name(const struct item *item)
{
    const char *at = item->name, *end = at + strlen(at);
    bool good = at < end && end - at <= ZCT_MAX_NAME && memchr(item->array->name, '\0', item->array->name_len) == NULL;

    while (good && at < end)
        good = text_next(&at, end) >= 0;
    return good;
}

bool plan_check_names(struct plan *plan)
{
    qsort(plan->items, plan->count, sizeof *plan->items, by_name);
    for (size_t i = 0; i < plan->count; i++) {
        const struct item *item = &plan->items[i], *before = i > 0 ? item - 1 : NULL;

        if (!is_name(item)) {
            err_fmt(
                "cannot load '%s': '%.300s' cannot be a tensor's name, which has 1 to %d bytes of UTF-8 without NUL; "
                "nothing was loaded",
                item->source->path, item->name, ZCT_MAX_NAME);
            return false;
        }
        if (before != NULL && strcmp(before->name, item->name) == 0) {
            err_fmt("cannot load '%s': '%s' is there twice%s%s; nothing was loaded", item->source->path, item->name,
                    before->source == item->source ? "" : ", also in ",
                    before->source == item->source ? "" : before->source->path);
            return false;
        }
        plan->nbytes += item->array->nbytes;
    }
    return true;
}

/* ---- what is there ---- */

static bool failed(const struct item *item, int result)
{
    err_library(result);
    err_fmt("cannot load '%s' of '%s'; nothing was loaded", item->name, item->source->path);
    return false;
}

/* Structs are the same if their fields are, however their descriptors are written. */
static bool same_fields(const zct_tensor *tensor, const struct layout *layout)
{
    struct layout theirs;
    struct strbuf ours_text = {0}, theirs_text = {0};
    char *descriptor;
    int64_t len;
    bool same;

    if (layout->dtype.code != ZCT_STRUCT)
        return true;
    descriptor = memory_new(ZCT_MAX_BLOB, 1);
    len = zct_tensor_descriptor(tensor, descriptor, ZCT_MAX_BLOB);
    same = layout_of_descriptor(&layout->dtype, descriptor, len > 0 ? (size_t)len : 0, &theirs);
    if (same) {
        layout_descriptor(&theirs, &theirs_text);
        layout_descriptor(layout, &ours_text);
        same = strcmp(theirs_text.text, ours_text.text) == 0;
    }
    layout_free(&theirs);
    strbuf_free(&ours_text);
    strbuf_free(&theirs_text);
    free(descriptor);
    return same;
}

/* Join the tensor of this name. Returns false with the sentence said if it is another one; *ret_tensor is NULL if there
 * is none. */
static bool join(const struct item *item, zct_store *store, zct_tensor **ret_tensor)
{
    const struct array *array = item->array;
    int result = zct_attach(store, item->name, ZCT_MODE_READ, 0, ret_tensor);

    if (result == -ZCT_ENOTFOUND) {
        *ret_tensor = NULL;
        return true;
    }
    if (result >= 0)
        result = zct_expect(*ret_tensor, &array->layout.dtype, array->ndim, array->shape);
    if (result < 0)
        return failed(item, result);
    if (same_fields(*ret_tensor, &array->layout))
        return true;
    err_fmt("cannot load '%s' of '%s': a struct of other fields has that name; nothing was loaded", item->name,
            item->source->path);
    return false;
}

/* True if the name is free, or what has it is a leftover, which a new one replaces. */
static bool is_free(const struct item *item, zct_store *store)
{
    zct_stat stat = {.size = sizeof stat};
    int result = zct_stat_name(store, item->name, &stat);

    if (result == -ZCT_ENOTFOUND)
        return true;
    if (result < 0)
        return failed(item, result);
    if (stat.lifetime != ZCT_PINNED && stat.holders == 0 && stat.handles == 0)
        return true;
    err_fmt(
        "tensor '%s' is there already, %s; --exists replace swaps it (who holds it keeps the old one), --exists attach "
        "leaves it if it has the same dtype and shape; nothing was loaded",
        item->name, stat.lifetime == ZCT_PINNED ? "pinned" : "in use by a living process");
    return false;
}

bool plan_check_store(struct plan *plan, zct_store *store, int exists)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct item *item = &plan->items[i];

        if (exists == ZCT_EXISTS_ERROR && !is_free(item, store))
            return false;
        if (exists != ZCT_EXISTS_ATTACH)
            continue;
        if (!join(item, store, &item->tensor))
            return false;
        if (item->tensor != NULL) {
            item->outcome = PLAN_ATTACHED;
            plan->nbytes -= item->array->nbytes;
        }
    }
    return true;
}

/* ---- the bytes ---- */

static bool fill(struct item *item, zct_store *store)
{
    const struct array *array = item->array;
    zct_create_options options = {.size = sizeof options};
    struct strbuf descriptor = {0};
    zct_spec spec = {.size = sizeof spec,
                     .dtype = array->layout.dtype,
                     .ndim = array->ndim,
                     .order = array->order,
                     .shape = array->shape};
    int result;

    if (spec.dtype.code == ZCT_STRUCT) {
        layout_descriptor(&array->layout, &descriptor);
        spec.descriptor = descriptor.text;
        spec.descriptor_len = descriptor.len;
    }
    source_fault_in(array);
    result = zct_create(store, NULL, &spec, array->packed > 0 ? NULL : array->data, NULL, &options, &item->tensor);
    strbuf_free(&descriptor);
    if (result < 0)
        return failed(item, result);
    return array->packed > 0 ? source_inflate(item->source, array, zct_tensor_view(item->tensor)->data)
                             : source_verify(item->source, array);
}

bool plan_fill(struct plan *plan, zct_store *store)
{
    bool good = true;

    progress_begin("loading", plan->nbytes);
    for (size_t i = 0; good && i < plan->count; i++) {
        if (plan->items[i].outcome == PLAN_ATTACHED)
            continue;
        good = fill(&plan->items[i], store);
        progress_add(plan->items[i].array->nbytes);
    }
    progress_end();
    return good;
}

/* ---- the names ---- */

/* Returns false with the sentence said. */
static bool publish(struct item *item, zct_store *store, int exists)
{
    zct_create_options options = {.size = sizeof options, .exists = exists, .lifetime = ZCT_PINNED};
    zct_stat stat = {.size = sizeof stat};
    bool was_there = zct_stat_name(store, item->name, &stat) >= 0;
    int result = zct_publish(item->tensor, item->name, &options);

    if (result == -ZCT_EEXISTS && exists == ZCT_EXISTS_ATTACH) { /* somebody was quicker */
        zct_tensor *theirs = NULL;
        bool good = join(item, store, &theirs);

        if (theirs == NULL)
            return good && failed(item, result);
        if (good) {
            zct_release(item->tensor);
            item->tensor = theirs;
            item->outcome = PLAN_ATTACHED;
        } else {
            zct_release(theirs);
        }
        return good;
    }
    if (result < 0) {
        err_library(result);
        return false;
    }
    item->outcome = was_there || result == ZCT_REPLACED ? PLAN_REPLACED : PLAN_MADE;
    return true;
}

/* Names that had no tensor before lose theirs again; what was replaced cannot come back. */
static void take_back(struct plan *plan, size_t published)
{
    size_t lost = 0;

    for (size_t i = 0; i < published; i++) {
        lost += plan->items[i].outcome == PLAN_REPLACED;
        if (plan->items[i].outcome == PLAN_MADE && zct_tensor_unlink(plan->items[i].tensor) < 0)
            err_library(-ZCT_EOS);
    }
    err_fmt("'%s' could not get its name; nothing was loaded%s", plan->items[published].name,
            lost > 0 ? ", but what was replaced before it stays replaced" : "");
}

bool plan_publish(struct plan *plan, zct_store *store, int exists)
{
    sigset_t interrupts, before;
    bool good = true;
    size_t i;

    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    sigaddset(&interrupts, SIGTERM);
    sigaddset(&interrupts, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &interrupts, &before);
    for (i = 0; good && i < plan->count; i++)
        if (plan->items[i].outcome != PLAN_ATTACHED)
            good = publish(&plan->items[i], store, exists);
    if (!good)
        take_back(plan, i - 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good;
}
