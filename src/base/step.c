#include "base/step.h"

#if defined(ZCT_CRASH_POINTS) && ZCT_CRASH_POINTS
void (*zct_step_hook)(const struct step_point *point);
int zct_mutant;
#else
typedef int step_has_no_code; /* an empty translation unit is not ISO C */
#endif
