/* api_store.c - zct_store_*: names, references, the door to gc and trim. */
#include "tensor/tensor.h"

#include "platform/file.h"
#include "platform/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *zct_version(void) { return ZCT_VERSION_STRING; }

static int check_store_name(const char *name)
{
    size_t n = strlen(name);
    bool bad = n == 0 || n > ZCT_MAX_STORE_NAME || name[0] == '.' || (n > 4 && !strcmp(name + n - 4, ".tmp"));
    for (size_t i = 0; i < n; i++)
        bad |= (unsigned char)name[i] < 33 || name[i] == 127;
    return bad ? fail(ZCT_EINVAL, "'%s' cannot be a store's name: 1 to %d bytes, no blanks or control characters, not beginning "
                                  "with '.', not ending with '.tmp'", name, ZCT_MAX_STORE_NAME)
               : 0;
}

static const char *default_directory(const char *directory)
{
    const char *env = process_env("ZCT_DIR");
    return directory ? directory : env ? env : "/dev/shm";
}

/* The file of a store, malloc'ed; *ret_own: the path was made by us, so the file must be ours. */
static int store_path(const char *name, const char *directory, bool *ret_own, char **ret)
{
    const char *env = process_env("ZCT_STORE");
    name = name ? name : env ? env : "default";
    *ret_own = strchr(name, '/') == NULL;
    char path[4352];
    if (*ret_own) {
        int rc = check_store_name(name);
        if (rc < 0)
            return rc;
        snprintf(path, sizeof path, "%s/zct%d-%u-%s", default_directory(directory), ZCT_FORMAT_VERSION, process_uid(), name);
    } else {
        const char *base = strrchr(name, '/') + 1;
        if (strlen(name) > 4096 || strlen(base) > ZCT_MAX_STORE_NAME || !*base)
            return fail(ZCT_EINVAL, "'%s' cannot be a store's path: its last part needs 1 to %d bytes", name, ZCT_MAX_STORE_NAME);
        snprintf(path, sizeof path, "%s", name);
    }
    *ret = os_absolute(path);
    return *ret ? 0 : fail(ZCT_ENOMEM, "out of memory");
}

int zct_store_open(const char *name, const zct_store_options *options, zct_store **ret)
{
    zct_store_options o = {.size = sizeof o};
    if (options && options->size < sizeof o)
        return fail(ZCT_EINVAL, "set the size field of zct_store_options first");
    if (options)
        o = *options;
    if (o.mode & ~0777u)
        return fail(ZCT_EINVAL, "mode %#o is not one of permission bits", o.mode);
    if (process_is_raw_child()) /* before any lock: its parent's threads may have held it */
        return fail(ZCT_ENOTMEMBER, "this process was made by a raw clone(): it cannot be a member of any store");
    bool own;
    char *path = NULL;
    int rc = store_path(name, o.directory, &own, &path);
    if (rc < 0)
        return rc;
    plock_lock(&registry_lock);
    rc = fork_watch();
    plock_unlock(&registry_lock);
    struct zct_store *s = NULL;
    if (rc == 0)
        rc = o.flags & ZCT_STORE_OBSERVE ? store_open_observer(path, &s) : store_open_member(path, &o, own, &s);
    free(path);
    if (rc < 0)
        return rc;
    if (!s->observer)
        upper.reap_some(s); /* the duty to notice */
    log_deliver();
    *ret = s;
    return 0;
}

zct_store *zct_store_ref(zct_store *s)
{
    pv_add(&s->users, USER_OPEN);
    return s;
}

void store_unuse(struct zct_store *s, uint64_t what)
{
    if (likely(pv_sub(&s->users, what) != what) || !process_may_call())
        return;
    plock_lock(&registry_lock);
    bool left = pv_get(&s->state) == STORE_LEFT; /* at exit: other threads may still look at it */
    if (!left)
        store_leave(s, what == USER_OPEN); /* the drop of an array waits for nobody */
    plock_unlock(&registry_lock);
    log_deliver();
    if (!left)
        store_free_private(s);
}

void zct_store_close(zct_store *s)
{
    if (!s)
        return;
    if (s->observer) {
        if (pv_sub(&s->users, USER_OPEN) == USER_OPEN)
            store_free_private(s);
        return;
    }
    if (store_opens(s) == 1)
        stock_empty(s);
    store_unuse(s, USER_OPEN);
    log_deliver();
}

int zct_store_destroy(const char *name, const char *directory)
{
    bool own;
    char *path = NULL;
    int rc = store_path(name, directory, &own, &path);
    if (rc == 0)
        rc = store_destroy(path);
    free(path);
    return rc;
}

const char *zct_store_name(const zct_store *s) { return s->name; }
const char *zct_store_path(const zct_store *s) { return s->path; }
const uint8_t *zct_store_uuid(const zct_store *s) { return s->uuid; }
uint64_t zct_store_capacity(const zct_store *s) { return s->g.capacity; }

int zct_store_alive(const zct_store *store)
{
    struct zct_store *s = (struct zct_store *)(uintptr_t)store;
    return store_ready(s) || s->observer ? 0 : store_refuse(s);
}

static void count_tensors(struct zct_store *s, zct_store_stats *ret)
{
    uint32_t limit = desc_limit(s);
    for (uint32_t t = 0; t < limit; t++) {
        if (!desc_there(s, t))
            continue;
        struct desc *d = desc_at(s, t);
        uint64_t st = get_relaxed(&d->st);
        if (!st_used(st))
            continue;
        ret->names++;
        ret->nameless += st_state(st) != ST_LIVE;
        ret->used += ext_bytes(get_relaxed(&d->ext)).length;
    }
}

int zct_store_stats_get(zct_store *s, zct_store_stats *ret)
{
    if (!ret || ret->size < sizeof *ret)
        return fail(ZCT_EINVAL, "set the size field of zct_store_stats first");
    *ret = (zct_store_stats){.size = ret->size, .capacity = s->g.capacity, .max_names = s->g.names,
                             .max_members = s->g.members};
    int fd = store_file(s, false);
    if (fd < 0)
        return fd;
    struct os_stat st;
    if (os_fstat(fd, &st) == 0)
        ret->resident = st.occupied;
    for (unsigned p = 0; p < s->g.members; p++) {
        struct slot *slot = slot_at(s, p);
        if (!control_page_present(s, offset_of(s, slot)) || !get_acquire(&slot->used) || member_scan(s, fd, p) != 0)
            continue;
        ret->members++;
        struct ticket *row = tickets_at(s, p);
        for (unsigned i = 0; i < s->g.tickets; i++)
            ret->handles += control_page_present(s, offset_of(s, &row[i])) && get_relaxed(&row[i].word) != 0;
    }
    os_close(fd);
    count_tensors(s, ret);
    ret->high = get_relaxed(&s->words->high) * PAGE;
    ret->warm_free = get_relaxed(&s->words->warm_free) * PAGE;
    ret->births = get_relaxed(&s->words->serial);
    ret->rebuilds = get_relaxed(&s->words->rebuilds);
    ret->reaped = get_relaxed(&s->words->reaped);
    return 0;
}

int zct_store_gc(zct_store *s, const zct_gc_options *options, zct_gc_result *ret)
{
    zct_gc_options o = {.size = sizeof o};
    if (options && options->size < sizeof o)
        return fail(ZCT_EINVAL, "set the size field of zct_gc_options first");
    if (options)
        o = *options;
    if (!store_ready(s))
        return store_refuse(s);
    int rc = store_check_file(s);
    if (rc < 0)
        return rc;
    zct_gc_result result = {.size = sizeof result};
    uint64_t before = get_relaxed(&s->words->indexed);
    result.members = reap_all(s, deadline_in(WAIT_DEFAULT));
    if (o.own_handles_ns > 0)
        result.handles = tickets_gc(s, o.own_handles_ns);
    stock_empty(s);
    rc = al_lock(s, deadline_in(WAIT_DEFAULT));
    if (rc == 0) { /* a lost sweep is found here at the latest */
        put_sc(&s->words->whole, 1);
        put_sc(&s->words->sweep, 1);
        al_unlock(s);
    }
    if (rc == 0 && (o.flags & ZCT_GC_UNHELD))
        rc = gc_unheld(s, o.older_than_ns, deadline_in(WAIT_DEFAULT), &result.tensors);
    else
        result.tensors = (uint32_t)(before - min_u64(before, get_relaxed(&s->words->indexed)));
    log_deliver();
    if (rc == 0 && ret && ret->size >= sizeof result)
        *ret = result;
    return rc;
}

int zct_store_repair(zct_store *s)
{
    if (!store_ready(s))
        return store_refuse(s);
    int rc = al_lock(s, deadline_in(WAIT_DEFAULT));
    if (rc == 0) {
        al_rebuild(s); /* whoever dies in here leaves AL dirty: its next owner begins again */
        al_unlock(s);
    }
    log_deliver();
    return rc;
}

uint64_t zct_store_changes(const zct_store *s) { return get_acquire(&s->words->changes); }

int zct_store_trim(zct_store *s, uint64_t keep, uint64_t *ret_bytes)
{
    if (!store_ready(s))
        return store_refuse(s);
    stock_empty(s);
    int rc = trim_store(s, keep, deadline_in(WAIT_DEFAULT), ret_bytes);
    log_deliver();
    return rc;
}

struct listing { const char *directory; zct_store_fn fn; void *context; };

static int list_one(void *context, const char *file)
{
    struct listing *l = context;
    unsigned format, uid;
    int skip = 0;
    size_t n = strlen(file);
    if (sscanf(file, "zct%u-%u-%n", &format, &uid, &skip) < 2 || skip == 0 || (n > 4 && !strcmp(file + n - 4, ".tmp")))
        return 0;
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", l->directory, file);
    return l->fn(l->context, file + skip, path);
}

int zct_list_stores(const char *directory, zct_store_fn fn, void *context)
{
    struct listing l = {default_directory(directory), fn, context};
    int rc = os_list(l.directory, list_one, &l);
    return rc < 0 ? fail_os(code_of_errno(-rc), -rc, "cannot list directory '%s'", l.directory) : rc;
}
