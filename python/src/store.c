/* store.c - Store: a reference to a store, with the calls that concern it as a whole. */
#include "core.h"
#include "doc.h"

static PyObject *wrap(PyTypeObject *type, zct_store *store) {
    zpy_store *self = (zpy_store *)type->tp_alloc(type, 0);
    if (!self) {
        zct_store_close(store);
        return NULL;
    }
    self->store = store;
    self->name = PyUnicode_DecodeFSDefault(zct_store_name(store));
    self->path = PyUnicode_DecodeFSDefault(zct_store_path(store));
    if (!self->name || !self->path)
        Py_CLEAR(self);
    return (PyObject *)self;
}

PyObject *zpy_store_new(zct_store *store) {
    return wrap(zpy.store_type, store);
}

/* Whoever names a file that they may read and not write gets a Store that looks: list, stats, check. By name alone nobody gets
 * another's store, not even to look at. */
static int open_or_observe(const char *name, const zct_store_options *options, zct_store **ret_store, bool *ret_raised) {
    int rc = zpy_store_open(name, options, ret_store, ret_raised);
    if (rc != -ZCT_EACCES || *ret_raised || !name || !strchr(name, '/'))
        return rc;
    zct_store_options look = {.size = sizeof look, .flags = ZCT_STORE_EXISTING | ZCT_STORE_OBSERVE};
    if (zpy_store_open(name, &look, ret_store, ret_raised) == 0)
        return 0;
    return *ret_raised ? rc : zpy_store_open(name, options, ret_store, ret_raised); /* for its sentence */
}

static PyObject *store_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"name", "capacity", "directory", "mode", "max_names", "max_members", NULL};
    PyObject *name = Py_None, *capacity = NULL, *directory = NULL, *mode = NULL, *max_names = NULL, *max_members = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$OOOOO:Store", names, &name, &capacity, &directory, &mode, &max_names,
                                     &max_members))
        return NULL;
    uint64_t capacity_n, mode_n, names_n, members_n;
    PyObject *directory_bytes = NULL, *name_bytes = NULL;
    if (zpy_to_size(capacity, "capacity", &capacity_n) < 0 || zpy_to_size(mode, "mode", &mode_n) < 0 ||
        zpy_to_size(max_names, "max_names", &names_n) < 0 || zpy_to_size(max_members, "max_members", &members_n) < 0 ||
        zpy_to_path(name, &name_bytes) < 0 || zpy_to_path(directory, &directory_bytes) < 0)
        goto fail;
    if (mode_n > 0777 || names_n > UINT32_MAX || members_n > ZCT_MAX_MEMBERS) {
        PyErr_Format(PyExc_ValueError, "%s", mode_n > 0777 ? "mode must be permission bits, such as 0o600" :
                     names_n > UINT32_MAX ? "max_names must be below 2**32" : "max_members can be 1024 at most");
        goto fail;
    }
    zct_store_options options = {.size = sizeof options, .capacity = capacity_n, .max_names = (uint32_t)names_n,
                                 .max_members = (uint32_t)members_n, .mode = (uint32_t)mode_n,
                                 .directory = directory_bytes ? PyBytes_AS_STRING(directory_bytes) : NULL};
    const char *text = name_bytes ? PyBytes_AS_STRING(name_bytes) : NULL;
    zct_store *store = NULL;
    bool raised;
    int rc = open_or_observe(text, &options, &store, &raised);
    if (rc < 0) {
        if (!raised)
            zpy_raise(rc, NULL, text ? text : "default");
        goto fail;
    }
    Py_XDECREF(directory_bytes);
    Py_XDECREF(name_bytes);
    return wrap(type, store);
fail:
    Py_XDECREF(directory_bytes);
    Py_XDECREF(name_bytes);
    return NULL;
}

void zpy_store_close(zpy_store *self) {
    ZPY_LOCK();
    zct_store *store = self->store;
    self->store = NULL;
    ZPY_UNLOCK();
    if (store) {
        Py_BEGIN_ALLOW_THREADS
        zct_store_close(store);
        Py_END_ALLOW_THREADS
    }
}

static void store_dealloc(PyObject *obj) {
    zpy_store *self = (zpy_store *)obj;
    PyTypeObject *type = Py_TYPE(obj);
    zct_store_close(self->store);
    Py_XDECREF(self->name);
    Py_XDECREF(self->path);
    type->tp_free(obj);
    Py_DECREF(type);
}

/* ---- the type --------------------------------------------------------------------------------------------------- */

static PyObject *get_name(PyObject *self, void *Py_UNUSED(closure)) {
    PyObject *name = ((zpy_store *)self)->name;
    Py_INCREF(name);
    return name;
}

static PyObject *get_path(PyObject *self, void *Py_UNUSED(closure)) {
    PyObject *path = ((zpy_store *)self)->path;
    Py_INCREF(path);
    return path;
}

static PyObject *get_capacity(PyObject *self, void *Py_UNUSED(closure)) {
    zpy_use use;
    if (zpy_use_begin(self, &use) < 0)
        return NULL;
    uint64_t capacity = zct_store_capacity(use.store);
    zpy_use_end(&use);
    return PyLong_FromUnsignedLongLong(capacity);
}

static PyObject *get_closed(PyObject *self, void *Py_UNUSED(closure)) {
    return PyBool_FromLong(ZPY_GET(((zpy_store *)self)->store) == NULL);
}

static PyObject *store_repr(PyObject *self) {
    zpy_store *store = (zpy_store *)self;
    return PyUnicode_FromFormat("<Store %R at %R%s>", store->name, store->path, ZPY_GET(store->store) ? "" : ", closed");
}

static PyObject *store_reduce(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    return Py_BuildValue("O(O)", (PyObject *)zpy.store_type, ((zpy_store *)self)->path);
}

static PyMethodDef reduce_method = {"__reduce__", store_reduce, METH_NOARGS, "A store is pickled as its path."};

static PyGetSetDef attributes[] = {
    {"name", get_name, NULL, DOC_STORE_NAME, NULL},
    {"path", get_path, NULL, DOC_STORE_PATH, NULL},
    {"capacity", get_capacity, NULL, DOC_STORE_CAPACITY, NULL},
    {"closed", get_closed, NULL, DOC_STORE_CLOSED, NULL},
    {NULL}};

static PyType_Slot slots[] = {
    {Py_tp_new, store_new},
    {Py_tp_dealloc, store_dealloc},
    {Py_tp_repr, store_repr},
    {Py_tp_getset, attributes},
    {Py_tp_methods, zpy_store_methods},
    {Py_tp_doc, (void *)DOC_STORE},
    {0, NULL}};

static PyType_Spec spec = {
    .name = "zero_copy_tensor_ipc.Store", .basicsize = sizeof(zpy_store), .flags = Py_TPFLAGS_DEFAULT, .slots = slots};

int zpy_store_init(PyObject *module) {
    if (!zpy.store_type) {
        PyTypeObject *type = (PyTypeObject *)PyType_FromSpec(&spec);
        PyObject *method = type ? PyDescr_NewMethod(type, &reduce_method) : NULL;
        if (!method || PyObject_SetAttrString((PyObject *)type, "__reduce__", method) < 0)
            return -1;
        Py_DECREF(method);
        zpy.store_type = type;
    }
    Py_INCREF(zpy.store_type);
    return PyModule_AddObject(module, "Store", (PyObject *)zpy.store_type);
}
