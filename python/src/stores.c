/* stores.c - which store a call works on.
 *
 * store=None is the default store, opened at first use; store="name" is opened at first use and kept as well, so that
 * the second call with the same name costs nothing. Both are opened again when they are found destroyed. A Store
 * object is the caller's own: when its store is gone it says so.
 */
#include "core.h"

#define KEPT_STORES 32

static struct { PyObject *key; zct_store *store; } kept[KEPT_STORES];
static int next_kept;

int zpy_store_open(const char *name, const zct_store_options *options, zct_store **ret_store, bool *ret_raised) {
    *ret_raised = false;
    for (;;) {
        zct_store *store = NULL;
        int rc;
        Py_BEGIN_ALLOW_THREADS
        rc = zct_store_open(name, options, &store);
        Py_END_ALLOW_THREADS
        if (rc == -ZCT_EINTERRUPTED) {
            if (PyErr_CheckSignals() == 0)
                continue;
            *ret_raised = true;
        } else if (rc >= 0) {
            *ret_store = store;
            zpy_register_pickling();
        }
        return rc;
    }
}

static void no_store_for_handle(const char *path) {
    char sentence[512];
    PyOS_snprintf(sentence, sizeof sentence, "the handle's store '%.300s' is not on this machine, or was destroyed; send the "
                  "elements instead, or make the tensor again", path);
    zpy_raise_sentence(ZCT_ENOTFOUND, sentence, "", path);
}

/* Open the store of `key` (NULL: default), or raise. */
static zct_store *open_or_raise(PyObject *key, bool existing) {
    const char *name = NULL;
    if (key && zpy_to_cname(key, &name) < 0)
        return NULL;
    zct_store *store = NULL;
    bool raised;
    zct_store_options options = {.size = sizeof options, .flags = existing ? ZCT_STORE_EXISTING : 0};
    int rc = zpy_store_open(name, &options, &store, &raised);
    if (rc < 0) {
        if (rc == -ZCT_ENOTFOUND && existing)
            no_store_for_handle(name);
        else if (!raised)
            zpy_raise(rc, NULL, name ? name : "default");
        return NULL;
    }
    return store;
}

/* The default store, with a reference for the caller. */
static zct_store *default_store(void) {
    ZPY_LOCK();
    zct_store *store = zpy.default_store ? zct_store_ref(zpy.default_store) : NULL;
    ZPY_UNLOCK();
    if (store || !(store = open_or_raise(NULL, false)))
        return store;
    zct_store *ours = store;
    ZPY_LOCK();
    if (zpy.default_store) { /* another thread was faster */
        store = zpy.default_store;
    } else {
        zpy.default_store = ours;
        ours = NULL;
    }
    zct_store_ref(store);
    ZPY_UNLOCK();
    zct_store_close(ours);
    return store;
}

static zct_store *find_kept(PyObject *key) {
    for (int i = 0; i < KEPT_STORES; i++) {
        if (kept[i].key && (kept[i].key == key || PyUnicode_Compare(kept[i].key, key) == 0))
            return kept[i].store;
    }
    return NULL;
}

/* The store of a name, with a reference for the caller. */
static zct_store *named_store(PyObject *key, bool existing) {
    ZPY_LOCK();
    zct_store *store = find_kept(key);
    if (store)
        zct_store_ref(store);
    ZPY_UNLOCK();
    if (store || !(store = open_or_raise(key, existing)))
        return store;
    PyObject *old_key = NULL;
    zct_store *old_store = store;
    ZPY_LOCK();
    zct_store *other = find_kept(key);
    if (other) {
        store = other;
    } else {
        int i = next_kept++ % KEPT_STORES;
        old_key = kept[i].key;
        old_store = kept[i].store;
        Py_INCREF(key);
        kept[i].key = key;
        kept[i].store = store;
    }
    zct_store_ref(store);
    ZPY_UNLOCK();
    Py_XDECREF(old_key);
    zct_store_close(old_store);
    return store;
}

/* Close a default store that is gone. While a log handler runs inside an attach that still uses it, it is kept for the
 * next time (a second one meanwhile stays open: two stores destroyed under one log message). */
static void retire(zct_store *store) {
    static zct_store *retired;
    if (ZPY_NO_GIL) { /* every user has a reference */
        zct_store_close(store);
        return;
    }
    if (zpy.in_hot_path > 0) {
        if (!retired)
            retired = store;
        return;
    }
    zct_store *old = retired;
    retired = NULL;
    zct_store_close(old);
    zct_store_close(store);
}

/* Let go of a store that is gone, if it still is the one we keep. */
static void forget(PyObject *key, zct_store *store) {
    PyObject *old_key = NULL;
    bool ours = false;
    ZPY_LOCK();
    if (!key && zpy.default_store == store) {
        zpy.default_store = NULL;
        ours = true;
    }
    for (int i = 0; key && !ours && i < KEPT_STORES; i++) {
        if (kept[i].key && kept[i].store == store) {
            old_key = kept[i].key;
            kept[i].key = NULL;
            kept[i].store = NULL;
            ours = true;
        }
    }
    ZPY_UNLOCK();
    Py_XDECREF(old_key);
    if (ours && key)
        zct_store_close(store);
    else if (ours)
        retire(store);
}

int zpy_use_begin(PyObject *argument, zpy_use *use) {
    *use = (zpy_use){0};
    zct_store *store;
    if (!argument || argument == Py_None) {
        use->implicit = true;
        store = default_store();
    } else if (PyUnicode_Check(argument)) {
        use->implicit = true;
        use->key = argument;
        store = named_store(argument, false);
    } else if (PyObject_TypeCheck(argument, zpy.store_type)) {
        ZPY_LOCK();
        store = ((zpy_store *)argument)->store;
        if (store)
            zct_store_ref(store);
        ZPY_UNLOCK();
        if (!store) {
            const char *name = PyUnicode_AsUTF8(((zpy_store *)argument)->name);
            char sentence[256];
            PyOS_snprintf(sentence, sizeof sentence, "this Store object (of store '%.63s') was closed; make a new one",
                          name ? name : "?");
            zpy_raise_sentence(ZCT_ECLOSED, sentence, NULL, name);
        }
    } else {
        PyErr_Format(PyExc_TypeError, "store must be a Store, a store's name or None, not %s", Py_TYPE(argument)->tp_name);
        store = NULL;
    }
    use->store = store;
    return store ? 0 : -1;
}

int zpy_use_handle(zct_store *store, PyObject *path, zpy_use *use) {
    *use = (zpy_use){.key = path, .implicit = !store, .existing = true};
    use->store = store ? zct_store_ref(store) : named_store(path, true);
    return use->store ? 0 : -1;
}

bool zpy_use_again(zpy_use *use, int rc) {
    if (rc != -ZCT_EGONE || !use->implicit || use->again)
        return false;
    use->again = true;
    forget(use->key, use->store);
    zct_store_close(use->store);
    use->store = use->key ? named_store(use->key, use->existing) : default_store();
    return use->store != NULL;
}

void zpy_use_end(zpy_use *use) {
    zct_store_close(use->store);
    use->store = NULL;
}

PyObject *zpy_use_raise(const zpy_use *use, int rc, const char *name) {
    if (PyErr_Occurred())
        return NULL;
    /* Reading the store's name might count as the thread's next call: take the sentence first. */
    char sentence[2048];
    PyOS_snprintf(sentence, sizeof sentence, "%s", zct_last_error());
    return zpy_raise_sentence(rc, *sentence ? sentence : zct_strerror(rc), name,
                              use->store ? zct_store_name(use->store) : NULL);
}

void zpy_stores_close(void) {
    zct_store *stores[1 + KEPT_STORES];
    PyObject *keys[KEPT_STORES];
    ZPY_LOCK();
    stores[KEPT_STORES] = zpy.default_store;
    zpy.default_store = NULL;
    for (int i = 0; i < KEPT_STORES; i++) {
        stores[i] = kept[i].store;
        keys[i] = kept[i].key;
        kept[i].store = NULL;
        kept[i].key = NULL;
    }
    ZPY_UNLOCK();
    for (int i = 0; i <= KEPT_STORES; i++)
        zct_store_close(stores[i]);
    for (int i = 0; i < KEPT_STORES; i++)
        Py_XDECREF(keys[i]);
}
