/* module.c - the module _core: its table of functions, and the one time that all is set up. */
#define ZPY_IMPORTS_NUMPY
#include "core.h"
#include "doc.h"

zpy_state zpy;
#ifdef Py_GIL_DISABLED
PyMutex zpy_mutex;
#endif

#define FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef functions[] = {
    {"create_shared_tensor", ZPY_FAST(zpy_create_shared_tensor), FAST, DOC_CREATE_SHARED_TENSOR},
    {"attach_shared_tensor", ZPY_FAST(zpy_attach_shared_tensor), FAST, DOC_ATTACH_SHARED_TENSOR},
    {"unlink_shared_tensor", ZPY_FAST(zpy_unlink_shared_tensor), FAST, DOC_UNLINK_SHARED_TENSOR},
    {"list_shared_tensors", ZPY_FAST(zpy_list_shared_tensors), FAST, DOC_LIST_SHARED_TENSORS},
    {"empty", ZPY_FAST(zpy_empty), FAST, DOC_EMPTY},
    {"zeros", ZPY_FAST(zpy_zeros), FAST, DOC_ZEROS},
    {"ones", ZPY_FAST(zpy_ones), FAST, DOC_ONES},
    {"full", ZPY_FAST(zpy_full), FAST, DOC_FULL},
    {"empty_like", ZPY_FAST(zpy_empty_like), FAST, DOC_EMPTY_LIKE},
    {"wait_any", ZPY_FAST(zpy_wait_any), FAST, DOC_WAIT_ANY},
    {"_store_identity", zpy_store_identity, METH_O, "A number for this process's membership in a store."},
    {"_bell", zpy_bell, METH_O, "This process's doorbell in a store, as _bell_wait() wants it."},
    {"_bell_wait", zpy_bell_wait, METH_VARARGS, "Sleep until the doorbell rings, a second at most."},
    {"_bell_ring", zpy_bell_ring, METH_O, "Ring this process's own doorbell."},
    {"_listen", zpy_listen, METH_VARARGS, "Have the doorbell rung at the tensor's next version; a newer one, or None."},
    {"attach_posix", ZPY_FAST(zpy_attach_posix), FAST, DOC_ATTACH_POSIX},
    {"_wait_names", zpy_wait_names, METH_VARARGS, "Wait for any name of a store."},
    {"_wake_names", zpy_wake_names, METH_O, "Let those who wait for names look again."},
    {"_rebuild_handle", zpy_rebuild_handle, METH_VARARGS, "Unpickle a Handle."},
    {"_rebuild_tensor", zpy_rebuild_tensor, METH_VARARGS, "Unpickle a SharedTensor that was sent by reference."},
    {"_reduce_by_reference", zpy_reduce_by_reference, METH_O, "Pickle a SharedTensor for another process of this machine."},
    {NULL}};

static int find_numpy(void) {
    import_array1(-1);
    zpy.max_dims = PyArray_GetNDArrayCVersion() >= 0x02000000 ? 64 : 32;
    return 0;
}

static int exec_module(PyObject *module) {
    static PyInterpreterState *owner;
    PyInterpreterState *here = PyThreadState_Get()->interp;
    if (here != PyInterpreterState_Main() || (owner && owner != here)) {
        PyErr_SetString(PyExc_ImportError, "zero_copy_tensor_ipc works in a process's main interpreter only: there is one core "
                                           "per process, and this is a second interpreter; use processes instead");
        return -1;
    }
    owner = here;
    if (find_numpy() < 0 || zpy_errors_init(module) < 0 || zpy_hold_init() < 0 || zpy_tensor_init(module) < 0 ||
        zpy_records_init(module) < 0 || zpy_store_init(module) < 0 || zpy_handle_init(module) < 0 ||
        zpy_pickling_init(module) < 0 || zpy_allocator_init(module) < 0 || zpy_posix_init(module) < 0 ||
        zpy_locks_init(module) < 0 ||
        zpy_log_init(module) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "__version__", zct_version());
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED}, /* so that our own sentence refuses them all */
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED}, /* gil.h */
#endif
    {0, NULL}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "zero_copy_tensor_ipc._core",
    .m_doc = "The C part of zero_copy_tensor_ipc: a translator between Python and zct.h.",
    .m_methods = functions,
    .m_slots = slots};

/* Python 3.8 does not say so itself, and the rest of the module is hidden. */
__attribute__((visibility("default"))) PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&definition);
}
