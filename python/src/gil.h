/* gil.h - what keeps the extension whole where Python has no GIL.
 *
 * What the files share beside Python's objects is little: caches, filled once or swapped, and references to stores. In a
 * Python without a GIL they change under one mutex, which is held for a few loads and stores: nothing is called under it
 * that runs Python code or waits, but counting a reference. With a GIL it is nothing. Objects of ours are either constant
 * once made, or one word of them is read and written whole, or what they do is a critical section of theirs.
 */
#ifndef ZPY_GIL_H
#define ZPY_GIL_H

#ifdef Py_GIL_DISABLED
#define ZPY_NO_GIL 1
extern PyMutex zpy_mutex; /* module.c */
#define ZPY_LOCK() PyMutex_Lock(&zpy_mutex)
#define ZPY_UNLOCK() PyMutex_Unlock(&zpy_mutex)
#define ZPY_BEGIN_ALONE(object) Py_BEGIN_CRITICAL_SECTION(object)
#define ZPY_END_ALONE() Py_END_CRITICAL_SECTION()
#else
#define ZPY_NO_GIL 0
#define ZPY_LOCK() ((void)0)
#define ZPY_UNLOCK() ((void)0)
#define ZPY_BEGIN_ALONE(object) {
#define ZPY_END_ALONE() }
#endif

/* A word that threads read and write whole: what was stored before it is seen by who reads it. */
#define ZPY_GET(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define ZPY_SET(word, value) __atomic_store_n(&(word), (value), __ATOMIC_RELEASE)

#endif /* ZPY_GIL_H */
