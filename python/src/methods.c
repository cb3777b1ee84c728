/* methods.c - what a SharedTensor can be asked to do: close, unlink, seal, `with`. */
#include "core.h"
#include "doc.h"

static PyObject *tensor_close(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_hold *hold = zpy_hold_of(self);
    if (hold)
        ZPY_SET(hold->closed, true);
    Py_RETURN_NONE;
}

/* End the name if this attachment made it, and it still means this tensor, in this process. */
static int unlink_own(zpy_hold *hold) {
    if (!hold->made)
        return 0;
    zct_tensor *tensor = hold->tensor;
    int rc;
    Py_INCREF(hold);
    for (;;) {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_tensor_unlink(tensor);
        Py_END_ALLOW_THREADS
        if (rc != -ZCT_EINTERRUPTED)
            break;
        if (PyErr_CheckSignals() < 0) {
            Py_DECREF(hold);
            return -1;
        }
    }
    if (rc < 0 && rc != -ZCT_EGONE) { /* with the store its names are gone too */
        zpy_raise(rc, NULL, NULL);
        Py_DECREF(hold);
        return -1;
    }
    Py_DECREF(hold);
    return 0;
}

static PyObject *tensor_unlink(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_hold *hold = zpy_open_hold(self, "unlink");
    if (!hold || unlink_own(hold) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *tensor_seal(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_hold *hold = zpy_open_hold(self, "seal");
    if (!hold)
        return NULL;
    int rc = zct_seal(hold->tensor);
    if (rc < 0) {
        char sentence[1024], name[ZCT_MAX_NAME + 1] = "";
        PyOS_snprintf(sentence, sizeof sentence, "%s", zct_last_error());
        int error = rc;
        zct_tensor_name(hold->tensor, name, sizeof name);
        return zpy_raise_sentence(error, *sentence ? sentence : zct_strerror(error), name, NULL);
    }
    Py_RETURN_NONE;
}

static PyObject *tensor_enter(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    if (!zpy_open_hold(self, "with"))
        return NULL;
    Py_INCREF(self);
    return self;
}

static PyObject *tensor_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)args, (void)nargs;
    zpy_hold *hold = zpy_hold_of(self);
    if (hold && !ZPY_GET(hold->closed)) {
        ZPY_SET(hold->closed, true);
        if (unlink_own(hold) < 0)
            return NULL;
    }
    Py_RETURN_FALSE;
}

PyMethodDef zpy_tensor_methods[] = {
    {"close", tensor_close, METH_NOARGS, DOC_TENSOR_CLOSE},
    {"unlink", tensor_unlink, METH_NOARGS, DOC_TENSOR_UNLINK},
    {"posix_location", zpy_posix_location, METH_NOARGS, DOC_TENSOR_POSIX_LOCATION},
    {"seal", tensor_seal, METH_NOARGS, DOC_TENSOR_SEAL},
    {"__enter__", tensor_enter, METH_NOARGS, NULL},
    {"__exit__", ZPY_FAST(tensor_exit), METH_FASTCALL, NULL},
    {NULL}};
