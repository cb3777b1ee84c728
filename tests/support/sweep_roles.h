/* sweep_roles.h - the processes of a crash sweep, each played in a process of its own; sweep.c directs. */
#ifndef ZCT_TESTS_SWEEP_ROLES_H
#define ZCT_TESTS_SWEEP_ROLES_H

#include "sweep.h"

#define SWEEP_STORE "sweep"

/* What they tell each other, in shared memory. */
struct sweep_run {
    uint32_t ready, go, meeting;
    bool trace_survivor;
    int32_t victim_at; /* kill the victim at this point alone, -1: at a step */
};
extern struct sweep_run *sweep_run;

void role_limit_system(const struct sweep_scene *scene); /* what the scene's system lacks, for all of them */
void role_prepare(const struct sweep_scene *scene);
void role_victim(const struct sweep_scene *scene, enum steps_do what, uint32_t n);
void role_holder(const struct sweep_scene *scene);
/* Variant: 0 a gc, 1 a create before the gc, 2 no gc. */
void role_recoverer(unsigned variant, enum steps_do what, uint32_t n);
void role_survivor(const struct sweep_scene *scene, unsigned variant, bool finished);

#endif
