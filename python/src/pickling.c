/* pickling.c - a Handle is pickled as its bytes; a SharedTensor, inside multiprocessing, as a handle; elsewhere by value
 * (results.c).
 */
#include "core.h"

/* The functions of _core as Python objects, kept because looking them up costs more than all the rest; of the newest
 * module, if it was imported anew: pickle compares what it finds by name. */
static PyObject *rebuild_handle, *rebuild_tensor, *reduce_by_reference;

static int keep_function(PyObject *module, const char *name, PyObject **slot) {
    PyObject *function = PyObject_GetAttrString(module, name);
    if (!function)
        return -1;
    Py_XSETREF(*slot, function);
    return 0;
}

int zpy_pickling_init(PyObject *module) {
    return keep_function(module, "_rebuild_handle", &rebuild_handle) < 0 ||
           keep_function(module, "_rebuild_tensor", &rebuild_tensor) < 0 ||
           keep_function(module, "_reduce_by_reference", &reduce_by_reference) < 0 ? -1 : 0;
}

/* (rebuild function, state) */
static PyObject *reduced(PyObject *rebuild, PyObject *handle) {
    PyObject *args = zpy_handle_state(handle);
    PyObject *result = args ? PyTuple_Pack(2, rebuild, args) : NULL;
    Py_XDECREF(args);
    return result;
}

PyObject *zpy_handle_reduce(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    return reduced(rebuild_handle, self);
}

PyObject *zpy_rebuild_handle(PyObject *Py_UNUSED(self), PyObject *args) {
    return zpy_handle_from_state(args);
}

PyObject *zpy_rebuild_tensor(PyObject *Py_UNUSED(self), PyObject *args) {
    PyObject *handle = zpy_handle_from_state(args);
    PyObject *tensor = handle ? zpy_handle_attach(handle, ZCT_MODE_DEFAULT) : NULL;
    Py_XDECREF(handle);
    return tensor;
}

/* For ForkingPickler: a tensor of a store goes as a handle, what is private by value. */
PyObject *zpy_reduce_by_reference(PyObject *Py_UNUSED(self), PyObject *tensor) {
    zpy_hold *hold = zpy_hold_of(tensor);
    if (hold && hold->view->mode != ZCT_MODE_COW) {
        PyObject *handle = zpy_handle_new(tensor);
        PyObject *result = handle ? reduced(rebuild_tensor, handle) : NULL;
        Py_XDECREF(handle);
        return result;
    }
    PyObject *numpy = PyImport_ImportModule("numpy");
    PyObject *asarray = numpy ? PyObject_GetAttrString(numpy, "asarray") : NULL;
    PyObject *plain = asarray ? zpy_plain(tensor) : NULL;
    PyObject *result = plain ? Py_BuildValue("O(O)", asarray, plain) : NULL;
    Py_XDECREF(numpy);
    Py_XDECREF(asarray);
    Py_XDECREF(plain);
    return result;
}

/* Importing multiprocessing would cost more than everything else that the first call does: registered is only with one that
 * the program has imported. One imported after our first call is met in __reduce_ex__. */
static bool registered;

void zpy_register_pickling(void) {
    if (ZPY_GET(registered))
        return;
    PyObject *name = PyUnicode_FromString("multiprocessing.reduction");
    PyObject *reduction = name ? PyImport_GetModule(name) : NULL;
    PyObject *pickler = reduction ? PyObject_GetAttrString(reduction, "ForkingPickler") : NULL;
    PyObject *result =
        pickler ? PyObject_CallMethod(pickler, "register", "OO", (PyObject *)zpy.tensor_type, reduce_by_reference) : NULL;
    if (result)
        ZPY_SET(registered, true);
    Py_XDECREF(name);
    Py_XDECREF(reduction);
    Py_XDECREF(pickler);
    Py_XDECREF(result);
    PyErr_Clear(); /* not imported, or just being imported by another thread */
}

bool zpy_pickled_by_multiprocessing(void) {
    if (ZPY_GET(registered))
        return false; /* its picklers ask _reduce_by_reference, and never us */
    zpy_register_pickling();
    PyObject *globals = ZPY_GET(registered) ? PyEval_GetGlobals() : NULL; /* of the Python function that called the pickler */
    PyObject *name = globals ? PyMapping_GetItemString(globals, "__name__") : NULL;
    bool yes = name && PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "multiprocessing.reduction") == 0;
    Py_XDECREF(name);
    PyErr_Clear();
    return yes;
}
