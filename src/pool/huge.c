/* huge.c - huge pages where the system has them at hand.
 *
 * tmpfs gives plain pages unless its mount option says otherwise; MADV_COLLAPSE (Linux 6.1) asks for a huge one in a given
 * place, independent of that option (shmem_enabled=deny and PR_SET_THP_DISABLE still forbid it), and takes no lock of the
 * file that another creator waits for. A GiB of them is there in a tenth of a second, where plain pages take half of one
 * (docs/CONCURRENCY.md). But memory may be in pieces, and the system moves it together first; or it is a guest that gave
 * its free memory back to its host. So time is taken, in processor time of this thread: what was slow is not tried
 * again until many plain pages were made, twice as many each time. */
#include "pool/huge.h"

#include "platform/clock.h"

enum { SLOW_NS = 800 * 1000, STEP_MOST = 16 /* huge pages a call: what a kill at this moment leaves unmarked */ };
static const uint64_t wait_least = 256 * MiB, wait_most = 8 * GiB;

static void wait_longer(struct zct_store *s)
{
    uint64_t wait = clamp_u64(2 * pv_get(&s->huge_wait), wait_least, wait_most);
    pv_put(&s->huge_wait, wait);
    pv_put(&s->huge_rest, wait);
    pv_put(&s->huge_step, 0u);
}

/* Is it time to try? `huge_rest` may lose an update to another thread: a hint. */
static bool time_to_try(struct zct_store *s)
{
    uint64_t rest = pv_get(&s->huge_rest);
    if (rest == 0)
        return true;
    if (rest != HUGE_NEVER)
        pv_put(&s->huge_rest, rest > HUGE_PAGES * PAGE ? rest - HUGE_PAGES * PAGE : 0);
    return false;
}

static int collapse(struct zct_store *s, uint64_t page, uint64_t pages)
{
    int rc = 0;
    for (uint64_t at = page; rc == 0 && at < page + pages; at += HUGE_PAGES)
        rc = os_populate(payload_at(s, at * PAGE), PAGE); /* one must be there, or it is no candidate */
    return rc < 0 ? rc : os_collapse(payload_at(s, page * PAGE), pages * PAGE);
}

uint64_t pool_huge(struct zct_store *s, uint64_t page, uint64_t pages)
{
    if (page % HUGE_PAGES || pages < HUGE_PAGES || pool_count_reserved(s, page, HUGE_PAGES) || !time_to_try(s))
        return 0;
    uint64_t step = max_u64(pv_get(&s->huge_step), 1), n = min_u64(pages / HUGE_PAGES, step);
    while (n > 1 && pool_count_reserved(s, page, n * HUGE_PAGES))
        n--;
    int64_t start = clock_thread();
    if (collapse(s, page, n * HUGE_PAGES) < 0) {
        wait_longer(s);
        return 0;
    }
    pool_set_reserved(s, page, n * HUGE_PAGES);
    if (clock_thread() - start > (int64_t)n * SLOW_NS) {
        wait_longer(s);
    } else {
        pv_put(&s->huge_wait, 0ull);
        pv_put(&s->huge_step, (uint32_t)min_u64(2 * step, STEP_MOST));
    }
    return n * HUGE_PAGES;
}
