/* args.c - arguments: fast keyword calls, and converters from Python objects to what zct.h takes.
 *
 * PyArg_ParseTupleAndKeywords costs several times what an attach costs; keyword names are nearly always interned
 * strings, so comparing pointers finds them.
 */
#include "core.h"

#include <math.h>
#include <string.h>

static int intern_names(zpy_sig *sig) {
    for (int i = 0; sig->names[i]; i++) {
        if (ZPY_GET(sig->interned[i]))
            continue;
        PyObject *name = PyUnicode_InternFromString(sig->names[i]);
        if (!name)
            return -1;
        ZPY_SET(sig->interned[i], name); /* two threads at once store the same one */
    }
    return 0;
}

static int find_keyword(const zpy_sig *sig, PyObject *keyword) {
    for (int i = 0; sig->names[i]; i++) {
        if (sig->interned[i] == keyword)
            return i;
    }
    for (int i = 0; sig->names[i]; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, sig->names[i]) == 0)
            return i;
    }
    return -1;
}

static int missing_argument(const zpy_sig *sig, PyObject **out) {
    for (int i = 0; i < sig->nrequired; i++) {
        if (!out[i]) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", sig->function, sig->names[i]);
            return -1;
        }
    }
    return 0;
}

int zpy_parse(zpy_sig *sig, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **out) {
    int count = 0;
    while (sig->names[count])
        out[count++] = NULL;
    if (nargs > sig->npositional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)", sig->function,
                     sig->npositional, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++)
        out[i] = args[i];
    if (kwnames) {
        if (intern_names(sig) < 0)
            return -1;
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(kwnames); k++) {
            PyObject *keyword = PyTuple_GET_ITEM(kwnames, k);
            int i = find_keyword(sig, keyword);
            if (i < 0) {
                PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", sig->function, keyword);
                return -1;
            }
            if (out[i]) {
                PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", sig->function, keyword);
                return -1;
            }
            out[i] = args[nargs + k];
        }
    }
    return missing_argument(sig, out);
}

int zpy_to_name(PyObject *obj, const char **ret_name, Py_ssize_t *ret_len) {
    if (!PyUnicode_Check(obj)) {
        PyErr_Format(PyExc_TypeError, "a tensor's name must be a str, not %s", Py_TYPE(obj)->tp_name);
        return -1;
    }
    if (PyUnicode_IS_READY(obj) && PyUnicode_IS_COMPACT_ASCII(obj)) {
        *ret_name = PyUnicode_DATA(obj);
        *ret_len = PyUnicode_GET_LENGTH(obj);
        return 0;
    }
    const char *name = PyUnicode_AsUTF8AndSize(obj, ret_len);
    if (!name) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "the name %R has no UTF-8 form: it contains a lone surrogate", obj);
        }
        return -1;
    }
    *ret_name = name;
    return 0;
}

int zpy_to_cname(PyObject *obj, const char **ret_name) {
    Py_ssize_t len;
    if (zpy_to_name(obj, ret_name, &len) < 0)
        return -1;
    if ((size_t)len != strlen(*ret_name)) {
        PyErr_Format(PyExc_ValueError, "the name %R contains a NUL character: names end there", obj);
        return -1;
    }
    return 0;
}

/* One of a few words; `index` gets its place in words[]. */
static int to_word(PyObject *obj, const char *what, const char *const *words, int count, int *ret_index) {
    if (PyUnicode_Check(obj)) {
        for (int i = 0; i < count; i++) {
            if (PyUnicode_CompareWithASCIIString(obj, words[i]) == 0) {
                *ret_index = i;
                return 0;
            }
        }
    }
    PyObject *list = PyUnicode_FromString("");
    for (int i = 0; list && i < count; i++) {
        PyObject *more = PyUnicode_FromFormat("%U%s\"%s\"", list, i == 0 ? "" : i == count - 1 ? " or " : ", ", words[i]);
        Py_DECREF(list);
        list = more;
    }
    if (list)
        PyErr_Format(PyUnicode_Check(obj) ? PyExc_ValueError : PyExc_TypeError, "%s must be %U, not %R", what, list, obj);
    Py_XDECREF(list);
    return -1;
}

static const char *const mode_words[] = {"r", "r+", "c"};
static const char *const exists_words[] = {"error", "replace", "attach", "owned"};
static const char *const lifetime_words[] = {"persistent", "pinned", "owner", "last"};

const char *zpy_mode_text(int mode) {
    return mode >= ZCT_MODE_READ && mode <= ZCT_MODE_COW ? mode_words[mode - ZCT_MODE_READ] : "?";
}

const char *zpy_lifetime_text(int lifetime) {
    return lifetime >= 0 && lifetime <= ZCT_LAST ? lifetime_words[lifetime] : "?";
}

int zpy_to_mode(PyObject *obj, int *ret_mode) {
    int index = -1;
    if (!obj || obj == Py_None)
        *ret_mode = ZCT_MODE_DEFAULT;
    else if (PyUnicode_Check(obj) && PyUnicode_GET_LENGTH(obj) == 1 && PyUnicode_READ_CHAR(obj, 0) == 'r')
        *ret_mode = ZCT_MODE_READ;
    else if (to_word(obj, "mode", mode_words, 3, &index) < 0)
        return -1;
    else
        *ret_mode = ZCT_MODE_READ + index;
    return 0;
}

int zpy_to_exists(PyObject *obj, int *ret_exists) {
    *ret_exists = ZCT_EXISTS_ERROR;
    return obj ? to_word(obj, "exists", exists_words, 4, ret_exists) : 0;
}

int zpy_to_lifetime(PyObject *obj, int *ret_lifetime) {
    *ret_lifetime = ZCT_PERSISTENT;
    return obj ? to_word(obj, "lifetime", lifetime_words, 4, ret_lifetime) : 0;
}

int zpy_to_order(PyObject *obj, NPY_ORDER default_order, NPY_ORDER *ret_order) {
    *ret_order = default_order;
    if (!obj || obj == Py_None)
        return 0;
    static const char *const words[] = {"C", "F", "A", "K"};
    static const NPY_ORDER orders[] = {NPY_CORDER, NPY_FORTRANORDER, NPY_ANYORDER, NPY_KEEPORDER};
    int index = 0;
    if (to_word(obj, "order", words, 4, &index) < 0)
        return -1;
    *ret_order = orders[index];
    return 0;
}

int zpy_to_timeout(PyObject *obj, int64_t *ret_ns) {
    if (!obj) {
        *ret_ns = 0;
        return 0;
    }
    if (obj == Py_None) {
        *ret_ns = ZCT_FOREVER;
        return 0;
    }
    double seconds = PyFloat_AsDouble(obj);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(seconds) || seconds < 0) {
        PyErr_Format(PyExc_ValueError, "timeout must be a number of seconds from 0 on, or None to wait for ever, not %R",
                     obj);
        return -1;
    }
    *ret_ns = seconds > 9e9 ? ZCT_FOREVER : (int64_t)(seconds * 1e9);
    return 0;
}

static int to_extent(PyObject *obj, npy_intp *ret_extent) {
    Py_ssize_t n = PyLong_CheckExact(obj) ? PyLong_AsSsize_t(obj) : PyNumber_AsSsize_t(obj, PyExc_OverflowError);
    if (n == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_ValueError, "the extent %R in shape is too large for any memory", obj);
        } else if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, "shape must be an int or a sequence of ints, not with %R in it", obj);
        }
        return -1;
    }
    if (n < 0) {
        PyErr_Format(PyExc_ValueError, "the extent %zd in shape is negative", n);
        return -1;
    }
    *ret_extent = n;
    return 0;
}

/* What numpy.ndarray.shape gives; false for anything out of the ordinary. */
static bool to_shape_fast(PyObject *tuple, zpy_shape *ret_shape) {
    Py_ssize_t nd = PyTuple_GET_SIZE(tuple);
    if (nd > zpy.max_dims)
        return false;
    for (Py_ssize_t i = 0; i < nd; i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        if (!PyLong_CheckExact(item) || (ret_shape->dims[i] = PyLong_AsSsize_t(item)) < 0) {
            PyErr_Clear();
            return false;
        }
    }
    ret_shape->nd = (int)nd;
    return true;
}

int zpy_to_shape(PyObject *obj, zpy_shape *ret_shape) {
    if (PyTuple_CheckExact(obj) && to_shape_fast(obj, ret_shape))
        return 0;
    if (PyLong_Check(obj) || (PyIndex_Check(obj) && !PySequence_Check(obj))) {
        ret_shape->nd = 1;
        return to_extent(obj, &ret_shape->dims[0]);
    }
    PyObject *tuple = PySequence_Tuple(obj); /* what nobody else can change */
    if (!tuple) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_SetString(PyExc_TypeError, "shape must be an int or a sequence of ints");
        return -1;
    }
    Py_ssize_t nd = PyTuple_GET_SIZE(tuple);
    int rc = 0;
    if (nd > zpy.max_dims) {
        PyErr_Format(PyExc_ValueError, "shape has %zd dimensions, this NumPy has arrays of at most %d", nd, zpy.max_dims);
        rc = -1;
    }
    for (Py_ssize_t i = 0; rc == 0 && i < nd; i++)
        rc = to_extent(PyTuple_GET_ITEM(tuple, i), &ret_shape->dims[i]);
    ret_shape->nd = (int)nd;
    Py_DECREF(tuple);
    return rc;
}

int zpy_to_size(PyObject *obj, const char *what, uint64_t *ret_value) {
    *ret_value = 0;
    if (!obj || obj == Py_None)
        return 0;
    PyObject *integer = PyNumber_Index(obj);
    if (!integer)
        return -1;
    unsigned long long value = PyLong_AsUnsignedLongLong(integer);
    Py_DECREF(integer);
    if (value == (unsigned long long)-1 && PyErr_Occurred()) {
        PyErr_Clear();
        PyErr_Format(PyExc_ValueError, "%s must be an int from 0 to 2**64 - 1, not %R", what, obj);
        return -1;
    }
    *ret_value = value;
    return 0;
}

int zpy_to_bool(PyObject *obj, bool *ret_value) {
    int truth = obj ? PyObject_IsTrue(obj) : 0;
    if (truth < 0)
        return -1;
    *ret_value = truth;
    return 0;
}

int zpy_to_path(PyObject *obj, PyObject **ret_bytes) {
    *ret_bytes = NULL;
    return !obj || obj == Py_None || PyUnicode_FSConverter(obj, ret_bytes) ? 0 : -1;
}
