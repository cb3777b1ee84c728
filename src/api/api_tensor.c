/* api_tensor.c - zct_create, zct_publish, zct_unlink, zct_seal: arguments checked, then the rooms below. */
#include "tensor/tensor.h"


#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Debug builds look at the whole store after each change, while it is small enough for that; crash tests do it themselves. */
static int checked(struct zct_store *s, int rc)
{
#if defined(ZCT_DEBUG) && ZCT_DEBUG && !(defined(ZCT_CRASH_POINTS) && ZCT_CRASH_POINTS)
    if (desc_limit(s) < 512 && check_at_once(s) > 0)
        return fail(ZCT_ECORRUPT, "store '%s' is not sound after this call; run 'zct check'", s->name);
#endif
    (void)s;
    log_deliver();
    return rc;
}

static int check_options(const zct_create_options *given, zct_create_options *ret)
{
    *ret = (zct_create_options){.size = sizeof *ret};
    if (given && given->size < sizeof *ret)
        return fail(ZCT_EINVAL, "set the size field of zct_create_options first");
    if (given)
        *ret = *given;
    if (ret->exists < 0 || ret->exists > ZCT_EXISTS_OWNED || ret->lifetime < 0 || ret->lifetime > ZCT_LAST)
        return fail(ZCT_EINVAL, "exists is %d and lifetime %d; they have four values each", ret->exists, ret->lifetime);
    if (ret->timeout_ns == 0)
        ret->timeout_ns = WAIT_DEFAULT;
    return 0;
}

static int expect_spec(zct_tensor *a, const zct_spec *spec)
{
    int rc = zct_expect(a, &spec->dtype, spec->ndim, spec->shape);
    if (rc < 0 || spec->dtype.code != ZCT_STRUCT)
        return rc;
    int64_t length = zct_tensor_descriptor(a, NULL, 0);
    char *blob = malloc((size_t)length + 1);
    if (!blob)
        return fail(ZCT_ENOMEM, "out of memory");
    bool same = (uint64_t)length == spec->descriptor_len && zct_tensor_descriptor(a, blob, (size_t)length) == length &&
                (length == 0 || memcmp(blob, spec->descriptor, (size_t)length) == 0);
    free(blob);
    char name[ZCT_MAX_NAME + 1];
    if (same)
        return 0;
    return fail(ZCT_EMISMATCH, "tensor '%s' in store '%s' has other fields than the struct asked for; 'zct stat' shows them",
                zct_tensor_name(a, name, sizeof name) < 0 ? "" : name, a->store->name);
}

/* exists="attach": join the one that is there, if it is the same. -ZCT_ENOTFOUND: there is none. */
static int join_existing(struct zct_store *s, const struct key *key, const zct_spec *spec, zct_tensor **ret)
{
    uint32_t t = NO_DESC;
    uint64_t st = 0;
    zct_tensor *a = NULL;
    int rc = name_hold(s, key, &t, &st);
    if (rc == 0)
        rc = attachment_make(s, t, st, ZCT_MODE_DEFAULT, &a);
    if (rc == 0)
        rc = expect_spec(a, spec);
    if (rc < 0) {
        zct_release(a);
        return rc;
    }
    *ret = a;
    return ZCT_ATTACHED;
}

/* The leftover of this name, if it is one, gives its memory: there is no other, and nobody alive holds it. Only where that is
 * sure to be enough: a create that fails loses nothing. */
static bool end_leftover(struct zct_store *s, const struct key *key, const zct_create_options *o, uint64_t nbytes)
{
    uint32_t t = key ? index_find_live(s, key) : NO_DESC;
    if (t == NO_DESC || o->exists == ZCT_EXISTS_ATTACH)
        return false;
    (void)reap_holders(s, t);
    if (al_lock(s, deadline_in(NS_PER_S)) < 0)
        return false;
    bool ended = index_find_live(s, key) == t && form_lifetime(get_relaxed(&desc_at(s, t)->form)) != ZCT_PINNED &&
                 ext_bytes(get_relaxed(&desc_at(s, t)->ext)).length >= nbytes;
    if (ended) {
        ending_set(s, t, true);
        ended = retire(s, t, ST_DYING, EVERYBODY, -1);
    }
    if (ended) {
        index_remove(s, t, key->hash);
        life_changed(s);
        (void)life_free(s, t);
        char name[300];
        log_note(ZCT_LOG_INFO, "store '%s' is full: the leftover %s was ended before its successor was whole", s->name,
                 key_show(key, name, sizeof name));
    }
    al_unlock(s);
    return ended;
}

/* A descriptor of ours, ALLOC, with its contents. ZCT_REPLACED: a leftover of the name had to go for it. */
static int make_filled(struct zct_store *s, const zct_spec *spec, uint64_t nbytes, const void *data, const int64_t *strides,
                       const struct key *key, const zct_create_options *o, uint32_t *ret_desc)
{
    deadline limit = deadline_in(o->timeout_ns);
    bool ended = false;
    for (int tries = 0;; tries++) {
        uint32_t t = NO_DESC;
        int rc = create_alloc(s, spec, nbytes, key, limit, &t);
        if (rc == 0) {
            rc = copy_in(s, get_relaxed(&desc_at(s, t)->ext), nbytes, spec, data, strides, o->zero != 0);
            if (rc < 0)
                create_undo(s, t);
        }
        if (rc == 0) {
            *ret_desc = t;
            return ended ? ZCT_REPLACED : 0;
        }
        if (rc != -EAGAIN && rc != -ZCT_EFULL)
            return rc;
        if (tries < 2 && relieve(s, nbytes))
            continue;
        if (!ended && end_leftover(s, key, o, nbytes))
            ended = true;
        else
            return rc == -ZCT_EFULL ? rc : fail_full(s, "a tensor", nbytes);
    }
}

int zct_create(zct_store *s, const char *name, const zct_spec *spec, const void *data, const int64_t *data_strides,
               const zct_create_options *options, zct_tensor **ret)
{
    struct key key;
    zct_create_options o;
    uint64_t nbytes = 0;
    uint32_t t = NO_DESC;
    if (!store_ready(s))
        return store_refuse(s);
    int rc = check_options(options, &o);
    if (rc == 0 && name)
        rc = key_make(&key, name, strlen(name));
    if (rc == 0)
        rc = spec_check(spec, &nbytes);
    if (rc < 0)
        return rc;
    for (int tries = 0;; tries++) {
        if (name && o.exists == ZCT_EXISTS_ATTACH) {
            rc = join_existing(s, &key, spec, ret);
            if (rc != -ZCT_ENOTFOUND)
                break;
            if (tries > 20) {
                rc = fail(ZCT_EBUSY, "tensor '%s' comes and goes faster than it can be joined", name);
                break;
            }
        }
        rc = name ? name_check_free(s, &key, &o) : 0;
        if (rc == 0)
            rc = make_filled(s, spec, nbytes, data, data_strides, name ? &key : NULL, &o, &t);
        if (rc < 0)
            break;
        deadline limit = deadline_in(o.timeout_ns);
        int replaced = rc;
        rc = name ? name_give(s, t, &key, &o, limit, NULL, 0) : name_none(s, t, o.sealed != 0, limit);
        if (rc < 0)
            create_undo(s, t);
        if (rc == -ZCT_EEXISTS && o.exists == ZCT_EXISTS_ATTACH)
            continue; /* somebody was quicker: attach to that one */
        if (rc >= 0) {
            int note = rc ? rc : replaced;
            rc = attachment_make(s, t, get_sc(&desc_at(s, t)->st), ZCT_MODE_DEFAULT, ret);
            if (rc == 0) {
                (*ret)->made = true;
                rc = note;
            }
        }
        break;
    }
    if (rc >= 0 && nbytes > MiB)
        trim_surplus(s);
    return checked(s, rc);
}

static int publish_desc(struct zct_store *s, uint32_t t, const zct_spec *spec, uint64_t nbytes, const char *name,
                        const zct_create_options *options)
{
    struct key key;
    zct_create_options o;
    int rc = check_options(options, &o);
    if (rc == 0)
        rc = name ? key_make(&key, name, strlen(name)) : fail(ZCT_EINVAL, "a publish needs a name");
    if (rc == 0)
        rc = name_check_free(s, &key, &o);
    if (rc < 0)
        return rc;
    rc = name_give(s, t, &key, &o, deadline_in(o.timeout_ns), spec, nbytes);
    if (rc == -ZCT_EEXISTS && o.exists == ZCT_EXISTS_ATTACH)
        rc = fail(ZCT_EEXISTS, "tensor '%s' is there already: attach to it", name);
    return rc;
}

int zct_publish(zct_tensor *a, const char *name, const zct_create_options *options)
{
    struct zct_store *s = a->store;
    struct desc *d = desc_at(s, a->desc);
    if (!store_ready(s))
        return store_refuse(s);
    if (st_state(get_sc(&d->st)) != ST_BARE || a->cow)
        return fail(ZCT_ENOTWHOLE, "only a nameless tensor that was not unlinked can be published; this one is copied instead");
    zct_spec spec = {.size = sizeof spec, .dtype = a->view.dtype, .ndim = a->view.ndim, .order = a->view.order,
                     .shape = a->view.shape, .strides = a->view.strides};
    spec.descriptor_len = (size_t)blob_read(s, d, false, NULL, 0);
    spec.metadata_len = (size_t)blob_read(s, d, true, NULL, 0);
    char *blobs = malloc(spec.descriptor_len + spec.metadata_len + 1);
    if (!blobs)
        return fail(ZCT_ENOMEM, "out of memory");
    spec.descriptor = blobs;
    spec.metadata = blobs + spec.descriptor_len;
    (void)blob_read(s, d, false, blobs, spec.descriptor_len);
    (void)blob_read(s, d, true, blobs + spec.descriptor_len, spec.metadata_len);
    int rc = publish_desc(s, a->desc, &spec, a->view.nbytes, name, options);
    free(blobs);
    if (rc >= 0) {
        a->made = true;
        a->view.generation = get_relaxed(&d->generation);
        a->view.sealed = st_sealed(get_sc(&d->st));
    }
    return checked(s, rc);
}

int zct_memory_publish(zct_store *s, const void *data, const zct_spec *spec, const char *name,
                       const zct_create_options *options, zct_tensor **ret)
{
    uint64_t nbytes = 0;
    uint32_t t = NO_DESC;
    if (!store_ready(s))
        return store_refuse(s);
    int rc = spec_check(spec, &nbytes);
    if (rc < 0)
        return rc;
    if (stock_publishable(s, data, nbytes, &t) < 0)
        return fail(ZCT_ENOTWHOLE, "the memory is not the whole of an unnamed block of store '%s'", s->name);
    if (options && options->exists == ZCT_EXISTS_ATTACH && name) {
        struct key key;
        rc = key_make(&key, name, strlen(name));
        if (rc == 0)
            rc = join_existing(s, &key, spec, ret);
        if (rc != -ZCT_ENOTFOUND)
            return rc;
    }
    rc = publish_desc(s, t, spec, nbytes, name, options);
    if (rc >= 0) {
        int note = rc;
        stock_published(s, data);
        hold_more(s, t);
        rc = attachment_make(s, t, get_sc(&desc_at(s, t)->st), ZCT_MODE_DEFAULT, ret);
        if (rc == 0) {
            (*ret)->made = true;
            rc = note;
        }
    }
    return checked(s, rc);
}

/* ---- names that end ---- */

static int unlink_held(struct zct_store *s, uint32_t t, uint64_t gen, const struct key *key)
{
    int rc = al_lock(s, deadline_in(WAIT_DEFAULT));
    if (rc < 0)
        return rc;
    uint64_t st = get_sc(&desc_at(s, t)->st);
    bool still = st_state(st) == ST_LIVE && st_gen(st) == gen && (!key || key_is(s, desc_at(s, t), key));
    if (still)
        life_unname(s, t);
    al_unlock(s);
    return still;
}

int zct_unlink(zct_store *s, const char *name)
{
    struct key key;
    if (!store_ready(s))
        return store_refuse(s);
    int rc = key_make(&key, name, strlen(name));
    while (rc == 0) {
        uint32_t t = NO_DESC;
        uint64_t st = 0;
        rc = name_hold(s, &key, &t, &st);
        if (rc < 0)
            break;
        rc = unlink_held(s, t, st_gen(st), &key);
        hold_drop(s, t);
    }
    if (rc == -ZCT_ENOTFOUND)
        rc = fail_not_found(s, &key);
    return checked(s, rc < 0 ? rc : 0);
}

int zct_tensor_is_maker(const zct_tensor *a)
{
    struct zct_store *s = a->store;
    return a->made && process_may_call() && pv_get(&s->state) == STORE_MEMBER && a->slot_gen == s->slot_gen &&
           get_relaxed(&desc_at(s, a->desc)->maker) == who_make(s->slot, s->slot_gen);
}

int zct_tensor_unlink(zct_tensor *a)
{
    struct zct_store *s = a->store;
    if (!store_ready(s))
        return store_refuse(s);
    int rc = zct_tensor_is_maker(a) ? unlink_held(s, a->desc, a->gen, NULL) : 0;
    return checked(s, rc < 0 ? rc : 0);
}

int zct_tensor_is_linked(const zct_tensor *a)
{
    struct zct_store *s = a->store;
    uint64_t st = get_sc(&desc_at(s, a->desc)->st);
    return !get_relaxed(&s->words->gone) && !pv_get(&s->lost) && st_state(st) == ST_LIVE && st_gen(st) == a->gen;
}

int zct_seal(zct_tensor *a)
{
    struct zct_store *s = a->store;
    struct desc *d = desc_at(s, a->desc);
    if (!store_ready(s))
        return store_refuse(s);
    (void)reap_holders(s, a->desc);
    int rc = al_lock(s, deadline_in(WAIT_DEFAULT));
    if (rc < 0)
        return rc;
    uint64_t st = get_sc(&d->st);
    bool done = st_sealed(st) || retire(s, a->desc, st_state(st), THE_OTHERS, -1);
    al_unlock(s);
    if (done)
        return checked(s, 0);
    return fail(ZCT_EBUSY, "the tensor cannot be sealed while another process holds it or a handle of it is in flight; "
                           "'zct stat' names them");
}

int zct_tensor_is_sealed(const zct_tensor *a) { return st_sealed(get_sc(&desc_at(a->store, a->desc)->st)); }

/* ---- what an attachment is ---- */

const zct_view *zct_tensor_view(const zct_tensor *a) { return &a->view; }
zct_store *zct_tensor_store(const zct_tensor *a) { return a->store; }

int64_t zct_tensor_descriptor(const zct_tensor *a, void *buffer, size_t size)
{
    return blob_read(a->store, desc_at(a->store, a->desc), false, buffer, size);
}

int64_t zct_tensor_metadata(const zct_tensor *a, void *buffer, size_t size)
{
    return blob_read(a->store, desc_at(a->store, a->desc), true, buffer, size);
}

int zct_tensor_name(const zct_tensor *a, char *buffer, size_t size)
{
    struct key key;
    if (!key_read(a->store, desc_at(a->store, a->desc), &key))
        key.length = 0;
    if (size <= key.length)
        return fail(ZCT_EINVAL, "a name needs a buffer of %u bytes", key.length + 1);
    memcpy(buffer, key.text, key.length);
    buffer[key.length] = 0;
    return 0;
}

/* A struct's name is for people alone: its fields are in the descriptor. */
static bool same_type(const zct_dtype *a, const zct_dtype *b)
{
    return !memcmp(a, b, offsetof(zct_dtype, spare)) &&
           (a->code == ZCT_STRUCT || !strncmp(a->name, b->name, sizeof a->name));
}

int zct_expect(const zct_tensor *a, const zct_dtype *dtype, int ndim, const int64_t *shape)
{
    const zct_view *v = &a->view;
    bool same = (!dtype || same_type(dtype, &v->dtype)) && (ndim < 0 || ndim == v->ndim);
    for (int i = 0; same && shape && i < ndim; i++)
        same = shape[i] == v->shape[i];
    if (likely(same))
        return 0;
    char have[512], want[512], name[ZCT_MAX_NAME + 1];
    if (zct_tensor_name(a, name, sizeof name) < 0)
        name[0] = 0;
    show_type(&v->dtype, v->ndim, v->shape, have, sizeof have);
    show_type(dtype ? dtype : &v->dtype, ndim < 0 ? v->ndim : ndim, ndim < 0 || !shape ? v->shape : shape, want, sizeof want);
    return fail(ZCT_EMISMATCH,
                "tensor '%s' in store '%s' is %s, not %s as asked; leave shape and dtype out to take what is there", name,
                a->store->name, have, want);
}
