/* dtype.c - NumPy's dtypes and the store's dtype record, in both directions.
 *
 * The plain ones (bool to complex128) are the hot path: a table from (code, log2 of the size, byte order) to NumPy's
 * own descriptor objects. The rest (long double, datetime64, timedelta64, bytes, str, void) goes by the text that
 * NumPy itself parses, "<M8[25s]", through a small cache. Structured dtypes have code ZCT_STRUCT and their fields in the
 * tensor's descriptor blob: structs.c.
 */
#include "core.h"

#include <string.h>

#define LONGDOUBLE_NAME "longdouble:" ZPY_LONGDOUBLE

static const char *const unit_text[14] = {"generic", "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as"};
static const NPY_DATETIMEUNIT unit_numpy[14] = {NPY_FR_GENERIC, NPY_FR_Y, NPY_FR_M, NPY_FR_W, NPY_FR_D, NPY_FR_h,
    NPY_FR_m, NPY_FR_s, NPY_FR_ms, NPY_FR_us, NPY_FR_ns, NPY_FR_ps, NPY_FR_fs, NPY_FR_as};

#define STRINGDTYPE 2056 /* NPY_VSTRING, which older headers do not know */

static bool host_is_big(void) { return NPY_BYTE_ORDER == NPY_BIG_ENDIAN; }

/* ---- from NumPy ---------------------------------------------------------------------------------------- */

static int refuse(PyArray_Descr *descr, const char *why) {
    PyErr_Format(PyExc_TypeError, "arrays of dtype %R cannot be shared: %s", (PyObject *)descr, why);
    return -1;
}

static void set_name(zct_dtype *dtype, const char *text) {
    strncpy(dtype->name, text, sizeof dtype->name - 1);
}

static int from_number(PyArray_Descr *descr, zct_dtype *d, size_t size) {
    static const struct { char kind; uint8_t code; const char *name; } kinds[] = {
        {'b', ZCT_BOOL, "bool"}, {'i', ZCT_INT, "int"}, {'u', ZCT_UINT, "uint"}, {'f', ZCT_FLOAT, "float"},
        {'c', ZCT_COMPLEX, "complex"}};
    if (descr->type_num == NPY_LONGDOUBLE || descr->type_num == NPY_CLONGDOUBLE) {
        bool complex_ = descr->type_num == NPY_CLONGDOUBLE;
        if (sizeof(npy_longdouble) > sizeof(double)) {
            d->code = ZCT_LONGDOUBLE;
            d->bits = (uint8_t)(sizeof(npy_longdouble) * 8);
            d->lanes = complex_ ? 2 : 1; /* real and imaginary part */
            snprintf(d->name, sizeof d->name, "%s%s", complex_ ? "c" : "", LONGDOUBLE_NAME);
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (descr->kind == kinds[i].kind) {
            d->code = kinds[i].code;
            d->bits = (uint8_t)(size * 8);
            if (d->code == ZCT_BOOL)
                set_name(d, "bool");
            else
                snprintf(d->name, sizeof d->name, "%s%u", kinds[i].name, (unsigned)size * 8);
            return 0;
        }
    }
    return refuse(descr, "it has no form that other programs can read");
}

static int from_datetime(PyArray_Descr *descr, zct_dtype *d) {
    const PyArray_DatetimeDTypeMetaData *meta = (const PyArray_DatetimeDTypeMetaData *)PyDataType_C_METADATA(descr);
    bool is_delta = descr->type_num == NPY_TIMEDELTA;
    d->code = is_delta ? ZCT_TIMEDELTA64 : ZCT_DATETIME64;
    d->bits = 64;
    for (uint8_t i = 0; meta && i < 14; i++) {
        if (unit_numpy[i] == meta->meta.base)
            d->unit = i;
    }
    const char *kind = is_delta ? "timedelta64" : "datetime64";
    if (d->unit == 0) {
        set_name(d, kind);
    } else {
        d->multiplier = (uint32_t)meta->meta.num;
        if (d->multiplier == 1)
            snprintf(d->name, sizeof d->name, "%s[%s]", kind, unit_text[d->unit]);
        else
            snprintf(d->name, sizeof d->name, "%s[%u%s]", kind, (unsigned)d->multiplier, unit_text[d->unit]);
    }
    return 0;
}

static int from_flexible(PyArray_Descr *descr, zct_dtype *d) {
    switch (descr->type_num) {
    case NPY_STRING: d->code = ZCT_BYTES; break;
    case NPY_UNICODE: d->code = ZCT_UCS4; break;
    default: d->code = ZCT_VOID; break;
    }
    const char *kind = d->code == ZCT_BYTES ? "bytes" : d->code == ZCT_UCS4 ? "str" : "void";
    snprintf(d->name, sizeof d->name, "%s%u", kind, (unsigned)(d->code == ZCT_UCS4 ? d->itemsize / 4 : d->itemsize));
    return 0;
}

int zpy_dtype_from_descr(PyArray_Descr *descr, zct_dtype *ret_dtype, PyObject **ret_blob) {
    *ret_blob = NULL;
    if (PyDataType_FLAGCHK(descr, NPY_ITEM_HASOBJECT) || descr->type_num == NPY_OBJECT)
        return refuse(descr, descr->type_num == STRINGDTYPE
                                 ? "its strings lie outside the array, in this process; convert the array first, for example "
                                   "with astype('U')"
                                 : "its elements are references to Python objects, which mean nothing in another process; "
                                   "convert the array first, for example with astype(float)");
    size_t size = (size_t)PyDataType_ELSIZE(descr);
    zct_dtype d = {.lanes = 1, .itemsize = (uint32_t)size};
    bool swapped = descr->byteorder == '>' || (descr->byteorder == '=' && host_is_big());
    d.big_endian = swapped && size > 1 && descr->type_num != NPY_VOID && descr->type_num != NPY_STRING;
    int rc;
    if (size > UINT32_MAX)
        rc = refuse(descr, "an element has 4 GiB or more");
    else if (PyDataType_NAMES(descr))
        return zpy_struct_from_descr(descr, ret_dtype, ret_blob);
    else if (PyDataType_SUBARRAY(descr))
        rc = refuse(descr, "no array has a sub-array as its dtype; put its extents at the end of the shape");
    else if (descr->type_num >= NPY_USERDEF || descr->type_num < 0)
        rc = refuse(descr, "it is not one of NumPy's own; share a view as an integer dtype of the same size");
    else if (descr->type_num == NPY_DATETIME || descr->type_num == NPY_TIMEDELTA)
        rc = from_datetime(descr, &d);
    else if (descr->type_num == NPY_STRING || descr->type_num == NPY_UNICODE || descr->type_num == NPY_VOID)
        rc = from_flexible(descr, &d);
    else
        rc = from_number(descr, &d, size);
    if (rc == 0)
        *ret_dtype = d;
    return rc;
}

/* ---- to NumPy ------------------------------------------------------------------------------------------ */

/* The type number of a plain dtype of 1 << log2_size bytes, or -1. */
static int plain_type(unsigned code, unsigned log2_size) {
    static const signed char types[7][5] = {
        [ZCT_INT] = {NPY_INT8, NPY_INT16, NPY_INT32, NPY_INT64, -1},
        [ZCT_UINT] = {NPY_UINT8, NPY_UINT16, NPY_UINT32, NPY_UINT64, -1},
        [ZCT_FLOAT] = {-1, NPY_HALF, NPY_FLOAT32, NPY_FLOAT64, -1},
        [3] = {-1, -1, -1, -1, -1},
        [ZCT_BFLOAT] = {-1, -1, -1, -1, -1},
        [ZCT_COMPLEX] = {-1, -1, -1, NPY_COMPLEX64, NPY_COMPLEX128},
        [ZCT_BOOL] = {NPY_BOOL, -1, -1, -1, -1},
    };
    return code < 7 && log2_size < 5 ? types[code][log2_size] : -1;
}

static PyArray_Descr *plain[7][5][2]; /* filled as they are met, kept */

static PyArray_Descr *make_plain(int type, bool big) {
    PyArray_Descr *descr = PyArray_DescrFromType(type);
    if (!descr || big == host_is_big())
        return descr;
    PyArray_Descr *other = PyArray_DescrNewByteorder(descr, big ? NPY_BIG : NPY_LITTLE);
    Py_DECREF(descr);
    return other;
}

/* The text that NumPy parses; 0 if there is none. */
static int numpy_text(const zct_dtype *d, char *text, size_t size) {
    char order = d->big_endian ? '>' : '<';
    switch (d->code) {
    case ZCT_BYTES: return snprintf(text, size, "S%u", (unsigned)d->itemsize);
    case ZCT_UCS4: return d->itemsize % 4 ? 0 : snprintf(text, size, "%cU%u", order, (unsigned)d->itemsize / 4);
    case ZCT_VOID: return snprintf(text, size, "V%u", (unsigned)d->itemsize);
    case ZCT_DATETIME64:
    case ZCT_TIMEDELTA64: {
        char kind = d->code == ZCT_DATETIME64 ? 'M' : 'm';
        if (d->unit >= 14 || d->itemsize != 8)
            return 0;
        if (d->unit == 0)
            return snprintf(text, size, "%c%c8", order, kind);
        return snprintf(text, size, "%c%c8[%u%s]", order, kind, d->multiplier ? (unsigned)d->multiplier : 1,
                        unit_text[d->unit]);
    }
    case ZCT_LONGDOUBLE: {
        bool complex_ = d->lanes == 2;
        if (d->itemsize != (complex_ ? 2 : 1) * sizeof(npy_longdouble) || d->lanes > 2 ||
            strcmp(d->name + complex_, LONGDOUBLE_NAME) != 0)
            return 0;
        return snprintf(text, size, "%c%c%u", order, complex_ ? 'c' : 'f', (unsigned)d->itemsize);
    }
    default: return 0;
    }
}

/* bfloat16, float8_e4m3fn and their like, if the package ml_dtypes is there. */
static PyArray_Descr *from_ml_dtypes(const zct_dtype *d) {
    PyObject *module = d->code < 0x80 ? PyImport_ImportModule("ml_dtypes") : NULL;
    PyObject *type = module ? PyObject_GetAttrString(module, d->name) : NULL;
    PyArray_Descr *descr = NULL;
    if (type && PyArray_DescrConverter(type, &descr) == NPY_SUCCEED &&
        (size_t)PyDataType_ELSIZE(descr) != d->itemsize)
        Py_CLEAR(descr);
    Py_XDECREF(type);
    Py_XDECREF(module);
    PyErr_Clear();
    return descr;
}

static PyArray_Descr *make_rare(const zct_dtype *d) {
    char text[64];
    PyArray_Descr *descr = NULL;
    if (numpy_text(d, text, sizeof text) > 0) {
        PyObject *string = PyUnicode_FromString(text);
        if (!string)
            return NULL;
        if (PyArray_DescrConverter(string, &descr) != NPY_SUCCEED)
            descr = NULL;
        Py_DECREF(string);
        if (descr && (size_t)PyDataType_ELSIZE(descr) == d->itemsize)
            return descr;
        Py_CLEAR(descr); /* NumPy makes S0 from "S0" only in some places */
        PyErr_Clear();
    }
    descr = from_ml_dtypes(d);
    if (!descr)
        PyErr_Format(PyExc_TypeError,
                     "the tensor's dtype '%.32s' (code %d, %d bits, %u bytes an element) is not one that this NumPy has",
                     d->name, d->code, d->bits, (unsigned)d->itemsize);
    return descr;
}

/* A plain one's first eight bytes (code, bits, lanes, byte order, the rest 0) and its itemsize say all. */
static struct { uint64_t head; uint32_t itemsize; PyArray_Descr *descr; } last_plain;

/* One without fields. */
static PyArray_Descr *descr_from_dtype(const zct_dtype *d) {
    uint64_t head;
    memcpy(&head, d, sizeof head);
    if (!ZPY_NO_GIL && head == last_plain.head && d->itemsize == last_plain.itemsize && last_plain.descr) {
        Py_INCREF(last_plain.descr);
        return last_plain.descr;
    }
    unsigned log2_size = d->itemsize ? (unsigned)__builtin_ctz(d->itemsize) : 31;
    if (d->lanes == 1 && d->bits == d->itemsize * 8 && plain_type(d->code, log2_size) >= 0 &&
        d->itemsize == 1u << log2_size) {
        PyArray_Descr **cell = &plain[d->code][log2_size][d->big_endian != 0], *known = ZPY_GET(*cell);
        if (!known) {
            if (!(known = make_plain(plain_type(d->code, log2_size), d->big_endian && d->itemsize > 1)))
                return NULL;
            ZPY_SET(*cell, known); /* kept for good; of two threads at once one keeps its own */
        }
        if (!ZPY_NO_GIL) {
            last_plain.head = head;
            last_plain.itemsize = d->itemsize;
            last_plain.descr = known;
        }
        Py_INCREF(known);
        return known;
    }
    static struct { zct_dtype key; PyArray_Descr *descr; } cache[16];
    static unsigned next;
    PyArray_Descr *descr = NULL;
    ZPY_LOCK();
    for (unsigned i = 0; i < 16 && !descr; i++) {
        if (cache[i].descr && memcmp(&cache[i].key, d, sizeof *d) == 0) {
            descr = cache[i].descr;
            Py_INCREF(descr);
        }
    }
    ZPY_UNLOCK();
    if (descr || !(descr = make_rare(d)))
        return descr;
    Py_INCREF(descr);
    ZPY_LOCK();
    unsigned i = next++ % 16;
    PyArray_Descr *old = cache[i].descr;
    cache[i].key = *d;
    cache[i].descr = descr;
    ZPY_UNLOCK();
    Py_XDECREF(old);
    return descr;
}

PyArray_Descr *zpy_descr_of_tensor(const zct_tensor *tensor) {
    const zct_dtype *dtype = &zct_tensor_view(tensor)->dtype;
    return dtype->code == ZCT_STRUCT ? zpy_struct_of_tensor(tensor) : descr_from_dtype(dtype);
}

PyArray_Descr *zpy_descr_of_stat(zct_store *store, const zct_stat *stat) {
    return stat->dtype.code == ZCT_STRUCT ? zpy_struct_of_stat(store, stat) : descr_from_dtype(&stat->dtype);
}

int64_t zpy_descr_size(PyArray_Descr *descr) { return (int64_t)PyDataType_ELSIZE(descr); }

int zpy_to_descr(PyObject *obj, PyArray_Descr *fallback, PyArray_Descr **ret_descr) {
    if (!obj || obj == Py_None) {
        Py_XINCREF(fallback);
        *ret_descr = fallback;
        return 0;
    }
    static PyObject *last; /* a type such as numpy.float32 always means the same */
    static PyArray_Descr *last_descr;
    if (ZPY_NO_GIL || obj != last) {
        PyArray_Descr *descr = NULL;
        if (PyArray_DescrConverter(obj, &descr) != NPY_SUCCEED)
            return -1;
        if (ZPY_NO_GIL || !PyType_Check(obj) || !PyType_IsSubtype((PyTypeObject *)obj, &PyGenericArrType_Type)) {
            *ret_descr = descr;
            return 0;
        }
        PyObject *old = last;
        PyArray_Descr *old_descr = last_descr;
        Py_INCREF(obj);
        last = obj;
        last_descr = descr;
        Py_XDECREF(old);
        Py_XDECREF(old_descr);
    }
    Py_INCREF(last_descr);
    *ret_descr = last_descr;
    return 0;
}
