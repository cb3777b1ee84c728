/* elements.c - updates by many processes: of single elements (fetch_add, exchange, compare_exchange), and of all (atomic_add). */
#include "core.h"
#include "doc.h"

/* One element, found by an index as NumPy takes it: an int, or a tuple of one int for each dimension. */
typedef struct place { zpy_hold *hold; uint64_t offset; PyArray_Descr *descr; } place;

static int find(PyObject *self, PyObject *index, const char *what, place *ret) {
    PyArrayObject *array = (PyArrayObject *)self;
    int nd = PyArray_NDIM(array);
    Py_ssize_t given = PyTuple_Check(index) ? PyTuple_GET_SIZE(index) : 1;
    ret->hold = zpy_open_hold(self, what);
    if (!ret->hold)
        return -1;
    if (given != nd) {
        PyErr_Format(PyExc_IndexError, "%s: one element is wanted: %d indices, not %zd", what, nd, given);
        return -1;
    }
    char *at = PyArray_BYTES(array);
    for (int i = 0; i < nd; i++) {
        PyObject *one = PyTuple_Check(index) ? PyTuple_GET_ITEM(index, i) : index;
        npy_intp extent = PyArray_DIM(array, i), k = PyNumber_AsSsize_t(one, PyExc_IndexError);
        if (k == -1 && PyErr_Occurred())
            return -1;
        if (k < -extent || k >= extent) {
            PyErr_Format(PyExc_IndexError, "%s: index %zd is out of bounds for axis %d with size %zd", what, (Py_ssize_t)k, i,
                         (Py_ssize_t)extent);
            return -1;
        }
        at += (k < 0 ? k + extent : k) * PyArray_STRIDE(array, i);
    }
    ret->offset = (uint64_t)(at - (char *)ret->hold->view->data);
    ret->descr = PyArray_DESCR(array);
    zct_dtype dtype;
    const zct_dtype *whole = &ret->hold->view->dtype;
    PyObject *blob = NULL;
    if (zpy_dtype_from_descr(ret->descr, &dtype, &blob) < 0)
        return -1;
    Py_XDECREF(blob);
    if (dtype.code != whole->code || dtype.itemsize != whole->itemsize || dtype.big_endian != whole->big_endian) {
        PyErr_Format(PyExc_ValueError, "%s: this view has another dtype than its tensor; use the tensor itself", what);
        return -1;
    }
    return 0;
}

/* A value as the bytes of an element: an array of no dimension. */
static PyArrayObject *element(PyObject *value, PyArray_Descr *descr) {
    Py_INCREF(descr);
    return (PyArrayObject *)PyArray_FromAny(value, descr, 0, 0, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSURECOPY | NPY_ARRAY_FORCECAST,
                                            NULL);
}

static PyObject *scalar(const void *bytes, PyObject *self) {
    return PyArray_ToScalar((void *)(uintptr_t)bytes, (PyArrayObject *)self);
}

static PyObject *raise_for(const place *p, int rc) {
    char name[ZCT_MAX_NAME + 1] = "", sentence[512];
    PyOS_snprintf(sentence, sizeof sentence, "%s", zct_last_error());
    zct_tensor_name(p->hold->tensor, name, sizeof name);
    return zpy_raise_sentence(rc, sentence, name, NULL);
}

typedef int (*operation)(const zct_tensor *tensor, uint64_t offset, const void *value, void *ret_old);

static PyObject *operate(PyObject *self, PyObject *args, const char *what, operation call) {
    PyObject *index, *value;
    place p;
    uint64_t old = 0; /* room for either size */
    if (!PyArg_UnpackTuple(args, what, 2, 2, &index, &value) || find(self, index, what, &p) < 0)
        return NULL;
    PyArrayObject *bytes = element(value, p.descr);
    if (!bytes)
        return NULL;
    int rc = call(p.hold->tensor, p.offset, PyArray_DATA(bytes), &old);
    Py_DECREF(bytes);
    return rc < 0 ? raise_for(&p, rc) : scalar(&old, self);
}

static PyObject *tensor_fetch_add(PyObject *self, PyObject *args) {
    return operate(self, args, "fetch_add", zct_element_add);
}

static PyObject *tensor_exchange(PyObject *self, PyObject *args) {
    return operate(self, args, "exchange", zct_element_exchange);
}

static PyObject *tensor_compare_exchange(PyObject *self, PyObject *args) {
    PyObject *index, *expected, *value, *result = NULL;
    place p;
    if (!PyArg_UnpackTuple(args, "compare_exchange", 3, 3, &index, &expected, &value) ||
        find(self, index, "compare_exchange", &p) < 0)
        return NULL;
    PyArrayObject *old = element(expected, p.descr), *new = old ? element(value, p.descr) : NULL;
    if (new) {
        int rc = zct_element_compare_exchange(p.hold->tensor, p.offset, PyArray_DATA(old), PyArray_DATA(new));
        result = rc < 0 ? raise_for(&p, rc) : PyBool_FromLong(rc);
    }
    Py_XDECREF(old);
    Py_XDECREF(new);
    return result;
}

/* numpy.add under the write lock: it releases the GIL while it adds. Whoever is killed inside leaves the tensor poisoned. */
static PyObject *tensor_atomic_add(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"atomic_add", 2, 1, {"values", "timeout", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0)
        return NULL;
    PyObject *guard = PyObject_CallMethod(self, "write_lock", "O", out[1] ? out[1] : Py_None);
    PyObject *array = guard ? PyObject_CallMethod(guard, "__enter__", NULL) : NULL;
    if (!array) {
        Py_XDECREF(guard);
        return NULL;
    }
    PyObject *numpy = PyImport_ImportModule("numpy"), *add = numpy ? PyObject_GetAttrString(numpy, "add") : NULL;
    PyObject *arguments = add ? PyTuple_Pack(3, array, out[0], array) : NULL;
    PyObject *sum = arguments ? PyObject_CallObject(add, arguments) : NULL;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *left = PyObject_CallMethod(guard, "__exit__", "OOO", Py_None, Py_None, Py_None);
    if (type) {
        if (!left)
            PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
    bool good = sum && left;
    Py_XDECREF(left);
    Py_XDECREF(sum);
    Py_XDECREF(arguments);
    Py_XDECREF(add);
    Py_XDECREF(numpy);
    Py_DECREF(array);
    Py_DECREF(guard);
    if (!good)
        return NULL;
    Py_RETURN_NONE;
}

PyMethodDef zpy_tensor_element_methods[] = {
    {"atomic_add", ZPY_FAST(tensor_atomic_add), METH_FASTCALL | METH_KEYWORDS, DOC_TENSOR_ATOMIC_ADD},
    {"fetch_add", tensor_fetch_add, METH_VARARGS, DOC_TENSOR_FETCH_ADD},
    {"exchange", tensor_exchange, METH_VARARGS, DOC_TENSOR_EXCHANGE},
    {"compare_exchange", tensor_compare_exchange, METH_VARARGS, DOC_TENSOR_COMPARE_EXCHANGE},
    {NULL}};
