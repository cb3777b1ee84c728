/* warmth.h - which pages of the payload this process has mapped: copy's own. */
#ifndef ZCT_TENSOR_WARMTH_H
#define ZCT_TENSOR_WARMTH_H

#include "tensor/tensor.h"

/* COLD: not seen by us. SEEN: written by pwrite once, not mapped. WARM: mapped, a touch is no page fault. */
enum warmth { COLD = 0, SEEN = 1, WARM = 3 };

/* Make the tables on first use; false: no memory for them. Before any of the following. */
bool warmth_ready(struct zct_store *s);
/* The least warmth of the blocks that [offset, offset + length) of the payload touches. */
enum warmth warmth_of(struct zct_store *s, uint64_t offset, uint64_t length);
/* Note it for the same blocks, those at the edges included: a neighbour's few page faults are cheaper than to do an edge
 * anew each time. Only ever warmer. */
void warmth_set(struct zct_store *s, uint64_t offset, uint64_t length, enum warmth to);

#endif
