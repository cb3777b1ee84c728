/* sweep.h - kill a process before each of its steps, and see what the others find.
 *
 * A SCENE is one operation and what may be there before and after it. For n = 1, 2, .. until the operation gets through:
 * a VICTIM does it and is killed before its n-th step; a SURVIVOR opens the store, collects, checks every invariant, finds
 * each name old or new with contents that are whole, finds no memory lost, uses the store, empties it, leaves; then the
 * directory must be empty. The survivor's own recovery has steps, too: a RECOVERER is killed at each of them that this scene
 * has not seen after the step before it (all of them with ZCT_SWEEP_FULL=1), and then the survivor comes.
 * Beside: the same with a living HOLDER, which has what is there attached before and looks at it after. */
#ifndef ZCT_TESTS_SWEEP_H
#define ZCT_TESTS_SWEEP_H

#include "steps.h"
#include "test.h"

/* A name that begins with "maybe" may be there while the operation did not come through, one with "other" always. */
struct sweep_name {
    const char *name;
    int64_t bytes;
    uint64_t before, after; /* seeds of the contents; 0: not there */
};

enum sweep_flags {
    SWEEP_NO_STORE = 1,    /* there is no store before */
    SWEEP_OPENS = 2,       /* the operation opens the store itself */
    SWEEP_DIED = 4,        /* who prepared the store died without leaving it */
    SWEEP_GONE = 8,        /* the store may be destroyed by the operation */
    SWEEP_CHILDREN = 16,   /* the steps are those of the victim's children */
    SWEEP_NO_TMPFILE = 32, /* the system has no nameless files */
    SWEEP_NO_POPULATE = 64, /* the system cannot populate mappings */
    SWEEP_ALONE_ONLY = 128, SWEEP_BESIDE_ONLY = 256,
    SWEEP_UNHELD = 512,    /* the holder attaches nothing by itself */
    SWEEP_GC_FIRST = 1024, /* nothing can be made before a gc */
    SWEEP_SAMPLE = 2048,   /* many steps, the same again and again: kill where a step is new after the one before it */
    SWEEP_FIRST_ONLY = 4096 /* no second kills: each takes long, and there is nothing new in them */
};

struct sweep_scene {
    const char *name;
    void (*before)(zct_store *store); /* makes what is there before */
    void (*ready)(zct_store *store);  /* the victim, not yet counted */
    void (*act)(zct_store *store);    /* the victim */
    void (*beside)(zct_store *store); /* the holder, before the victim starts; it has attached all names already */
    void (*later)(zct_store *store);  /* the holder, after the victim died */
    void (*mend)(zct_store *store, bool finished); /* holder and survivor, after the recovery and before they look */
    void (*busy)(zct_store *store);   /* a thread of the holder, again and again while the victim acts, .. */
    const char *nap_file, *nap_at;    /* .. napping before this step */
    const char *meet_file, *meet_at;  /* the victim, before this step (or by sweep_ask_to_meet), has the holder's thread do .. */
    void (*meet)(zct_store *store);   /* .. this; before its step it waits until it is done */
    struct sweep_name names[8];
    unsigned flags;
};

void sweep(const struct sweep_scene *scene);
void sweep_ask_to_meet(void); /* the victim, in ready() */
bool sweep_over(void);        /* the holder: the victim has ended */

struct sweep_sum { uint64_t scenes, states, steps, second, runs; };
extern struct sweep_sum *sweep_sum; /* of all scenes of the program */
#endif
