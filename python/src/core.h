/* core.h - what the files of the extension share.
 *
 * The extension is a translator between Python and zct.h: no policy, no shared-memory structs, no locks.
 *
 *   Hold         one zct attachment as a Python object. It is the base of the array that stands for it, exports the
 *                memory as a buffer (read-only if the mode is), and releases the attachment when the last array that
 *                has it below itself is gone.
 *   SharedTensor an ndarray subclass without fields of its own: which Hold an array stands on, if any, is found along
 *                .base. A slice, a reshape, a transpose are SharedTensors that find the same Hold.
 *   Store        a reference to a zct_store.
 *   Handle       bytes that another process can attach by, and the part of the tensor that they stand for.
 *
 * All state is one static struct: there is one core per process, so a second interpreter is refused at import.
 * Everything here is called with the GIL held, where there is one: gil.h has the rest.
 */
#ifndef ZPY_CORE_H
#define ZPY_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef NPY_NO_DEPRECATED_API
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#endif
#ifndef NPY_TARGET_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#endif
#define PY_ARRAY_UNIQUE_SYMBOL zpy_numpy_api
#ifndef ZPY_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include <float.h>
#include <stdbool.h>
#include <zct/zct.h>

#include "gil.h"

_Static_assert(sizeof(npy_intp) == sizeof(int64_t), "shapes are handed over as they are");

#if NPY_ABI_VERSION < 0x02000000 /* NumPy 1 headers */
#define PyDataType_ELSIZE(d) ((d)->elsize)
#define PyDataType_C_METADATA(d) ((d)->c_metadata)
#define PyDataType_NAMES(d) ((d)->names)
#define PyDataType_FIELDS(d) ((d)->fields)
#define PyDataType_SUBARRAY(d) ((d)->subarray)
#define PyDataType_FLAGS(d) ((npy_uint64)(unsigned char)(d)->flags)
#endif

#if PY_VERSION_HEX < 0x03090000
#define Py_SET_TYPE(object, type) (Py_TYPE(object) = (type))
#endif

/* ---- the one state ------------------------------------------------------------------------------------- */

typedef struct zpy_state {
    PyTypeObject *hold_type, *tensor_type, *store_type, *handle_type, *allocator_type;
    PyTypeObject *info_type, *stats_type, *gc_type, *store_info_type;
    PyObject *module_name;   /* "zero_copy_tensor_ipc" */
    int max_dims;            /* of the NumPy that runs: 32 or 64 */
    zct_store *default_store; /* of the module functions; NULL before first use */
    int in_hot_path;         /* with a GIL: calls that use default_store without a reference; a log handler may run in one */
} zpy_state;

extern zpy_state zpy;

/* ---- args.c: fast calls ---------------------------------------------------------------------------------- */

#define ZPY_MAX_ARGS 12

/* A signature: names[0 .. npositional) may be positional, the first nrequired must be given. */
typedef struct zpy_sig {
    const char *function;
    int npositional, nrequired;
    const char *names[ZPY_MAX_ARGS + 1];
    PyObject *interned[ZPY_MAX_ARGS];
} zpy_sig;

/* Fill out[] with borrowed references, NULL where not given. 0, or -1 with a TypeError. */
int zpy_parse(zpy_sig *sig, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, PyObject **out);

typedef struct zpy_shape {
    int nd;
    npy_intp dims[ZCT_MAX_DIMS];
} zpy_shape;

/* Converters: 0, or -1 with an exception. NULL and None give the default. */
int zpy_to_name(PyObject *obj, const char **ret_name, Py_ssize_t *ret_len); /* a str; borrowed from it */
int zpy_to_cname(PyObject *obj, const char **ret_name);                     /* the same, without NUL in it */
int zpy_to_mode(PyObject *obj, int *ret_mode);
int zpy_to_exists(PyObject *obj, int *ret_exists);
int zpy_to_lifetime(PyObject *obj, int *ret_lifetime);
int zpy_to_order(PyObject *obj, NPY_ORDER default_order, NPY_ORDER *ret_order);
int zpy_to_timeout(PyObject *obj, int64_t *ret_ns); /* NULL: 0; None: ZCT_FOREVER; seconds */
int zpy_to_shape(PyObject *obj, zpy_shape *ret_shape);
int zpy_to_size(PyObject *obj, const char *what, uint64_t *ret_value);
int zpy_to_bool(PyObject *obj, bool *ret_value);
/* A str, bytes or path object, as new bytes in the file system's encoding; NULL for NULL and None. */
int zpy_to_path(PyObject *obj, PyObject **ret_bytes);
const char *zpy_mode_text(int mode);
const char *zpy_lifetime_text(int lifetime);

/* ---- errors.c -------------------------------------------------------------------------------------------- */

int zpy_errors_init(PyObject *module);
/* Raise the exception for a negative zct code with zct_last_error() as its sentence. `name` (may be NULL) is the
 * tensor's, `store` (may be NULL) the store's. Always NULL. Call it before any other zct function. */
PyObject *zpy_raise(int code, const char *name, const char *store);
/* The same with a sentence of ours. */
PyObject *zpy_raise_sentence(int code, const char *sentence, const char *name, const char *store);

/* The class for a code, borrowed. */
PyObject *zpy_error_class(int code);

/* ---- log.c ----------------------------------------------------------------------------------------------- */

int zpy_log_init(PyObject *module);
void zpy_log(int level, const char *message);

/* ---- dtype.c --------------------------------------------------------------------------------------------- */

/* The format of this platform's long double, as dtypes' names and descriptors say it. */
#if LDBL_MANT_DIG == 64
#define ZPY_LONGDOUBLE "x87"
#elif LDBL_MANT_DIG == 113
#define ZPY_LONGDOUBLE "binary128"
#elif LDBL_MANT_DIG == 106
#define ZPY_LONGDOUBLE "double-double"
#else
#define ZPY_LONGDOUBLE "binary64"
#endif

/* Describe a NumPy dtype; -1 with TypeError for what cannot be shared. *ret_blob: NULL, or a structured one's descriptor
 * as new bytes. */
int zpy_dtype_from_descr(PyArray_Descr *descr, zct_dtype *ret_dtype, PyObject **ret_blob);
/* New reference to the NumPy dtype of a tensor; NULL with TypeError for what NumPy does not have. */
PyArray_Descr *zpy_descr_of_tensor(const zct_tensor *tensor);
PyArray_Descr *zpy_descr_of_stat(zct_store *store, const zct_stat *stat);
/* Bytes of an element, with the headers of any NumPy. */
int64_t zpy_descr_size(PyArray_Descr *descr);
/* A dtype argument; NULL and None give `fallback` (may be NULL). New reference in *ret_descr. */
int zpy_to_descr(PyObject *obj, PyArray_Descr *fallback, PyArray_Descr **ret_descr);

/* ---- structs.c: the same for structured ones, reached through dtype.c ------------------------------------------ */

int zpy_struct_from_descr(PyArray_Descr *descr, zct_dtype *ret_dtype, PyObject **ret_blob);
PyArray_Descr *zpy_struct_of_tensor(const zct_tensor *tensor);
PyArray_Descr *zpy_struct_of_stat(zct_store *store, const zct_stat *stat);
/* What == says, of any two; for structured ones in linear time, which NumPy's own is not before 1.23. */
bool zpy_same_dtype(PyArray_Descr *a, PyArray_Descr *b);

/* ---- hold.c ---------------------------------------------------------------------------------------------- */

typedef struct zpy_hold {
    PyObject_HEAD
    zct_tensor *tensor;
    const zct_view *view; /* of tensor */
    bool closed;          /* close() was called on an array that stands on it */
    bool made;            /* this attachment made the name: leaving `with` unlinks it */
    PyObject *read_view;  /* locks.c: the read-only array for locks of read_view_of, which is borrowed; or NULL */
    PyObject *read_view_of;
} zpy_hold;

int zpy_hold_init(void);
/* Takes `tensor` over; NULL with an exception after releasing it. */
zpy_hold *zpy_hold_new(zct_tensor *tensor, bool made);
/* The hold that an array stands on, borrowed, or NULL without an exception. */
zpy_hold *zpy_hold_of(PyObject *array);
/* Does this array have exactly the memory, dtype and shape of its hold's tensor? */
bool zpy_hold_is_whole(const zpy_hold *hold, PyArrayObject *array);

/* ---- tensor.c, methods.c, results.c ------------------------------------------------------------------------ */

int zpy_tensor_init(PyObject *module);
/* Take `tensor` over and make the SharedTensor for it. */
PyObject *zpy_tensor_new(zct_tensor *tensor, bool made);
/* A SharedTensor over a part of a hold; checked against its bounds. */
PyObject *zpy_tensor_part(zpy_hold *hold, int64_t offset, const zpy_shape *shape, const npy_intp *strides,
                          PyArray_Descr *descr, bool writable);
/* A plain ndarray over the same memory, on top of `array`. */
PyObject *zpy_plain(PyObject *array);
extern PyMethodDef zpy_tensor_methods[];       /* methods.c */
extern PyMethodDef zpy_tensor_result_methods[]; /* results.c */
/* The hold of a SharedTensor that is open; NULL with ClosedError, or ValueError if it is not in a store. */
zpy_hold *zpy_open_hold(PyObject *tensor, const char *what);

/* ---- versions.c ------------------------------------------------------------------------------------------------ */

/* Raise for rc, naming the hold's tensor. Always NULL. */
PyObject *zpy_raise_for_hold(const zpy_hold *hold, int rc);
PyObject *zpy_tensor_version(PyObject *tensor, void *closure);
extern PyMethodDef zpy_tensor_version_methods[];
extern PyMethodDef zpy_tensor_element_methods[];  /* elements.c */
extern PyMethodDef zpy_tensor_snapshot_methods[]; /* snapshot.c */
PyObject *zpy_wait_any(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_bell(PyObject *self, PyObject *store);
PyObject *zpy_bell_wait(PyObject *self, PyObject *args);
PyObject *zpy_bell_ring(PyObject *self, PyObject *store);
PyObject *zpy_store_identity(PyObject *self, PyObject *store);
PyObject *zpy_listen(PyObject *self, PyObject *args);

/* ---- locks.c ------------------------------------------------------------------------------------------------------ */

int zpy_locks_init(PyObject *module);
extern PyMethodDef zpy_tensor_lock_methods[];
void zpy_locks_forget(PyObject *tensor); /* it is about to go */

/* ---- stores.c, store.c, store_calls.c ------------------------------------------------------------------------------ */

typedef struct zpy_store {
    PyObject_HEAD
    zct_store *store; /* NULL once closed */
    PyObject *name, *path;
} zpy_store;

/* A store that a call works on. `implicit`: the module's own or one given by name: opened again when it is gone. */
typedef struct zpy_use {
    zct_store *store; /* referenced */
    PyObject *key;    /* NULL: the default; else the name, borrowed from the arguments */
    bool implicit;
    bool existing;    /* it must not be made anew */
    bool again;       /* it was opened again once */
} zpy_use;

/* The store of a `store=` argument: NULL or None, a name, or a Store. zpy_use_end when 0 was returned. */
int zpy_use_begin(PyObject *argument, zpy_use *use);
/* The store of a handle: `store`, where this process made it, else the one at `path`. */
int zpy_use_handle(zct_store *store, PyObject *path, zpy_use *use);
/* After a call answered `rc`: true if the store was gone, was an implicit one and has been opened again. */
bool zpy_use_again(zpy_use *use, int rc);
void zpy_use_end(zpy_use *use);
/* Raise for rc, naming the use's store. Always NULL. */
PyObject *zpy_use_raise(const zpy_use *use, int rc, const char *name);
/* Open with the GIL released and signals served; 0 or a zct code, -1 with an exception set in *ret_raised. */
int zpy_store_open(const char *name, const zct_store_options *options, zct_store **ret_store, bool *ret_raised);
void zpy_stores_close(void); /* at exit */
int zpy_store_init(PyObject *module);
/* A Store object over `store`, whose reference it takes over. */
PyObject *zpy_store_new(zct_store *store);

void zpy_store_close(zpy_store *self);
extern PyMethodDef zpy_store_methods[]; /* store_calls.c */

/* ---- records.c ---------------------------------------------------------------------------------------------- */

int zpy_records_init(PyObject *module);
PyObject *zpy_list(zct_store *store, const zpy_use *use);
PyObject *zpy_stats(const zct_store_stats *stats);
PyObject *zpy_gc_record(const zct_gc_result *result);
PyObject *zpy_list_stores(const char *directory);

/* ---- the calls: attach.c, create.c, make.c, handle.c, pickling.c, allocator.c --------------------------------------------- */

/* What a new tensor shall be, beside its bytes. */
typedef struct zpy_wish {
    const char *name; /* NULL: nameless */
    zct_create_options options;
} zpy_wish;

int zpy_wish_parse(PyObject *name, PyObject *exists, PyObject *lifetime, PyObject *seal, zpy_wish *ret_wish);
/* A spec and what it borrows from. */
typedef struct zpy_spec {
    zct_spec zct;
    PyArray_Descr *descr; /* borrowed */
    PyObject *blob;       /* NULL, or the descriptor of a structured dtype */
} zpy_spec;

/* Fill a spec from a dtype and a shape, which it borrows as it does `strides`, read for ZCT_ORDER_STRIDED. -1 with an
 * exception; zpy_spec_end in either case. */
int zpy_spec_fill(zpy_spec *spec, PyArray_Descr *descr, int nd, const npy_intp *shape, int order, const npy_intp *strides);
void zpy_spec_end(zpy_spec *spec);
/* 0 if a tensor has this dtype and shape, where not NULL; else -1 with a ValueError that has both sides. */
int zpy_expect(zct_tensor *tensor, PyArray_Descr *descr, const zpy_shape *shape, const char *name);
/* exists="attach" where the bytes are made in a second step: 1 and *ret_tensor if the name is there, 0 if not,
 * -1 with an exception. */
int zpy_join(zpy_use *use, const zpy_wish *wish, const zpy_spec *spec, PyObject **ret_tensor);
/* Give the nameless tensor of `hold` a name and return a new SharedTensor for it, or NULL with an exception;
 * *ret_rc (may be NULL) tells why: then ENOTWHOLE and EEXISTS come back without an exception. */
PyObject *zpy_publish(zpy_use *use, zpy_hold *hold, const zpy_wish *wish, int *ret_rc);

/* These take the store as their first argument, so that the functions of the module and the methods of Store share
 * them; args[] are those of the signatures beside them. */
PyObject *zpy_create_in(PyObject *store, PyObject *const *args);
PyObject *zpy_attach_in(PyObject *store, PyObject *name, PyObject *shape, PyObject *dtype, PyObject *mode,
                        PyObject *timeout);
PyObject *zpy_unlink_in(PyObject *store, PyObject *name, PyObject *missing_ok);

/* FASTCALL entries of the module. */
PyObject *zpy_create_shared_tensor(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_attach_shared_tensor(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_unlink_shared_tensor(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_list_shared_tensors(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_empty(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_zeros(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_ones(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_full(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_empty_like(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

int zpy_handle_init(PyObject *module);
PyObject *zpy_handle_new(PyObject *tensor);
PyObject *zpy_handle_attach(PyObject *handle, int mode);
PyObject *zpy_handle_state(PyObject *handle); /* what is pickled; from now on its ticket is not taken back */
PyObject *zpy_handle_from_state(PyObject *state);
int zpy_pickling_init(PyObject *module); /* pickling.c */
PyObject *zpy_handle_reduce(PyObject *handle, PyObject *ignored);
PyObject *zpy_rebuild_handle(PyObject *self, PyObject *args);
PyObject *zpy_rebuild_tensor(PyObject *self, PyObject *args);
void zpy_register_pickling(void); /* with multiprocessing's pickler, if there is one; at each store that is opened */
/* Is the caller of __reduce_ex__ a pickler of multiprocessing that was made before we were registered with it? */
bool zpy_pickled_by_multiprocessing(void);
PyObject *zpy_reduce_by_reference(PyObject *self, PyObject *tensor);

int zpy_allocator_init(PyObject *module);

/* ---- posix.c, wait.c --------------------------------------------------------------------------------------------- */

int zpy_posix_init(PyObject *module);
PyObject *zpy_attach_posix(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *zpy_posix_location(PyObject *tensor, PyObject *ignored);
PyObject *zpy_wait_names(PyObject *self, PyObject *args);
PyObject *zpy_wake_names(PyObject *self, PyObject *store);

/* Docstrings stand together in doc.h. */

/* Method table shorthand for fast calls. */
#define ZPY_FAST(function) ((PyCFunction)(void (*)(void))(function))

#endif /* ZPY_CORE_H */
