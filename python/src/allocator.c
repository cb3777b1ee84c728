/* allocator.c - numpy_allocator: NumPy's allocator hook (NEP 49) over zct_memory_*.
 *
 * NumPy keeps the hook in a context variable, so `with` acts for this thread or task. Each array remembers the hook it
 * was made with (a capsule), frees with it, and so keeps the store open. Blocks below min_bytes, and all where the store
 * has no room, are malloc's: free and realloc ask the core whose memory a block lies in, and never trust NumPy's size.
 */
#include "core.h"
#include "doc.h"

#include <stdlib.h>

/* The hook and what it works on; freed with the last array that was made by it. */
typedef struct {
    PyDataMem_Handler handler;
    zct_store *store; /* NULL until it is first needed */
    PyObject *key;    /* the store= argument: None, a name or a Store */
    size_t min_bytes;
    bool failed;      /* the store could not be opened: said once, then malloc */
    size_t refused;   /* blocks that malloc had to serve instead of the store */
} alloc_hook;

static void open_failed(alloc_hook *hook) {
    ZPY_SET(hook->failed, true);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *text = value ? PyObject_Str(value) : NULL;
    const char *reason = text ? PyUnicode_AsUTF8(text) : NULL;
    char message[1024];
    PyOS_snprintf(message, sizeof message, "arrays come from malloc instead of the store: %.900s", reason ? reason : "?");
    PyErr_Clear();
    zpy_log(ZCT_LOG_WARNING, message);
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* The store for a call; where there is no GIL another thread may find it gone meanwhile, and so it is referenced. */
static zct_store *use_store(alloc_hook *hook) {
    ZPY_LOCK();
    zct_store *store = hook->store;
    if (ZPY_NO_GIL && store)
        zct_store_ref(store);
    ZPY_UNLOCK();
    return store;
}

static void done_with(zct_store *store) {
    if (ZPY_NO_GIL)
        zct_store_close(store);
}

static void refuse(alloc_hook *hook) {
    ZPY_LOCK();
    ZPY_SET(hook->refused, hook->refused + 1);
    ZPY_UNLOCK();
}

/* Open the store if it is not open, or gone; false with an exception. */
static bool open_store(alloc_hook *hook) {
    zpy_use use;
    if (zpy_use_begin(hook->key, &use) < 0)
        return false;
    int rc = zct_store_alive(use.store);
    if (rc < 0 && !zpy_use_again(&use, rc)) {
        zpy_use_raise(&use, rc, NULL);
        zpy_use_end(&use);
        return false;
    }
    ZPY_LOCK();
    zct_store *old = hook->store;
    hook->store = use.store; /* the reference is ours now */
    ZPY_UNLOCK();
    zct_store_close(old);
    return true;
}

/* Is there a store to ask? Opened when it is first needed, or gone. NumPy calls with the GIL held and does not expect
 * exceptions. */
static bool has_store(alloc_hook *hook) {
    zct_store *store = use_store(hook);
    bool alive = store && zct_store_alive(store) != -ZCT_EGONE;
    done_with(store);
    if (alive || ZPY_GET(hook->failed))
        return alive;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (!open_store(hook))
        open_failed(hook);
    PyErr_Restore(type, value, traceback);
    return !ZPY_GET(hook->failed);
}

static void *allocate(alloc_hook *hook, size_t nbytes, int zero) {
    if (nbytes >= hook->min_bytes) {
        zct_store *store = has_store(hook) ? use_store(hook) : NULL;
        void *block = store ? zct_memory_alloc(store, nbytes, zero) : NULL;
        done_with(store);
        if (block)
            return block;
        refuse(hook);
    }
    return zero ? calloc(1, nbytes) : malloc(nbytes);
}

static void *hook_malloc(void *context, size_t nbytes) {
    return allocate(context, nbytes, 0);
}

static void *hook_calloc(void *context, size_t count, size_t size) {
    size_t nbytes;
    return __builtin_mul_overflow(count, size, &nbytes) ? NULL : allocate(context, nbytes, 1);
}

static void hook_free(void *context, void *block, size_t nbytes) {
    (void)context, (void)nbytes;
    zct_store *store = zct_memory_store(block);
    if (store)
        zct_memory_free(store, block);
    else
        free(block);
}

static void *hook_realloc(void *context, void *block, size_t nbytes) {
    zct_store *store = zct_memory_store(block);
    if (!store)
        return block ? realloc(block, nbytes) : allocate(context, nbytes, 0);
    size_t old = zct_memory_owns(block, NULL);
    void *moved = zct_memory_realloc(store, block, nbytes);
    if (moved)
        return moved;
    moved = malloc(nbytes); /* the store has no room for more */
    if (moved) {
        refuse(context);
        memcpy(moved, block, old < nbytes ? old : nbytes);
        zct_memory_free(store, block);
    }
    return moved;
}

static void free_hook(PyObject *capsule) {
    alloc_hook *hook = PyCapsule_GetPointer(capsule, "mem_handler");
    zct_store_close(hook->store);
    Py_XDECREF(hook->key);
    PyMem_Free(hook);
}

static PyObject *new_hook(PyObject *store, size_t min_bytes) {
    alloc_hook *hook = PyMem_Calloc(1, sizeof *hook);
    if (!hook)
        return PyErr_NoMemory();
    hook->handler = (PyDataMem_Handler){
        .name = "zero_copy_tensor_ipc", .version = 1,
        .allocator = {.ctx = hook, .malloc = hook_malloc, .calloc = hook_calloc, .realloc = hook_realloc, .free = hook_free}};
    hook->min_bytes = min_bytes;
    hook->key = store ? store : Py_None;
    Py_INCREF(hook->key);
    PyObject *capsule = PyCapsule_New(&hook->handler, "mem_handler", free_hook);
    if (!capsule) {
        Py_DECREF(hook->key);
        PyMem_Free(hook);
    }
    return capsule;
}

/* ---- the context manager --------------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *capsule;
    PyObject *previous; /* NumPy's hook before; NULL outside `with` */
} allocator_object;

static PyObject *allocator_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"store", "min_bytes", NULL};
    PyObject *store = Py_None, *min_bytes = NULL;
    uint64_t bytes;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:numpy_allocator", names, &store, &min_bytes) ||
        zpy_to_size(min_bytes, "min_bytes", &bytes) < 0)
        return NULL;
    if (store != Py_None && !PyUnicode_Check(store) && !PyObject_TypeCheck(store, zpy.store_type)) {
        PyErr_Format(PyExc_TypeError, "store must be a Store, a store's name or None, not %s", Py_TYPE(store)->tp_name);
        return NULL;
    }
    allocator_object *self = (allocator_object *)type->tp_alloc(type, 0);
    if (self && !(self->capsule = new_hook(store, min_bytes && min_bytes != Py_None ? (size_t)bytes : 65536)))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void allocator_dealloc(PyObject *obj) {
    allocator_object *self = (allocator_object *)obj;
    PyTypeObject *type = Py_TYPE(obj);
    Py_XDECREF(self->capsule);
    Py_XDECREF(self->previous);
    type->tp_free(obj);
    Py_DECREF(type);
}

static PyObject *allocator_install(PyObject *obj, PyObject *Py_UNUSED(ignored)) {
    PyObject *previous = PyDataMem_SetHandler(((allocator_object *)obj)->capsule);
    if (!previous)
        return NULL;
    Py_DECREF(previous);
    Py_RETURN_NONE;
}

static PyObject *enter_alone(allocator_object *self) {
    if (self->previous) {
        PyErr_SetString(PyExc_RuntimeError, "this numpy_allocator() is active already; make another one for this `with`");
        return NULL;
    }
    alloc_hook *hook = PyCapsule_GetPointer(self->capsule, "mem_handler");
    if (!ZPY_GET(hook->store) && !open_store(hook)) {
        /* too many members or no room is what malloc is for; anything else is the caller's mistake */
        if (!PyErr_ExceptionMatches(zpy_error_class(ZCT_ETOOMANYMEMBERS)) &&
            !PyErr_ExceptionMatches(zpy_error_class(ZCT_EFULL)))
            return NULL;
        open_failed(hook);
    }
    if (!(self->previous = PyDataMem_SetHandler(self->capsule)))
        return NULL;
    Py_INCREF(self);
    return (PyObject *)self;
}

static PyObject *allocator_enter(PyObject *obj, PyObject *Py_UNUSED(ignored)) {
    PyObject *result = NULL;
    ZPY_BEGIN_ALONE(obj);
    result = enter_alone((allocator_object *)obj);
    ZPY_END_ALONE();
    return result;
}

static PyObject *allocator_exit(PyObject *obj, PyObject *const *args, Py_ssize_t nargs) {
    (void)args, (void)nargs;
    PyObject *previous;
    ZPY_BEGIN_ALONE(obj);
    previous = ((allocator_object *)obj)->previous;
    ((allocator_object *)obj)->previous = NULL;
    ZPY_END_ALONE();
    if (previous) {
        PyObject *ours = PyDataMem_SetHandler(previous);
        Py_DECREF(previous);
        if (!ours)
            return NULL;
        Py_DECREF(ours);
    }
    Py_RETURN_FALSE;
}

static PyObject *get_refused(PyObject *obj, void *Py_UNUSED(closure)) {
    alloc_hook *hook = PyCapsule_GetPointer(((allocator_object *)obj)->capsule, "mem_handler");
    return PyLong_FromSize_t(ZPY_GET(hook->refused));
}

static PyGetSetDef attributes[] = {{"refused", get_refused, NULL, DOC_ALLOCATOR_REFUSED, NULL}, {NULL}};

static PyMethodDef methods[] = {
    {"__enter__", allocator_enter, METH_NOARGS, NULL},
    {"__exit__", ZPY_FAST(allocator_exit), METH_FASTCALL, NULL},
    {"_install", allocator_install, METH_NOARGS, "Switch it on in this context for good."},
    {NULL}};

static PyType_Slot slots[] = {{Py_tp_new, allocator_new}, {Py_tp_dealloc, allocator_dealloc}, {Py_tp_methods, methods},
                              {Py_tp_getset, attributes}, {Py_tp_doc, (void *)DOC_ALLOCATOR}, {0, NULL}};

static PyType_Spec spec = {.name = "zero_copy_tensor_ipc.numpy_allocator", .basicsize = sizeof(allocator_object),
                           .flags = Py_TPFLAGS_DEFAULT, .slots = slots};

int zpy_allocator_init(PyObject *module) {
    if (!zpy.allocator_type && !(zpy.allocator_type = (PyTypeObject *)PyType_FromSpec(&spec)))
        return -1;
    Py_INCREF(zpy.allocator_type);
    return PyModule_AddObject(module, "numpy_allocator", (PyObject *)zpy.allocator_type);
}
