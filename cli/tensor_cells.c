#include "tensor_cells.h"

#include <stdio.h>

const char *const tensor_headings[TENSOR_COLUMNS] = {"NAME", "DTYPE", "SHAPE", ">SIZE",
                                                     ">GEN", ">HELD", ">AGE",  "FLAGS"};

const char *tensor_held(char buffer[32], const zct_stat *stat)
{
    if (stat->handles > 0)
        snprintf(buffer, 32, "%u+%u", stat->holders, stat->handles);
    else
        snprintf(buffer, 32, "%u", stat->holders);
    return buffer;
}

void tensor_cells(struct tensor_cells *cells, const zct_stat *stat, bool exact, int64_t now)
{
    snprintf(cells->generation, sizeof cells->generation, "%llu", (unsigned long long)stat->generation);
    cells->cell[0] = tensor_name(cells->name, stat);
    cells->cell[1] = tensor_dtype(cells->dtype, stat);
    cells->cell[2] = tensor_shape(cells->shape, stat);
    cells->cell[3] = quantity_bytes(cells->size, stat->nbytes, exact);
    cells->cell[4] = cells->generation;
    cells->cell[5] = tensor_held(cells->held, stat);
    cells->cell[6] = quantity_span(cells->age, now - stat->birth_ns);
    cells->cell[7] = tensor_flags(cells->flags, stat);
}
