/* records.c - what list(), stats(), gc() and list_stores() give: named tuples, with some more fields by name alone. */
#include "core.h"

#include <structseq.h>

static PyStructSequence_Field info_fields[] = {
    {"name", "str"},
    {"dtype", "numpy.dtype, or its name as a str where this NumPy has no such dtype"},
    {"shape", "tuple of int, elements"},
    {"nbytes", "bytes of payload"},
    {"generation", "1 for a name's first tensor, one more for each replacement"},
    {"holders", "living processes that hold it"},
    {"handles", "handles in flight"},
    {"lifetime", "persistent, pinned, owner or last"},
    {"sealed", "bool"},
    {"created", "seconds since the epoch"},
    {NULL, NULL}};
static PyStructSequence_Desc info_desc = {
    "zero_copy_tensor_ipc.TensorInfo",
    "One tensor of a store: (name, dtype, shape, nbytes, generation, holders), and by name alone handles, lifetime,\n"
    "sealed and created.",
    info_fields, 6};

#define STATS_FIELDS(X) X(capacity, "bytes of payload that may be used") X(used, "bytes in tensors") \
    X(high, "highest payload byte ever used") X(resident, "bytes of memory that the file occupies now") \
    X(warm_free, "bytes reserved, in no tensor") X(max_names, "room for names") X(names, "tensors, named or not") \
    X(max_members, "room for processes") X(members, "living processes") \
    X(nameless, "tensors unnamed, unlinked or being made") X(handles, "handles in flight") X(births, "tensors ever made") \
    X(rebuilds, "of the caches, after a process died in the allocator") X(reaped, "dead processes cleaned up after")
#define AS_FIELD(field, doc) {#field, doc},
static PyStructSequence_Field stats_fields[] = {STATS_FIELDS(AS_FIELD){NULL, NULL}};
static PyStructSequence_Desc stats_desc = {
    "zero_copy_tensor_ipc.StoreStats", "The figures of a store.", stats_fields, sizeof stats_fields / sizeof *stats_fields - 1};

static PyStructSequence_Field gc_fields[] = {
    {"members", "dead processes cleaned up after"}, {"tensors", "tensors ended"}, {"handles", "handles dropped"}, {NULL, NULL}};
static PyStructSequence_Desc gc_desc = {"zero_copy_tensor_ipc.GcResult", "What Store.gc() found to do.", gc_fields, 3};

static PyStructSequence_Field store_info_fields[] = {{"name", "the store's name"}, {"path", "its file"}, {NULL, NULL}};
static PyStructSequence_Desc store_info_desc = {"zero_copy_tensor_ipc.StoreInfo", "One store of a directory.",
                                                store_info_fields, 2};

static int add_type(PyObject *module, PyTypeObject **slot, PyStructSequence_Desc *desc) {
    if (!*slot && !(*slot = PyStructSequence_NewType(desc)))
        return -1;
    Py_INCREF(*slot);
    return PyModule_AddObject(module, strrchr(desc->name, '.') + 1, (PyObject *)*slot);
}

int zpy_records_init(PyObject *module) {
    return add_type(module, &zpy.info_type, &info_desc) < 0 || add_type(module, &zpy.stats_type, &stats_desc) < 0 ||
           add_type(module, &zpy.gc_type, &gc_desc) < 0 || add_type(module, &zpy.store_info_type, &store_info_desc) < 0
           ? -1 : 0;
}

/* Put value (which may be NULL: an error) in place i; false on error. */
static bool set_item(PyObject *record, Py_ssize_t i, PyObject *value) {
    if (value)
        PyStructSequence_SetItem(record, i, value);
    return value != NULL;
}

static PyObject *info_dtype(zct_store *store, const zct_stat *stat) {
    PyObject *descr = (PyObject *)zpy_descr_of_stat(store, stat);
    if (descr)
        return descr;
    PyErr_Clear();
    return PyUnicode_DecodeUTF8(stat->dtype.name, (Py_ssize_t)strnlen(stat->dtype.name, sizeof stat->dtype.name),
                                "backslashreplace");
}

static PyObject *info_shape(const zct_stat *stat) {
    PyObject *shape = PyTuple_New(stat->ndim);
    for (int i = 0; shape && i < stat->ndim; i++) {
        PyObject *extent = PyLong_FromLongLong(stat->shape[i]);
        if (!extent)
            Py_CLEAR(shape);
        else
            PyTuple_SET_ITEM(shape, i, extent);
    }
    return shape;
}

static PyObject *info(zct_store *store, const zct_stat *stat) {
    PyObject *record = PyStructSequence_New(zpy.info_type);
    if (record && set_item(record, 0, PyUnicode_DecodeUTF8(stat->name, (Py_ssize_t)strlen(stat->name), "replace")) &&
        set_item(record, 1, info_dtype(store, stat)) && set_item(record, 2, info_shape(stat)) &&
        set_item(record, 3, PyLong_FromUnsignedLongLong(stat->nbytes)) &&
        set_item(record, 4, PyLong_FromUnsignedLongLong(stat->generation)) &&
        set_item(record, 5, PyLong_FromUnsignedLong(stat->holders)) &&
        set_item(record, 6, PyLong_FromUnsignedLong(stat->handles)) &&
        set_item(record, 7, PyUnicode_FromString(zpy_lifetime_text(stat->lifetime))) &&
        set_item(record, 8, PyBool_FromLong(stat->sealed)) &&
        set_item(record, 9, PyFloat_FromDouble((double)stat->birth_ns * 1e-9)))
        return record;
    Py_XDECREF(record);
    return NULL;
}

PyObject *zpy_list(zct_store *store, const zpy_use *use) {
    zct_list *cursor = NULL;
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = zct_list_open(store, 0, &cursor);
    Py_END_ALLOW_THREADS
    if (rc < 0)
        return zpy_use_raise(use, rc, NULL);
    PyObject *list = PyList_New(0);
    zct_stat stat = {.size = sizeof stat};
    while (list && (rc = zct_list_next(cursor, &stat)) > 0) {
        PyObject *record = info(store, &stat);
        if (!record || PyList_Append(list, record) < 0)
            Py_CLEAR(list);
        Py_XDECREF(record);
    }
    if (list && rc < 0) {
        Py_CLEAR(list);
        zpy_use_raise(use, rc, NULL);
    }
    zct_list_close(cursor);
    return list;
}

PyObject *zpy_stats(const zct_store_stats *stats) {
    PyObject *record = PyStructSequence_New(zpy.stats_type);
    Py_ssize_t i = 0;
#define SET_FIELD(field, doc) \
    if (record && !set_item(record, i++, PyLong_FromUnsignedLongLong(stats->field))) \
        Py_CLEAR(record);
    STATS_FIELDS(SET_FIELD)
    return record;
}

PyObject *zpy_gc_record(const zct_gc_result *result) {
    PyObject *record = PyStructSequence_New(zpy.gc_type);
    if (record && set_item(record, 0, PyLong_FromUnsignedLong(result->members)) &&
        set_item(record, 1, PyLong_FromUnsignedLong(result->tensors)) &&
        set_item(record, 2, PyLong_FromUnsignedLong(result->handles)))
        return record;
    Py_XDECREF(record);
    return NULL;
}

static int on_store(void *context, const char *name, const char *path) {
    PyObject *record = PyStructSequence_New(zpy.store_info_type);
    int stop = !record || !set_item(record, 0, PyUnicode_DecodeFSDefault(name)) ||
               !set_item(record, 1, PyUnicode_DecodeFSDefault(path)) || PyList_Append(context, record) < 0;
    Py_XDECREF(record);
    return stop;
}

PyObject *zpy_list_stores(const char *directory) {
    PyObject *list = PyList_New(0);
    if (!list)
        return NULL;
    int rc = zct_list_stores(directory, on_store, list);
    if (rc == 0)
        return list;
    Py_DECREF(list);
    return PyErr_Occurred() ? NULL : zpy_raise(rc, NULL, NULL);
}
