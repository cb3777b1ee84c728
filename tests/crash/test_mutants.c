/* test_mutants.c - faults put into the recovery on purpose (MUTANT in src/): the crash sweep must notice each. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Play these scenes of the sweep with the fault; its exit status. */
static int sweep_with(int mutant, const char *scenes)
{
    char path[4096], number[16];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    REQUIRE(n > 0);
    path[n] = 0;
    char *name = strstr(path, "test_mutants");
    REQUIRE(name != NULL);
    memcpy(name, "test_sweep", sizeof "test_sweep");
    snprintf(number, sizeof number, "%d", mutant);
    pid_t pid = test_fork();
    if (pid == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        setenv("ZCT_MUTANT", number, 1);
        setenv("TEST_QUICK", "1", 1);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        execl(path, path, scenes, (char *)NULL);
        _exit(99);
    }
    return test_wait(pid);
}

#define NOTICED(name_, mutant_, scenes_, what_)                                                                        \
    static void name_(void)                                                                                            \
    {                                                                                                                  \
        test_case("mutant %d: %s", mutant_, what_);                                                                    \
        CHECK_EQ(sweep_with(mutant_, scenes_), 1);                                                                     \
    }

NOTICED(no_rebuild, 1, "of join_full", "a dirty lock is taken without a rebuild")
NOTICED(undecided_wins, 2, "of replace", "an undecided NEXT becomes LIVE")
NOTICED(asked_stays, 3, "of join_full", "a dead asker's question stays")
NOTICED(freeing_stays, 4, "of join_full", "a descriptor stays half freed")
NOTICED(no_index, 5, "of replace", "the index is not rebuilt")
NOTICED(no_ending, 6, "of replace", "a rebuild forgets what is ending")
NOTICED(unfinished_lost, 7, "of replace", "what the dead was making is not marked as ending")
NOTICED(tickets_stay, 8, "of handles", "the dead's handles stay")
NOTICED(row_stays, 9, "of join_full", "the dead's row stays")
NOTICED(owned_stays, 10, "of lifetimes", "tensors of the dead's lifetime stay")
NOTICED(no_whole_sweep, 11, "of close", "a reaper does not look at the whole ending map")
NOTICED(marks_stay, 12, "of lock_read", "the dead's read locks stay")
NOTICED(writer_stays, 13, "of lock_write", "the dead's write locks stay")
NOTICED(poison_lost, 14, "of lock_dead_writer", "a writer that died writing leaves no poison")
NOTICED(give_up_cleans, 15, "of lock_mend_not", "who gives up the wait for readers takes the poison away")
NOTICED(waiter_poisons, 16, "of lock_dead_waiter", "a writer that died waiting leaves poison")
static void none(void) { CHECK_EQ(sweep_with(0, "of replace"), 0); }

#define MUTANT_TEST(name_) {.name = "noticed: " #name_, .run = name_}
TESTS({.name = "without a fault nothing is noticed", .run = none}, MUTANT_TEST(no_rebuild), MUTANT_TEST(undecided_wins),
      MUTANT_TEST(asked_stays), MUTANT_TEST(freeing_stays), MUTANT_TEST(no_index), MUTANT_TEST(no_ending),
      MUTANT_TEST(unfinished_lost), MUTANT_TEST(tickets_stay), MUTANT_TEST(row_stays), MUTANT_TEST(owned_stays),
      MUTANT_TEST(no_whole_sweep), MUTANT_TEST(marks_stay), MUTANT_TEST(writer_stays), MUTANT_TEST(poison_lost),
      MUTANT_TEST(give_up_cleans), MUTANT_TEST(waiter_poisons))
