#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static __thread struct failure last;

static const struct {
    int code;
    const char *name, *text;
} codes[] = {
    {ZCT_ENOTFOUND, "ZCT_ENOTFOUND", "not found"},
    {ZCT_ENOMEM, "ZCT_ENOMEM", "out of private memory"},
    {ZCT_EACCES, "ZCT_EACCES", "permission denied"},
    {ZCT_EBUSY, "ZCT_EBUSY", "another process stands in the way"},
    {ZCT_EEXISTS, "ZCT_EEXISTS", "the name is in use"},
    {ZCT_EINVAL, "ZCT_EINVAL", "invalid argument"},
    {ZCT_ETOOMANYHANDLES, "ZCT_ETOOMANYHANDLES", "too many handles in flight"},
    {ZCT_EFULL, "ZCT_EFULL", "no space left in the store"},
    {ZCT_EDEADLOCK, "ZCT_EDEADLOCK", "the thread would wait for itself"},
    {ZCT_ETOOMANYMEMBERS, "ZCT_ETOOMANYMEMBERS", "too many member processes"},
    {ZCT_ETIMEDOUT, "ZCT_ETIMEDOUT", "timed out"},
    {ZCT_EGONE, "ZCT_EGONE", "the store is gone"},
    {ZCT_ECORRUPT, "ZCT_ECORRUPT", "the store is corrupt"},
    {ZCT_EINTERRUPTED, "ZCT_EINTERRUPTED", "interrupted by a signal"},
    {ZCT_EVERSION, "ZCT_EVERSION", "the store has another format"},
    {ZCT_ENOTMEMBER, "ZCT_ENOTMEMBER", "this process is not a member of the store"},
    {ZCT_EMISMATCH, "ZCT_EMISMATCH", "dtype or shape differs"},
    {ZCT_ENOTWHOLE, "ZCT_ENOTWHOLE", "not the whole of an unnamed block of this store"},
    {ZCT_ECLOSED, "ZCT_ECLOSED", "closed"},
    {ZCT_ENOTOWNER, "ZCT_ENOTOWNER", "not the owner"},
    {ZCT_EWRITERDIED, "ZCT_EWRITERDIED", "the last writer died while writing"},
    {ZCT_EUNSUPPORTED, "ZCT_EUNSUPPORTED", "the system lacks what the library needs"},
    {ZCT_EREPLACED, "ZCT_EREPLACED", "the tensor was replaced"},
    {ZCT_EOS, "ZCT_EOS", "operating-system error"},
};

static int vfail(int code, int err, const char *format, va_list args)
{
    int n = vsnprintf(last.text, sizeof last.text, format, args);
    last.err = err;
    if (err && n >= 0 && (size_t)n < sizeof last.text) {
        char reason[128];
        const char *text = strerror_r(err, reason, sizeof reason);
        snprintf(last.text + n, sizeof last.text - (size_t)n, " (%s)", text);
    }
    return -code;
}

int fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = vfail(code, 0, format, args);
    va_end(args);
    return rc;
}

int fail_os(int code, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = vfail(code, err, format, args);
    va_end(args);
    return rc;
}

void failure_keep(struct failure *to)
{
    to->err = last.err;
    memcpy(to->text, last.text, sizeof last.text);
}

void failure_again(const struct failure *from)
{
    last.err = from->err;
    memcpy(last.text, from->text, sizeof last.text);
}

int code_of_errno(int err)
{
    switch (err) {
    case ENOENT: case ENOTDIR: return ZCT_ENOTFOUND;
    case EACCES: case EPERM: case ELOOP: case EROFS: return ZCT_EACCES;
    case ENOSPC: case EDQUOT: case EFBIG: return ZCT_EFULL;
    case ENOMEM: return ZCT_ENOMEM;
    case EOPNOTSUPP: case ENOSYS: return ZCT_EUNSUPPORTED;
    case EINTR: return ZCT_EINTERRUPTED;
    default: return ZCT_EOS;
    }
}

/* The row of a code of either sign, or NULL. Negated as unsigned: INT_MIN is a caller's number too. */
static const char *const *row_of(int code, bool name)
{
    unsigned positive = code < 0 ? 0u - (unsigned)code : (unsigned)code;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if ((unsigned)codes[i].code == positive)
            return name ? &codes[i].name : &codes[i].text;
    return NULL;
}

const char *zct_strerror(int code)
{
    if (code == 0)
        return "success";
    if (code == ZCT_REPLACED)
        return "a leftover of that name was replaced";
    if (code == ZCT_COPIED)
        return "made by a copy";
    if (code == ZCT_RECOVERED)
        return "locked for recovery";
    const char *const *text = row_of(code, false); /* the note ZCT_ATTACHED has the value of ENOENT: codes win */
    return text ? *text : "unknown code";
}

const char *zct_error_name(int code)
{
    const char *const *name = row_of(code, true);
    return name ? *name : "ZCT_?";
}

const char *zct_last_error(void) { return last.text; }

int zct_last_errno(void) { return last.err; }
