/* handle.c - Handle: a reference to a tensor, or to a part of one, that can be sent to another process.
 *
 * Making a handle puts a ticket in flight that keeps the tensor alive. A handle that was never pickled takes its ticket
 * back when it is dropped; one that was pickled cannot know where its bytes are.
 */
#include "core.h"
#include "doc.h"

typedef struct {
    PyObject_HEAD
    zct_handle raw;
    zct_store *store; /* where this process made it; NULL in one that got it */
    PyObject *path;   /* of the store */
    PyObject *name;   /* of the tensor, or None: for sentences */
    PyObject *part;   /* None for the whole, else (offset, shape, strides, dtype, writable) */
    bool sent;
} handle_object;

/* ---- making one -------------------------------------------------------------------------------------------- */

static PyObject *intp_tuple(int n, const npy_intp *values) {
    PyObject *tuple = PyTuple_New(n);
    for (int i = 0; tuple && i < n; i++) {
        PyObject *item = PyLong_FromSsize_t(values[i]);
        if (!item)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, item);
    }
    return tuple;
}

/* What the array is of its hold: None for all of it. */
static PyObject *part_of(zpy_hold *hold, PyArrayObject *array) {
    bool writable = PyArray_ISWRITEABLE(array);
    if (writable == (hold->view->mode != ZCT_MODE_READ) && zpy_hold_is_whole(hold, array))
        Py_RETURN_NONE;
    PyObject *shape = intp_tuple(PyArray_NDIM(array), PyArray_DIMS(array));
    PyObject *strides = intp_tuple(PyArray_NDIM(array), PyArray_STRIDES(array));
    PyObject *part = NULL;
    if (shape && strides)
        part = Py_BuildValue("nOOOO", (Py_ssize_t)(PyArray_BYTES(array) - (char *)hold->view->data), shape, strides,
                             (PyObject *)PyArray_DESCR(array), writable ? Py_True : Py_False);
    Py_XDECREF(shape);
    Py_XDECREF(strides);
    return part;
}

PyObject *zpy_handle_new(PyObject *tensor) {
    zpy_hold *hold = zpy_open_hold(tensor, "handle");
    if (!hold)
        return NULL;
    if (hold->view->mode == ZCT_MODE_COW) {
        PyErr_SetString(PyExc_ValueError, "an array attached with mode=\"c\" has no handle: what was written to it is private "
                                          "to this process");
        return NULL;
    }
    zct_store *store = zct_tensor_store(hold->tensor);
    char name[ZCT_MAX_NAME + 1] = "";
    zct_tensor_name(hold->tensor, name, sizeof name);
    PyObject *part = part_of(hold, (PyArrayObject *)tensor);
    PyObject *path = PyUnicode_DecodeFSDefault(zct_store_path(store));
    PyObject *text = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "backslashreplace");
    handle_object *self = part && path && text ? (handle_object *)zpy.handle_type->tp_alloc(zpy.handle_type, 0) : NULL;
    if (!self) {
        Py_XDECREF(part);
        Py_XDECREF(path);
        Py_XDECREF(text);
        return NULL;
    }
    self->path = path;
    self->name = text;
    self->part = part;
    int rc = zct_handle_make(hold->tensor, &self->raw);
    if (rc < 0) {
        zpy_raise(rc, name, zct_store_name(store));
        Py_DECREF(self);
        return NULL;
    }
    self->store = zct_store_ref(store);
    return (PyObject *)self;
}

static void handle_dealloc(PyObject *obj) {
    handle_object *self = (handle_object *)obj;
    PyTypeObject *type = Py_TYPE(obj);
    if (self->store) {
        if (!self->sent)
            zct_handle_cancel(self->store, &self->raw);
        zct_store_close(self->store);
    }
    Py_XDECREF(self->path);
    Py_XDECREF(self->name);
    Py_XDECREF(self->part);
    type->tp_free(obj);
    Py_DECREF(type);
}

/* ---- attaching by one ---------------------------------------------------------------------------------------- */

static int parse_strides(PyObject *obj, int nd, npy_intp *strides) {
    if (!PyTuple_Check(obj) || PyTuple_GET_SIZE(obj) != nd) {
        PyErr_SetString(PyExc_ValueError, "the handle is damaged: its strides do not fit its shape");
        return -1;
    }
    for (int i = 0; i < nd; i++) {
        strides[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(obj, i));
        if (strides[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

static PyObject *attach_part(zct_tensor *tensor, PyObject *part) {
    zpy_hold *hold = zpy_hold_new(tensor, false);
    if (!hold)
        return NULL;
    Py_ssize_t offset;
    PyObject *shape_arg, *strides_arg, *dtype_arg, *result = NULL;
    int writable;
    zpy_shape shape;
    npy_intp strides[ZCT_MAX_DIMS];
    PyArray_Descr *descr = NULL;
    if (PyArg_ParseTuple(part, "nOOO!p;the handle is damaged", &offset, &shape_arg, &strides_arg, &PyArrayDescr_Type, &dtype_arg,
                         &writable) &&
        zpy_to_shape(shape_arg, &shape) == 0 && parse_strides(strides_arg, shape.nd, strides) == 0 &&
        zpy_to_descr(dtype_arg, NULL, &descr) == 0)
        result = zpy_tensor_part(hold, offset, &shape, strides, descr, writable);
    if (!result && PyErr_ExceptionMatches(PyExc_OverflowError)) {
        PyErr_Clear();
        PyErr_SetString(PyExc_ValueError, "the handle is damaged: its part reaches beyond any memory");
    }
    Py_XDECREF(descr);
    Py_DECREF(hold);
    return result;
}

PyObject *zpy_handle_attach(PyObject *obj, int mode) {
    handle_object *self = (handle_object *)obj;
    zpy_use use;
    if (zpy_use_handle(self->store, self->path, &use) < 0)
        return NULL;
    zct_tensor *tensor = NULL;
    int rc;
    do {
        rc = zct_handle_take(use.store, &self->raw, mode, &tensor);
    } while (zpy_use_again(&use, rc));
    if (rc < 0) {
        const char *name = PyUnicode_AsUTF8(self->name);
        PyErr_Clear(); /* a damaged one may be no UTF-8 */
        /* a handle of the store that was here before is as good as one of a tensor that has ended */
        zpy_use_raise(&use, rc == -ZCT_EMISMATCH ? -ZCT_ENOTFOUND : rc, name ? name : "");
    }
    zpy_use_end(&use);
    if (rc < 0)
        return NULL;
    return self->part == Py_None ? zpy_tensor_new(tensor, false) : attach_part(tensor, self->part);
}

static PyObject *handle_attach(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"attach", 1, 0, {"mode", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    int mode;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0 || zpy_to_mode(out[0], &mode) < 0)
        return NULL;
    return zpy_handle_attach(self, mode);
}

/* ---- its bytes ------------------------------------------------------------------------------------------------ */

PyObject *zpy_handle_state(PyObject *obj) {
    handle_object *self = (handle_object *)obj;
    ZPY_SET(self->sent, true);
    return Py_BuildValue("y#OOO", (char *)&self->raw, (Py_ssize_t)sizeof self->raw, self->path, self->name, self->part);
}

PyObject *zpy_handle_from_state(PyObject *args) {
    const char *bytes;
    Py_ssize_t size;
    PyObject *path, *name, *part;
    if (!PyArg_ParseTuple(args, "y#UUO:Handle", &bytes, &size, &path, &name, &part))
        return NULL;
    if (size != (Py_ssize_t)sizeof(zct_handle) || !(part == Py_None || PyTuple_Check(part))) {
        PyErr_Format(PyExc_ValueError, "the handle is damaged: it has %zd bytes instead of %zu", size, sizeof(zct_handle));
        return NULL;
    }
    handle_object *handle = (handle_object *)zpy.handle_type->tp_alloc(zpy.handle_type, 0);
    if (!handle)
        return NULL;
    memcpy(&handle->raw, bytes, sizeof handle->raw);
    Py_INCREF(path);
    Py_INCREF(name);
    Py_INCREF(part);
    handle->path = path;
    handle->name = name;
    handle->part = part;
    ZPY_SET(handle->sent, true); /* not ours to take back */
    return (PyObject *)handle;
}

/* ---- the type ---------------------------------------------------------------------------------------------------- */

static PyObject *get_path(PyObject *self, void *Py_UNUSED(closure)) {
    PyObject *path = ((handle_object *)self)->path;
    Py_INCREF(path);
    return path;
}

static PyObject *get_name(PyObject *self, void *Py_UNUSED(closure)) {
    PyObject *name = ((handle_object *)self)->name;
    if (PyUnicode_GET_LENGTH(name) == 0)
        name = Py_None;
    Py_INCREF(name);
    return name;
}

static PyObject *handle_repr(PyObject *self) {
    handle_object *handle = (handle_object *)self;
    return PyUnicode_FromFormat("<Handle to %stensor %R in %U>", handle->part == Py_None ? "" : "a part of ", handle->name,
                                handle->path);
}

static PyGetSetDef attributes[] = {
    {"name", get_name, NULL, DOC_HANDLE_NAME, NULL}, {"store_path", get_path, NULL, DOC_HANDLE_PATH, NULL}, {NULL}};

static PyMethodDef methods[] = {
    {"attach", ZPY_FAST(handle_attach), METH_FASTCALL | METH_KEYWORDS, DOC_HANDLE_ATTACH},
    {"__reduce__", zpy_handle_reduce, METH_NOARGS, NULL},
    {NULL}};

static PyType_Slot slots[] = {
    {Py_tp_dealloc, handle_dealloc}, {Py_tp_repr, handle_repr},       {Py_tp_getset, attributes},
    {Py_tp_methods, methods},        {Py_tp_doc, (void *)DOC_HANDLE}, {0, NULL}};

static PyType_Spec spec = {
    .name = "zero_copy_tensor_ipc.Handle", .basicsize = sizeof(handle_object), .flags = Py_TPFLAGS_DEFAULT, .slots = slots};

int zpy_handle_init(PyObject *module) {
    if (!zpy.handle_type) {
        zpy.handle_type = (PyTypeObject *)PyType_FromSpec(&spec);
        if (!zpy.handle_type)
            return -1;
        zpy.handle_type->tp_new = NULL;
    }
    Py_INCREF(zpy.handle_type);
    return PyModule_AddObject(module, "Handle", (PyObject *)zpy.handle_type);
}
