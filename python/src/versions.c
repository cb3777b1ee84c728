/* versions.c - counting completed writes and waiting for them: SharedTensor.commit and .wait, wait_any, and what the package's
 * event-loop thread calls.
 *
 * The first look keeps the GIL. A wait releases it, a second at a time at most: a signal ends a sleep, but one that arrives
 * just before it does not. */
#include "core.h"
#include "doc.h"

#include <time.h>

#define SLICE_NS 1000000000

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

PyObject *zpy_raise_for_hold(const zpy_hold *hold, int rc) {
    char name[ZCT_MAX_NAME + 1] = "", sentence[1024];
    PyOS_snprintf(sentence, sizeof sentence, "%s", zct_last_error());
    zct_tensor_name(hold->tensor, name, sizeof name);
    return zpy_raise_sentence(rc, *sentence ? sentence : zct_strerror(rc), name, zct_store_name(zct_tensor_store(hold->tensor)));
}

/* The versions to go beyond: 0, or -1 with an exception. */
static int to_version(PyObject *obj, uint64_t *ret_version) {
    return zpy_to_size(obj, "newer_than", ret_version);
}

PyObject *zpy_tensor_version(PyObject *self, void *Py_UNUSED(closure)) {
    if (!zpy_hold_of(self))
        Py_RETURN_NONE;
    zpy_hold *hold = zpy_open_hold(self, "version");
    return hold ? PyLong_FromUnsignedLongLong(zct_tensor_version(hold->tensor)) : NULL;
}

static PyObject *tensor_commit(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    uint64_t version = 0;
    zpy_hold *hold = zpy_open_hold(self, "commit");
    if (!hold)
        return NULL;
    int rc = zct_commit(hold->tensor, &version);
    return rc < 0 ? zpy_raise_for_hold(hold, rc) : PyLong_FromUnsignedLongLong(version);
}

/* A wait in slices, each with the GIL released; signals are served between them. -ZCT_EINTERRUPTED: a handler raised. */
typedef int (*wait_fn)(void *what, int64_t timeout_ns);

static int wait_in_slices(wait_fn wait, void *what, int64_t timeout_ns) {
    int rc = wait(what, 0);
    int64_t end = timeout_ns == ZCT_FOREVER ? INT64_MAX : now_ns() + timeout_ns;
    while (rc == -ZCT_ETIMEDOUT || rc == -ZCT_EINTERRUPTED) {
        int64_t left = end - now_ns(), slice = left < SLICE_NS ? left : SLICE_NS;
        if (left <= 0)
            return -ZCT_ETIMEDOUT;
        if (PyErr_CheckSignals() < 0)
            return -ZCT_EINTERRUPTED;
        Py_BEGIN_ALLOW_THREADS
        rc = wait(what, slice);
        Py_END_ALLOW_THREADS
    }
    return rc;
}

struct one { const zct_tensor *tensor; uint64_t newer_than, version; };

static int wait_one(void *what, int64_t timeout_ns) {
    struct one *one = what;
    return zct_wait(one->tensor, one->newer_than, timeout_ns, &one->version);
}

static PyObject *tensor_wait(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"wait", 2, 0, {"newer_than", "timeout", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    int64_t timeout_ns = ZCT_FOREVER;
    zpy_hold *hold = zpy_open_hold(self, "wait");
    if (!hold || zpy_parse(&sig, args, nargs, kwnames, out) < 0)
        return NULL;
    struct one one = {.tensor = hold->tensor, .newer_than = zct_tensor_version(hold->tensor)};
    if ((out[0] && out[0] != Py_None && to_version(out[0], &one.newer_than) < 0) ||
        (out[1] && zpy_to_timeout(out[1], &timeout_ns) < 0))
        return NULL;
    Py_INCREF(hold);
    int rc = wait_in_slices(wait_one, &one, timeout_ns);
    PyObject *version = rc == 0 ? PyLong_FromUnsignedLongLong(one.version) : NULL;
    if (rc < 0 && !PyErr_Occurred())
        zpy_raise_for_hold(hold, rc);
    Py_DECREF(hold);
    return version;
}

static PyObject *tensor_wait_async(PyObject *self, PyObject *args, PyObject *kwargs);

PyMethodDef zpy_tensor_version_methods[] = {
    {"commit", tensor_commit, METH_NOARGS, DOC_TENSOR_COMMIT},
    {"wait", ZPY_FAST(tensor_wait), METH_FASTCALL | METH_KEYWORDS, DOC_TENSOR_WAIT},
    {"wait_async", ZPY_FAST(tensor_wait_async), METH_VARARGS | METH_KEYWORDS, DOC_TENSOR_WAIT_ASYNC},
    {NULL}};

/* ---- many ---- */

struct many { zct_tensor **tensors; uint64_t *newer_than; PyObject *kept; int count, index; };

static int wait_many(void *what, int64_t timeout_ns) {
    struct many *many = what;
    return zct_wait_any(many->tensors, many->newer_than, many->count, timeout_ns, &many->index);
}

/* Fill `many` from the two arguments; the holds are kept alive by many->kept. */
static int many_fill(struct many *many, PyObject *tensors, PyObject *versions) {
    Py_ssize_t n = PyTuple_GET_SIZE(tensors);
    if (n == 0) {
        PyErr_SetString(PyExc_ValueError, "wait_any: there is no tensor to wait for");
        return -1;
    }
    if (versions && PyTuple_GET_SIZE(versions) != n) {
        PyErr_Format(PyExc_ValueError, "wait_any: %zd tensors, but %zd versions in newer_than", n, PyTuple_GET_SIZE(versions));
        return -1;
    }
    many->count = (int)n;
    many->tensors = PyMem_Calloc((size_t)n, sizeof *many->tensors);
    many->newer_than = PyMem_Calloc((size_t)n, sizeof *many->newer_than);
    many->kept = PyList_New(n);
    if (!many->tensors || !many->newer_than || !many->kept) {
        if (!PyErr_Occurred())
            PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *tensor = PyTuple_GET_ITEM(tensors, i);
        if (!PyObject_TypeCheck(tensor, zpy.tensor_type)) {
            PyErr_Format(PyExc_TypeError, "wait_any: a SharedTensor is wanted, not %.100s", Py_TYPE(tensor)->tp_name);
            return -1;
        }
        zpy_hold *hold = zpy_open_hold(tensor, "wait_any");
        if (!hold)
            return -1;
        Py_INCREF(hold);
        PyList_SET_ITEM(many->kept, i, (PyObject *)hold);
        many->tensors[i] = hold->tensor;
        many->newer_than[i] = zct_tensor_version(hold->tensor);
        if (versions && to_version(PyTuple_GET_ITEM(versions, i), &many->newer_than[i]) < 0)
            return -1;
    }
    return 0;
}

PyObject *zpy_wait_any(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"wait_any", 3, 1, {"tensors", "newer_than", "timeout", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS], *result = NULL;
    int64_t timeout_ns = ZCT_FOREVER;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0 || (out[2] && zpy_to_timeout(out[2], &timeout_ns) < 0))
        return NULL;
    PyObject *tensors = PySequence_Tuple(out[0]);
    PyObject *versions = tensors && out[1] && out[1] != Py_None ? PySequence_Tuple(out[1]) : NULL;
    struct many many = {.index = -1};
    if (tensors && !PyErr_Occurred() && many_fill(&many, tensors, versions) == 0) {
        int rc = wait_in_slices(wait_many, &many, timeout_ns);
        if (rc == 0)
            result = PyLong_FromLong(many.index);
        else if (!PyErr_Occurred())
            zpy_raise_for_hold((zpy_hold *)PyList_GET_ITEM(many.kept, many.index < 0 ? 0 : many.index), rc);
    }
    Py_XDECREF(many.kept);
    PyMem_Free(many.tensors);
    PyMem_Free(many.newer_than);
    Py_XDECREF(versions);
    Py_XDECREF(tensors);
    return result;
}

/* ---- in an event loop: the package's _async.py, and what its thread sleeps by ---- */

static PyObject *tensor_wait_async(PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *module = PyImport_ImportModule("zero_copy_tensor_ipc._async"); /* not before: asyncio is slow to import */
    PyObject *function = module ? PyObject_GetAttrString(module, "wait_async") : NULL;
    PyObject *all = function ? PyTuple_New(PyTuple_GET_SIZE(args) + 1) : NULL, *coroutine = NULL;
    if (all) {
        Py_INCREF(self);
        PyTuple_SET_ITEM(all, 0, self);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
            Py_INCREF(PyTuple_GET_ITEM(args, i));
            PyTuple_SET_ITEM(all, i + 1, PyTuple_GET_ITEM(args, i));
        }
        coroutine = PyObject_Call(function, all, kwargs);
    }
    Py_XDECREF(all);
    Py_XDECREF(function);
    Py_XDECREF(module);
    return coroutine;
}

/* _store_identity(store) -> a number: the same for all Store objects of one membership, while one of them is open. */
PyObject *zpy_store_identity(PyObject *Py_UNUSED(self), PyObject *store) {
    zpy_use use;
    if (zpy_use_begin(store, &use) < 0)
        return NULL;
    PyObject *identity = PyLong_FromVoidPtr(use.store);
    zpy_use_end(&use);
    return identity;
}

/* _bell(store) -> what bell_wait wants. */
PyObject *zpy_bell(PyObject *Py_UNUSED(self), PyObject *store) {
    zpy_use use;
    if (zpy_use_begin(store, &use) < 0)
        return NULL;
    uint32_t heard = zct_bell(use.store);
    zpy_use_end(&use);
    return PyLong_FromUnsignedLong(heard);
}

/* _bell_wait(store, heard): until it rang, or a second passed. */
PyObject *zpy_bell_wait(PyObject *Py_UNUSED(self), PyObject *args) {
    PyObject *store;
    unsigned long heard;
    zpy_use use;
    if (!PyArg_ParseTuple(args, "O!k:_bell_wait", zpy.store_type, &store, &heard) || zpy_use_begin(store, &use) < 0)
        return NULL;
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = zct_bell_wait(use.store, (uint32_t)heard, SLICE_NS);
    Py_END_ALLOW_THREADS
    bool good = rc == 0 || rc == -ZCT_ETIMEDOUT || rc == -ZCT_EINTERRUPTED;
    if (!good)
        zpy_use_raise(&use, rc, NULL);
    zpy_use_end(&use);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *zpy_bell_ring(PyObject *Py_UNUSED(self), PyObject *store) {
    zpy_use use;
    if (zpy_use_begin(store, &use) < 0)
        return NULL;
    int rc = zct_bell_ring(use.store);
    if (rc < 0)
        zpy_use_raise(&use, rc, NULL);
    zpy_use_end(&use);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* _listen(tensor, newer_than) -> the version if it is newer, else None: the bell will ring. */
PyObject *zpy_listen(PyObject *Py_UNUSED(self), PyObject *args) {
    PyObject *tensor, *newer_than_arg;
    uint64_t newer_than, version = 0;
    if (!PyArg_ParseTuple(args, "O!O:_listen", zpy.tensor_type, &tensor, &newer_than_arg) ||
        to_version(newer_than_arg, &newer_than) < 0)
        return NULL;
    zpy_hold *hold = zpy_open_hold(tensor, "wait_async");
    if (!hold)
        return NULL;
    int rc = zct_listen(hold->tensor, newer_than, &version);
    if (rc < 0)
        return zpy_raise_for_hold(hold, rc);
    if (rc == 0)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(version);
}
