#include "holder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "quantity.h"
#include "table.h"
#include "text.h"

int holder_fetch(zct_store *store, const zct_stat *stat, zct_holder **ret_holders)
{
    zct_holder *holders = calloc(ZCT_MAX_MEMBERS, sizeof *holders);
    int count;

    if (holders == NULL)
        return -ZCT_ENOMEM;
    holders[0].size = sizeof *holders;
    count = stat != NULL ? zct_holders(store, stat, holders, ZCT_MAX_MEMBERS)
                         : zct_members(store, holders, ZCT_MAX_MEMBERS);
    if (count < 0) {
        free(holders);
        return count;
    }
    *ret_holders = holders;
    return count < ZCT_MAX_MEMBERS ? count : ZCT_MAX_MEMBERS;
}

struct cells {
    char pid[24], uid[12], since[QUANTITY_SIZE], holds[12], handles[12];
    char oldest[QUANTITY_SIZE];
    char command[TEXT_ESCAPED(sizeof(((zct_holder *)0)->command))];
    const char *cell[7];
};

static void cells_of(struct cells *cells, const zct_holder *holder)
{
    /* A pid of another PID namespace is marked: it must not be looked up, or killed, here. */
    snprintf(cells->pid, sizeof cells->pid, "%d%s", holder->pid, holder->same_pid_ns ? "" : " (other ns)");
    snprintf(cells->uid, sizeof cells->uid, "%u", holder->uid);
    quantity_local_time(cells->since, holder->since_ns);
    snprintf(cells->holds, sizeof cells->holds, "%u", holder->holds);
    if (holder->handles > 0)
        snprintf(cells->handles, sizeof cells->handles, "%u", holder->handles);
    else
        strcpy(cells->handles, "-");
    if (holder->oldest_handle_ns > 0)
        quantity_span(cells->oldest, holder->oldest_handle_ns, quantity_now());
    else
        strcpy(cells->oldest, "-");
    text_escape(cells->command, sizeof cells->command, holder->command,
                strnlen(holder->command, sizeof holder->command), TEXT_SENTENCE);
    cells->cell[0] = cells->pid;
    cells->cell[1] = cells->uid;
    cells->cell[2] = cells->since;
    cells->cell[3] = cells->holds;
    cells->cell[4] = cells->handles;
    cells->cell[5] = cells->oldest;
    cells->cell[6] = cells->command;
}

void holder_table(const zct_holder *holders, int count)
{
    static const char *const headings[] = {">PID", ">UID", "JOINED", ">HOLDS", ">SENT", ">OLDEST", "COMMAND"};
    struct table table = {.columns = 7, .indent = 4, .headings = headings};
    struct cells cells;

    for (int i = 0; i < count; i++) {
        cells_of(&cells, &holders[i]);
        table_measure(&table, cells.cell);
    }
    table_heading(&table);
    for (int i = 0; i < count; i++) {
        cells_of(&cells, &holders[i]);
        table_line(&table, cells.cell);
    }
}

void holder_json(const char *key, const zct_holder *holders, int count)
{
    json_array(key);
    for (int i = 0; i < count; i++) {
        const zct_holder *holder = &holders[i];

        json_object(NULL);
        json_int("pid", holder->pid);
        json_bool("same_pid_namespace", holder->same_pid_ns);
        json_uint("uid", holder->uid);
        json_uint("slot", holder->slot);
        json_moment("joined", holder->since_ns);
        json_uint("holds", holder->holds);
        json_uint("handles", holder->handles);
        json_moment("oldest_handle", holder->oldest_handle_ns);
        json_text_n("command", holder->command, strnlen(holder->command, sizeof holder->command));
        json_close();
    }
    json_close();
}
