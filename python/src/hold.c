/* hold.c - Hold: one attachment as a Python object, the base of its array.
 *
 * It exports the tensor's memory as a buffer, read-only if the mode is: NumPy asks the last .base of an array for a
 * writable buffer before it lets anybody set flags.writeable, so that read-only pages stay read-only for it. It has a
 * release function (doing nothing), for which np.frombuffer keeps the export and not the mere address.
 *
 * Holds come and go with every attach: a short free list saves the allocator (which has one of its own per thread where
 * there is no GIL).
 */
#include "core.h"

#define FREE_HOLDS 32

static zpy_hold *free_holds[FREE_HOLDS];
static int free_count;

zpy_hold *zpy_hold_new(zct_tensor *tensor, bool made) {
    zpy_hold *hold;
    if (!ZPY_NO_GIL && free_count > 0) {
        hold = free_holds[--free_count];
        (void)PyObject_INIT(hold, zpy.hold_type); /* takes a reference to the type as a fresh one does, from 3.8 on */
    } else if (!(hold = PyObject_New(zpy_hold, zpy.hold_type))) {
        zct_release(tensor);
        return NULL;
    }
    hold->tensor = tensor;
    hold->view = zct_tensor_view(tensor);
    hold->closed = false;
    hold->made = made;
    hold->read_view = hold->read_view_of = NULL;
    return hold;
}

static void hold_dealloc(PyObject *self) {
    zpy_hold *hold = (zpy_hold *)self;
    zct_tensor *tensor = hold->tensor;
    hold->tensor = NULL;
    if (tensor)
        zct_release(tensor);
    if (!ZPY_NO_GIL && free_count < FREE_HOLDS)
        free_holds[free_count++] = hold;
    else
        PyObject_Free(self);
    Py_DECREF(zpy.hold_type);
}

static int hold_getbuffer(PyObject *self, Py_buffer *buffer, int flags) {
    const zct_view *view = ((zpy_hold *)self)->view;
    return PyBuffer_FillInfo(buffer, self, view->data, (Py_ssize_t)view->nbytes, view->mode == ZCT_MODE_READ, flags);
}

static void hold_releasebuffer(PyObject *self, Py_buffer *buffer) {
    (void)self;
    (void)buffer;
}

static PyObject *hold_repr(PyObject *self) {
    const zct_view *view = ((zpy_hold *)self)->view;
    return PyUnicode_FromFormat("<hold on %llu bytes of shared memory, mode %s>", (unsigned long long)view->nbytes,
                                zpy_mode_text(view->mode));
}

static PyType_Slot hold_slots[] = {
    {Py_tp_dealloc, hold_dealloc},
    {Py_tp_repr, hold_repr},
    {Py_tp_doc, "What keeps a tensor's memory: the base of the arrays over it."},
#if PY_VERSION_HEX >= 0x03090000
    {Py_bf_getbuffer, hold_getbuffer},
    {Py_bf_releasebuffer, hold_releasebuffer},
#endif
    {0, NULL}};

static PyType_Spec hold_spec = {
    .name = "zero_copy_tensor_ipc._core.Hold",
    .basicsize = sizeof(zpy_hold),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = hold_slots};

int zpy_hold_init(void) {
    if (zpy.hold_type)
        return 0;
    zpy.hold_type = (PyTypeObject *)PyType_FromSpec(&hold_spec);
    if (!zpy.hold_type)
        return -1;
    zpy.hold_type->tp_new = NULL; /* not for Python to make */
#if PY_VERSION_HEX < 0x03090000
    ((PyHeapTypeObject *)zpy.hold_type)->as_buffer.bf_getbuffer = hold_getbuffer;
    ((PyHeapTypeObject *)zpy.hold_type)->as_buffer.bf_releasebuffer = hold_releasebuffer;
#endif
    return 0;
}

zpy_hold *zpy_hold_of(PyObject *object) {
    while (object) {
        if (Py_TYPE(object) == zpy.hold_type)
            return (zpy_hold *)object;
        if (PyArray_Check(object))
            object = PyArray_BASE((PyArrayObject *)object);
        else if (PyMemoryView_Check(object))
            object = PyMemoryView_GET_BASE(object);
        else
            return NULL;
    }
    return NULL;
}

bool zpy_hold_is_whole(const zpy_hold *hold, PyArrayObject *array) {
    const zct_view *view = hold->view;
    int nd = PyArray_NDIM(array);
    if (PyArray_DATA(array) != view->data || nd != view->ndim || (uint64_t)PyArray_NBYTES(array) != view->nbytes)
        return false;
    bool many = PyArray_SIZE(array) > 0;
    for (int i = 0; i < nd; i++) {
        if (PyArray_DIM(array, i) != view->shape[i])
            return false;
        if (many && view->shape[i] > 1 && PyArray_STRIDE(array, i) != view->strides[i])
            return false;
    }
    PyArray_Descr *descr = zpy_descr_of_tensor(hold->tensor);
    if (!descr) {
        PyErr_Clear();
        return false;
    }
    bool same = zpy_same_dtype(descr, PyArray_DESCR(array)) && /* and a record is not just any struct: */
                (view->dtype.code != ZCT_STRUCT || descr->typeobj == PyArray_DESCR(array)->typeobj);
    Py_DECREF(descr);
    return same;
}
