/* The list on a terminal, drawn over the last one: the alternate screen, so that what stood there comes back. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "out.h"
#include "quantity.h"
#include "table.h"
#include "tensor_cells.h"
#include "text.h"
#include "watch.h"

/* Alternate screen, no cursor, lines cut at the edge in place of wrapped. */
void screen_enter(void) { out_str("\x1b[?1049h\x1b[?25l\x1b[?7l"); }

void screen_leave(void)
{
    out_str("\x1b[?7h\x1b[?25h\x1b[?1049l");
    out_flush();
}

static size_t height(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/* A line of the table is written as lines are; what stood behind it is wiped. */
static void begin_line(void) { out_str("\x1b[K"); }

static void head(const char *what)
{
    char now[QUANTITY_SIZE];

    out_str("\x1b[H");
    begin_line();
    out_fmt("%s   %s   Ctrl-C ends\n", quantity_local_time(now, quantity_now()), what);
    begin_line();
    out_str("\n");
}

void screen_absent(const char *sentence)
{
    char shown[2048];

    text_escape(shown, sizeof shown, sentence, strlen(sentence), TEXT_SENTENCE);
    head("waiting for the store");
    out_str(shown);
    out_str("\x1b[J");
    out_flush();
}

void screen_draw(const struct watch *watch, struct rows *rows)
{
    static struct tensor_cells cells;
    struct table table = {.columns = TENSOR_COLUMNS, .headings = tensor_headings};
    size_t room = height() > 5 ? height() - 4 : 1;
    size_t shown = rows->count <= room ? rows->count : room - 1;
    int64_t now = quantity_now();
    char what[400], size[QUANTITY_SIZE];
    uint64_t bytes = 0;
    zct_stat stat;

    rows_sort(rows, watch->sort, watch->reverse);
    for (size_t i = 0; i < rows->count; i++) {
        rows_get(rows, i, &stat);
        bytes += stat.nbytes;
        if (i < shown) {
            tensor_cells(&cells, &stat, watch->exact, now);
            table_measure(&table, cells.cell);
        }
    }
    snprintf(what, sizeof what, "store '%s': %zu tensor%s, %s", target_name(watch->store), rows->count,
             rows->count == 1 ? "" : "s", quantity_bytes(size, bytes, watch->exact));
    head(what);
    if (rows->count > 0) {
        begin_line();
        table_heading(&table);
    }
    for (size_t i = 0; i < shown; i++) {
        rows_get(rows, i, &stat);
        tensor_cells(&cells, &stat, watch->exact, now);
        begin_line();
        table_line(&table, cells.cell);
    }
    if (shown < rows->count)
        out_fmt("... and %zu more", rows->count - shown);
    out_str("\x1b[J");
    out_flush();
}
