#include "tensor_cells.h"

const char *const tensor_headings[TENSOR_COLUMNS] = {"NAME", "DTYPE", "SHAPE", ">SIZE",
                                                     ">GEN", ">HELD", ">AGE",  "FLAGS"};

const char *tensor_held(char buffer[TENSOR_HELD_SIZE], const zct_stat *stat)
{
    char *end = buffer + quantity_count(buffer, stat->holders);

    if (stat->handles > 0) {
        *end++ = '+';
        quantity_count(end, stat->handles);
    }
    return buffer;
}

void tensor_cells(struct tensor_cells *cells, const zct_stat *stat, bool exact, int64_t now)
{
    quantity_count(cells->generation, stat->generation);
    cells->cell[0] = tensor_name(cells->name, stat);
    cells->cell[1] = tensor_dtype(cells->dtype, stat);
    cells->cell[2] = tensor_shape(cells->shape, stat);
    cells->cell[3] = quantity_bytes(cells->size, stat->nbytes, exact);
    cells->cell[4] = cells->generation;
    cells->cell[5] = tensor_held(cells->held, stat);
    cells->cell[6] = quantity_span(cells->age, stat->birth_ns, now);
    cells->cell[7] = tensor_flags(cells->flags, stat);
}
