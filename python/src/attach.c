/* attach.c - attach, unlink and list by name.
 *
 * The first try of an attach never waits and keeps the GIL: it is the hot path, tens of nanoseconds. Only when the name
 * is not there and the caller wants to wait is the GIL released, in slices, so that Ctrl-C is served.
 */
#include "core.h"

#include <time.h>

#define SLICE_NS 100000000 /* between looks for signals, where none interrupts the wait itself */

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Wait for the name: a zct code; -ZCT_EINTERRUPTED means that a signal handler raised. */
static int attach_waiting(zct_store *store, const char *name, size_t len, int mode, int64_t timeout_ns,
                          zct_tensor **ret_tensor) {
    int64_t end = timeout_ns == ZCT_FOREVER ? INT64_MAX : now_ns() + timeout_ns;
    for (;;) {
        int64_t left = end - now_ns(), slice = left < SLICE_NS ? left : SLICE_NS;
        int rc;
        Py_BEGIN_ALLOW_THREADS
        rc = zct_attach_n(store, name, len, mode, slice > 0 ? slice : 1, ret_tensor); /* 0 would not wait, and not say so */
        Py_END_ALLOW_THREADS
        bool again = rc == -ZCT_EINTERRUPTED || ((rc == -ZCT_ENOTFOUND || rc == -ZCT_ETIMEDOUT) && left > SLICE_NS);
        if (!again)
            return rc == -ZCT_ETIMEDOUT ? -ZCT_ENOTFOUND : rc;
        if (PyErr_CheckSignals() < 0)
            return -ZCT_EINTERRUPTED;
    }
}

/* ---- shape and dtype, where given ---------------------------------------------------------------------------- */

static bool shape_agrees(const zct_view *view, const zpy_shape *shape) {
    if (shape->nd != view->ndim)
        return false;
    for (int i = 0; i < shape->nd; i++) {
        if (shape->dims[i] != view->shape[i])
            return false;
    }
    return true;
}

/* ValueError for a dtype that zct.h cannot print, with both sides as NumPy prints them. */
static void raise_dtypes(zct_tensor *tensor, PyArray_Descr *stored, PyArray_Descr *wanted, const char *name) {
    const char *store = zct_store_name(zct_tensor_store(tensor));
    PyObject *text = PyUnicode_FromFormat("tensor '%s' in store '%s' has %R, not %R as asked; leave dtype out to take what "
                                          "is there", name, store, (PyObject *)stored, (PyObject *)wanted);
    const char *sentence = text ? PyUnicode_AsUTF8(text) : NULL;
    if (sentence)
        zpy_raise_sentence(ZCT_EMISMATCH, sentence, name, store);
    Py_XDECREF(text);
}

int zpy_expect(zct_tensor *tensor, PyArray_Descr *wanted, const zpy_shape *shape, const char *name) {
    const zct_view *view = zct_tensor_view(tensor);
    PyArray_Descr *stored = wanted ? zpy_descr_of_tensor(tensor) : NULL;
    if (wanted && !stored)
        return -1;
    bool same_dtype = !wanted || zpy_same_dtype(stored, wanted);
    zct_dtype dtype;
    PyObject *blob = NULL;
    int rc = 0;
    if (!same_dtype && (view->dtype.code == ZCT_STRUCT || zpy_dtype_from_descr(wanted, &dtype, &blob) < 0 || blob)) {
        PyErr_Clear();
        raise_dtypes(tensor, stored, wanted, name);
        rc = -1;
    } else if (!same_dtype || (shape && !shape_agrees(view, shape))) {
        rc = zct_expect(tensor, same_dtype ? NULL : &dtype, shape ? shape->nd : -1, shape ? (const int64_t *)shape->dims : NULL);
        if (rc < 0)
            zpy_raise(rc, name, zct_store_name(zct_tensor_store(tensor)));
    }
    Py_XDECREF(blob);
    Py_XDECREF(stored);
    return rc < 0 ? -1 : 0;
}

static int expect_arguments(zct_tensor *tensor, PyObject *shape_arg, PyObject *dtype_arg, const char *name) {
    zpy_shape shape;
    PyArray_Descr *wanted = NULL;
    bool has_shape = shape_arg && shape_arg != Py_None;
    if ((has_shape && zpy_to_shape(shape_arg, &shape) < 0) || zpy_to_descr(dtype_arg, NULL, &wanted) < 0)
        return -1;
    int rc = zpy_expect(tensor, wanted, has_shape ? &shape : NULL, name);
    Py_XDECREF(wanted);
    return rc;
}

/* ---- the calls ------------------------------------------------------------------------------------------------- */

PyObject *zpy_attach_in(PyObject *store, PyObject *name_arg, PyObject *shape, PyObject *dtype, PyObject *mode_arg,
                        PyObject *timeout_arg) {
    const char *name;
    Py_ssize_t len;
    int mode;
    int64_t timeout_ns = 0;
    if (zpy_to_name(name_arg, &name, &len) < 0 || zpy_to_mode(mode_arg, &mode) < 0 ||
        (timeout_arg && zpy_to_timeout(timeout_arg, &timeout_ns) < 0))
        return NULL;
    zct_tensor *tensor = NULL;
    int rc;
    if (store == Py_None)
        store = NULL;
    if (!ZPY_NO_GIL && !store && zpy.default_store) {
        zpy.in_hot_path++;
        rc = zct_attach_n(zpy.default_store, name, (size_t)len, mode, 0, &tensor);
        zpy.in_hot_path--;
        if (rc >= 0)
            goto attached;
    }
    zpy_use use;
    if (zpy_use_begin(store, &use) < 0)
        return NULL;
    do {
        rc = zct_attach_n(use.store, name, (size_t)len, mode, 0, &tensor);
        if (rc == -ZCT_ENOTFOUND && timeout_ns != 0)
            rc = attach_waiting(use.store, name, (size_t)len, mode, timeout_ns, &tensor);
    } while (zpy_use_again(&use, rc));
    if (rc < 0)
        zpy_use_raise(&use, rc, name);
    zpy_use_end(&use);
    if (rc < 0)
        return NULL;
attached:
    if ((shape || dtype) && expect_arguments(tensor, shape, dtype, name) < 0) {
        zct_release(tensor);
        return NULL;
    }
    return zpy_tensor_new(tensor, false);
}

PyObject *zpy_attach_shared_tensor(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"attach_shared_tensor", 3, 1, {"name", "shape", "dtype", "mode", "store", "timeout", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    if (nargs == 1 && !kwnames)
        return zpy_attach_in(NULL, args[0], NULL, NULL, NULL, NULL);
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0)
        return NULL;
    return zpy_attach_in(out[4], out[0], out[1], out[2], out[3], out[5]);
}

PyObject *zpy_unlink_in(PyObject *store, PyObject *name_arg, PyObject *missing_ok_arg) {
    const char *name;
    bool missing_ok;
    zpy_use use;
    if (zpy_to_cname(name_arg, &name) < 0 || zpy_to_bool(missing_ok_arg, &missing_ok) < 0 ||
        zpy_use_begin(store, &use) < 0)
        return NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_unlink(use.store, name);
        Py_END_ALLOW_THREADS
    } while (zpy_use_again(&use, rc) || (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0));
    bool failed = rc < 0 && (PyErr_Occurred() || !(rc == -ZCT_ENOTFOUND && missing_ok));
    if (failed)
        zpy_use_raise(&use, rc, name);
    zpy_use_end(&use);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *zpy_unlink_shared_tensor(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"unlink_shared_tensor", 1, 1, {"name", "store", "missing_ok", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    return zpy_parse(&sig, args, nargs, kwnames, out) < 0 ? NULL : zpy_unlink_in(out[1], out[0], out[2]);
}

PyObject *zpy_list_shared_tensors(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"list_shared_tensors", 1, 0, {"store", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    zpy_use use;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0 || zpy_use_begin(out[0], &use) < 0)
        return NULL;
    PyObject *list;
    int rc = zct_store_alive(use.store);
    zpy_use_again(&use, rc);
    list = PyErr_Occurred() ? NULL : zpy_list(use.store, &use);
    zpy_use_end(&use);
    return list;
}
