/* structs.c - structured dtypes: the descriptors of their tensors, and a memory of those that were met.
 *
 * _structs.py makes a descriptor and reads one, in tens of microseconds; here is what keeps that off the way of create
 * and attach. NumPy lets people rename the fields of a dtype in place (array.dtype.names = ...). So the dtype that is
 * kept is handed to nobody, only copies of it, which share its tables of fields until one is renamed; an entry counts
 * only while the dtypes inside, which NumPy does hand out, have the names that they had; and tensors do not get the
 * dtypes inside one that a caller gave.
 */
#include "core.h"

#define KNOWN 32

typedef struct {
    PyArray_Descr *descr;
    PyObject *inner; /* a list of the dtypes inside and their names: descr, names, descr, names ... */
    PyObject *blob;  /* bytes */
    zct_dtype dtype;
    bool restored;   /* from its descriptor, not a caller's */
} known_struct;

static known_struct known[KNOWN];
static unsigned next_known;

/* Are they the same, up to what a caller may rename? */
static bool is_copy(PyArray_Descr *a, PyArray_Descr *b) {
    return PyDataType_FIELDS(a) == PyDataType_FIELDS(b) && PyDataType_NAMES(a) == PyDataType_NAMES(b) &&
           PyDataType_ELSIZE(a) == PyDataType_ELSIZE(b) && PyDataType_FLAGS(a) == PyDataType_FLAGS(b) &&
           a->typeobj == b->typeobj && a->type_num == b->type_num && a->byteorder == b->byteorder;
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

static bool equal(PyObject *a, PyObject *b) {
    int rc = a == b ? 1 : a && b ? PyObject_RichCompareBool(a, b, Py_EQ) : 0;
    if (rc < 0)
        PyErr_Clear(); /* titles may be anything */
    return rc == 1;
}

static PyObject *extents(PyArray_Descr *descr) {
    return PyDataType_SUBARRAY(descr) ? PyDataType_SUBARRAY(descr)->shape : NULL;
}

static PyArray_Descr *element(PyArray_Descr *descr) {
    return PyDataType_SUBARRAY(descr) ? PyDataType_SUBARRAY(descr)->base : descr;
}

/* (dtype, offset) or (dtype, offset, title), of a name that is there */
static bool same_field(PyObject *a, PyObject *b) {
    if (!a || !b || PyTuple_GET_SIZE(a) != PyTuple_GET_SIZE(b) || !equal(PyTuple_GET_ITEM(a, 1), PyTuple_GET_ITEM(b, 1)) ||
        (PyTuple_GET_SIZE(a) > 2 && !equal(PyTuple_GET_ITEM(a, 2), PyTuple_GET_ITEM(b, 2))))
        return false;
    PyArray_Descr *x = (PyArray_Descr *)PyTuple_GET_ITEM(a, 0), *y = (PyArray_Descr *)PyTuple_GET_ITEM(b, 0);
    return equal(extents(x), extents(y)) && zpy_same_dtype(element(x), element(y));
}

bool zpy_same_dtype(PyArray_Descr *a, PyArray_Descr *b) {
    if (a == b)
        return true;
    PyObject *names = PyDataType_NAMES(a);
    if (!names || !PyDataType_NAMES(b) || a->type_num != b->type_num)
        return PyArray_EquivTypes(a, b);
    if (is_copy(a, b))
        return true;
    bool same = equal(names, PyDataType_NAMES(b)) && PyDataType_ELSIZE(a) == PyDataType_ELSIZE(b) && a->byteorder == b->byteorder;
    for (Py_ssize_t i = 0; same && i < PyTuple_GET_SIZE(names); i++)
        same = same_field(PyDict_GetItem(PyDataType_FIELDS(a), PyTuple_GET_ITEM(names, i)),
                          PyDict_GetItem(PyDataType_FIELDS(b), PyTuple_GET_ITEM(names, i)));
    return same;
}

/* ---- what is known ---------------------------------------------------------------------------------------------- */

static bool inner_unchanged(PyObject *inner) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(inner); i += 2) {
        if (PyDataType_NAMES((PyArray_Descr *)PyList_GET_ITEM(inner, i)) != PyList_GET_ITEM(inner, i + 1))
            return false;
    }
    return true;
}

static void drop(known_struct *k) {
    Py_CLEAR(k->descr);
    Py_CLEAR(k->inner);
    Py_CLEAR(k->blob);
}

/* Under the lock: an entry, or NULL, as the caller's own, to be dropped. */
static bool take(const known_struct *k, known_struct *ret) {
    if (k) {
        *ret = *k;
        Py_INCREF(ret->descr);
        Py_INCREF(ret->inner);
        Py_INCREF(ret->blob);
    }
    ZPY_UNLOCK();
    return k != NULL;
}

static bool find_descr(PyArray_Descr *descr, known_struct *ret) {
    known_struct *found = NULL;
    ZPY_LOCK();
    for (known_struct *k = known; k < known + KNOWN && !found; k++) {
        if (k->descr && is_copy(k->descr, descr) && inner_unchanged(k->inner))
            found = k;
    }
    return take(found, ret);
}

static bool find_blob(const char *blob, size_t size, uint32_t itemsize, known_struct *ret) {
    known_struct *found = NULL;
    ZPY_LOCK();
    for (known_struct *k = known; k < known + KNOWN && !found; k++) {
        if (k->restored && (size_t)PyBytes_GET_SIZE(k->blob) == size && memcmp(PyBytes_AS_STRING(k->blob), blob, size) == 0 &&
            k->dtype.itemsize == itemsize && inner_unchanged(k->inner))
            found = k;
    }
    return take(found, ret);
}

/* Append the structured dtypes inside `descr`, with their names. */
static int add_inner(PyObject *list, PyArray_Descr *descr) {
    PyObject *names = PyDataType_NAMES(descr), *fields = PyDataType_FIELDS(descr);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *field = PyDict_GetItemWithError(fields, PyTuple_GET_ITEM(names, i));
        if (!field)
            return -1;
        PyArray_Descr *inner = (PyArray_Descr *)PyTuple_GET_ITEM(field, 0);
        if (PyDataType_SUBARRAY(inner))
            inner = PyDataType_SUBARRAY(inner)->base;
        if (PyDataType_NAMES(inner) &&
            (PyList_Append(list, (PyObject *)inner) < 0 || PyList_Append(list, PyDataType_NAMES(inner)) < 0 ||
             add_inner(list, inner) < 0))
            return -1;
    }
    return 0;
}

/* Keep a dtype with its descriptor; false with an exception. */
static bool keep(PyArray_Descr *descr, PyObject *blob, const zct_dtype *dtype, bool restored, known_struct *ret) {
    known_struct fresh = {.descr = PyArray_DescrNew(descr), .inner = PyList_New(0), .blob = blob, .dtype = *dtype,
                          .restored = restored};
    Py_INCREF(blob);
    if (!fresh.descr || !fresh.inner || add_inner(fresh.inner, descr) < 0) {
        drop(&fresh);
        return false;
    }
    ZPY_LOCK();
    known_struct *k = &known[next_known++ % KNOWN], old = *k;
    *k = fresh;
    take(k, ret);
    drop(&old);
    return true;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

/* _structs.py's function of that name, called. */
static PyObject *call(const char *function, const char *format, ...) {
    PyObject *module = PyImport_ImportModule("zero_copy_tensor_ipc._structs"), *result = NULL;
    PyObject *callable = module ? PyObject_GetAttrString(module, function) : NULL;
    va_list arguments;
    va_start(arguments, format);
    PyObject *args = callable ? Py_VaBuildValue(format, arguments) : NULL;
    va_end(arguments);
    if (args)
        result = PyObject_CallObject(callable, args);
    Py_XDECREF(args);
    Py_XDECREF(callable);
    Py_XDECREF(module);
    return result;
}

int zpy_struct_from_descr(PyArray_Descr *descr, zct_dtype *ret_dtype, PyObject **ret_blob) {
    known_struct k;
    if (!find_descr(descr, &k)) {
        bool kept = false;
        PyObject *described = call("describe", "(Os)", (PyObject *)descr, ZPY_LONGDOUBLE), *blob;
        const char *name;
        if (!described)
            return -1;
        if (PyArg_ParseTuple(described, "Ss", &blob, &name)) {
            zct_dtype dtype = {.code = ZCT_STRUCT, .lanes = 1, .itemsize = (uint32_t)PyDataType_ELSIZE(descr)};
            snprintf(dtype.name, sizeof dtype.name, "%s", name);
            kept = keep(descr, blob, &dtype, false, &k);
        }
        Py_DECREF(described);
        if (!kept)
            return -1;
    }
    *ret_dtype = k.dtype;
    Py_INCREF(k.blob);
    *ret_blob = k.blob;
    drop(&k);
    return 0;
}

/* The dtype of a descriptor: one that is known, else read, in the name of the tensor `name`. */
static PyArray_Descr *from_blob(const zct_dtype *dtype, const char *blob, size_t size, const char *name) {
    known_struct k;
    if (!find_blob(blob, size, dtype->itemsize, &k)) {
        bool kept = false;
        PyObject *bytes = PyBytes_FromStringAndSize(blob, (Py_ssize_t)size), *descr = NULL;
        PyObject *text = bytes ? PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "backslashreplace") : NULL;
        if (text)
            descr = call("restore", "(OIsO)", bytes, (unsigned)dtype->itemsize, ZPY_LONGDOUBLE, text);
        if (descr)
            kept = keep((PyArray_Descr *)descr, bytes, dtype, true, &k);
        Py_XDECREF(descr);
        Py_XDECREF(text);
        Py_XDECREF(bytes);
        if (!kept)
            return NULL;
    }
    PyArray_Descr *copy = PyArray_DescrNew(k.descr);
    drop(&k);
    return copy;
}

PyArray_Descr *zpy_struct_of_tensor(const zct_tensor *tensor) {
    char small[1024], *blob = small, name[ZCT_MAX_NAME + 1] = ""; /* stacks of threads may be small */
    int64_t size = zct_tensor_descriptor(tensor, small, sizeof small), got = size;
    if (size > (int64_t)sizeof small) {
        if (!(blob = PyMem_Malloc((size_t)size)))
            return (PyArray_Descr *)PyErr_NoMemory();
        got = zct_tensor_descriptor(tensor, blob, (size_t)size);
    }
    zct_tensor_name(tensor, name, sizeof name);
    PyArray_Descr *descr = from_blob(&zct_tensor_view(tensor)->dtype, blob, (size_t)(got < size ? got : size), name);
    if (blob != small)
        PyMem_Free(blob);
    return descr;
}

PyArray_Descr *zpy_struct_of_stat(zct_store *store, const zct_stat *stat) {
    size_t size = stat->descriptor_len;
    char *blob = PyMem_Calloc(1, size + 1);
    if (!blob)
        return (PyArray_Descr *)PyErr_NoMemory();
    int rc = zct_stat_blobs(store, stat, blob, size, NULL, 0);
    PyArray_Descr *descr = rc < 0 ? (PyArray_Descr *)zpy_raise(rc, stat->name, NULL)
                                  : from_blob(&stat->dtype, blob, size, stat->name);
    PyMem_Free(blob);
    return descr;
}
