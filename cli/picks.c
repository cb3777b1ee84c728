#include "picks.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

static int read_layout(struct pick *pick)
{
    const zct_dtype *dtype = &pick->view->dtype;
    char *descriptor;
    int64_t len;

    pick->layout = layout_plain(dtype);
    pick->fields_known = true;
    if (dtype->code != ZCT_STRUCT)
        return 0;
    descriptor = memory_new(ZCT_MAX_BLOB, 1);
    len = zct_tensor_descriptor(pick->tensor, descriptor, ZCT_MAX_BLOB);
    pick->fields_known =
        len > 0 && len <= ZCT_MAX_BLOB && layout_of_descriptor(dtype, descriptor, (size_t)len, &pick->layout);
    free(descriptor);
    return len < 0 ? (int)len : 0;
}

/* Returns 0 or a negative code. */
static int hold(struct picks *picks, zct_store *store, const char *name)
{
    struct pick pick = {0};
    int result = zct_attach(store, name, ZCT_MODE_READ, 0, &pick.tensor);

    if (result < 0)
        return result;
    pick.name = memory_text(name, strlen(name));
    pick.view = zct_tensor_view(pick.tensor);
    result = read_layout(&pick);
    if ((picks->count & (picks->count - 1)) == 0) /* full at each power of two */
        picks->pick = memory_resize(picks->pick, picks->count > 0 ? 2 * picks->count : 1, sizeof *picks->pick);
    picks->pick[picks->count++] = pick;
    picks->nbytes += pick.view->nbytes;
    return result;
}

bool picks_add(struct picks *picks, zct_store *store, const char *name)
{
    int result = hold(picks, store, name);

    if (result < 0)
        err_library(result);
    return result >= 0;
}

bool picks_add_matching(struct picks *picks, zct_store *store, const char *pattern)
{
    zct_stat stat = {.size = sizeof stat};
    size_t before = picks->count;
    zct_list *list;
    int result = zct_list_open(store, ZCT_LIST_NO_HOLDERS, &list), more = 0;

    if (result >= 0) {
        while (result >= 0 && (more = zct_list_next(list, &stat)) > 0) {
            if (pattern != NULL && fnmatch(pattern, stat.name, 0) != 0)
                continue;
            result = hold(picks, store, stat.name);
            if (result == -ZCT_ENOTFOUND) /* gone since */
                result = 0;
        }
        zct_list_close(list);
    }
    if (result < 0 || more < 0) {
        err_library(result < 0 ? result : more);
        return false;
    }
    if (picks->count == before)
        err_fmt(pattern != NULL ? "no name in store '%s' fits '%s'" : "store '%s' has no named tensors",
                zct_store_name(store), pattern);
    return picks->count > before;
}

static int by_key(const void *a, const void *b)
{
    const struct pick *left = a, *right = b;

    return strcmp(left->key, right->key);
}

bool picks_check(struct picks *picks, const char *strip)
{
    for (size_t i = 0; i < picks->count; i++) {
        struct pick *pick = &picks->pick[i];
        bool begins = strncmp(pick->name, strip, strlen(strip)) == 0;

        pick->key = pick->name + (begins ? strlen(strip) : 0);
        if (*pick->key == '\0') {
            err_fmt("tensor '%s' would have no name left in the file: choose a shorter --strip", pick->name);
            return false;
        }
    }
    qsort(picks->pick, picks->count, sizeof *picks->pick, by_key);
    for (size_t i = 1; i < picks->count; i++)
        if (strcmp(picks->pick[i - 1].key, picks->pick[i].key) == 0) {
            err_fmt("two tensors would be '%s' in the file", picks->pick[i].key);
            return false;
        }
    return true;
}

void picks_free(struct picks *picks)
{
    for (size_t i = 0; i < picks->count; i++) {
        layout_free(&picks->pick[i].layout);
        zct_release(picks->pick[i].tensor);
        free(picks->pick[i].name);
    }
    free(picks->pick);
    *picks = (struct picks){0};
}
