/* zct.h - zero-copy-tensor-ipc: named tensors in shared memory.
 *
 * A STORE is one shared-memory file. A process that opens it becomes a MEMBER and maps it once; from then
 * on it finds any TENSOR in it by name, in tens of nanoseconds, without a copy and without a daemon. Any
 * member may be killed at any instruction: the others go on, and what it held is returned by whoever notices.
 *
 * Caveats first:
 *  - Members of a store trust each other. Whoever may open the file for writing may change anything in it.
 *  - fork: a forked child becomes a member of its own and holds what its parent held. A child made by a raw
 *    clone() is not a member: every call answers -ZCT_ENOTMEMBER, the arrays it inherited stay valid only as
 *    long as the parent holds them. vfork and posix_spawn children must not call the library.
 *  - A file that somebody truncates while it is mapped is a SIGBUS that no library can prevent.
 *  - Not async-signal-safe, but where a comment says so.
 *
 * Conventions:
 *  - Functions return 0, a positive note, or a negative ZCT_E* code; zct_last_error() is the sentence for the
 *    calling thread's last failure. Output arguments (ret_*) are written on success alone.
 *  - Every function may be called from any thread. "Waits" in a comment means: for another process, with a bound.
 *  - Deadlines are relative, in nanoseconds: 0 does not wait, ZCT_FOREVER (-1) waits for ever.
 *  - Options structs start with their size: set it to sizeof, zero the rest; NULL means all defaults.
 *  - The library never prints, never aborts, never installs a signal handler.
 */
#ifndef ZCT_ZCT_H
#define ZCT_ZCT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ZCT_API __attribute__((visibility("default")))
#else
#define ZCT_API
#endif

#define ZCT_VERSION_MAJOR 0
#define ZCT_VERSION_MINOR 1
#define ZCT_VERSION_PATCH 0
#define ZCT_VERSION_STRING "0.1.0"
#define ZCT_FORMAT_VERSION 1 /* of the shared memory; part of the store's file name */

#define ZCT_MAX_NAME 255 /* bytes of UTF-8, without the NUL */
#define ZCT_MAX_STORE_NAME 63
#define ZCT_MAX_DIMS 64
#define ZCT_MAX_MEMBERS 1024
#define ZCT_MAX_BLOB 65535 /* bytes of a struct descriptor and of user metadata, each */
#define ZCT_FOREVER (-1)

/* ---- errors ------------------------------------------------------------------------------------------ */

/* Codes that an errno names well have its value; the others start at 4096. Functions return them negated. */
enum zct_error {
    ZCT_ENOTFOUND = 2,     /* ENOENT: no tensor, or no store, of that name */
    ZCT_ENOMEM = 12,       /* private memory */
    ZCT_EACCES = 13,       /* permission: another user's store, read-only file, sealed tensor */
    ZCT_EBUSY = 16,        /* somebody stands in the way until the deadline: a stopped process, another holder */
    ZCT_EEXISTS = 17,      /* the name is held by a living process, or pinned */
    ZCT_EINVAL = 22,       /* an argument is outside its contract */
    ZCT_ETOOMANYHANDLES = 24, /* EMFILE: too many handles of this process are in flight */
    ZCT_EFULL = 28,        /* ENOSPC: file system, capacity, names, or the cgroup's room */
    ZCT_EDEADLOCK = 35,    /* EDEADLK: the thread would wait for itself: a lock that it has, or the library re-entered */
    ZCT_ETOOMANYMEMBERS = 87, /* EUSERS: every member slot is taken by a living process */
    ZCT_ETIMEDOUT = 110,   /* the caller's deadline passed */
    ZCT_EGONE = 116,       /* ESTALE: the store was destroyed, or its file unlinked or replaced */
    ZCT_ECORRUPT = 117,    /* EUCLEAN: the store's bytes contradict its format */
    ZCT_EINTERRUPTED = 4,  /* EINTR: a wait was interrupted by a signal; call again */
    ZCT_EVERSION = 4096,   /* a store of another format, byte order or page size */
    ZCT_ENOTMEMBER = 4097, /* this process is no member: child of a raw clone, or no slot was free at fork */
    ZCT_EMISMATCH = 4098,  /* dtype or shape is not what the store has */
    ZCT_ENOTWHOLE = 4099,  /* memory is not the whole of an unnamed block of this store: it must be copied */
    ZCT_ECLOSED = 4100,    /* the store or attachment was closed by this process */
    ZCT_ENOTOWNER = 4101,  /* the lock, or the handle, is not this process's */
    ZCT_EWRITERDIED = 4102, /* the last writer of a tensor died while writing */
    ZCT_EUNSUPPORTED = 4103, /* the file system or kernel lacks what the library needs */
    ZCT_EREPLACED = 4105,  /* a wait: the name means another tensor now */
    ZCT_EOS = 4104         /* any other operating-system error; the sentence has it */
};

/* Positive notes. */
enum zct_note {
    ZCT_REPLACED = 1, /* create: a leftover that nobody alive held had this name and was replaced */
    ZCT_ATTACHED = 2, /* create with ZCT_EXISTS_ATTACH: the name was there; nothing was copied */
    ZCT_COPIED = 3,   /* publish: made by a copy */
    ZCT_RECOVERED = 5 /* lock with ZCT_RECOVER: locked, and the last writer died while writing */
};

/* Short English for a code (either sign) or note; never NULL, static storage. */
ZCT_API const char *zct_strerror(int code);
/* The code's name, "ZCT_EFULL"; "ZCT_?" for an unknown one. Static storage. */
ZCT_API const char *zct_error_name(int code);
/* The sentence for the last failure in this thread: what happened, to which name, what to do. Valid until the
 * thread's next zct call. "" if nothing failed. */
ZCT_API const char *zct_last_error(void);
/* The errno beneath the last failure in this thread, or 0. */
ZCT_API int zct_last_errno(void);

/* ---- log --------------------------------------------------------------------------------------------- */

enum zct_log_level { ZCT_LOG_DEBUG = 10, ZCT_LOG_INFO = 20, ZCT_LOG_WARNING = 30 };

typedef void (*zct_log_fn)(void *context, int level, const char *message);

/* Set the process's log callback; NULL (the default) is silence. What was reaped, rebuilt or replaced goes
 * there, after the call that noticed has dropped its last lock, on that thread. The callback may call the
 * library. Messages are lost, never waited for, when more than 64 are pending. */
ZCT_API void zct_set_log(zct_log_fn fn, void *context);

/* ---- dtype and layout ---------------------------------------------------------------------------------- */

/* DLPack's type codes below 0x80, our own above. */
enum zct_dtype_code {
    ZCT_INT = 0,
    ZCT_UINT = 1,
    ZCT_FLOAT = 2,
    ZCT_BFLOAT = 4,
    ZCT_COMPLEX = 5,
    ZCT_BOOL = 6,
    ZCT_BYTES = 0x80,       /* itemsize bytes, NUL padded */
    ZCT_UCS4 = 0x81,        /* itemsize / 4 code points */
    ZCT_DATETIME64 = 0x82,
    ZCT_TIMEDELTA64 = 0x83,
    ZCT_STRUCT = 0x84,      /* fields in the descriptor blob (JSON, docs/FORMAT.md) */
    ZCT_BLOCK = 0x85,       /* block_elems elements in block_bytes bytes */
    ZCT_VOID = 0x86,
    ZCT_LONGDOUBLE = 0x87   /* the platform's; its format is in the name */
};

/* 56 bytes, little-endian, the same in shared memory and here. The triple (code, bits, lanes) is what programs
 * switch on, the name is for people and makes unknown codes self-describing; writers set both. */
typedef struct zct_dtype {
    uint8_t code;          /* enum zct_dtype_code, or a DLPack code that this header does not list */
    uint8_t bits;          /* of one lane; 0 where itemsize says it all */
    uint16_t lanes;        /* 1 */
    uint8_t big_endian;    /* of the payload */
    uint8_t unit;          /* datetime: 0 generic 1 Y 2 M 3 W 4 D 5 h 6 m 7 s 8 ms 9 us 10 ns 11 ps 12 fs 13 as */
    uint8_t subbyte_padded; /* 1: one element a byte although bits < 8 */
    uint8_t reserved;
    uint32_t itemsize;     /* bytes of an element as laid out; 0 when sub-byte and packed */
    uint16_t block_elems;
    uint16_t block_bytes;
    uint32_t multiplier;   /* of a datetime unit: 25 in M8[25s]; else 0 */
    uint32_t spare;
    char name[32];         /* ASCII, NUL padded: "float32", "datetime64[25s]", "struct{x:f4}" */
} zct_dtype;

enum zct_order {
    ZCT_ORDER_C = 0,
    ZCT_ORDER_F = 1,
    ZCT_ORDER_STRIDED = 2  /* a permutation of a dense layout, strides given */
};

/* What a new tensor shall be. Blobs are copied. */
typedef struct zct_spec {
    size_t size;
    zct_dtype dtype;
    int32_t ndim;           /* 0 to ZCT_MAX_DIMS */
    int32_t order;          /* enum zct_order */
    const int64_t *shape;   /* ndim extents, none negative */
    const int64_t *strides; /* bytes; read for ZCT_ORDER_STRIDED alone */
    const void *descriptor; /* of ZCT_STRUCT: UTF-8 JSON */
    size_t descriptor_len;
    const void *metadata;   /* the user's own bytes */
    size_t metadata_len;
} zct_spec;

/* What a tensor is, as attached. Private memory of the attachment, constant while it lives. */
typedef struct zct_view {
    void *data;             /* never NULL; mapped as the mode says. Zero-size tensors: do not touch */
    uint64_t nbytes;
    const int64_t *shape;
    const int64_t *strides; /* bytes */
    int32_t ndim;
    int32_t order;          /* enum zct_order */
    zct_dtype dtype;
    uint64_t generation;    /* 1 for a name's first tensor, one more for each replacement */
    uint64_t serial;        /* store-wide birth number: never used twice */
    int32_t mode;           /* enum zct_mode, never ZCT_MODE_DEFAULT */
    int32_t sealed;         /* as seen when attached */
} zct_view;

enum zct_mode {
    ZCT_MODE_DEFAULT = 0,  /* "r+", or "r" for a sealed tensor */
    ZCT_MODE_READ = 1,     /* "r": read-only by the hardware */
    ZCT_MODE_WRITE = 2,    /* "r+" */
    ZCT_MODE_COW = 3       /* "c": private pages on write; its own mapping, microseconds */
};

/* ---- stores -------------------------------------------------------------------------------------------- */

typedef struct zct_store zct_store;
typedef struct zct_tensor zct_tensor;

typedef struct zct_store_options {
    size_t size;
    const char *directory;  /* default: $ZCT_DIR, else /dev/shm */
    uint64_t capacity;      /* payload bytes; 0: $ZCT_CAPACITY, else the file system's size */
    uint32_t max_names;     /* 0: in proportion to the capacity */
    uint32_t max_members;   /* 0: likewise; at most ZCT_MAX_MEMBERS */
    uint32_t mode;          /* permission bits of a new store, umask not applied; 0: 0600 */
    uint32_t flags;         /* enum zct_store_flags */
} zct_store_options;

enum zct_store_flags {
    ZCT_STORE_EXISTING = 1, /* -ZCT_ENOTFOUND instead of making the store */
    ZCT_STORE_OBSERVE = 2   /* read-only, joins nothing, changes nothing: list, stat, check, stats only */
};

/* Open the store `name` (NULL: $ZCT_STORE, else "default"; one with '/' is a file's path), made if there is
 * none, and join it. One process has one membership per store: opening it again returns the same object with
 * one more reference. Waits for a stopped joiner at most 5 s (-ZCT_EBUSY). *ret_store is the caller's until
 * zct_store_close. An explicit capacity, max_names or max_members that differs from an existing store's is
 * -ZCT_EMISMATCH. Errors: EACCES, EVERSION, ECORRUPT, EFULL, ETOOMANYMEMBERS, EBUSY, EUNSUPPORTED, ENOTFOUND. */
ZCT_API int zct_store_open(const char *name, const zct_store_options *options, zct_store **ret_store);
/* Drop the caller's reference; the last one leaves the store. Live attachments keep the process a member
 * until the last of them is released. NULL is allowed. Never waits for more than 100 ms. */
ZCT_API void zct_store_close(zct_store *store);
/* One more reference to an open store. */
ZCT_API zct_store *zct_store_ref(zct_store *store);
/* Remove the store's file. Members keep their live arrays; their next create or attach is -ZCT_EGONE.
 * Waits at most 5 s for a stopped joiner. -ZCT_ENOTFOUND if there is none. */
ZCT_API int zct_store_destroy(const char *name, const char *directory);

typedef struct zct_store_stats {
    size_t size;
    uint64_t capacity;       /* bytes of payload that may be used */
    uint64_t used;           /* bytes in extents of tensors, whole pages and cells */
    uint64_t high;           /* highest payload byte ever used */
    uint64_t resident;       /* bytes of memory the file occupies now, control part included */
    uint64_t warm_free;      /* bytes reserved, in no tensor */
    uint32_t max_names, names;      /* names: tensors, named or not */
    uint32_t max_members, members;  /* living members */
    uint32_t nameless;       /* of `names`: unnamed, unlinked or being made */
    uint32_t handles;        /* in flight, of living members */
    uint64_t births;         /* tensors ever made */
    uint64_t rebuilds;       /* of the caches, after a member died inside the allocator */
    uint64_t reaped;         /* members that were reaped */
} zct_store_stats;

ZCT_API const char *zct_store_name(const zct_store *store); /* valid while the store is open */
ZCT_API const char *zct_store_path(const zct_store *store); /* likewise */
ZCT_API const uint8_t *zct_store_uuid(const zct_store *store); /* 16 bytes, likewise */
ZCT_API uint64_t zct_store_capacity(const zct_store *store);
ZCT_API int zct_store_stats_get(zct_store *store, zct_store_stats *ret_stats); /* set ret_stats->size first */
/* 0 while calls can succeed; -ZCT_EGONE, -ZCT_ENOTMEMBER or -ZCT_ECLOSED. Never waits, does no system call. */
ZCT_API int zct_store_alive(const zct_store *store);

enum zct_gc_flags {
    ZCT_GC_UNHELD = 1  /* also end named tensors that no living process holds (never pinned ones) */
};
typedef struct zct_gc_options {
    size_t size;
    uint32_t flags;
    uint32_t reserved;
    int64_t older_than_ns;  /* with ZCT_GC_UNHELD: born at least so long ago */
    int64_t own_handles_ns; /* > 0: drop this process's own handles in flight that are older */
} zct_gc_options;
typedef struct zct_gc_result {
    size_t size;
    uint32_t members;  /* dead ones reaped */
    uint32_t tensors;  /* ended */
    uint32_t handles;  /* dropped */
    uint32_t reserved;
} zct_gc_result;
/* Reap the dead, finish what they left, return what nobody needs. Waits up to 10 s. ret may be NULL. */
ZCT_API int zct_store_gc(zct_store *store, const zct_gc_options *options, zct_gc_result *ret_result);
/* Give free memory beyond `keep` bytes back to the system. *ret_bytes may be NULL. Waits up to 10 s. */
ZCT_API int zct_store_trim(zct_store *store, uint64_t keep, uint64_t *ret_bytes);

/* One violated invariant, as a sentence. Return non-zero to stop. */
typedef int (*zct_finding_fn)(void *context, const char *finding);
/* Check every invariant of the store; `fn` is called for each violation (may be NULL). Returns the number of
 * findings, 0 for a sound store. A dead member that nobody has reaped yet is none. Observers may call it: what
 * changes while it looks is looked at again, not reported. */
ZCT_API int zct_check(zct_store *store, zct_finding_fn fn, void *context);

/* Rebuild all that is derived (free maps, index, counts) from the tensors' descriptors, as is done after a member died
 * inside the allocator. Tensors and their contents stay as they are, also those whose extents overlap or lie outside:
 * zct_check goes on reporting them. Members alone; may run while others use the store. Waits up to 10 s (-ZCT_EBUSY). */
ZCT_API int zct_store_repair(zct_store *store);
/* A number that differs once a tensor was born, named, renamed or ended; holders do not change it. One load, no system
 * call: what shows a store asks it before it lists again. Observers may call it. */
ZCT_API uint64_t zct_store_changes(const zct_store *store);

/* Call fn(context, name, path) for each store file of the directory (NULL: default) that this user may see,
 * in name order. Return non-zero from fn to stop; that value is returned. */
typedef int (*zct_store_fn)(void *context, const char *name, const char *path);
ZCT_API int zct_list_stores(const char *directory, zct_store_fn fn, void *context);

/* ---- tensors ------------------------------------------------------------------------------------------- */

enum zct_exists {
    ZCT_EXISTS_ERROR = 0,   /* -ZCT_EEXISTS if a living process holds the name, or it is pinned; a leftover is replaced */
    ZCT_EXISTS_REPLACE = 1, /* atomic swap; holders keep the old one */
    ZCT_EXISTS_ATTACH = 2,  /* same dtype and shape: attach (note ZCT_ATTACHED); else -ZCT_EMISMATCH */
    ZCT_EXISTS_OWNED = 3    /* as ZCT_EXISTS_ERROR, and no leftover while the process that made it lives, held or not */
};
enum zct_lifetime {
    ZCT_PERSISTENT = 0, /* until unlinked */
    ZCT_PINNED = 1,     /* and never a leftover */
    ZCT_OWNER = 2,      /* until the process that made it goes */
    ZCT_LAST = 3        /* until the last holder goes; every unnamed tensor */
};

typedef struct zct_create_options {
    size_t size;
    int32_t exists;      /* enum zct_exists */
    int32_t lifetime;    /* enum zct_lifetime; ignored without a name */
    int32_t sealed;      /* born sealed: attached read-only by everybody, this call's attachment included */
    int32_t zero;        /* without data: fill with zeros (else the bytes are whatever was there) */
    int64_t timeout_ns;  /* for other processes; 0: the default, 10 s */
} zct_create_options;

/* Make a tensor of `spec`, named `name` or nameless (NULL). `data` (may be NULL) is the first element of the
 * source, `data_strides` its byte strides (NULL: laid out as the spec says); it is copied once. The tensor is
 * visible only when it is whole. *ret_tensor is the caller's attachment. Waits up to the timeout.
 * Notes: ZCT_REPLACED, ZCT_ATTACHED. Errors: EEXISTS, EMISMATCH, EFULL, EINVAL, EBUSY, EGONE, ENOTMEMBER. */
ZCT_API int zct_create(zct_store *store, const char *name, const zct_spec *spec, const void *data,
                       const int64_t *data_strides, const zct_create_options *options, zct_tensor **ret_tensor);
/* Give a nameless tensor a name: no copy, a few microseconds at any size. Afterwards `tensor` is named.
 * -ZCT_ENOTWHOLE if it has a name or was unlinked. Else as zct_create. */
ZCT_API int zct_publish(zct_tensor *tensor, const char *name, const zct_create_options *options);

/* Attach to the tensor `name`. Needs no system call once this process has mapped so far, and never waits for
 * another process; a name that is not there is waited for up to timeout_ns (0: not). Errors: ENOTFOUND,
 * EACCES (ZCT_MODE_WRITE on a sealed tensor), EGONE, ENOTMEMBER, EINTERRUPTED. */
ZCT_API int zct_attach(zct_store *store, const char *name, int mode, int64_t timeout_ns, zct_tensor **ret_tensor);
/* The same with the name's length given: it need not end with NUL. The fast path of bindings. */
ZCT_API int zct_attach_n(zct_store *store, const char *name, size_t name_len, int mode, int64_t timeout_ns,
                         zct_tensor **ret_tensor);
/* Wait until names have come to the store, any, since the call that left *seen: for who waits for several, or for one and
 * something else. Begin with *seen = 0 and a call with timeout 0, which only brings *seen up to date; then look, with
 * zct_attach, and call again: what comes after a call ends the next one at once. 0 may come without a name.
 * Errors: ETIMEDOUT, EINTERRUPTED, EGONE, ENOTMEMBER. */
ZCT_API int zct_wait_names(zct_store *store, uint32_t *seen, int64_t timeout_ns);
/* Let everybody who waits in zct_wait_names or zct_attach look again, in every process. Never waits. */
ZCT_API void zct_wake_names(zct_store *store);
/* Another attachment to the tensor of `tensor`, also if its name is gone. */
ZCT_API int zct_attach_again(zct_tensor *tensor, int mode, zct_tensor **ret_tensor);
/* 0 if the tensor of the attachment has this dtype, ndim and shape; any part may be left out (NULL, -1).
 * Else -ZCT_EMISMATCH with both sides in the sentence. */
ZCT_API int zct_expect(const zct_tensor *tensor, const zct_dtype *dtype, int ndim, const int64_t *shape);
/* End the attachment: its memory must not be touched again through it. Never waits, never fails. NULL is
 * allowed. Runs without any lock of the caller's; may be called at interpreter exit, after zct_store_close. */
ZCT_API void zct_release(zct_tensor *tensor);
/* What the attachment is. Valid until zct_release. No cost. */
ZCT_API const zct_view *zct_tensor_view(const zct_tensor *tensor);
ZCT_API zct_store *zct_tensor_store(const zct_tensor *tensor);
/* Blobs, copied out: at most `size` bytes are written, the whole length is returned; -ZCT_EINVAL never. */
ZCT_API int64_t zct_tensor_descriptor(const zct_tensor *tensor, void *buffer, size_t size);
ZCT_API int64_t zct_tensor_metadata(const zct_tensor *tensor, void *buffer, size_t size);
/* The name, or "" for a nameless tensor; the tensor's last name after unlink. At most ZCT_MAX_NAME + 1 bytes. */
ZCT_API int zct_tensor_name(const zct_tensor *tensor, char *buffer, size_t size);
/* 1 if this attachment's process made it under its present name and has not forked away from that; else 0. */
ZCT_API int zct_tensor_is_maker(const zct_tensor *tensor);
/* 1 if the name still means this tensor; 0 if not (unlinked, replaced, nameless, store gone). */
ZCT_API int zct_tensor_is_linked(const zct_tensor *tensor);

/* End the name: the memory lives until its last holder lets go. Waits up to 10 s (-ZCT_EBUSY). -ZCT_ENOTFOUND. */
ZCT_API int zct_unlink(zct_store *store, const char *name);
/* The same, only if the name still means this very tensor and this process made it; else nothing, returns 0. */
ZCT_API int zct_tensor_unlink(zct_tensor *tensor);
/* From now on attached read-only. -ZCT_EBUSY while another process holds it at all. Older writable attachments
 * of this process stay writable. */
ZCT_API int zct_seal(zct_tensor *tensor);
/* 1 if sealed now. */
ZCT_API int zct_tensor_is_sealed(const zct_tensor *tensor);

/* ---- locks --------------------------------------------------------------------------------------------- */

/* Every tensor carries a reader-writer lock, which survives whoever has it: any number of processes and threads read at
 * once, or one thread writes. It is advice: nothing keeps those who do not ask from the memory.
 *
 * - A reader that dies is noticed by nobody, but as a short wait. A writer that dies leaves the tensor POISONED: every lock
 *   fails with -ZCT_EWRITERDIED, until somebody locks it for writing with ZCT_RECOVER (note ZCT_RECOVERED), mends the
 *   contents, calls zct_lock_mark_consistent, and releases. A writer that dies while it still waits for readers poisons
 *   nothing.
 * - A thread may lock again for reading what it reads. What would make it wait for itself, to write what it reads or writes, or
 *   read what it writes, is -ZCT_EDEADLOCK, whatever the timeout.
 * - Writers go before readers that come later; a reader that was passed over goes before the next writer.
 * - Locks belong to the process: a thread that ends leaves its locks locked, and any thread may release a guard. A forked
 *   child has none of its parent's: releasing a copied guard there is -ZCT_ENOTOWNER and changes nothing.
 * - At most 256 threads of a process may have ever read in one store at the same time (-ZCT_EFULL). */

/* A lock that is held. The caller's memory, all of it private to the library. It may be moved, and released by any thread;
 * the attachment must live until it is released. */
typedef struct zct_lock_guard {
    zct_tensor *tensor;
    uint64_t place, what;
} zct_lock_guard;

enum zct_lock_flags {
    ZCT_RECOVER = 1 /* lock a poisoned tensor, too: note ZCT_RECOVERED */
};

/* Lock for reading. Waits for writers up to timeout_ns. *ret_guard is written on success alone: 0, or ZCT_RECOVERED, and
 * then the contents may be half old and half new. Errors: ETIMEDOUT (the sentence names who is in the way), EWRITERDIED,
 * EDEADLOCK, EINTERRUPTED (a signal came while it waited: call again), EFULL, EGONE, ENOTMEMBER. */
ZCT_API int zct_tensor_read_lock(zct_tensor *tensor, int64_t timeout_ns, uint32_t flags, zct_lock_guard *ret_guard);
/* Lock for writing; likewise. -ZCT_EACCES for a sealed tensor and an attachment that is not ZCT_MODE_WRITE. */
ZCT_API int zct_tensor_write_lock(zct_tensor *tensor, int64_t timeout_ns, uint32_t flags, zct_lock_guard *ret_guard);
/* Give the lock back and empty the guard. Never waits. -ZCT_ENOTOWNER, and nothing else happens, for an empty guard and
 * one that a forked child inherited. */
ZCT_API int zct_lock_release(zct_lock_guard *guard);
/* Before the release of a lock for writing: the contents are whole, the tensor is not to be poisoned any more. Counts
 * when the lock is released; no effect on one that is not poisoned. -ZCT_ENOTOWNER for any other guard. */
ZCT_API int zct_lock_mark_consistent(zct_lock_guard *guard);
/* 1 if the guard holds a lock of this process, else 0. */
ZCT_API int zct_lock_held(const zct_lock_guard *guard);

/* Copy the tensor's contents, as laid out, into out[size]: whole, although others may be writing under the lock meanwhile.
 * No lock is taken unless three tries met a writer; then it waits as zct_tensor_read_lock does. *ret_version (may be NULL) is the
 * version that was there when the copy began. It knows of writers that use the lock alone.
 * -ZCT_EINVAL (size), -ZCT_EWRITERDIED, -ZCT_ETIMEDOUT, -ZCT_EDEADLOCK (this thread is the writer), -ZCT_EINTERRUPTED. */
ZCT_API int zct_snapshot(zct_tensor *tensor, void *out, size_t size, int64_t timeout_ns, uint64_t *ret_version);

/* ---- looking ------------------------------------------------------------------------------------------- */

typedef struct zct_stat {
    size_t size;
    char name[ZCT_MAX_NAME + 1]; /* "" for a nameless one */
    zct_dtype dtype;
    int32_t ndim;
    int32_t order;
    int64_t shape[ZCT_MAX_DIMS];
    int64_t strides[ZCT_MAX_DIMS];
    uint64_t nbytes;
    uint64_t offset;       /* in the store's file; page-aligned for a page or more */
    uint64_t extent_bytes; /* occupied */
    uint64_t generation;
    uint64_t serial;
    int64_t birth_ns;      /* CLOCK_REALTIME */
    int32_t lifetime;
    int32_t sealed;
    uint32_t holders;      /* living processes with it */
    uint32_t handles;      /* in flight, of living processes */
    uint32_t index;        /* of its descriptor: for zct_holders */
    int32_t state;         /* enum zct_state */
    uint32_t descriptor_len; /* bytes of the struct descriptor, of the metadata: zct_stat_blobs */
    uint32_t metadata_len;
    uint64_t version;      /* completed writes that were counted */
    uint32_t lock;         /* enum zct_lock_state, of all members together */
    uint32_t reserved;
} zct_stat;

/* What is done with a tensor's lock at this moment: bits. */
enum zct_lock_state {
    ZCT_LOCK_READ = 1,     /* locked for reading */
    ZCT_LOCK_WRITTEN = 2,  /* locked for writing */
    ZCT_LOCK_WANTED = 4,   /* a writer waits for readers */
    ZCT_LOCK_POISONED = 8  /* a writer died while writing; of a tensor, not of a holder */
};

/* One that is being made may have no shape yet: ndim and nbytes are 0 then. */
enum zct_state { ZCT_STATE_NAMED = 1, ZCT_STATE_NAMELESS = 2, ZCT_STATE_ENDING = 3, ZCT_STATE_BEING_MADE = 4 };

typedef struct zct_holder {
    size_t size;
    uint32_t slot;
    int32_t pid;           /* in the holder's own PID namespace: for people, not for proof */
    uint32_t uid;
    int32_t same_pid_ns;   /* 1: `pid` means something to this process */
    int64_t since_ns;      /* CLOCK_REALTIME at which it joined */
    uint32_t holds;        /* 1: has it attached */
    uint32_t handles;      /* of it in flight */
    int64_t oldest_handle_ns; /* CLOCK_REALTIME, 0 if none */
    int32_t is_self;
    uint32_t lock;         /* enum zct_lock_state: what it does with that tensor's lock */
    char command[64];      /* head of its command line */
} zct_holder;

/* Describe `name`; attaches nothing. Observers may call it. */
ZCT_API int zct_stat_name(zct_store *store, const char *name, zct_stat *ret_stat); /* set ret_stat->size first */
ZCT_API int zct_stat_tensor(const zct_tensor *tensor, zct_stat *ret_stat);

/* The blobs of the tensor of a stat record (index and serial), copied out: at most `size` bytes of each are written, either
 * buffer may be NULL with size 0. -ZCT_ENOTFOUND if that tensor is gone. Observers may call it. */
ZCT_API int zct_stat_blobs(zct_store *store, const zct_stat *stat, void *descriptor, size_t descriptor_size, void *metadata,
                           size_t metadata_size);

/* The tensors as they were at one moment. zct_list_next fills *ret_stat and returns 1, or 0 at the end; a tensor
 * that ended since is left out. Order: by descriptor. Flags: ZCT_LIST_ALL lists nameless ones too. */
typedef struct zct_list zct_list;
enum zct_list_flags { ZCT_LIST_ALL = 1, ZCT_LIST_NO_HOLDERS = 2 /* leaves holders and handles 0: faster */ };
ZCT_API int zct_list_open(zct_store *store, uint32_t flags, zct_list **ret_list);
ZCT_API int zct_list_next(zct_list *list, zct_stat *ret_stat);
ZCT_API void zct_list_close(zct_list *list);

/* The living processes that hold the tensor of a stat record (index and serial), at most `count` of them into
 * holders[]; set holders[0].size first (the stride). Returns how many there are, or a negative code. */
ZCT_API int zct_holders(zct_store *store, const zct_stat *stat, zct_holder *holders, int count);
/* The same for the living members of the store. holds is the number of tensors each has attached. */
ZCT_API int zct_members(zct_store *store, zct_holder *holders, int count);

/* ---- versions ------------------------------------------------------------------------------------------ */

/* Each tensor counts completed writes, from 0: the release of a write lock, and zct_commit. Counting is a notification: it
 * protects nothing, so a reader that was woken may still see the next write under way. */
ZCT_API uint64_t zct_tensor_version(const zct_tensor *tensor);
/* Count a write of this process as complete and wake whoever waits for one. *ret_version (may be NULL) is the count
 * afterwards, others' included. Never waits. -ZCT_EACCES unless the attachment is ZCT_MODE_WRITE; -ZCT_ENOTOWNER while
 * another process has the tensor locked for writing; -ZCT_EWRITERDIED. Any thread. */
ZCT_API int zct_commit(zct_tensor *tensor, uint64_t *ret_version);
/* Sleep until the version is beyond `newer_than`; *ret_version (may be NULL) is it. -ZCT_ETIMEDOUT (timeout 0 only
 * looks); -ZCT_EREPLACED and -ZCT_ENOTFOUND: the name went to another tensor, or was unlinked, and no newer version was
 * counted before; -ZCT_EWRITERDIED: a writer died under the lock, likewise; -ZCT_EINTERRUPTED: a signal, call again. Sleeping
 * costs no CPU but one look a second. */
ZCT_API int zct_wait(const zct_tensor *tensor, uint64_t newer_than, int64_t timeout_ns, uint64_t *ret_version);
/* The same for `count` tensors of one store (-ZCT_EINVAL): until tensors[i] is beyond newer_than[i] for some i, which is
 * *ret_index, as it is when one of them is replaced or unlinked (the code says which). */
ZCT_API int zct_wait_any(zct_tensor *const *tensors, const uint64_t *newer_than, int count, int64_t timeout_ns, int *ret_index);

/* What zct_wait_any is made of, for event loops: a doorbell, one word per member process. One thread sleeps on it,
 *     heard = zct_bell(store);  zct_listen(...) for each tensor;  zct_bell_wait(store, heard, timeout);
 * in a loop: a ring between the first and the last is not lost, and a listener must register anew after each ring. */
ZCT_API uint32_t zct_bell(zct_store *store);
/* 1: beyond newer_than already. 0: registered. Negative: as zct_wait. */
ZCT_API int zct_listen(const zct_tensor *tensor, uint64_t newer_than, uint64_t *ret_version);
/* 0: it rang, or may have: look again (after a second at the latest). -ZCT_ETIMEDOUT, -ZCT_EINTERRUPTED. */
ZCT_API int zct_bell_wait(zct_store *store, uint32_t heard, int64_t timeout_ns);
/* Ring this process's own bell, to send its sleeper round once. Any thread. */
ZCT_API int zct_bell_ring(zct_store *store);

/* ---- elements ------------------------------------------------------------------------------------------ */

/* Atomic operations on one aligned element of 4 or 8 bytes, `offset` bytes from the tensor's first: for sparse updates by many
 * processes, without a lock. Sequentially consistent, and atomic against each other; a plain store beside them loses updates.
 * A lock and plain additions are faster for many elements at once. `value` and `ret_old` are one element each.
 * -ZCT_EINVAL: another size, not aligned, beyond the end; -ZCT_EACCES unless the attachment is ZCT_MODE_WRITE. */

/* Add to an integer (which wraps around) or a float in this machine's byte order; *ret_old is what was there before. */
ZCT_API int zct_element_add(const zct_tensor *tensor, uint64_t offset, const void *value, void *ret_old);
ZCT_API int zct_element_exchange(const zct_tensor *tensor, uint64_t offset, const void *value, void *ret_old);
/* 1: the element's bytes were *expected, and are *value now. 0: they were not; *expected is what they were. */
ZCT_API int zct_element_compare_exchange(const zct_tensor *tensor, uint64_t offset, void *expected, const void *value);

/* ---- handles ------------------------------------------------------------------------------------------- */

/* A reference that can be sent to another process as bytes. While it is in flight it keeps its tensor alive; that
 * ends when it is taken once, when the process that made it ends, or by zct_store_gc in that process. */
typedef struct zct_handle {
    uint8_t store[16];
    uint64_t serial;
    uint64_t ticket;
    uint32_t desc;
    uint16_t slot;
    uint16_t index;
    uint32_t mode;     /* enum zct_mode the taker gets by default */
    uint32_t check;    /* of the bytes above; a damaged handle is -ZCT_EINVAL */
} zct_handle;

ZCT_API int zct_handle_make(zct_tensor *tensor, zct_handle *ret_handle); /* -ZCT_ETOOMANYHANDLES */
/* Attach by handle. Works again with the same bytes as long as somebody still holds the tensor; else
 * -ZCT_ENOTFOUND. -ZCT_EMISMATCH for a handle of another store. */
ZCT_API int zct_handle_take(zct_store *store, const zct_handle *handle, int mode, zct_tensor **ret_tensor);
/* Take back a handle that was never sent. Only in the process that made it; else -ZCT_ENOTOWNER. */
ZCT_API int zct_handle_cancel(zct_store *store, const zct_handle *handle);

/* ---- memory -------------------------------------------------------------------------------------------- */

/* malloc in the store, for allocator hooks (NumPy's, say): unnamed blocks, at least 64-byte aligned, page-aligned
 * from a page on, that can be published without a copy. A private stock of idle blocks makes the hot path free of
 * shared memory. NULL when the store has no room, or this process may not use it: use malloc instead (logged once, and
 * counted). free and realloc want the store's own blocks: ask zct_memory_store first. Any thread. Where a stopped process
 * stands in the way, one call waits 100 ms for it, and for a second nobody waits again; free never waits. */
ZCT_API void *zct_memory_alloc(zct_store *store, size_t nbytes, int zero);
ZCT_API void *zct_memory_realloc(zct_store *store, void *block, size_t nbytes); /* NULL: block is unchanged */
ZCT_API void zct_memory_free(zct_store *store, void *block);
/* The open store in whose memory `address` lies, borrowed, or NULL: what a free hook asks about each block, before it
 * gives it to zct_memory_free or to free(). It takes no lock and waits for nobody, also in the child of a raw clone. The
 * address must be one that the caller may use: its store is open for as long. */
ZCT_API zct_store *zct_memory_store(const void *address);
/* The size asked for, if `block` is the first byte of a block of any open store (*ret_store, may be NULL: that
 * one, borrowed), else 0; a block of 0 bytes is 1. In the child of a raw clone: how many bytes can be read from there. */
ZCT_API size_t zct_memory_owns(const void *block, zct_store **ret_store);
/* Publish a block as a tensor of `spec` under `name`, no copy. The block stays the allocator's: free it as usual.
 * -ZCT_ENOTWHOLE if [data, data + nbytes of spec) is not exactly a block, or was published or sent before. */
ZCT_API int zct_memory_publish(zct_store *store, const void *data, const zct_spec *spec, const char *name,
                               const zct_create_options *options, zct_tensor **ret_tensor);

typedef struct zct_memory_stats {
    size_t size;
    uint64_t idle_bytes, idle_blocks; /* in the stock */
    uint64_t live_bytes, live_blocks; /* given out */
    uint64_t refused;                 /* allocations that the store had no room for */
    uint64_t hits, misses;            /* of the stock */
} zct_memory_stats;
ZCT_API int zct_memory_stats_get(zct_store *store, zct_memory_stats *ret_stats);

/* ---- foreign segments ---------------------------------------------------------------------------------- */

/* Map the bytes [offset, offset + nbytes) of a POSIX shared-memory segment that another program made (with shm_open, or
 * Python's multiprocessing.shared_memory): no store, no membership, nothing is registered or rounded. `name` is that of
 * shm_open, "/psm_1" or "psm_1". mode: ZCT_MODE_READ, ZCT_MODE_WRITE (or DEFAULT), ZCT_MODE_COW. *ret_data is the first
 * of these bytes; the mapping is the caller's until zct_posix_unmap, also after the segment is unlinked, and is
 * inherited by fork. A segment that is made shorter meanwhile is a SIGBUS.
 * Errors: ENOTFOUND, EACCES, EMISMATCH (too short; both sizes in the sentence), EINVAL (a name with '/' inside), ENOMEM. */
ZCT_API int zct_posix_map(const char *name, uint64_t offset, uint64_t nbytes, int mode, void **ret_data);
/* Unmap what zct_posix_map mapped, with the same nbytes. NULL is allowed. */
ZCT_API void zct_posix_unmap(void *data, uint64_t nbytes);

/* ---- where a tensor lies ------------------------------------------------------------------------------- */

/* The bytes of the tensor in a file, for programs that map them without this library: [offset, offset + nbytes) of the
 * file `path`, which is its store's; offset is a multiple of the page size for a tensor of a page or more. They are the
 * tensor's as long as it is held. *ret_path is valid while the store is open. -ZCT_EGONE if the file is no longer there. */
ZCT_API int zct_tensor_location(const zct_tensor *tensor, const char **ret_path, uint64_t *ret_offset, uint64_t *ret_nbytes);

/* ---- facts --------------------------------------------------------------------------------------------- */

/* Library version "major.minor.patch"; may differ from the header's. */
ZCT_API const char *zct_version(void);

#ifdef __cplusplus
}
#endif
#endif /* ZCT_ZCT_H */
