/* tensor.c - SharedTensor: the ndarray subclass, how one is made, and what it says about itself.
 *
 * It has no fields beside ndarray's and no __array_finalize__ (which would cost every slice 100 ns): what it stands on
 * is found along .base. So a SharedTensor that NumPy made for a result has no hold, and says is_shared False.
 */
#include "core.h"
#include "doc.h"

/* An ndarray over the hold's memory that then becomes a SharedTensor. Made as a subclass at once, NumPy would look for an
 * __array_finalize__ that is not there, which is a tenth of an attach; the layouts are the same (see zpy_tensor_init), and
 * nobody else has seen the object yet. */
static PyObject *from_hold(zpy_hold *hold, PyArray_Descr *descr, int nd, const npy_intp *dims, const npy_intp *strides,
                           void *data, int flags) {
    PyObject *array = PyArray_NewFromDescr(&PyArray_Type, descr, nd, (npy_intp *)dims, (npy_intp *)strides, data, flags, NULL);
    if (!array)
        return NULL;
    Py_INCREF(zpy.tensor_type);
    Py_SET_TYPE(array, zpy.tensor_type);
    Py_INCREF(hold);
    ((PyArrayObject_fields *)array)->base = (PyObject *)hold; /* what PyArray_SetBaseObject does for one that is no array */
    return array;
}

PyObject *zpy_tensor_new(zct_tensor *tensor, bool made) {
    zpy_hold *hold = zpy_hold_new(tensor, made);
    if (!hold)
        return NULL;
    const zct_view *view = hold->view;
    PyArray_Descr *descr = zpy_descr_of_tensor(tensor);
    PyObject *array = NULL;
    if (descr) {
        int flags = view->mode == ZCT_MODE_READ ? NPY_ARRAY_CARRAY_RO : NPY_ARRAY_CARRAY;
        array = from_hold(hold, descr, view->ndim, (const npy_intp *)view->shape,
                          view->order == ZCT_ORDER_C ? NULL : (const npy_intp *)view->strides, view->data, flags);
    }
    Py_DECREF(hold);
    return array;
}

/* Is every element between the first and the last byte of the tensor? */
static bool part_fits(const zct_view *view, int64_t offset, const zpy_shape *shape, const npy_intp *strides, int64_t itemsize) {
    __int128 low = offset, high = (__int128)offset + itemsize;
    bool empty = false;
    for (int i = 0; i < shape->nd; i++) {
        if (shape->dims[i] < 0)
            return false;
        if (shape->dims[i] == 0)
            empty = true;
        __int128 reach = (__int128)strides[i] * (shape->dims[i] - 1);
        *(reach < 0 ? &low : &high) += reach;
    }
    if (empty)
        return offset >= 0 && (uint64_t)offset <= view->nbytes;
    return low >= 0 && high <= (__int128)view->nbytes;
}

PyObject *zpy_tensor_part(zpy_hold *hold, int64_t offset, const zpy_shape *shape, const npy_intp *strides,
                          PyArray_Descr *descr, bool writable) {
    const zct_view *view = hold->view;
    if (PyDataType_FLAGCHK(descr, NPY_ITEM_HASOBJECT)) {
        PyErr_SetString(PyExc_TypeError, "a part of a tensor cannot have a dtype with references to Python objects");
        return NULL;
    }
    if (!part_fits(view, offset, shape, strides, zpy_descr_size(descr))) {
        PyErr_SetString(PyExc_ValueError, "the handle is damaged: its part reaches beyond the tensor's memory");
        return NULL;
    }
    int flags = NPY_ARRAY_ALIGNED | (writable && view->mode != ZCT_MODE_READ ? NPY_ARRAY_WRITEABLE : 0);
    Py_INCREF(descr);
    return from_hold(hold, descr, shape->nd, shape->dims, strides, (char *)view->data + offset, flags);
}

PyObject *zpy_plain(PyObject *array) {
    return PyArray_View((PyArrayObject *)array, NULL, &PyArray_Type);
}

zpy_hold *zpy_open_hold(PyObject *tensor, const char *what) {
    zpy_hold *hold = zpy_hold_of(tensor);
    if (!hold) {
        PyErr_Format(PyExc_ValueError, "%s: this SharedTensor is a result in private memory, not a tensor of a store", what);
        return NULL;
    }
    if (ZPY_GET(hold->closed)) {
        char name[ZCT_MAX_NAME + 1] = "";
        zct_tensor_name(hold->tensor, name, sizeof name);
        char sentence[ZCT_MAX_NAME + 128];
        PyOS_snprintf(sentence, sizeof sentence, "%s: this attachment of tensor '%s' was closed; its elements stay readable, "
                      "attach again for the rest", what, name);
        return (zpy_hold *)zpy_raise_sentence(ZCT_ECLOSED, sentence, name, NULL);
    }
    return hold;
}

/* ---- attributes ------------------------------------------------------------------------------------------- */

static PyObject *get_name(PyObject *self, void *Py_UNUSED(closure)) {
    zpy_hold *hold = zpy_hold_of(self);
    char name[ZCT_MAX_NAME + 1] = "";
    if (hold)
        zct_tensor_name(hold->tensor, name, sizeof name);
    if (!*name)
        Py_RETURN_NONE;
    return PyUnicode_FromString(name);
}

static PyObject *get_store(PyObject *self, void *Py_UNUSED(closure)) {
    if (!zpy_hold_of(self))
        Py_RETURN_NONE;
    zpy_hold *hold = zpy_open_hold(self, "store");
    return hold ? zpy_store_new(zct_store_ref(zct_tensor_store(hold->tensor))) : NULL;
}

static PyObject *get_generation(PyObject *self, void *Py_UNUSED(closure)) {
    zpy_hold *hold = zpy_hold_of(self);
    if (!hold)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLongLong(hold->view->generation);
}

static PyObject *get_mode(PyObject *self, void *Py_UNUSED(closure)) {
    zpy_hold *hold = zpy_hold_of(self);
    if (!hold)
        Py_RETURN_NONE;
    return PyUnicode_FromString(zpy_mode_text(hold->view->mode));
}

static PyObject *get_sealed(PyObject *self, void *Py_UNUSED(closure)) {
    if (!zpy_hold_of(self))
        Py_RETURN_FALSE;
    zpy_hold *hold = zpy_open_hold(self, "sealed");
    return hold ? PyBool_FromLong(zct_tensor_is_sealed(hold->tensor)) : NULL;
}

static PyObject *get_holders(PyObject *self, void *Py_UNUSED(closure)) {
    if (!zpy_hold_of(self))
        return PyLong_FromLong(0);
    zpy_hold *hold = zpy_open_hold(self, "holders");
    if (!hold)
        return NULL;
    zct_stat stat = {.size = sizeof stat};
    int rc = zct_stat_tensor(hold->tensor, &stat);
    return rc < 0 ? zpy_raise(rc, NULL, NULL) : PyLong_FromUnsignedLong(stat.holders);
}

static PyObject *get_is_shared(PyObject *self, void *Py_UNUSED(closure)) {
    return PyBool_FromLong(zpy_hold_of(self) != NULL);
}

static PyObject *get_closed(PyObject *self, void *Py_UNUSED(closure)) {
    zpy_hold *hold = zpy_hold_of(self);
    return PyBool_FromLong(hold && ZPY_GET(hold->closed));
}

static PyObject *get_handle(PyObject *self, void *Py_UNUSED(closure)) {
    return zpy_handle_new(self);
}

static PyObject *get_array(PyObject *self, void *Py_UNUSED(closure)) {
    return zpy_plain(self);
}

static PyGetSetDef attributes[] = {
    {"name", get_name, NULL, DOC_TENSOR_NAME, NULL},
    {"store", get_store, NULL, DOC_TENSOR_STORE, NULL},
    {"generation", get_generation, NULL, DOC_TENSOR_GENERATION, NULL},
    {"version", zpy_tensor_version, NULL, DOC_TENSOR_VERSION, NULL},
    {"mode", get_mode, NULL, DOC_TENSOR_MODE, NULL},
    {"sealed", get_sealed, NULL, DOC_TENSOR_SEALED, NULL},
    {"holders", get_holders, NULL, DOC_TENSOR_HOLDERS, NULL},
    {"is_shared", get_is_shared, NULL, DOC_TENSOR_IS_SHARED, NULL},
    {"closed", get_closed, NULL, DOC_TENSOR_CLOSED, NULL},
    {"handle", get_handle, NULL, DOC_TENSOR_HANDLE, NULL},
    {"array", get_array, NULL, DOC_TENSOR_ARRAY, NULL},
    {NULL}};

/* ---- the type --------------------------------------------------------------------------------------------- */

static PyObject *tensor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    (void)type, (void)args, (void)kwargs;
    PyErr_SetString(PyExc_TypeError, "SharedTensors are made by create_shared_tensor(), attach_shared_tensor(), empty() and "
                                     "their kin");
    return NULL;
}

static void tensor_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    zpy_locks_forget(self);
    PyArray_Type.tp_dealloc(self);
    Py_DECREF(type);
}

static int add_methods(PyTypeObject *type, PyMethodDef *methods) {
    for (; methods->ml_name; methods++) {
        PyObject *method = PyDescr_NewMethod(type, methods);
        if (!method || PyObject_SetAttrString((PyObject *)type, methods->ml_name, method) < 0) {
            Py_XDECREF(method);
            return -1;
        }
        Py_DECREF(method);
    }
    return 0;
}

int zpy_tensor_init(PyObject *module) {
    if (!zpy.tensor_type) {
        PyType_Slot slots[] = {
            {Py_tp_new, tensor_new},
            {Py_tp_dealloc, tensor_dealloc},
            {Py_tp_getset, attributes},
            {Py_tp_methods, zpy_tensor_methods},
            {Py_tp_doc, (void *)DOC_TENSOR},
            {0, NULL}};
        PyType_Spec spec = {.name = "zero_copy_tensor_ipc.SharedTensor", .basicsize = (int)PyArray_Type.tp_basicsize,
                            .flags = Py_TPFLAGS_DEFAULT, .slots = slots};
        PyObject *bases = PyTuple_Pack(1, (PyObject *)&PyArray_Type);
        if (!bases)
            return -1;
        PyTypeObject *type = (PyTypeObject *)PyType_FromSpecWithBases(&spec, bases);
        Py_DECREF(bases);
        PyObject *priority = PyFloat_FromDouble(-100.0); /* results are the other operand's kind */
        if (!type || !priority || add_methods(type, zpy_tensor_result_methods) < 0 ||
            add_methods(type, zpy_tensor_version_methods) < 0 ||
            add_methods(type, zpy_tensor_lock_methods) < 0 ||
            add_methods(type, zpy_tensor_element_methods) < 0 ||
            add_methods(type, zpy_tensor_snapshot_methods) < 0 ||
            PyObject_SetAttrString((PyObject *)type, "__array_priority__", priority) < 0)
            return -1;
        Py_DECREF(priority);
        if (type->tp_basicsize != PyArray_Type.tp_basicsize || type->tp_alloc != PyArray_Type.tp_alloc ||
            type->tp_free != PyArray_Type.tp_free || type->tp_itemsize != PyArray_Type.tp_itemsize) {
            PyErr_SetString(PyExc_SystemError, "SharedTensor is not laid out like ndarray");
            return -1;
        }
        zpy.tensor_type = type;
    }
    Py_INCREF(zpy.tensor_type);
    return PyModule_AddObject(module, "SharedTensor", (PyObject *)zpy.tensor_type);
}
