/* holder.h - the processes behind a tensor or a store. */
#ifndef ZCT_CLI_HOLDER_H
#define ZCT_CLI_HOLDER_H

#include <zct/zct.h>

/* The holders of a tensor, or with stat NULL the members of the store, in private memory that the caller frees.
 * Returns how many, or a negative code. */
int holder_fetch(zct_store *store, const zct_stat *stat, zct_holder **ret_holders);
/* A table of them. */
void holder_table(const zct_holder *holders, int count);
/* A member `key`, an array of objects. */
void holder_json(const char *key, const zct_holder *holders, int count);

#endif
