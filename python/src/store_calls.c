/* store_calls.c - the methods of Store. */
#include "core.h"
#include "doc.h"

/* ---- calls that the module has too -------------------------------------------------------------------------- */

static PyObject *store_create(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"create", 2, 2, {"name", "data", "dtype", "order", "exists", "copy", "lifetime", "seal", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    return zpy_parse(&sig, args, nargs, kwnames, out) < 0 ? NULL : zpy_create_in(self, out);
}

static PyObject *store_attach(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"attach", 3, 1, {"name", "shape", "dtype", "mode", "timeout", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    return zpy_parse(&sig, args, nargs, kwnames, out) < 0 ? NULL
                                                          : zpy_attach_in(self, out[0], out[1], out[2], out[3], out[4]);
}

static PyObject *store_unlink(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"unlink", 1, 1, {"name", "missing_ok", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    return zpy_parse(&sig, args, nargs, kwnames, out) < 0 ? NULL : zpy_unlink_in(self, out[0], out[1]);
}

static PyObject *store_list(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_use use;
    if (zpy_use_begin(self, &use) < 0)
        return NULL;
    PyObject *list = zpy_list(use.store, &use);
    zpy_use_end(&use);
    return list;
}

/* ---- calls about the whole ------------------------------------------------------------------------------------ */

static PyObject *store_stats(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_use use;
    if (zpy_use_begin(self, &use) < 0)
        return NULL;
    zct_store_stats stats = {.size = sizeof stats};
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = zct_store_stats_get(use.store, &stats);
    Py_END_ALLOW_THREADS
    PyObject *record = rc < 0 ? zpy_use_raise(&use, rc, NULL) : zpy_stats(&stats);
    zpy_use_end(&use);
    return record;
}

static int on_finding(void *context, const char *finding) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *text = PyUnicode_DecodeUTF8(finding, (Py_ssize_t)strlen(finding), "backslashreplace");
    int stop = !text || PyList_Append(context, text) < 0;
    Py_XDECREF(text);
    if (stop)
        PyErr_Clear();
    PyGILState_Release(state);
    return stop;
}

static PyObject *store_check(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_use use;
    if (zpy_use_begin(self, &use) < 0)
        return NULL;
    PyObject *findings = PyList_New(0);
    int rc = 0;
    if (findings) {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_check(use.store, on_finding, findings);
        Py_END_ALLOW_THREADS
    }
    if (rc < 0) {
        Py_CLEAR(findings);
        zpy_use_raise(&use, rc, NULL);
    }
    zpy_use_end(&use);
    return findings;
}

static PyObject *store_gc(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"gc", 0, 0, {"unheld", "older_than", "handles", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    zct_gc_options options = {.size = sizeof options};
    bool unheld;
    zpy_use use;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0 || zpy_to_bool(out[0], &unheld) < 0 ||
        (out[1] != Py_None && zpy_to_timeout(out[1], &options.older_than_ns) < 0) ||
        (out[2] != Py_None && zpy_to_timeout(out[2], &options.own_handles_ns) < 0) || zpy_use_begin(self, &use) < 0)
        return NULL;
    options.flags = unheld ? ZCT_GC_UNHELD : 0;
    if (out[2] && out[2] != Py_None && options.own_handles_ns == 0)
        options.own_handles_ns = 1; /* handles=0: all of them */
    zct_gc_result result = {.size = sizeof result};
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_store_gc(use.store, &options, &result);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    PyObject *record = rc < 0 ? zpy_use_raise(&use, rc, NULL) : zpy_gc_record(&result);
    zpy_use_end(&use);
    return record;
}

static PyObject *store_trim(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"trim", 1, 0, {"keep", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS];
    uint64_t keep, bytes = 0;
    zpy_use use;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0 || zpy_to_size(out[0], "keep", &keep) < 0 ||
        zpy_use_begin(self, &use) < 0)
        return NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_store_trim(use.store, keep, &bytes);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    PyObject *result = rc < 0 ? zpy_use_raise(&use, rc, NULL) : PyLong_FromUnsignedLongLong(bytes);
    zpy_use_end(&use);
    return result;
}

static PyObject *store_close(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_store_close((zpy_store *)self);
    Py_RETURN_NONE;
}

static PyObject *store_enter(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    zpy_use use;
    if (zpy_use_begin(self, &use) < 0)
        return NULL;
    zpy_use_end(&use);
    Py_INCREF(self);
    return self;
}

static PyObject *store_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs) {
    (void)args, (void)nargs;
    zpy_store_close((zpy_store *)self);
    Py_RETURN_FALSE;
}

static PyObject *store_destroy(PyObject *Py_UNUSED(type), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"destroy", 1, 1, {"name", "directory", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS], *name = NULL, *directory = NULL;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0)
        return NULL;
    if (zpy_to_path(out[0], &name) < 0 || zpy_to_path(out[1], &directory) < 0) {
        Py_XDECREF(name);
        return NULL;
    }
    const char *name_text = name ? PyBytes_AS_STRING(name) : NULL;
    const char *directory_text = directory ? PyBytes_AS_STRING(directory) : NULL;
    int rc;
    do {
        Py_BEGIN_ALLOW_THREADS
        rc = zct_store_destroy(name_text, directory_text);
        Py_END_ALLOW_THREADS
    } while (rc == -ZCT_EINTERRUPTED && PyErr_CheckSignals() == 0);
    if (rc < 0 && !PyErr_Occurred())
        zpy_raise(rc, NULL, name_text ? name_text : "default");
    Py_XDECREF(name);
    Py_XDECREF(directory);
    if (rc < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *store_list_stores(PyObject *Py_UNUSED(type), PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames) {
    static zpy_sig sig = {"list_stores", 1, 0, {"directory", NULL}, {0}};
    PyObject *out[ZPY_MAX_ARGS], *directory = NULL;
    if (zpy_parse(&sig, args, nargs, kwnames, out) < 0 || zpy_to_path(out[0], &directory) < 0)
        return NULL;
    PyObject *list = zpy_list_stores(directory ? PyBytes_AS_STRING(directory) : NULL);
    Py_XDECREF(directory);
    return list;
}

PyMethodDef zpy_store_methods[] = {
    {"create", ZPY_FAST(store_create), METH_FASTCALL | METH_KEYWORDS, DOC_STORE_CREATE},
    {"attach", ZPY_FAST(store_attach), METH_FASTCALL | METH_KEYWORDS, DOC_STORE_ATTACH},
    {"unlink", ZPY_FAST(store_unlink), METH_FASTCALL | METH_KEYWORDS, DOC_STORE_UNLINK},
    {"list", store_list, METH_NOARGS, DOC_STORE_LIST},
    {"stats", store_stats, METH_NOARGS, DOC_STORE_STATS},
    {"check", store_check, METH_NOARGS, DOC_STORE_CHECK},
    {"gc", ZPY_FAST(store_gc), METH_FASTCALL | METH_KEYWORDS, DOC_STORE_GC},
    {"trim", ZPY_FAST(store_trim), METH_FASTCALL | METH_KEYWORDS, DOC_STORE_TRIM},
    {"close", store_close, METH_NOARGS, DOC_STORE_CLOSE},
    {"destroy", ZPY_FAST(store_destroy), METH_FASTCALL | METH_KEYWORDS | METH_STATIC, DOC_STORE_DESTROY},
    {"list_stores", ZPY_FAST(store_list_stores), METH_FASTCALL | METH_KEYWORDS | METH_STATIC, DOC_STORE_LIST_STORES},
    {"__enter__", store_enter, METH_NOARGS, NULL},
    {"__exit__", ZPY_FAST(store_exit), METH_FASTCALL, NULL},
    {NULL}};
