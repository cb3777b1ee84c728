/* Whose memory an address is, asked by threads while others open and close stores: always the right answer, no lock. */
#include "threads/crew.h"

#include <stdio.h>
#include <sys/mman.h>

enum { HELD = 12, STORES = 4 };

static zct_store *lasting;
static uint8_t *block; /* of `lasting` */

static void ask_about_others(void)
{
    char local;
    void *page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *private = malloc(100);
    REQUIRE(page != MAP_FAILED && private);
    CHECK(zct_memory_store(page) == NULL); /* perhaps where a store was a moment ago */
    CHECK(zct_memory_store(private) == NULL);
    CHECK_EQ(zct_memory_owns(private, NULL), 0);
    CHECK(zct_memory_store(&local) == NULL);
    CHECK(zct_memory_store(block) == lasting && zct_memory_store(block + 999) == lasting);
    CHECK_EQ(zct_memory_owns(block, NULL), 1000);
    free(private);
    munmap(page, 1 << 20);
}

static void come_and_go(struct hand *hand)
{
    for (long i = 0; i < hand->rounds && !test_failed(); i++) {
        char name[32];
        snprintf(name, sizeof name, "s%u", (unsigned)(test_random(&hand->random) % STORES)); /* which threads share */
        zct_store *s = test_store(name), *owner = NULL;
        uint8_t *mine = zct_memory_alloc(s, 5000, 0);
        REQUIRE(mine != NULL);
        ask_about_others();
        CHECK(zct_memory_store(mine) == s && zct_memory_store(mine + 4999) == s);
        if (i % 2)
            zct_store_close(s); /* the block keeps it */
        CHECK_EQ(zct_memory_owns(mine, &owner), 5000);
        CHECK(owner == s);
        zct_memory_free(zct_memory_store(mine), mine);
        if (i % 2 == 0)
            zct_store_close(s);
        ask_about_others();
    }
}

static void opened_and_closed(void)
{
    lasting = test_store("lasting");
    block = zct_memory_alloc(lasting, 1000, 0);
    crew_run(4, 300, come_and_go);
    zct_memory_free(lasting, block);
    zct_store_close(lasting);
    CHECK_EQ(test_files(), 0);
}

/* More at once than the table had room for at first. */
static void hold_many(struct hand *hand)
{
    zct_store *held[HELD];
    uint8_t *mine[HELD];
    for (int i = 0; i < HELD; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%u-%d", hand->number, i);
        held[i] = test_store(name);
        mine[i] = zct_memory_alloc(held[i], 100, 0);
        ask_about_others();
    }
    for (int i = HELD - 1; i >= 0; i--) {
        for (int k = 0; k <= i; k++)
            CHECK(zct_memory_store(mine[k]) == held[k]);
        zct_memory_free(held[i], mine[i]);
        zct_store_close(held[i]);
        ask_about_others();
    }
}

static void many_at_once(void)
{
    lasting = test_store("lasting");
    block = zct_memory_alloc(lasting, 1000, 0);
    crew_run(4, 1, hold_many);
    zct_memory_free(lasting, block);
    zct_store_close(lasting);
    CHECK_EQ(test_files(), 0);
}

TESTS({"opened and closed", opened_and_closed, 120}, {"many at once", many_at_once, 120})
