/* test_sweep.c - a kill before every store to shared memory and after every system call that others can see, of every
 * operation; then the same to whoever repairs it (tests/support/sweep.h). The last test fails when a crash point that the
 * library defines was never used. */
#include "steps.h"
#include "sweep.h"
#include "tensor/tensor.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_NAME                                                                                                      \
    "a/name/that/does/not/fit/into/its/descriptor/but/lies/in/an/aux/block/of/its/own/because/it/has/more/than/sixty-four/bytes"

static zct_tensor *held, *other;
static uint8_t *block;

#define WITH(...) (&(zct_create_options){.size = sizeof(zct_create_options), __VA_ARGS__})
#define PLAY(name_, ...)                                                                                               \
    static void scene_##name_(void) { sweep(&(struct sweep_scene){__VA_ARGS__}); }

#include "scenes/creates.h"
#include "scenes/holds.h"
#include "scenes/locks.h"
#include "scenes/stores.h"
#include "scenes/trouble.h"

/* ---- all of it ---- */

static void coverage(void);
#define SCENE(which) {.name = "sweep of " #which, .run = scene_##which, .seconds = 300}
static const struct test tests[] = {
    SCENE(birth),
    SCENE(birth_by_rename),
    SCENE(join),
    SCENE(join_full),
    SCENE(close),
    SCENE(close_last),
    SCENE(exit),
    SCENE(destroy),
    SCENE(create),
    SCENE(create_big),
    SCENE(create_old_kernel),
    SCENE(create_huge),
    SCENE(create_nameless),
    SCENE(leftover),
    SCENE(leftover_dead),
    SCENE(taken),
    SCENE(replace),
    SCENE(join_existing),
    SCENE(aux),
    SCENE(lifetimes),
    SCENE(publish),
    SCENE(publish_replace),
    SCENE(publish_taken),
    SCENE(publish_long),
    SCENE(memory),
    SCENE(attach),
    SCENE(unlink),
    SCENE(unlink_held),
    SCENE(seal),
    SCENE(seal_busy),
    SCENE(versions),
    SCENE(count),
    SCENE(handles),
    SCENE(take),
    SCENE(gc),
    SCENE(gc_unheld),
    SCENE(trim),
    SCENE(fork),
    SCENE(fork_child),
    SCENE(fork_in_create),
    SCENE(fork_in_claim),
    SCENE(many),
    SCENE(full),
    SCENE(cells),
    SCENE(removed),
    SCENE(removed_stats),
    SCENE(siblings),
    SCENE(chunks),
    SCENE(contended),
    SCENE(held),
    SCENE(veto),
    SCENE(fork_asked),
    SCENE(attach_asked),
    SCENE(late_holder),
    SCENE(late_holder_publish),
    SCENE(awaited),
    SCENE(repair),
    SCENE(lock_read),
    SCENE(lock_write),
    SCENE(lock_wait_owner),
    SCENE(lock_wait_readers),
    SCENE(lock_hungry),
    SCENE(lock_impatient),
    SCENE(lock_wakes),
    SCENE(lock_dead_reader),
    SCENE(lock_dead_writer),
    SCENE(lock_dead_waiter),
    SCENE(lock_mend_not),
    SCENE(lock_tenant),
    SCENE(lock_fork),
    SCENE(lock_left),
    {.name = "every crash point was used", .run = coverage},
};
enum { TEST_COUNT = sizeof tests / sizeof *tests };

static void coverage(void)
{
    char name[256];
    unsigned missing = 0;
    if (sweep_sum->scenes < TEST_COUNT - 1)
        test_skip("only %d of %d scenes were played", (int)sweep_sum->scenes, TEST_COUNT - 1);
    for (unsigned p = 0; p < steps_points(); p++)
        if (!steps_killed(p)) {
            missing++;
            test_fail(__FILE__, __LINE__, "nobody was killed at %s%s", steps_name(p, name, sizeof name),
                      steps_reached(p) ? " (it was reached)" : "");
        }
    test_say("# %llu scenes, %llu states, %llu second kills, %llu recoveries; %u of %u crash points were used",
             (unsigned long long)sweep_sum->scenes, (unsigned long long)sweep_sum->states,
             (unsigned long long)sweep_sum->second, (unsigned long long)sweep_sum->runs, steps_points() - missing,
             steps_points());
}

int main(int argc, char **argv) { return test_main(tests, TEST_COUNT, argc, argv); }
