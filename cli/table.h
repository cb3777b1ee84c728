/* table.h - columns for people: a heading, cells of their own width, text to the left and numbers to the right.
 * Two passes: measure every line, then write every line. Lines that were not measured are written all the same,
 * their long cells push the rest aside. */
#ifndef ZCT_CLI_TABLE_H
#define ZCT_CLI_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS 10

struct table {
    size_t columns;
    size_t indent;
    const char *const *headings; /* one a column; a leading '>' puts the column to the right */
    size_t width[TABLE_COLUMNS];
};

void table_measure(struct table *table, const char *const *cells);
void table_heading(const struct table *table);
void table_line(const struct table *table, const char *const *cells);

#endif
