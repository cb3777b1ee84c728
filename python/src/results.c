/* results.c - results are plain arrays: what NumPy computes from a SharedTensor is not in the store, so it does not
 * claim to be.
 *
 * Views stay SharedTensors. Copies (copy, astype, flatten, take, copy.copy, pickle) are ndarrays, as are the results of
 * ufuncs and reductions; only an `out=` that is a SharedTensor comes back as itself.
 */
#include "core.h"
#include "doc.h"

/* NumPy 1 hands the wrapper (array[, context]) and makes scalars of subclasses' results nowhere; NumPy 2 says with
 * return_scalar whether it wants one. */
static PyObject *array_wrap(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self;
    if (nargs < 1 || !PyArray_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "__array_wrap__ takes an array");
        return NULL;
    }
    PyObject *array = args[0];
    if (Py_TYPE(array) == zpy.tensor_type && zpy_hold_of(array)) {
        Py_INCREF(array); /* out=t */
        return array;
    }
    int scalar = nargs >= 3 ? PyObject_IsTrue(args[2]) : PyArray_NDIM((PyArrayObject *)array) == 0;
    if (scalar < 0)
        return NULL;
    PyObject *plain;
    if (PyArray_CheckExact(array)) {
        Py_INCREF(array);
        plain = array;
    } else if (!(plain = zpy_plain(array))) {
        return NULL;
    }
    return scalar ? PyArray_Return((PyArrayObject *)plain) : plain;
}

/* NumPy 1: called on each output before the loop. */
static PyObject *array_prepare(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)self;
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "__array_prepare__ takes an array");
        return NULL;
    }
    Py_INCREF(args[0]);
    return args[0];
}

/* Call ndarray's own method of that name on a plain view of self. */
static PyObject *forward(const char *method, PyObject *self, PyObject *args, PyObject *kwargs) {
    PyObject *plain = zpy_plain(self);
    if (!plain)
        return NULL;
    PyObject *bound = PyObject_GetAttrString(plain, method);
    Py_DECREF(plain);
    if (!bound)
        return NULL;
    PyObject *result = PyObject_Call(bound, args, kwargs);
    Py_DECREF(bound);
    return result;
}

#define FORWARD(function, method)                                                                                      \
    static PyObject *function(PyObject *self, PyObject *args, PyObject *kwargs) {                                      \
        return forward(method, self, args, kwargs);                                                                    \
    }

FORWARD(tensor_copy, "copy")
FORWARD(tensor_copy_copy, "__copy__")
FORWARD(tensor_deepcopy, "__deepcopy__")
FORWARD(tensor_astype, "astype")
FORWARD(tensor_flatten, "flatten")
FORWARD(tensor_take, "take")
/* Plain pickle is by value: a file must not hold a reference to memory. */
FORWARD(tensor_reduce, "__reduce__")
static PyObject *tensor_reduce_ex(PyObject *self, PyObject *args, PyObject *kwargs) {
    if (zpy_pickled_by_multiprocessing())
        return zpy_reduce_by_reference(NULL, self);
    return forward("__reduce_ex__", self, args, kwargs);
}

#define FORWARDED (METH_VARARGS | METH_KEYWORDS)

PyMethodDef zpy_tensor_result_methods[] = {
    {"__array_wrap__", ZPY_FAST(array_wrap), METH_FASTCALL, "Results are plain arrays."},
    {"__array_prepare__", ZPY_FAST(array_prepare), METH_FASTCALL, "Results are plain arrays."},
    {"copy", ZPY_FAST(tensor_copy), FORWARDED, DOC_TENSOR_COPY},
    {"__copy__", ZPY_FAST(tensor_copy_copy), FORWARDED, "A plain ndarray with a copy of the elements."},
    {"__deepcopy__", ZPY_FAST(tensor_deepcopy), FORWARDED, "A plain ndarray with a copy of the elements."},
    {"astype", ZPY_FAST(tensor_astype), FORWARDED, DOC_TENSOR_ASTYPE},
    {"flatten", ZPY_FAST(tensor_flatten), FORWARDED, DOC_TENSOR_FLATTEN},
    {"take", ZPY_FAST(tensor_take), FORWARDED, DOC_TENSOR_TAKE},
    {"__reduce__", ZPY_FAST(tensor_reduce), FORWARDED, "Plain pickle is by value, as an ndarray."},
    {"__reduce_ex__", ZPY_FAST(tensor_reduce_ex), FORWARDED, "Plain pickle is by value, as an ndarray."},
    {NULL}};
