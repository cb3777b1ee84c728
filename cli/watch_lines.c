/* What changed, a line each: for files, pipes and programs. With --json each line is a document. */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "quantity.h"
#include "tensor_cells.h"
#include "watch.h"

static void begin(const struct watch *watch, const char *event)
{
    int64_t now = quantity_now();
    char moment[QUANTITY_SIZE];

    if (watch->target->json) {
        json_begin_line("watch");
        json_text("event", event);
        json_moment("moment", now);
    } else {
        out_fmt("%s  %-7s  ", quantity_local_time(moment, now), event);
    }
}

static void say(const struct watch *watch, const char *event, const zct_stat *stat, const zct_stat *before)
{
    static struct tensor_cells cells;
    char held[TENSOR_HELD_SIZE];

    begin(watch, event);
    if (watch->target->json) {
        json_object("tensor");
        tensor_json(stat);
        json_end();
        return;
    }
    tensor_cells(&cells, stat, watch->exact, quantity_now());
    out_fmt("%s  %s %s  %s  generation %s  held by ", cells.cell[0], cells.cell[1], cells.cell[2], cells.cell[3],
            cells.cell[4]);
    if (before != NULL && strcmp(tensor_held(held, before), cells.cell[5]) != 0)
        out_fmt("%s, now ", held);
    out_fmt("%s  %s\n", cells.cell[5], cells.cell[7]);
}

void lines_store(struct watch *watch, const char *event)
{
    begin(watch, event);
    if (watch->target->json) {
        target_json(watch->store);
        json_end();
    } else {
        out_fmt("store '%s' at %s\n", target_name(watch->store), target_path(watch->store));
    }
}

static bool same(const zct_stat *a, const zct_stat *b)
{
    return a->holders == b->holders && a->handles == b->handles && a->sealed == b->sealed && a->state == b->state &&
           a->generation == b->generation && strcmp(a->name, b->name) == 0;
}

void lines_changes(struct watch *watch, struct rows *rows)
{
    struct rows *seen = &watch->seen;
    size_t i = 0, j = 0;
    zct_stat old, now;

    rows_sort(rows, ROWS_SERIAL, false);
    while ((i < seen->count || j < rows->count) && out_open()) {
        if (i < seen->count)
            rows_get(seen, i, &old);
        if (j < rows->count)
            rows_get(rows, j, &now);
        if (j == rows->count || (i < seen->count && old.serial < now.serial)) {
            say(watch, "ended", &old, NULL);
            i++;
        } else if (i == seen->count || now.serial < old.serial) {
            say(watch, "born", &now, NULL);
            j++;
        } else {
            if (!same(&old, &now))
                say(watch, "changed", &now, &old);
            i++;
            j++;
        }
    }
    rows_free(seen);
    *seen = *rows;
    *rows = (struct rows){0};
}
