/* tensor_cells.h - a tensor as a line of the table that ls and watch show. */
#ifndef ZCT_CLI_TENSOR_CELLS_H
#define ZCT_CLI_TENSOR_CELLS_H

#include <stdbool.h>

#include "quantity.h"
#include "tensor.h"

enum { TENSOR_COLUMNS = 8, TENSOR_HELD_SIZE = 2 * QUANTITY_SIZE };
extern const char *const tensor_headings[TENSOR_COLUMNS];

struct tensor_cells {
    char name[TEXT_ESCAPED(ZCT_MAX_NAME)], dtype[64], shape[TENSOR_SHAPE_SIZE], flags[64];
    char size[QUANTITY_SIZE], age[QUANTITY_SIZE], generation[QUANTITY_SIZE];
    char held[TENSOR_HELD_SIZE];
    const char *cell[TENSOR_COLUMNS];
};

/* Fill the cells; `exact`: sizes in bytes; `now`: what ages are counted to. */
void tensor_cells(struct tensor_cells *cells, const zct_stat *stat, bool exact, int64_t now);
/* "2", or "2+1": holders, and references in flight besides. */
const char *tensor_held(char buffer[TENSOR_HELD_SIZE], const zct_stat *stat);

#endif
