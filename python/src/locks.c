/* locks.c - SharedTensor.read_lock and .write_lock, and the LockGuard that they return.
 *
 * A lock that is free is taken with the GIL held. Whoever has to wait releases it, a second at a time at most: a signal ends a
 * sleep, but one that arrives just before it does not. A guard may be entered again after it was left. */
#include "core.h"
#include "doc.h"

#include <string.h>
#include <time.h>

#define SLICE_NS 1000000000
#define FREE_GUARDS 16

typedef struct zpy_guard {
    PyObject_HEAD
    PyObject *tensor;     /* the array that it was asked from */
    zpy_hold *hold;
    int64_t timeout_ns;
    bool writes, recover; /* as asked for */
    bool entered, recovered;
    zct_lock_guard lock;
} zpy_guard;

static PyTypeObject *guard_type;
static zpy_guard *free_guards[FREE_GUARDS];
static int free_count;

/* ---- the view that a reader gets ---- */

static bool shows(PyArrayObject *view, PyArrayObject *array) {
    size_t bytes = (size_t)PyArray_NDIM(array) * sizeof(npy_intp);
    return PyArray_DATA(view) == PyArray_DATA(array) && PyArray_DESCR(view) == PyArray_DESCR(array) &&
           PyArray_NDIM(view) == PyArray_NDIM(array) && memcmp(PyArray_DIMS(view), PyArray_DIMS(array), bytes) == 0 &&
           memcmp(PyArray_STRIDES(view), PyArray_STRIDES(array), bytes) == 0;
}

/* A plain array over the same memory, read-only, that stands on the hold and not on `array`. */
static PyObject *new_view(PyArrayObject *array, zpy_hold *hold) {
    Py_INCREF(PyArray_DESCR(array));
    PyObject *view = PyArray_NewFromDescr(&PyArray_Type, PyArray_DESCR(array), PyArray_NDIM(array), PyArray_DIMS(array),
                                          PyArray_STRIDES(array), PyArray_DATA(array),
                                          PyArray_FLAGS(array) & ~(NPY_ARRAY_WRITEABLE | NPY_ARRAY_OWNDATA), NULL);
    if (!view)
        return NULL;
    Py_INCREF(hold);
    ((PyArrayObject_fields *)view)->base = (PyObject *)hold;
    return view;
}

/* Kept by the hold for the next time: making one costs more than the lock. The two keep each other alive, until the array goes
 * that it was made for (zpy_locks_forget): every other array over the hold stands on that one. */
static PyObject *read_view(PyObject *tensor, zpy_hold *hold) {
    PyArrayObject *array = (PyArrayObject *)tensor;
    if (ZPY_NO_GIL || PyArray_BASE(array) != (PyObject *)hold) /* without a GIL two readers would change what is kept */
        return new_view(array, hold);
    if (!hold->read_view || hold->read_view_of != tensor || !shows((PyArrayObject *)hold->read_view, array)) {
        PyObject *view = new_view(array, hold);
        if (!view)
            return NULL;
        Py_XDECREF(hold->read_view);
        hold->read_view = view;
        hold->read_view_of = tensor;
    }
    Py_INCREF(hold->read_view);
    return hold->read_view;
}

void zpy_locks_forget(PyObject *tensor) {
    PyObject *base = PyArray_BASE((PyArrayObject *)tensor);
    if (base && Py_TYPE(base) == zpy.hold_type && ((zpy_hold *)base)->read_view_of == tensor) {
        ((zpy_hold *)base)->read_view_of = NULL;
        Py_CLEAR(((zpy_hold *)base)->read_view);
    }
}

/* ---- guards ---- */

static PyObject *guard_new(PyObject *tensor, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, bool writes) {
    static zpy_sig read_sig = {"read_lock", 2, 0, {"timeout", "recover", NULL}, {0}};
    static zpy_sig write_sig = {"write_lock", 2, 0, {"timeout", "recover", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS] = {NULL};
    int64_t timeout_ns = ZCT_FOREVER;
    bool recover = false;
    zpy_hold *hold = zpy_open_hold(tensor, writes ? "write_lock" : "read_lock");
    if (!hold)
        return NULL;
    if ((nargs || kwnames) &&
        (zpy_parse(writes ? &write_sig : &read_sig, args, nargs, kwnames, out) < 0 ||
         (out[0] && zpy_to_timeout(out[0], &timeout_ns) < 0) || zpy_to_bool(out[1], &recover) < 0))
        return NULL;
    zpy_guard *guard;
    if (!ZPY_NO_GIL && free_count > 0) {
        guard = free_guards[--free_count];
        (void)PyObject_INIT(guard, guard_type);
    } else if (!(guard = PyObject_New(zpy_guard, guard_type))) {
        return NULL;
    }
    Py_INCREF(tensor);
    Py_INCREF(hold);
    guard->tensor = tensor;
    guard->hold = hold;
    guard->timeout_ns = timeout_ns;
    guard->writes = writes;
    guard->recover = recover;
    guard->entered = guard->recovered = false;
    memset(&guard->lock, 0, sizeof guard->lock);
    return (PyObject *)guard;
}

static PyObject *tensor_read_lock(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    return guard_new(self, args, nargs, kwnames, false);
}

static PyObject *tensor_write_lock(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    return guard_new(self, args, nargs, kwnames, true);
}

PyMethodDef zpy_tensor_lock_methods[] = {
    {"read_lock", ZPY_FAST(tensor_read_lock), METH_FASTCALL | METH_KEYWORDS, DOC_TENSOR_READ_LOCK},
    {"write_lock", ZPY_FAST(tensor_write_lock), METH_FASTCALL | METH_KEYWORDS, DOC_TENSOR_WRITE_LOCK},
    {NULL}};

/* Of a guard that nobody can give back any more. */
static void guard_dealloc(PyObject *self) {
    zpy_guard *guard = (zpy_guard *)self;
    if (guard->entered)
        (void)zct_lock_release(&guard->lock);
    Py_DECREF(guard->tensor);
    Py_DECREF(guard->hold);
    if (!ZPY_NO_GIL && free_count < FREE_GUARDS)
        free_guards[free_count++] = guard;
    else
        PyObject_Free(self);
    Py_DECREF(guard_type);
}

static int lock(zpy_guard *guard, int64_t timeout_ns) {
    uint32_t flags = guard->recover ? ZCT_RECOVER : 0;
    return guard->writes ? zct_tensor_write_lock(guard->hold->tensor, timeout_ns, flags, &guard->lock)
                         : zct_tensor_read_lock(guard->hold->tensor, timeout_ns, flags, &guard->lock);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* -ZCT_EINTERRUPTED with an exception set: a signal's handler raised. */
static int lock_in_slices(zpy_guard *guard) {
    int64_t end = guard->timeout_ns == ZCT_FOREVER ? INT64_MAX : now_ns() + guard->timeout_ns;
    int rc;
    do {
        int64_t left = end - now_ns();
        if (PyErr_CheckSignals() < 0)
            return -ZCT_EINTERRUPTED;
        Py_BEGIN_ALLOW_THREADS
        rc = lock(guard, left < 0 ? 0 : left < SLICE_NS ? left : SLICE_NS);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED || (rc == -ZCT_ETIMEDOUT && now_ns() < end));
    return rc;
}

/* One of the threads that come at once. */
static bool claim(zpy_guard *guard) {
    ZPY_LOCK();
    bool free = !guard->entered;
    guard->entered = true; /* also while it waits with the GIL released */
    ZPY_UNLOCK();
    return free;
}

static PyObject *guard_enter(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_guard *guard = (zpy_guard *)self;
    if (!claim(guard)) {
        PyErr_SetString(PyExc_RuntimeError, "this guard holds its lock already: ask the tensor for another one");
        return NULL;
    }
    PyObject *array = guard->tensor;
    if (guard->writes) {
        Py_INCREF(array);
    } else if (!(array = read_view(guard->tensor, guard->hold))) {
        guard->entered = false;
        return NULL;
    }
    int rc = lock(guard, 0);
    if (rc == -ZCT_ETIMEDOUT && guard->timeout_ns != 0)
        rc = lock_in_slices(guard);
    guard->entered = rc >= 0;
    guard->recovered = rc == ZCT_RECOVERED;
    if (rc >= 0)
        return array;
    Py_DECREF(array);
    return PyErr_Occurred() ? NULL : zpy_raise_for_hold(guard->hold, rc);
}

/* In a forked child the lock is the parent's: nothing to give back. */
static bool leave(zpy_guard *guard, bool in_order) {
    if (!guard->entered)
        return false;
    if (guard->recovered && guard->writes && in_order)
        (void)zct_lock_mark_consistent(&guard->lock);
    (void)zct_lock_release(&guard->lock);
    guard->entered = false;
    return true;
}

static PyObject *guard_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    bool left;
    ZPY_BEGIN_ALONE(self);
    left = leave((zpy_guard *)self, nargs == 0 || args[0] == Py_None);
    ZPY_END_ALONE();
    if (left)
        Py_RETURN_FALSE;
    PyErr_SetString(PyExc_RuntimeError, "this guard holds no lock");
    return NULL;
}

static PyObject *guard_mark_consistent(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_guard *guard = (zpy_guard *)self;
    int rc = zct_lock_mark_consistent(&guard->lock);
    if (rc < 0)
        return zpy_raise_for_hold(guard->hold, rc);
    Py_RETURN_NONE;
}

static PyObject *guard_held(PyObject *self, void *Py_UNUSED(closure)) {
    return PyBool_FromLong(zct_lock_held(&((zpy_guard *)self)->lock));
}

static PyObject *guard_recovered(PyObject *self, void *Py_UNUSED(closure)) {
    return PyBool_FromLong(((zpy_guard *)self)->recovered);
}

static PyMethodDef guard_methods[] = {
    {"__enter__", guard_enter, METH_NOARGS, "Lock; the array."},
    {"__exit__", ZPY_FAST(guard_exit), METH_FASTCALL, "Give the lock back."},
    {"mark_consistent", guard_mark_consistent, METH_NOARGS, DOC_GUARD_MARK_CONSISTENT},
    {NULL}};

static PyGetSetDef guard_attributes[] = {
    {"held", guard_held, NULL, DOC_GUARD_HELD, NULL},
    {"recovered", guard_recovered, NULL, DOC_GUARD_RECOVERED, NULL},
    {NULL}};

static PyType_Slot guard_slots[] = {
    {Py_tp_dealloc, guard_dealloc},
    {Py_tp_methods, guard_methods},
    {Py_tp_getset, guard_attributes},
    {Py_tp_doc, (void *)DOC_GUARD},
    {0, NULL}};

static PyType_Spec guard_spec = {
    .name = "zero_copy_tensor_ipc.LockGuard",
    .basicsize = sizeof(zpy_guard),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = guard_slots};

int zpy_locks_init(PyObject *module) {
    if (!guard_type) {
        guard_type = (PyTypeObject *)PyType_FromSpec(&guard_spec);
        if (!guard_type)
            return -1;
        guard_type->tp_new = NULL; /* not for Python to make */
    }
    Py_INCREF(guard_type);
    return PyModule_AddObject(module, "LockGuard", (PyObject *)guard_type);
}
