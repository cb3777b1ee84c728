#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Shared by all processes of a test. */
struct board {
    uint32_t failures;
    uint32_t skipped;
    char why[256];
};

static struct board *board;
static char directory[4096];
static char which_case[256];
static const char *now_running = "";

void *test_shared(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

/* ---- checks ---- */

void test_say(const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text - 1, format, args);
    va_end(args);
    n = n < (int)sizeof text - 1 ? n : (int)sizeof text - 2;
    text[n++] = '\n';
    if (write(STDERR_FILENO, text, (size_t)n) < 0) /* one write: lines of many processes do not mix */
        return;
}

void test_case(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(which_case, sizeof which_case, format, args);
    va_end(args);
}

void test_fail(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *base = strrchr(file, '/');
    if (__atomic_fetch_add(&board->failures, 1, __ATOMIC_RELAXED) < 40)
        test_say("# %s: %s:%d: %s%s%s", now_running, base ? base + 1 : file, line, text, which_case[0] ? "   in: " : "",
                 which_case);
}

void test_give_up(void)
{
    fflush(NULL);
    _exit(1);
}

bool test_failed(void) { return __atomic_load_n(&board->failures, __ATOMIC_RELAXED) != 0; }

void test_skip(const char *why, ...)
{
    va_list args;
    va_start(args, why);
    vsnprintf(board->why, sizeof board->why, why, args);
    va_end(args);
    board->skipped = 1;
    fflush(NULL);
    _exit(77);
}

int test_code(const char *file, int line, const char *call, int got, int wanted)
{
    if (got != wanted)
        test_fail(file, line, "%s answered %s (%d), not %s: %s", call, got < 0 ? zct_error_name(got) : "a note", got,
                  wanted < 0 ? zct_error_name(wanted) : wanted ? "that note" : "0", got < 0 ? zct_last_error() : "");
    return got;
}

/* ---- processes ---- */

pid_t test_fork(void)
{
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        test_fail(__FILE__, __LINE__, "fork: %s", strerror(errno));
        test_give_up();
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

int test_wait(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

pid_t test_spawn(void (*fn)(void *argument), void *argument, bool orderly)
{
    pid_t pid = test_fork();
    if (pid != 0)
        return pid;
    fn(argument);
    if (orderly)
        exit(0);
    fflush(NULL);
    _exit(0);
}

void test_join(pid_t pid)
{
    int status = test_wait(pid);
    if (status != 0)
        test_fail(__FILE__, __LINE__, status > 256 ? "a process was ended by signal %d" : "a process ended with %d",
                  status > 256 ? status - 256 : status);
}

int64_t test_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void test_nap(int64_t ns)
{
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR) {
    }
}

int test_patience(int seconds) { return seconds * (int)test_env("ZCT_TEST_PATIENCE", 1); }

void test_await(const volatile uint32_t *word, uint32_t value)
{
    int64_t limit = test_now() + test_patience(60) * 1000000000ll;
    for (unsigned i = 0; __atomic_load_n(word, __ATOMIC_ACQUIRE) != value; i++) {
        if (test_now() > limit) {
            test_fail(__FILE__, __LINE__, "nobody came to a rendezvous (%u, not %u)", *word, value);
            test_give_up();
        }
        test_nap(i < 100 ? 10000 : 200000);
    }
}

void test_set(volatile uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

long test_env(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 0) : otherwise;
}

bool test_quick(void) { return test_env("TEST_QUICK", 0) != 0; }

uint64_t test_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* ---- the program ---- */

const char *test_directory(void) { return directory; }

static int each_file(bool remove_them)
{
    int count = 0;
    DIR *dir = opendir(directory);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        count++;
        if (remove_them && unlinkat(dirfd(dir), e->d_name, 0) < 0)
            unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
    }
    if (dir)
        closedir(dir);
    return count;
}

int test_files(void) { return each_file(false); }

/* Below the directory that we were given, else in memory, else where temporary files go. */
static void make_directory(void)
{
    const char *places[] = {getenv("ZCT_DIR"), "/dev/shm", getenv("TMPDIR"), "/tmp"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(directory, sizeof directory, "%s/zct-test-XXXXXX", places[i] ? places[i] : "/dev/shm");
        if (mkdtemp(directory))
            return;
    }
    perror("mkdtemp");
    exit(1);
}

static void run_body(const struct test *t)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setenv("ZCT_DIR", directory, 1);
    now_running = t->name;
    t->run();
    exit(test_failed());
}

/* What the first process waits for. */
static sigset_t watched(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

/* Wait for it, but not for ever. */
static int watch(pid_t pid, int seconds, bool *late)
{
    sigset_t child = watched();
    int64_t limit = test_now() + seconds * 1000000000ll;
    int status = 0;
    *late = false;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        int64_t left = limit - test_now();
        if (left <= 0) {
            *late = true;
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            break;
        }
        struct timespec t = {left / 1000000000, left % 1000000000};
        int signal = sigtimedwait(&child, NULL, &t);
        if (signal == SIGTERM || signal == SIGINT) { /* somebody ends us: nothing may be left */
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            each_file(true);
            (void)rmdir(directory);
            _exit(128 + signal);
        }
    }
    return status;
}

/* 0 ok, 1 not ok, 77 skipped */
static int run_one(const struct test *t)
{
    bool late;
    int seconds = test_patience(t->seconds ? t->seconds : 120);
    memset(board, 0, sizeof *board);
    make_directory();
    pid_t pid = test_fork();
    if (pid == 0)
        run_body(t);
    int status = watch(pid, seconds, &late);
    int left = each_file(true);
    if (rmdir(directory) < 0)
        left = each_file(true) + (rmdir(directory) < 0); /* a child that was dying made one more */
    if (late)
        test_say("# %s: took more than %d s and was ended", t->name, seconds);
    else if (WIFSIGNALED(status))
        test_say("# %s: ended by signal %d (%s)", t->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
    if (board->skipped && !board->failures) {
        printf("skip %s: %s\n", t->name, board->why);
        return 77;
    }
    bool passed = !late && WIFEXITED(status) && WEXITSTATUS(status) == 0 && !board->failures;
    if (passed && left && !t->may_leave) {
        test_say("# %s: left %d files behind", t->name, left);
        passed = false;
    }
    printf("%s %s\n", passed ? "ok" : "not ok", t->name);
    fflush(stdout);
    return !passed;
}

int test_main(const struct test *tests, size_t count, int argc, char **argv)
{
    sigset_t child = watched();
    sigprocmask(SIG_BLOCK, &child, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    board = test_shared(sizeof *board);
    size_t failed = 0, skipped = 0, ran = 0;
    for (size_t i = 0; i < count; i++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted |= strstr(tests[i].name, argv[a]) != NULL;
        if (!wanted)
            continue;
        int result = run_one(&tests[i]);
        ran++;
        failed += result == 1;
        skipped += result == 77;
    }
    return failed ? 1 : ran && skipped == ran ? 77 : 0;
}
