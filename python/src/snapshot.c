/* snapshot.c - SharedTensor.snapshot: a plain array with contents that no writer under the lock left half done. */
#include "core.h"
#include "doc.h"

static bool same_layout(PyArrayObject *a, PyArrayObject *b) {
    bool same = PyArray_NDIM(a) == PyArray_NDIM(b) && PyArray_EquivTypes(PyArray_DESCR(a), PyArray_DESCR(b));
    for (int i = 0; same && i < PyArray_NDIM(a); i++)
        same = PyArray_DIM(a, i) == PyArray_DIM(b, i) && (PyArray_DIM(a, i) <= 1 || PyArray_STRIDE(a, i) == PyArray_STRIDE(b, i));
    return same;
}

/* The array to copy into, new reference: `out`, if it is laid out as the tensor, else a new one. */
static PyArrayObject *target(PyArrayObject *tensor, PyObject *out) {
    if (!out || out == Py_None)
        return (PyArrayObject *)PyArray_NewLikeArray(tensor, NPY_KEEPORDER, NULL, 0);
    if (!PyArray_Check(out)) {
        PyErr_Format(PyExc_TypeError, "snapshot: out must be an ndarray, not %.100s", Py_TYPE(out)->tp_name);
        return NULL;
    }
    if (PyArray_FailUnlessWriteable((PyArrayObject *)out, "snapshot: out") < 0)
        return NULL;
    if (!same_layout(tensor, (PyArrayObject *)out)) {
        PyErr_SetString(PyExc_ValueError, "snapshot: out must have the tensor's shape, dtype and memory layout");
        return NULL;
    }
    Py_INCREF(out);
    return (PyArrayObject *)out;
}

static PyObject *tensor_snapshot(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"snapshot", 2, 0, {"out", "timeout", NULL}, {0}};
    PyObject *parsed[ZPY_MAX_ARGS];
    int64_t timeout_ns = ZCT_FOREVER;
    zpy_hold *hold = zpy_open_hold(self, "snapshot");
    if (!hold || zpy_parse(&sig, args, nargs, kwnames, parsed) < 0 ||
        (parsed[1] && zpy_to_timeout(parsed[1], &timeout_ns) < 0))
        return NULL;
    if (!zpy_hold_is_whole(hold, (PyArrayObject *)self)) {
        PyErr_SetString(PyExc_ValueError, "snapshot: this is a view of a part; take the snapshot of the whole tensor, and then "
                                          "the part of it");
        return NULL;
    }
    PyArrayObject *copy = target((PyArrayObject *)self, parsed[0]);
    if (!copy)
        return NULL;
    Py_INCREF(hold);
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_snapshot(hold->tensor, PyArray_DATA(copy), hold->view->nbytes, timeout_ns, NULL);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    if (rc < 0) {
        char name[ZCT_MAX_NAME + 1] = "", sentence[1024];
        PyOS_snprintf(sentence, sizeof sentence, "%s", zct_last_error());
        zct_tensor_name(hold->tensor, name, sizeof name);
        if (!PyErr_Occurred())
            zpy_raise_sentence(rc, sentence, name, zct_store_name(zct_tensor_store(hold->tensor)));
        Py_CLEAR(copy);
    }
    Py_DECREF(hold);
    return (PyObject *)copy;
}

PyMethodDef zpy_tensor_snapshot_methods[] = {
    {"snapshot", ZPY_FAST(tensor_snapshot), METH_FASTCALL | METH_KEYWORDS, DOC_TENSOR_SNAPSHOT},
    {NULL}};
