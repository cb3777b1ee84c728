#include "table.h"

#include <string.h>

#include "out.h"
#include "text.h"

static const char *heading_text(const char *heading) { return heading[0] == '>' ? heading + 1 : heading; }

void table_measure(struct table *table, const char *const *cells)
{
    for (size_t i = 0; i < table->columns; i++) {
        size_t width = text_width(cells[i]);

        if (width > table->width[i])
            table->width[i] = width;
    }
}

void table_line(const struct table *table, const char *const *cells)
{
    out_pad(table->indent);
    for (size_t i = 0; i < table->columns; i++) {
        size_t heading = strlen(heading_text(table->headings[i]));
        size_t width = table->width[i] > heading ? table->width[i] : heading;
        size_t own = text_width(cells[i]);
        size_t blanks = width > own ? width - own : 0;
        int right = table->headings[i][0] == '>';

        if (right)
            out_pad(blanks);
        out_str(cells[i]);
        if (i + 1 == table->columns)
            break;
        if (!right)
            out_pad(blanks);
        out_str("  ");
    }
    out_str("\n");
}

void table_heading(const struct table *table)
{
    const char *cells[TABLE_COLUMNS];

    for (size_t i = 0; i < table->columns; i++)
        cells[i] = heading_text(table->headings[i]);
    table_line(table, cells);
}
