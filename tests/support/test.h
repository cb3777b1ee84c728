/* test.h - what every C test program is made of.
 *
 *   static void sum(void) { CHECK(1 + 1 == 2); }
 *   TESTS({"sum", sum}, {"long one", other, .seconds = 120})
 *
 * Each test runs in a process of its own (the BODY), with a directory of its own for stores ($ZCT_DIR), under a watchdog:
 * the program's first process waits, kills a body that takes too long (the body's own children die with it), prints
 * `ok NAME`, `not ok NAME` or `skip NAME: why`, and removes the directory whatever happened. A test that leaves a file
 * behind in it fails. Exit status: 0 all passed, 1 something failed, 77 everything was skipped.
 * Arguments of the program are words: only tests whose name contains one of them run. */
#ifndef ZCT_TESTS_TEST_H
#define ZCT_TESTS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <zct/zct.h>

struct test {
    const char *name;
    void (*run)(void);
    int seconds;      /* the watchdog's, 0: 120 */
    bool may_leave;   /* files may be left in the directory */
};

int test_main(const struct test *tests, size_t count, int argc, char **argv);
#define TESTS(...)                                                                                                     \
    _Pragma("GCC diagnostic ignored \"-Wmissing-field-initializers\"") /* a test says what differs from the default */   \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        static const struct test tests[] = {__VA_ARGS__};                                                              \
        return test_main(tests, sizeof tests / sizeof *tests, argc, argv);                                             \
    }

/* ---- what this program was built with ---- */

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TEST_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_TSAN 1
#endif
#endif
#ifndef TEST_ASAN
#define TEST_ASAN 0 /* its allocator may be locked in a child that is forked beside threads */
#endif
#ifndef TEST_TSAN
#define TEST_TSAN 0
#endif

/* ---- checks: from the body, its threads and all processes it forks. CHECK goes on after a failure, REQUIRE ends the process. */

void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void test_give_up(void);
_Noreturn void test_skip(const char *why, ...) __attribute__((format(printf, 1, 2))); /* ends the body */
bool test_failed(void);
/* A word that is added to each failure's line: which case it was. Of this process and those it forks. "" ends it. */
void test_case(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* To standard error: progress, seeds, figures. */
void test_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(x) ((x) ? (void)0 : test_fail(__FILE__, __LINE__, "%s", #x))
#define REQUIRE(x) ((x) ? (void)0 : (test_fail(__FILE__, __LINE__, "%s", #x), test_give_up()))
#define CHECK_EQ(a, b)                                                                                                 \
    do {                                                                                                               \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                            \
        if (a_ != b_)                                                                                                  \
            test_fail(__FILE__, __LINE__, "%s is %lld, not %s = %lld", #a, a_, #b, b_);                                \
    } while (0)
#define CHECK_STR(a, b)                                                                                                \
    do {                                                                                                               \
        const char *a_ = (a), *b_ = (b);                                                                               \
        if (!a_ || !b_ || __builtin_strcmp(a_, b_))                                                                    \
            test_fail(__FILE__, __LINE__, "%s is '%s', not '%s'", #a, a_ ? a_ : "(null)", b_ ? b_ : "(null)");         \
    } while (0)
/* A call of the library: its code must be this one. Shows the library's own sentence. Returns the code. */
int test_code(const char *file, int line, const char *call, int got, int wanted);
#define CHECK_RC(call, wanted) test_code(__FILE__, __LINE__, #call, (call), (wanted))
#define OK(call) CHECK_RC(call, 0)
#define REQUIRE_OK(call) (CHECK_RC(call, 0) == 0 ? (void)0 : test_give_up())

/* ---- processes. A forked process dies with the one that forked it. ---- */

pid_t test_fork(void);           /* as fork; never fails */
int test_wait(pid_t pid);        /* its exit status, or 256 + the signal that ended it */
/* Run fn(argument) in a forked process that ends with _exit(0), or with exit() where `orderly`. */
pid_t test_spawn(void (*fn)(void *argument), void *argument, bool orderly);
void test_join(pid_t pid);       /* wait, and fail unless it ended with 0 */
void test_nap(int64_t ns);
int64_t test_now(void);          /* CLOCK_MONOTONIC, ns */
/* Zeroed memory that this process shares with those it forks. */
void *test_shared(size_t bytes);
/* Two-process rendezvous over a word of test_shared memory: wait (at most 60 s, then the process gives up) until it is value. */
void test_await(const volatile uint32_t *word, uint32_t value);
void test_set(volatile uint32_t *word, uint32_t value);
int test_patience(int seconds);  /* a watchdog's time, on a machine as slow as ZCT_TEST_PATIENCE (a factor) says */
bool test_quick(void);           /* TEST_QUICK=1: short loops, please */
long test_env(const char *name, long otherwise);
uint64_t test_random(uint64_t *state); /* splitmix64 */

/* ---- stores ---- */

const char *test_directory(void); /* ours; also $ZCT_DIR */
int test_files(void);             /* how many files are in it */
/* Open the store `name`, made small (16 MiB, 256 names, 16 members) unless it is there; gives up when it cannot. */
zct_store *test_store(const char *name);
/* No finding, or a failure with the first ones. */
void test_check(const char *file, int line, zct_store *store);
#define CHECK_STORE(store) test_check(__FILE__, __LINE__, (store))
zct_store_stats test_stats(zct_store *store);
/* A one-dimensional uint8 spec; *shape is the caller's. */
zct_spec test_bytes(int64_t *shape, int64_t n);
/* Contents that tell their seed and whether they are torn: 8-byte words. */
void test_pattern(void *to, size_t bytes, uint64_t seed);
bool test_is_pattern(const void *from, size_t bytes, uint64_t seed);
/* Create `name` (NULL: nameless) of n bytes with the pattern of `seed`; the code or note. */
int test_create(zct_store *store, const char *name, int64_t n, uint64_t seed, const zct_create_options *options, zct_tensor **ret);

#endif
