#include "base/log.h"

#include "base/shared.h"
#include "base/util.h"

#include <stdarg.h>
#include <stdio.h>

enum { RING = 64, TEXT = 512 };

/* An entry is free (0), being written or read (1), or ready (2). */
static struct { pv32 state; int level; char text[TEXT]; } ring[RING];
static pv32 pending;
static struct { pv64 fn, context; } sink;

void zct_set_log(zct_log_fn fn, void *context)
{
    pv_put(&sink.fn, (uint64_t)(uintptr_t)0);
    pv_put(&sink.context, (uint64_t)(uintptr_t)context);
    pv_put(&sink.fn, (uint64_t)(uintptr_t)fn);
}

void log_note(int level, const char *format, ...)
{
    if (!pv_get(&sink.fn))
        return;
    for (int i = 0; i < RING; i++) {
        uint32_t empty = 0;
        if (!pv_cas(&ring[i].state, &empty, 1u))
            continue;
        va_list args;
        va_start(args, format);
        vsnprintf(ring[i].text, TEXT, format, args);
        va_end(args);
        ring[i].level = level;
        pv_put(&ring[i].state, 2u);
        pv_add(&pending, 1u);
        return;
    }
}

void log_deliver(void)
{
    if (likely(pv_get(&pending) == 0))
        return;
    for (int i = 0; i < RING; i++) {
        uint32_t ready = 2;
        if (!pv_cas(&ring[i].state, &ready, 1u))
            continue;
        pv_sub(&pending, 1u);
        char text[TEXT];
        int level = ring[i].level;
        snprintf(text, sizeof text, "%s", ring[i].text);
        pv_put(&ring[i].state, 0u);
        zct_log_fn fn = (zct_log_fn)(uintptr_t)pv_get(&sink.fn);
        if (fn)
            fn((void *)(uintptr_t)pv_get(&sink.context), level, text);
    }
}

void log_forget(void)
{
    for (int i = 0; i < RING; i++)
        pv_put(&ring[i].state, 0u);
    pv_put(&pending, 0u);
}
