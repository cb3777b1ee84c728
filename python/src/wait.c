/* wait.c - waiting for any name of a store, for attach_async: see the package's _async.py. */
#include "core.h"

/* _wait_names(store, seen) -> seen: until names may have come since the call that gave `seen` (None: at once). */
PyObject *zpy_wait_names(PyObject *Py_UNUSED(self), PyObject *args) {
    PyObject *store, *seen_arg;
    if (!PyArg_ParseTuple(args, "O!O:_wait_names", zpy.store_type, &store, &seen_arg))
        return NULL;
    bool first = seen_arg == Py_None;
    uint32_t seen = first ? 0 : (uint32_t)PyLong_AsUnsignedLongMask(seen_arg);
    zpy_use use;
    if (PyErr_Occurred() || zpy_use_begin(store, &use) < 0)
        return NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_wait_names(use.store, &seen, first ? 0 : ZCT_FOREVER);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    bool good = rc == 0 || (first && rc == -ZCT_ETIMEDOUT);
    if (!good)
        zpy_use_raise(&use, rc, NULL);
    zpy_use_end(&use);
    return good ? PyLong_FromUnsignedLong(seen) : NULL;
}

/* _wake_names(store): let everybody who waits look again. */
PyObject *zpy_wake_names(PyObject *Py_UNUSED(self), PyObject *store) {
    zpy_use use;
    if (zpy_use_begin(store, &use) < 0)
        return NULL;
    zct_wake_names(use.store);
    zpy_use_end(&use);
    Py_RETURN_NONE;
}
