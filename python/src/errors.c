/* errors.c - exception classes, and the way from a zct code to one of them.
 *
 * Each class is a subclass of Error and of the built-in that a program would expect. All of them, and the built-ins
 * where no class of ours fits, carry .errno, .filename (the tensor's name, or the store's) and .store (its name).
 * str() is the sentence alone: OSError would put its number before and the file name behind it.
 */
#include "core.h"

#include <errno.h>
#include <string.h>

static PyObject *base_error, *not_found, *exists, *store_full, *too_many_members, *too_many_handles, *store_busy,
    *not_attached, *store_version, *store_corrupt, *store_gone, *closed, *writer_died, *replaced;

static PyObject *error_str(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    PyObject *args = PyObject_GetAttrString(self, "args");
    if (!args)
        return NULL;
    Py_ssize_t n = PyTuple_Check(args) ? PyTuple_GET_SIZE(args) : 0;
    PyObject *text = n == 0 ? PyUnicode_FromString("") : PyObject_Str(PyTuple_GET_ITEM(args, n >= 2 ? 1 : 0));
    Py_DECREF(args);
    return text;
}

static PyMethodDef str_method = {"__str__", error_str, METH_NOARGS, "The sentence."};

static int add_base(PyObject *module) {
    base_error = PyErr_NewExceptionWithDoc(
        "zero_copy_tensor_ipc.Error",
        "The base of this package's exception classes.\n\n"
        "Each of them is also the built-in that fits: TensorNotFoundError is a FileNotFoundError. They carry `errno`,\n"
        "`filename` (the tensor's name, or the store's) and `store` (the store's name); str() is one sentence that\n"
        "says what happened, to which name, and what to do.",
        PyExc_Exception, NULL);
    if (!base_error)
        return -1;
    PyObject *method = PyDescr_NewMethod((PyTypeObject *)base_error, &str_method);
    if (!method)
        return -1;
    int rc = PyObject_SetAttrString(base_error, "__str__", method);
    Py_DECREF(method);
    if (rc == 0) /* errno and filename would hide OSError's own */
        rc = PyObject_SetAttrString(base_error, "store", Py_None);
    Py_INCREF(base_error);
    return rc < 0 ? -1 : PyModule_AddObject(module, "Error", base_error);
}

static int add_class(PyObject *module, PyObject **slot, const char *name, PyObject *builtin, const char *doc) {
    char full[96];
    PyOS_snprintf(full, sizeof full, "zero_copy_tensor_ipc.%s", name);
    bool ours = PyType_IsSubtype((PyTypeObject *)builtin, (PyTypeObject *)base_error);
    PyObject *bases = ours ? PyTuple_Pack(1, builtin) : PyTuple_Pack(2, base_error, builtin);
    if (!bases)
        return -1;
    *slot = PyErr_NewExceptionWithDoc(full, doc, bases, NULL);
    Py_DECREF(bases);
    if (!*slot)
        return -1;
    Py_INCREF(*slot);
    return PyModule_AddObject(module, name, *slot);
}

int zpy_errors_init(PyObject *module) {
    if (base_error) { /* the module is executed again in the same interpreter */
        PyObject *const classes[] = {base_error, not_found, exists, store_full, too_many_members, too_many_handles,
            store_busy, not_attached, store_version, store_corrupt, store_gone, closed, writer_died, replaced};
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
            const char *name = strrchr(((PyTypeObject *)classes[i])->tp_name, '.');
            Py_INCREF(classes[i]);
            if (PyModule_AddObject(module, name ? name + 1 : ((PyTypeObject *)classes[i])->tp_name, classes[i]) < 0)
                return -1;
        }
        return 0;
    }
    if (add_base(module) < 0)
        return -1;
    struct { PyObject **slot; const char *name; PyObject *builtin; const char *doc; } classes[] = {
        {&not_found, "TensorNotFoundError", PyExc_FileNotFoundError,
         "No tensor of that name, or a handle's tensor has ended."},
        {&exists, "TensorExistsError", PyExc_FileExistsError, "A living process holds the name, or it is pinned."},
        {&store_full, "StoreFullError", PyExc_OSError,
         "No room: file system, capacity, names or control group (ENOSPC)."},
        {&too_many_members, "TooManyMembersError", PyExc_OSError,
         "Living processes have every member slot of the store."},
        {&too_many_handles, "TooManyHandlesError", PyExc_OSError,
         "Too many handles of this process are in flight (EMFILE)."},
        {&store_busy, "StoreBusyError", PyExc_OSError,
         "Another process, a stopped one mostly, stands in the way (EBUSY)."},
        {&not_attached, "NotAttachedError", PyExc_OSError,
         "This process is no member: a child that found no slot, or of a raw clone."},
        {&store_version, "StoreVersionError", PyExc_OSError, "The store has another format, byte order or page size."},
        {&store_corrupt, "StoreCorruptError", PyExc_OSError, "The store's bytes contradict its format (EUCLEAN)."},
        {&store_gone, "StoreGoneError", PyExc_OSError,
         "The store was destroyed, or its file unlinked or replaced (ESTALE)."},
        {&closed, "ClosedError", PyExc_ValueError, "The store or tensor was closed by this process."},
        {&writer_died, "WriterDiedError", PyExc_RuntimeError, "The last writer died while it wrote."},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (add_class(module, classes[i].slot, classes[i].name, classes[i].builtin, classes[i].doc) < 0)
            return -1;
    }
    return add_class(module, &replaced, "TensorReplacedError", not_found,
                     "While it was waited for, the tensor's name went to a newer generation: attach again.");
}

static PyObject *class_for(int code, bool about_tensor) {
    switch (code) {
    case ZCT_ENOTFOUND: return about_tensor ? not_found : PyExc_FileNotFoundError;
    case ZCT_ENOMEM: return PyExc_MemoryError;
    case ZCT_EACCES: return PyExc_PermissionError;
    case ZCT_EBUSY: return store_busy;
    case ZCT_EEXISTS: return exists;
    case ZCT_EINVAL: case ZCT_EMISMATCH: return PyExc_ValueError;
    case ZCT_ETOOMANYHANDLES: return too_many_handles;
    case ZCT_EFULL: return store_full;
    case ZCT_ETOOMANYMEMBERS: return too_many_members;
    case ZCT_ETIMEDOUT: return PyExc_TimeoutError;
    case ZCT_EREPLACED: return replaced;
    case ZCT_EGONE: return store_gone;
    case ZCT_ECORRUPT: return store_corrupt;
    case ZCT_EVERSION: return store_version;
    case ZCT_ENOTMEMBER: return not_attached;
    case ZCT_ENOTWHOLE: return PyExc_BufferError;
    case ZCT_ECLOSED: return closed;
    case ZCT_ENOTOWNER: case ZCT_EDEADLOCK: return PyExc_RuntimeError;
    case ZCT_EWRITERDIED: return writer_died;
    default: return PyExc_OSError; /* EUNSUPPORTED, EOS, EINTERRUPTED */
    }
}

/* The number in .errno: ours where it is an errno, the one beneath where ours is not. */
static int errno_for(int code) {
    int beneath = zct_last_errno();
    return code < 4096 ? code : beneath ? beneath : code == ZCT_EUNSUPPORTED ? EOPNOTSUPP :
           code == ZCT_EREPLACED ? ESTALE : EINVAL;
}

static void set_text(PyObject *error, const char *attribute, const char *text) {
    PyObject *value = text ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "backslashreplace") : NULL;
    if (PyObject_SetAttrString(error, attribute, value ? value : Py_None) < 0)
        PyErr_Clear();
    Py_XDECREF(value);
}

PyObject *zpy_raise_sentence(int code, const char *sentence, const char *name, const char *store) {
    code = code < 0 ? -code : code;
    PyObject *type = class_for(code, name != NULL);
    int number = errno_for(code);
    PyObject *text = PyUnicode_DecodeUTF8(sentence, (Py_ssize_t)strlen(sentence), "backslashreplace");
    if (!text)
        return NULL;
    bool is_os_error = PyObject_IsSubclass(type, PyExc_OSError) == 1;
    PyObject *error = is_os_error ? PyObject_CallFunction(type, "iO", number, text)
                                  : PyObject_CallFunctionObjArgs(type, text, NULL);
    Py_DECREF(text);
    if (!error)
        return NULL;
    if (!is_os_error) {
        PyObject *value = PyLong_FromLong(number);
        if (!value || PyObject_SetAttrString(error, "errno", value) < 0)
            PyErr_Clear();
        Py_XDECREF(value);
    }
    set_text(error, "filename", name ? name : store);
    set_text(error, "store", store);
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_DECREF(error);
    return NULL;
}

PyObject *zpy_raise(int code, const char *name, const char *store) {
    const char *sentence = zct_last_error();
    return zpy_raise_sentence(code, sentence && *sentence ? sentence : zct_strerror(code), name, store);
}

PyObject *zpy_error_class(int code) {
    return class_for(code < 0 ? -code : code, true);
}
