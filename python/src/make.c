/* make.c - empty, zeros, ones, full, empty_like: arrays made in the store, named now or later; and what all calls that
 * make tensors share: the wish (name, exists, lifetime, seal) and the spec.
 */
#include "core.h"

int zpy_wish_parse(PyObject *name, PyObject *exists, PyObject *lifetime, PyObject *seal, zpy_wish *ret_wish) {
    zpy_wish wish = {.options = {.size = sizeof wish.options}};
    bool sealed;
    if ((name && name != Py_None && zpy_to_cname(name, &wish.name) < 0) ||
        zpy_to_exists(exists, &wish.options.exists) < 0 || zpy_to_lifetime(lifetime, &wish.options.lifetime) < 0 ||
        zpy_to_bool(seal, &sealed) < 0)
        return -1;
    wish.options.sealed = sealed;
    *ret_wish = wish;
    return 0;
}

int zpy_spec_fill(zpy_spec *spec, PyArray_Descr *descr, int nd, const npy_intp *shape, int order, const npy_intp *strides) {
    spec->zct = (zct_spec){.size = sizeof spec->zct, .ndim = nd, .order = order, .shape = (const int64_t *)shape,
                           .strides = order == ZCT_ORDER_STRIDED ? (const int64_t *)strides : NULL};
    spec->descr = descr;
    if (zpy_dtype_from_descr(descr, &spec->zct.dtype, &spec->blob) < 0)
        return -1;
    if (spec->blob) {
        spec->zct.descriptor = PyBytes_AS_STRING(spec->blob);
        spec->zct.descriptor_len = (size_t)PyBytes_GET_SIZE(spec->blob);
    }
    return 0;
}

void zpy_spec_end(zpy_spec *spec) {
    Py_CLEAR(spec->blob);
}

/* How the elements start. */
enum fill { FILL_NONE, FILL_ZERO, FILL_VALUE };

static zct_tensor *create(zpy_use *use, const char *name, const zpy_spec *spec, const zct_create_options *options,
                          int *ret_rc) {
    zct_tensor *tensor = NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_create(use->store, name, &spec->zct, NULL, NULL, options, &tensor);
        Py_END_ALLOW_THREADS
    } while (zpy_use_again(use, rc) || (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0));
    *ret_rc = rc;
    if (rc < 0) {
        zpy_use_raise(use, rc, name);
        return NULL;
    }
    return tensor;
}

/* A tensor of spec, filled with `value` before anybody sees it. */
static PyObject *make_filled(zpy_use *use, const zpy_spec *spec, const zpy_wish *wish, PyObject *value) {
    for (int tries = 0; tries < 8; tries++) {
        PyObject *result = NULL;
        if (zpy_join(use, wish, spec, &result) != 0)
            return result;
        zct_create_options nameless = {.size = sizeof nameless};
        int rc;
        zct_tensor *tensor = create(use, NULL, spec, &nameless, &rc);
        PyObject *fresh = tensor ? zpy_tensor_new(tensor, false) : NULL;
        if (!fresh || PyArray_CopyObject((PyArrayObject *)fresh, value) < 0 || !wish->name)  {
            if (fresh && PyErr_Occurred())
                Py_CLEAR(fresh);
            return fresh;
        }
        result = zpy_publish(use, zpy_hold_of(fresh), wish, &rc);
        Py_DECREF(fresh);
        if (result || PyErr_Occurred())
            return result;
    }
    return zpy_use_raise(use, -ZCT_EEXISTS, wish->name);
}

static PyObject *make(PyObject *store, const zpy_spec *spec, const zpy_wish *wish, enum fill fill, PyObject *value) {
    zpy_use use;
    if (zpy_use_begin(store, &use) < 0)
        return NULL;
    PyObject *result = NULL;
    if (fill == FILL_VALUE) {
        result = make_filled(&use, spec, wish, value);
    } else if (zpy_join(&use, wish, spec, &result) == 0) {
        zct_create_options options = wish->options;
        options.zero = fill == FILL_ZERO;
        int rc;
        zct_tensor *tensor = create(&use, wish->name, spec, &options, &rc);
        result = tensor ? zpy_tensor_new(tensor, wish->name && rc != ZCT_ATTACHED) : NULL;
    }
    zpy_use_end(&use);
    return result;
}

/* ---- by shape ---------------------------------------------------------------------------------------------------- */

/* The arguments behind shape (and fill_value): dtype, order, name, store, exists, lifetime. */
static PyObject *by_shape(PyObject *shape_arg, PyObject *const *rest, PyArray_Descr *fallback, enum fill fill,
                          PyObject *value) {
    zpy_shape shape;
    zpy_wish wish;
    NPY_ORDER order;
    PyArray_Descr *descr = NULL;
    zpy_spec spec = {0};
    PyObject *result = NULL;
    if (zpy_to_shape(shape_arg, &shape) == 0 && zpy_wish_parse(rest[2], rest[4], rest[5], NULL, &wish) == 0 &&
        zpy_to_order(rest[1], NPY_CORDER, &order) == 0 && zpy_to_descr(rest[0], fallback, &descr) == 0 &&
        zpy_spec_fill(&spec, descr, shape.nd, shape.dims, order == NPY_FORTRANORDER ? ZCT_ORDER_F : ZCT_ORDER_C, NULL) == 0)
        result = make(rest[3], &spec, &wish, fill, value);
    zpy_spec_end(&spec);
    Py_XDECREF(descr);
    return result;
}

#define BY_SHAPE_NAMES "shape", "dtype", "order", "name", "store", "exists", "lifetime", NULL

static PyObject *by_shape_call(zpy_sig *sig, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, enum fill fill,
                               PyObject *value) {
    PyObject *out[ZPY_MAX_ARGS];
    if (zpy_parse(sig, args, nargs, kwnames, out) < 0)
        return NULL;
    PyArray_Descr *descr = PyArray_DescrFromType(NPY_DOUBLE);
    PyObject *result = descr ? by_shape(out[0], out + 1, descr, fill, value) : NULL;
    Py_XDECREF(descr);
    return result;
}

PyObject *zpy_empty(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"empty", 2, 1, {BY_SHAPE_NAMES}, {0}};
    return by_shape_call(&sig, args, nargs, kwnames, FILL_NONE, NULL);
}

PyObject *zpy_zeros(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"zeros", 2, 1, {BY_SHAPE_NAMES}, {0}};
    return by_shape_call(&sig, args, nargs, kwnames, FILL_ZERO, NULL);
}

PyObject *zpy_ones(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"ones", 2, 1, {BY_SHAPE_NAMES}, {0}};
    PyObject *one = PyLong_FromLong(1);
    PyObject *result = one ? by_shape_call(&sig, args, nargs, kwnames, FILL_VALUE, one) : NULL;
    Py_XDECREF(one);
    return result;
}

PyObject *zpy_full(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"full", 3, 2,
        {"shape", "fill_value", "dtype", "order", "name", "store", "exists", "lifetime", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0)
        return NULL;
    PyArrayObject *value = (PyArrayObject *)PyArray_FromAny(out[1], NULL, 0, 0, 0, NULL);
    PyObject *result = value ? by_shape(out[0], out + 2, PyArray_DESCR(value), FILL_VALUE, (PyObject *)value) : NULL;
    Py_XDECREF(value);
    return result;
}

/* ---- by example -------------------------------------------------------------------------------------------------- */

static PyObject *like(PyArrayObject *prototype, PyObject *const *out) {
    zpy_shape shape = {.nd = PyArray_NDIM(prototype)};
    for (int i = 0; i < shape.nd; i++)
        shape.dims[i] = PyArray_DIM(prototype, i);
    zpy_wish wish;
    NPY_ORDER order;
    PyArray_Descr *descr = NULL;
    zpy_spec spec = {0};
    PyObject *result = NULL;
    if ((!out[2] || out[2] == Py_None || zpy_to_shape(out[2], &shape) == 0) &&
        zpy_wish_parse(out[4], out[6], out[7], NULL, &wish) == 0 && zpy_to_order(out[3], NPY_KEEPORDER, &order) == 0 &&
        zpy_to_descr(out[1], PyArray_DESCR(prototype), &descr) == 0) {
        bool fortran = order == NPY_FORTRANORDER || (order != NPY_CORDER && PyArray_IS_F_CONTIGUOUS(prototype) &&
                                                     !PyArray_IS_C_CONTIGUOUS(prototype));
        if (zpy_spec_fill(&spec, descr, shape.nd, shape.dims, fortran ? ZCT_ORDER_F : ZCT_ORDER_C, NULL) == 0)
            result = make(out[5], &spec, &wish, FILL_NONE, NULL);
    }
    zpy_spec_end(&spec);
    Py_XDECREF(descr);
    return result;
}

PyObject *zpy_empty_like(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"empty_like", 2, 1,
        {"prototype", "dtype", "shape", "order", "name", "store", "exists", "lifetime", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0)
        return NULL;
    PyArrayObject *prototype = (PyArrayObject *)PyArray_FromAny(out[0], NULL, 0, 0, 0, NULL);
    PyObject *result = prototype ? like(prototype, out) : NULL;
    Py_XDECREF(prototype);
    return result;
}
