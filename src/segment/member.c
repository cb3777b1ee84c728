/* member.c - one slot per process: proof of life and death, taking a slot.
 *
 * A member is alive while the byte LIFE(slot) of the store's file is locked by an open file description that only a
 * mapping of its address space keeps open: the lock goes when the last thread's memory is gone, not before, whatever the
 * program does with its descriptors. Whoever repairs or fills a slot holds REPAIR(slot) meanwhile, so that a slot that is
 * being repaired does not look alive. */
#include "segment/store.h"

#include "platform/bytelock.h"
#include "platform/file.h"
#include "platform/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct upper_room upper;

static const int64_t probe_again = 5 * NS_PER_MS;

int member_scan(struct zct_store *s, int fd, unsigned p)
{
    if (p == s->slot && s->token)
        return 0;
    return bytelock_held(fd, LOCK_LIFE(p), 1) == 0;
}

int member_dead(struct zct_store *s, unsigned p)
{
    if (p >= s->g.members)
        return 1; /* no process has such a slot: a corrupt word must not stop everybody */
    struct slot *slot = slot_at(s, p);
    if (!control_page_present(s, offset_of(s, slot)))
        return 1;
    /* Probes of one suspect are shared: 1,000 waiters of one stopped process would spend a CPU on asking. */
    int64_t now = clock_now(), asked = (int64_t)get_relaxed(&slot->probed_ns);
    if (now - asked < probe_again && asked <= now)
        return 0;
    int fd = store_file(s, false);
    if (fd < 0)
        return 0;
    int dead = member_scan(s, fd, p);
    os_close(fd);
    if (!dead && !s->observer)
        put_relaxed(&slot->probed_ns, (uint64_t)now);
    return dead;
}

const char *member_describe(struct zct_store *s, unsigned p, char *to, size_t size)
{
    if (p >= s->g.members || !control_page_present(s, offset_of(s, slot_at(s, p)))) {
        snprintf(to, size, "slot %u", p);
        return to;
    }
    struct slot *slot = slot_at(s, p);
    union { uint64_t words[9]; char text[72]; } command = {{0}};
    get_words(command.words, slot->command, 8);
    snprintf(to, size, "pid %u (%.63s)%s", get_relaxed(&slot->pid), command.text,
             get_relaxed(&slot->pid_ns) == process_pid_ns() ? "" : " of another PID namespace");
    return to;
}

void member_write_record(struct zct_store *s, unsigned p)
{
    struct slot *slot = slot_at(s, p);
    union { uint64_t words[8]; char text[64]; } command = {{0}};
    process_command(process_id(), command.text, sizeof command.text);
    put_relaxed(&slot->pid, process_id());
    put_relaxed(&slot->uid, process_uid());
    put_relaxed(&slot->pid_ns, process_pid_ns());
    put_relaxed(&slot->since_ns, (uint64_t)clock_real());
    put_relaxed(&slot->probed_ns, 0);
    put_words(slot->command, command.words, 8);
}

/* Try slot p. 0: it is ours; -EAGAIN: not this one. */
static int take(struct zct_store *s, int fd, unsigned p, bool dead_too, uint64_t *ret_gen)
{
    struct slot *slot = slot_at(s, p);
    int rc = control_reserve(s, offset_of(s, slot), sizeof *slot);
    if (rc < 0)
        return rc;
    if ((get_acquire(&slot->used) && !dead_too) || bytelock_held(fd, LOCK_LIFE(p), 1) != 0)
        return -EAGAIN;
    rc = bytelock_try(fd, LOCK_REPAIR(p), LOCK_EXCLUSIVE);
    if (rc < 0)
        return -EAGAIN;
    bool used = get_acquire(&slot->used) != 0;
    if (bytelock_held(fd, LOCK_LIFE(p), 1) != 0 || (used && !dead_too)) {
        bytelock_drop(fd, LOCK_REPAIR(p));
        return -EAGAIN;
    }
    put_release(&slot->gen, get_relaxed(&slot->gen) + 1);
    rc = bytelock_try(fd, LOCK_LIFE(p), LOCK_EXCLUSIVE); /* <== linearisation of the join */
    if (rc < 0) {
        bytelock_drop(fd, LOCK_REPAIR(p));
        return -EAGAIN;
    }
    if (used) {
        /* Every slot is used and this one's tenant is dead. The lock of the allocator wants a living owner, so we are
         * that tenant's heir first and clear its row as our own; only here may a reader take the dead for alive. */
        s->slot = p;
        pv_put(&s->state, STORE_MEMBER);
        rc = upper.reap(s, p);
        pv_put(&s->state, 0);
        if (rc < 0) {
            bytelock_drop(fd, LOCK_LIFE(p));
            bytelock_drop(fd, LOCK_REPAIR(p));
            return -EAGAIN;
        }
    }
    *ret_gen = get_relaxed(&slot->gen);
    member_write_record(s, p);
    put_release(&slot->used, 1);
    and_sc(&s->words->freeslot[p / 64], ~bit_of(p));
    bytelock_drop(fd, LOCK_REPAIR(p));
    return 0;
}

static bool had_tenant(struct zct_store *s, unsigned p)
{
    struct slot *slot = slot_at(s, p);
    return control_page_present(s, offset_of(s, slot)) && get_relaxed(&slot->gen) != 0;
}

int member_take_slot(struct zct_store *s, int fd, bool never_reap, unsigned *ret_slot, uint64_t *ret_gen)
{
    unsigned members = s->g.members;
    unsigned start = (unsigned)(mix64((uint64_t)process_id() ^ (uint64_t)clock_now()) % members);
    int full = 0;
    for (int round = 0; round < 4; round++) {
        /* 0: slots that the hint calls free and that had a tenant: record and row have memory; 1: that the hint calls free;
         * 2: any unused slot, the hint may be lost; 3: the dead's. On a full file system those whose memory is there are still
         * to be had. */
        if (round == 3 && never_reap)
            break;
        for (unsigned i = 0; i < members; i++) {
            unsigned p = (start + i) % members;
            if (round == 0 && !had_tenant(s, p))
                continue;
            if (round <= 1 && !(get_relaxed(&s->words->freeslot[p / 64]) & bit_of(p)))
                continue;
            int rc = take(s, fd, p, round == 3, ret_gen);
            if (rc == 0) {
                *ret_slot = p;
                return 0;
            }
            if (rc == -ZCT_EFULL)
                full = rc;
            else if (rc != -EAGAIN)
                return rc;
        }
    }
    if (full < 0)
        return full; /* the last sentence is its */
    int pid = bytelock_foreign(fd, LOCK_LIFE(start));
    if (pid)
        return fail(ZCT_EBUSY, "pid %d has locked the file of store '%s' (%s) as a whole; end it, or let it unlock", pid,
                    s->name, s->path);
    return fail(ZCT_ETOOMANYMEMBERS,
                "store '%s' has room for %u member processes and all are alive; end one, or make the store with a larger "
                "max_members (zct.Store.destroy('%s') first)",
                s->name, members, s->name);
}
