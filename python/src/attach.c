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

/* 0 if the tensor is what the caller expects, else -1 with a ValueError that has both sides. */
static int expect(zct_tensor *tensor, PyObject *shape_arg, PyObject *dtype_arg, const char *name, const char *store) {
    const zct_view *view = zct_tensor_view(tensor);
    zpy_shape shape = {.nd = -1};
    PyArray_Descr *wanted = NULL, *stored = NULL;
    bool agrees = true;
    int rc = -1;
    if (shape_arg != Py_None && shape_arg) {
        if (zpy_to_shape(shape_arg, &shape) < 0)
            return -1;
        agrees = shape_agrees(view, &shape);
    }
    if (zpy_to_descr(dtype_arg, NULL, &wanted) < 0)
        return -1;
    if (wanted) {
        stored = zpy_descr_from_dtype(&view->dtype);
        if (!stored)
            goto done;
        agrees = agrees && (stored == wanted || PyArray_EquivTypes(stored, wanted));
    }
    if (agrees) {
        rc = 0;
        goto done;
    }
    zct_dtype dtype;
    if (wanted && zpy_dtype_from_descr(wanted, &dtype) < 0) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "tensor '%s' has dtype %R, not %R", name, (PyObject *)stored, (PyObject *)wanted);
        goto done;
    }
    int code = zct_expect(tensor, wanted ? &dtype : NULL, shape.nd, shape.nd >= 0 ? (const int64_t *)shape.dims : NULL);
    if (code < 0)
        zpy_raise(code, name, store);
    else
        rc = 0;
done:
    Py_XDECREF(wanted);
    Py_XDECREF(stored);
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
    if (!store && zpy.default_store) {
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
    if ((shape || dtype) &&
        expect(tensor, shape, dtype, name, zct_store_name(zct_tensor_store(tensor))) < 0) {
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
