/* element.c - atomic operations on single elements, for sparse updates by many processes.
 *
 * Integers by the processor's own operations, floats by compare and exchange. All are sequentially consistent, and each is
 * atomic against the others here and against aligned loads; a plain `a += 1` beside them loses updates. */
#include "tensor/tensor.h"

#include "base/payload.h"
#include "platform/process.h"

#include <string.h>

enum kind { SIGNED, UNSIGNED, REAL, OPAQUE };

struct element { void *at; enum kind kind; uint8_t size; };

/* The element at this byte offset, if it can be worked on. */
static int find(const zct_tensor *a, uint64_t offset, bool numeric, struct element *ret)
{
    const zct_view *v = &a->view;
    const zct_dtype *type = &v->dtype;
    bool swapped = type->big_endian != 0;
    ret->size = (uint8_t)type->itemsize;
    ret->kind = type->code == ZCT_INT ? SIGNED : type->code == ZCT_UINT ? UNSIGNED : type->code == ZCT_FLOAT ? REAL : OPAQUE;
    ret->at = (char *)v->data + offset;
    if (v->mode != ZCT_MODE_WRITE)
        return fail(ZCT_EACCES, "elements are changed by who can write: this attachment is %s",
                    v->mode == ZCT_MODE_COW ? "copy-on-write, its writes are private" : "read-only");
    if (type->itemsize != 4 && type->itemsize != 8)
        return fail(ZCT_EINVAL, "atomic operations are for elements of 4 or 8 bytes, not %u (%.32s)", type->itemsize, type->name);
    if (numeric && (ret->kind == OPAQUE || swapped))
        return fail(ZCT_EINVAL, "atomic addition is for integers and floats in this machine's byte order, not %.32s", type->name);
    if (offset > v->nbytes || v->nbytes - offset < ret->size)
        return fail(ZCT_EINVAL, "byte %llu is not in the tensor of %llu bytes", (unsigned long long)offset,
                    (unsigned long long)v->nbytes);
    if ((uintptr_t)ret->at % ret->size)
        return fail(ZCT_EINVAL, "the element at byte %llu is not aligned to its %u bytes", (unsigned long long)offset,
                    (unsigned)ret->size);
    return process_may_call() && pv_get(&a->store->state) == STORE_MEMBER ? 0 : store_refuse(a->store);
}

#define ADD_REAL(type_, word_)                                                                                         \
    do {                                                                                                               \
        word_ old = element_load((word_ *)e.at), sum;                                                                  \
        type_ x, y;                                                                                                    \
        memcpy(&y, value, sizeof y);                                                                                   \
        do {                                                                                                           \
            memcpy(&x, &old, sizeof x);                                                                                \
            x += y;                                                                                                    \
            memcpy(&sum, &x, sizeof sum);                                                                              \
        } while (!element_cas((word_ *)e.at, &old, sum));                                                              \
        memcpy(ret_old, &old, sizeof old);                                                                             \
    } while (0)

#define WITH_WORD(call_)                                                                                               \
    do {                                                                                                               \
        if (e.size == 4) {                                                                                             \
            uint32_t x, old;                                                                                           \
            memcpy(&x, value, sizeof x);                                                                               \
            old = call_((uint32_t *)e.at, x);                                                                          \
            memcpy(ret_old, &old, sizeof old);                                                                         \
        } else {                                                                                                       \
            uint64_t x, old;                                                                                           \
            memcpy(&x, value, sizeof x);                                                                               \
            old = call_((uint64_t *)e.at, x);                                                                          \
            memcpy(ret_old, &old, sizeof old);                                                                         \
        }                                                                                                              \
    } while (0)

int zct_element_add(const zct_tensor *a, uint64_t offset, const void *value, void *ret_old)
{
    struct element e;
    int rc = find(a, offset, true, &e);
    if (rc < 0)
        return rc;
    if (e.kind == REAL && e.size == 4)
        ADD_REAL(float, uint32_t);
    else if (e.kind == REAL)
        ADD_REAL(double, uint64_t);
    else
        WITH_WORD(element_add);
    return 0;
}

int zct_element_exchange(const zct_tensor *a, uint64_t offset, const void *value, void *ret_old)
{
    struct element e;
    int rc = find(a, offset, false, &e);
    if (rc < 0)
        return rc;
    WITH_WORD(element_swap);
    return 0;
}

int zct_element_compare_exchange(const zct_tensor *a, uint64_t offset, void *expected, const void *value)
{
    struct element e;
    int rc = find(a, offset, false, &e);
    if (rc < 0)
        return rc;
    if (e.size == 4) {
        uint32_t old, x;
        memcpy(&old, expected, sizeof old);
        memcpy(&x, value, sizeof x);
        rc = element_cas((uint32_t *)e.at, &old, x);
        memcpy(expected, &old, sizeof old);
    } else {
        uint64_t old, x;
        memcpy(&old, expected, sizeof old);
        memcpy(&x, value, sizeof x);
        rc = element_cas((uint64_t *)e.at, &old, x);
        memcpy(expected, &old, sizeof old);
    }
    return rc;
}
