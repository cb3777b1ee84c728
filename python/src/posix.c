/* posix.c - other programs' shared memory: attach_posix(), and where a tensor lies for them.
 *
 * An array of attach_posix is a plain ndarray; its base is a Segment, which owns the mapping and exports it as a buffer,
 * read-only if the mode is, as a Hold does for a tensor.
 */
#include "core.h"

#include <structseq.h>

typedef struct zpy_segment {
    PyObject_HEAD
    void *data;
    uint64_t nbytes;
    int mode;
} zpy_segment;

static PyTypeObject *segment_type, *location_type;

static void segment_dealloc(PyObject *self) {
    zpy_segment *segment = (zpy_segment *)self;
    PyTypeObject *type = Py_TYPE(self);
    zct_posix_unmap(segment->data, segment->nbytes);
    PyObject_Free(self);
    Py_DECREF(type);
}

static int segment_getbuffer(PyObject *self, Py_buffer *buffer, int flags) {
    zpy_segment *segment = (zpy_segment *)self;
    return PyBuffer_FillInfo(buffer, self, segment->data, (Py_ssize_t)segment->nbytes, segment->mode == ZCT_MODE_READ, flags);
}

static void segment_releasebuffer(PyObject *self, Py_buffer *buffer) { /* there for np.frombuffer, as in hold.c */
    (void)self, (void)buffer;
}

static PyObject *segment_repr(PyObject *self) {
    zpy_segment *segment = (zpy_segment *)self;
    return PyUnicode_FromFormat("<mapping of %llu bytes of a POSIX segment, mode %s>", (unsigned long long)segment->nbytes,
                                zpy_mode_text(segment->mode));
}

static PyType_Slot segment_slots[] = {
    {Py_tp_dealloc, segment_dealloc},
    {Py_tp_repr, segment_repr},
    {Py_tp_doc, "The mapping of another program's segment: the base of the arrays over it."},
#if PY_VERSION_HEX >= 0x03090000
    {Py_bf_getbuffer, segment_getbuffer},
    {Py_bf_releasebuffer, segment_releasebuffer},
#endif
    {0, NULL}};

static PyType_Spec segment_spec = {.name = "zero_copy_tensor_ipc._core.Segment", .basicsize = sizeof(zpy_segment),
                                   .flags = Py_TPFLAGS_DEFAULT, .slots = segment_slots};

/* ---- attach_posix ----------------------------------------------------------------------------------------- */

/* The bytes of an array; -1 with an exception if no memory is that large. */
static int array_bytes(PyArray_Descr *descr, const zpy_shape *shape, uint64_t *ret_nbytes) {
    bool empty = false;
    __int128 nbytes = zpy_descr_size(descr);
    for (int i = 0; i < shape->nd; i++)
        empty |= shape->dims[i] == 0;
    for (int i = 0; i < shape->nd && !empty; i++) {
        nbytes *= shape->dims[i];
        if (nbytes > NPY_MAX_INTP) {
            PyErr_SetString(PyExc_ValueError, "an array of this shape and dtype is larger than any memory");
            return -1;
        }
    }
    *ret_nbytes = empty ? 0 : (uint64_t)nbytes;
    return 0;
}

static PyObject *map_segment(const char *name, uint64_t offset, uint64_t nbytes, int mode) {
    zpy_segment *segment = PyObject_New(zpy_segment, segment_type);
    if (!segment)
        return NULL;
    segment->data = NULL;
    segment->nbytes = nbytes;
    segment->mode = mode;
    int rc;
    void *data = NULL;
    Py_BEGIN_ALLOW_THREADS
    rc = zct_posix_map(name, offset, nbytes, mode, &data);
    Py_END_ALLOW_THREADS
    if (rc < 0) {
        zpy_raise(rc, name, NULL);
        Py_DECREF(segment);
        return NULL;
    }
    segment->data = data;
    return (PyObject *)segment;
}

PyObject *zpy_attach_posix(PyObject *Py_UNUSED(self), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"attach_posix", 3, 3, {"name", "shape", "dtype", "offset", "mode", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    const char *name;
    zpy_shape shape;
    uint64_t offset = 0, nbytes = 0;
    int mode = ZCT_MODE_WRITE;
    PyArray_Descr *descr = NULL;
    PyObject *array = NULL, *segment;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0 || zpy_to_cname(out[0], &name) < 0 ||
        zpy_to_shape(out[1], &shape) < 0 || zpy_to_size(out[3], "offset", &offset) < 0 ||
        (out[4] && out[4] != Py_None && zpy_to_mode(out[4], &mode) < 0))
        return NULL;
    if (PyArray_DescrConverter(out[2], &descr) != NPY_SUCCEED)
        return NULL;
    if (PyDataType_FLAGCHK(descr, NPY_ITEM_HASOBJECT)) {
        PyErr_Format(PyExc_TypeError, "dtype %R has references to Python objects, which mean nothing in another program's memory",
                     (PyObject *)descr);
        goto done;
    }
    if (array_bytes(descr, &shape, &nbytes) < 0 || !(segment = map_segment(name, offset, nbytes, mode)))
        goto done;
    Py_INCREF(descr); /* the next call takes one */
    array = PyArray_NewFromDescr(&PyArray_Type, descr, shape.nd, shape.dims, NULL, ((zpy_segment *)segment)->data,
                                 mode == ZCT_MODE_READ ? 0 : NPY_ARRAY_WRITEABLE, NULL);
    if (!array) {
        Py_DECREF(segment);
        goto done;
    }
    PyArray_UpdateFlags((PyArrayObject *)array, NPY_ARRAY_UPDATE_ALL); /* any offset: aligned or not */
    if (PyArray_SetBaseObject((PyArrayObject *)array, segment) < 0)
        Py_CLEAR(array);
done:
    Py_DECREF(descr);
    return array;
}

/* ---- where a tensor lies ------------------------------------------------------------------------------------ */

/* The bytes from the first to the last element of an array: its lowest address, and how many. */
static const char *span_of(PyArrayObject *array, uint64_t *ret_nbytes) {
    const char *low = PyArray_BYTES(array), *high = low + PyArray_ITEMSIZE(array);
    *ret_nbytes = 0;
    if (PyArray_SIZE(array) == 0)
        return low;
    for (int i = 0; i < PyArray_NDIM(array); i++) {
        npy_intp reach = PyArray_STRIDE(array, i) * (PyArray_DIM(array, i) - 1);
        *(reach < 0 ? &low : &high) += reach;
    }
    *ret_nbytes = (uint64_t)(high - low);
    return low;
}

PyObject *zpy_posix_location(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_hold *hold = zpy_open_hold(self, "posix_location");
    if (!hold)
        return NULL;
    const char *path;
    uint64_t offset, whole, nbytes;
    int rc = zct_tensor_location(hold->tensor, &path, &offset, &whole);
    if (rc < 0)
        return zpy_raise(rc, NULL, NULL);
    const char *first = span_of((PyArrayObject *)self, &nbytes);
    PyObject *record = PyStructSequence_New(location_type);
    if (!record)
        return NULL;
    PyStructSequence_SetItem(record, 0, PyUnicode_DecodeFSDefault(path));
    PyStructSequence_SetItem(record, 1, PyLong_FromUnsignedLongLong(offset + (uint64_t)(first - (const char *)hold->view->data)));
    PyStructSequence_SetItem(record, 2, PyLong_FromUnsignedLongLong(nbytes));
    if (PyErr_Occurred())
        Py_CLEAR(record);
    return record;
}

static PyStructSequence_Field location_fields[] = {
    {"path", "the file"}, {"offset", "of the first byte in it, a multiple of the page size for a tensor of a page or more"},
    {"nbytes", "from the first to the last element"}, {NULL, NULL}};
static PyStructSequence_Desc location_desc = {"zero_copy_tensor_ipc.PosixLocation",
    "Where a tensor lies: (path, offset, nbytes), for mmap() in any program.", location_fields, 3};

int zpy_posix_init(PyObject *module) {
    if (!segment_type) {
        PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&segment_spec);
        if (!type || !(location_type = PyStructSequence_NewType(&location_desc)))
            return -1;
        type->tp_new = NULL; /* not for Python to make */
#if PY_VERSION_HEX < 0x03090000
        ((PyHeapTypeObject *)type)->as_buffer.bf_getbuffer = segment_getbuffer;
        ((PyHeapTypeObject *)type)->as_buffer.bf_releasebuffer = segment_releasebuffer;
#endif
        segment_type = type;
    }
    Py_INCREF(location_type);
    return PyModule_AddObject(module, "PosixLocation", (PyObject *)location_type);
}
