/* log.c - the core's log callback, handed on to Python's `logging`.
 *
 * The core calls back on the thread that noticed something, after its last lock is dropped: with or without the GIL,
 * and maybe while an exception is on its way. What cannot be delivered is dropped: a log never makes a call fail.
 */
#include "core.h"

static PyObject *emit;      /* zero_copy_tensor_ipc._log.emit, imported at the first message */
static bool silent;         /* set at exit */

static void deliver(int level, const char *message) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *function = ZPY_GET(emit);
    if (!function) {
        PyObject *module = PyImport_ImportModule("zero_copy_tensor_ipc._log");
        if (module) {
            function = PyObject_GetAttrString(module, "emit");
            ZPY_SET(emit, function); /* two threads at once store the same one */
            Py_DECREF(module);
        }
    }
    if (function) {
        PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "backslashreplace");
        PyObject *result = text ? PyObject_CallFunction(function, "iO", level, text) : NULL;
        Py_XDECREF(result);
        Py_XDECREF(text);
    }
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

static void on_log(void *context, int level, const char *message) {
    (void)context;
    if (ZPY_GET(silent))
        return;
    PyGILState_STATE state = PyGILState_Ensure();
    if (!ZPY_GET(silent))
        deliver(level, message);
    PyGILState_Release(state);
}

void zpy_log(int level, const char *message) {
    if (!ZPY_GET(silent))
        deliver(level, message);
}

/* At exit: no Python from here on, and what this process opened without being asked by name is left in order. */
static PyObject *at_exit(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored)) {
    ZPY_SET(silent, true);
    zct_set_log(NULL, NULL);
    zpy_stores_close();
    Py_RETURN_NONE;
}

static PyMethodDef at_exit_method = {"_at_exit", at_exit, METH_NOARGS, NULL};

int zpy_log_init(PyObject *module) {
    (void)module;
    static int once;
    if (once)
        return 0;
    PyObject *function = PyCFunction_New(&at_exit_method, NULL);
    PyObject *atexit = function ? PyImport_ImportModule("atexit") : NULL;
    PyObject *result = atexit ? PyObject_CallMethod(atexit, "register", "O", function) : NULL;
    Py_XDECREF(atexit);
    Py_XDECREF(function);
    if (!result)
        return -1;
    Py_DECREF(result);
    zct_set_log(on_log, NULL);
    once = 1;
    return 0;
}
