/* create.c - create_shared_tensor: copy an array into the store, or publish it where it lies.
 *
 * What is already the whole of an unnamed block of this store gets the name without a copy: an array of zct.empty() and
 * its kin (known by its hold), or one that NumPy's allocator hook put there (known to the core by its address). The
 * core decides; -ZCT_ENOTWHOLE means that it must be copied after all.
 */
#include "core.h"

/* One create: its arguments, digested. */
typedef struct {
    zpy_use use;
    zpy_wish wish;
    PyArrayObject *array;
    PyArray_Descr *descr; /* of the tensor to be */
    NPY_ORDER order;
    bool may_publish, may_copy;
    bool same_dtype;
} create_job;

static int parse_copy(PyObject *copy, create_job *job) {
    job->may_publish = job->may_copy = true;
    if (!copy || copy == Py_None)
        return 0;
    int truth = PyObject_IsTrue(copy);
    if (truth < 0)
        return -1;
    job->may_publish = !truth;
    job->may_copy = truth;
    return 0;
}

/* The source as an array and the dtype it shall have. */
static int parse_data(PyObject *data, PyObject *dtype, create_job *job) {
    if (PyArray_Check(data)) {
        Py_INCREF(data);
        job->array = (PyArrayObject *)data;
    } else {
        PyArray_Descr *wanted = NULL; /* a list is converted to the right dtype at once */
        if (zpy_to_descr(dtype, NULL, &wanted) < 0)
            return -1;
        job->array = (PyArrayObject *)PyArray_FromAny(data, wanted, 0, 0, NPY_ARRAY_FORCECAST, NULL);
        if (!job->array)
            return -1;
    }
    if (zpy_to_descr(dtype, PyArray_DESCR(job->array), &job->descr) < 0)
        return -1;
    if (zpy_descr_size(job->descr) == 0 && job->descr != PyArray_DESCR(job->array)) { /* "S": as long as it takes */
        Py_INCREF(job->descr);
        PyObject *sized = PyArray_FromAny((PyObject *)job->array, job->descr, 0, 0, NPY_ARRAY_FORCECAST, NULL);
        if (!sized)
            return -1;
        Py_SETREF(job->array, (PyArrayObject *)sized);
        Py_INCREF(PyArray_DESCR(job->array));
        Py_SETREF(job->descr, PyArray_DESCR(job->array));
    }
    job->same_dtype = zpy_same_dtype(job->descr, PyArray_DESCR(job->array));
    return 0;
}

/* The layout that a copy gets. */
static int copy_order(const create_job *job) {
    if (job->order == NPY_CORDER)
        return ZCT_ORDER_C;
    if (job->order == NPY_FORTRANORDER)
        return ZCT_ORDER_F;
    return PyArray_IS_F_CONTIGUOUS(job->array) && !PyArray_IS_C_CONTIGUOUS(job->array) ? ZCT_ORDER_F : ZCT_ORDER_C;
}

/* Does the array lie as the caller wants it, so that it can be taken as it is? */
static bool order_fits(const create_job *job) {
    return job->order == NPY_CORDER ? PyArray_IS_C_CONTIGUOUS(job->array)
           : job->order == NPY_FORTRANORDER ? PyArray_IS_F_CONTIGUOUS(job->array) : true;
}

/* ---- publish --------------------------------------------------------------------------------------------------- */

PyObject *zpy_publish(zpy_use *use, zpy_hold *hold, const zpy_wish *wish, int *ret_rc) {
    zct_create_options options = wish->options;
    if (options.exists == ZCT_EXISTS_ATTACH)
        options.exists = ZCT_EXISTS_ERROR; /* the caller joins */
    int rc;
    Py_INCREF(hold);
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_publish(hold->tensor, wish->name, &options);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    if (ret_rc)
        *ret_rc = rc;
    PyObject *result = NULL;
    if (rc >= 0) {
        zct_tensor *tensor = NULL;
        rc = zct_attach_again(hold->tensor, ZCT_MODE_DEFAULT, &tensor);
        result = rc < 0 ? zpy_use_raise(use, rc, wish->name) : zpy_tensor_new(tensor, true);
    } else if (!(ret_rc && (rc == -ZCT_ENOTWHOLE || (rc == -ZCT_EEXISTS && wish->options.exists == ZCT_EXISTS_ATTACH)))) {
        zpy_use_raise(use, rc, wish->name);
    }
    Py_DECREF(hold);
    return result;
}

int zpy_join(zpy_use *use, const zpy_wish *wish, const zpy_spec *spec, PyObject **ret_tensor) {
    if (!wish->name || wish->options.exists != ZCT_EXISTS_ATTACH)
        return 0;
    zct_tensor *tensor = NULL;
    int rc;
    do {
        rc = zct_attach(use->store, wish->name, ZCT_MODE_DEFAULT, 0, &tensor);
    } while (zpy_use_again(use, rc));
    if (rc == -ZCT_ENOTFOUND)
        return 0;
    if (rc < 0) {
        zpy_use_raise(use, rc, wish->name);
        return -1;
    }
    zpy_shape shape = {.nd = spec->zct.ndim};
    for (int i = 0; i < shape.nd; i++)
        shape.dims[i] = spec->zct.shape[i];
    if (zpy_expect(tensor, spec->descr, &shape, wish->name) < 0) {
        zct_release(tensor);
        return -1;
    }
    *ret_tensor = zpy_tensor_new(tensor, false);
    return *ret_tensor ? 1 : -1;
}

/* Are these the strides of a dense array with its axes in some order? */
static bool is_dense(PyArrayObject *array) {
    bool used[ZCT_MAX_DIMS] = {false};
    npy_intp expected = PyArray_ITEMSIZE(array);
    int nd = PyArray_NDIM(array);
    for (int left = nd; left > 0; left--) {
        int next = -1;
        for (int i = 0; i < nd && next < 0; i++) {
            if (!used[i] && (PyArray_DIM(array, i) == 1 || PyArray_STRIDE(array, i) == expected))
                next = i;
        }
        if (next < 0)
            return false;
        used[next] = true;
        expected *= PyArray_DIM(array, next);
    }
    return true;
}

/* The array is an unnamed tensor of ours, or a block that NumPy's allocator got from us: try to name it where it lies.
 * NULL without an exception: it must be copied. */
static PyObject *try_publish(create_job *job) {
    if (!job->same_dtype || !order_fits(job))
        return NULL;
    zpy_hold *hold = zpy_hold_of((PyObject *)job->array);
    if (hold) {
        if (zct_tensor_store(hold->tensor) != job->use.store || hold->view->mode == ZCT_MODE_COW ||
            !zpy_hold_is_whole(hold, job->array))
            return NULL;
        int rc;
        return zpy_publish(&job->use, hold, &job->wish, &rc);
    }
    zct_store *owner = NULL;
    if (!zct_memory_owns(PyArray_DATA(job->array), &owner) || owner != job->use.store || !is_dense(job->array))
        return NULL;
    zpy_spec spec = {0};
    int order = PyArray_IS_C_CONTIGUOUS(job->array) ? ZCT_ORDER_C
                : PyArray_IS_F_CONTIGUOUS(job->array) ? ZCT_ORDER_F : ZCT_ORDER_STRIDED;
    if (zpy_spec_fill(&spec, job->descr, PyArray_NDIM(job->array), PyArray_DIMS(job->array), order,
                      PyArray_STRIDES(job->array)) < 0)
        return NULL;
    zct_create_options options = job->wish.options;
    if (options.exists == ZCT_EXISTS_ATTACH)
        options.exists = ZCT_EXISTS_ERROR;
    zct_tensor *tensor = NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_memory_publish(job->use.store, PyArray_DATA(job->array), &spec.zct, job->wish.name, &options, &tensor);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    zpy_spec_end(&spec);
    if (rc >= 0)
        return zpy_tensor_new(tensor, true);
    if (rc != -ZCT_ENOTWHOLE && !(rc == -ZCT_EEXISTS && job->wish.options.exists == ZCT_EXISTS_ATTACH))
        zpy_use_raise(&job->use, rc, job->wish.name);
    return NULL;
}

/* ---- copy ---------------------------------------------------------------------------------------------------------- */

/* Another dtype: converted into an unnamed tensor, which then gets the name. */
static PyObject *convert(create_job *job, const zpy_spec *spec) {
    PyObject *result = NULL;
    zct_create_options nameless = {.size = sizeof nameless};
    zct_tensor *tensor = NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_create(job->use.store, NULL, &spec->zct, NULL, NULL, &nameless, &tensor);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    if (rc < 0)
        return zpy_use_raise(&job->use, rc, job->wish.name);
    PyObject *fresh = zpy_tensor_new(tensor, false);
    if (fresh && PyArray_CopyInto((PyArrayObject *)fresh, job->array) == 0)
        result = zpy_publish(&job->use, zpy_hold_of(fresh), &job->wish, &rc);
    Py_XDECREF(fresh);
    return result; /* NULL without an exception: somebody else was faster with exists="attach" */
}

static PyObject *copy(create_job *job, const zpy_spec *spec) {
    if (!job->same_dtype)
        return convert(job, spec);
    zct_tensor *tensor = NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_create(job->use.store, job->wish.name, &spec->zct, PyArray_DATA(job->array),
                        (const int64_t *)PyArray_STRIDES(job->array), &job->wish.options, &tensor);
        Py_END_ALLOW_THREADS
    } while (zpy_use_again(&job->use, rc) || (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0));
    if (rc < 0)
        return zpy_use_raise(&job->use, rc, job->wish.name);
    return zpy_tensor_new(tensor, rc != ZCT_ATTACHED);
}

static PyObject *run(create_job *job, const zpy_spec *spec) {
    for (int tries = 0; tries < 8; tries++) {
        PyObject *result = NULL;
        if (zpy_join(&job->use, &job->wish, spec, &result) != 0)
            return result;
        if (job->may_publish && ((result = try_publish(job)) || PyErr_Occurred()))
            return result;
        if (!job->may_copy) {
            PyErr_Format(PyExc_BufferError, "tensor '%s' cannot be made without a copy: the data is not the whole of an "
                         "unnamed block of this store in the dtype and order asked for; leave copy=False out", job->wish.name);
            return NULL;
        }
        if ((result = copy(job, spec)) || PyErr_Occurred())
            return result;
    }
    return zpy_use_raise(&job->use, -ZCT_EEXISTS, job->wish.name);
}

/* args: name, data, dtype, order, exists, copy, lifetime, seal */
PyObject *zpy_create_in(PyObject *store, PyObject *const *args) {
    create_job job = {0};
    zpy_spec spec = {0};
    PyObject *result = NULL;
    if (zpy_wish_parse(args[0], args[4], args[6], args[7], &job.wish) == 0 &&
        zpy_to_order(args[3], NPY_KEEPORDER, &job.order) == 0 && parse_copy(args[5], &job) == 0 &&
        parse_data(args[1], args[2], &job) == 0 &&
        zpy_spec_fill(&spec, job.descr, PyArray_NDIM(job.array), PyArray_DIMS(job.array), copy_order(&job), NULL) == 0 &&
        zpy_use_begin(store, &job.use) == 0) {
        int rc = zct_store_alive(job.use.store);
        if (rc == 0 || zpy_use_again(&job.use, rc) || !PyErr_Occurred())
            result = run(&job, &spec);
        zpy_use_end(&job.use);
    }
    zpy_spec_end(&spec);
    Py_XDECREF(job.array);
    Py_XDECREF(job.descr);
    return result;
}

PyObject *zpy_create_shared_tensor(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"create_shared_tensor", 2, 2,
        {"name", "data", "dtype", "order", "exists", "copy", "lifetime", "seal", "store", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    return zpy_parse(&sig, args, nargs, kwnames, out) < 0 ? NULL : zpy_create_in(out[8], out);
}
