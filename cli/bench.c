/* bench - what this machine gives: a minute at most, each figure beside the standard library's way. */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "doctor.h"
#include "json.h"
#include "out.h"
#include "quantity.h"
#include "table.h"

#define NS_PER_S 1000000000LL

static const char help[] =
    "usage: zct bench [--size SIZE] [--seconds N]\n"
    "\n"
    "Measure what this machine gives: attach, create, copies into memory that nobody had and that was there, a name\n"
    "without a copy, a wake-up. Each beside the standard library's way, shm_open and mmap in C, in the same run;\n"
    "medians. In a store of its own, which is removed at the end.\n"
    "\n"
    "  -z, --size SIZE        of a large tensor: 256M by itself, less where there is less room\n"
    "  -t, --seconds N        for all of it, about (default: 20)\n" TARGET_HELP "\n"
    "Exit: 0; 1 if it was interrupted or something could not be measured; 2 if there is no room or no store.\n";

static const struct bench_figure *const figures[] = {&bench_attach, &bench_create, &bench_wait,
                                                     &bench_cold,   &bench_warm,   &bench_publish};
enum { FIGURES = sizeof figures / sizeof figures[0] };

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

bool bench_interrupted(void) { return interrupted != 0; }

int64_t bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

double bench_failed(int code)
{
    err_library(code);
    return -1;
}

double bench_failed_errno(const char *what)
{
    err_fmt("cannot %s: %s", what, strerror(errno));
    return -1;
}

zct_spec bench_spec(int64_t *shape, uint64_t nbytes)
{
    zct_spec spec = {.size = sizeof spec,
                     .dtype = {.code = ZCT_UINT, .bits = 8, .lanes = 1, .itemsize = 1, .name = "uint8"},
                     .ndim = 1,
                     .shape = shape};

    *shape = (int64_t)nbytes;
    return spec;
}

/* ---- one figure ---- */

struct result {
    const struct bench_figure *figure;
    double ours, base; /* ns; medians */
};

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return a < b ? -1 : a > b;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* In turns, and who is first changes too; the first round warms up. */
static bool measure(struct bench *bench, const struct bench_figure *figure, struct result *ret_result)
{
    double ours[BENCH_ROUNDS], base[BENCH_ROUNDS];
    int64_t until = bench_now() + bench->budget;
    int count = 0;

    for (int round = -1; round < BENCH_ROUNDS && (round < BENCH_ROUNDS_LEAST || bench_now() < until); round++) {
        double mine = 0, other;

        if (round % 2 == 0)
            mine = figure->ours(bench, figure->ours_count);
        other = figure->base(bench, figure->base_count);
        if (round % 2 != 0)
            mine = figure->ours(bench, figure->ours_count);
        if (mine < 0 || other < 0 || interrupted)
            return false;
        if (round < 0)
            continue;
        ours[count] = mine;
        base[count++] = other;
    }
    *ret_result = (struct result){figure, median(ours, count), median(base, count)};
    return true;
}

/* ---- the report ---- */

static const char *show(char buffer[64], double ns, uint64_t bytes)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    double value = ns;

    while (value >= 999.5 && unit < 3) {
        value /= 1000;
        unit++;
    }
    if (bytes > 0 && ns >= 1000000) /* what takes less has not moved them */
        snprintf(buffer, 64, "%.3g %s, %.2f GB/s", value, units[unit], (double)bytes / ns);
    else
        snprintf(buffer, 64, "%.3g %s", value, units[unit]);
    return buffer;
}

static void report_text(const struct bench *bench, const struct result *results, size_t count)
{
    static const char *const headings[] = {"WHAT", ">OURS", ">STANDARD", ">RATIO", "STANDARD WAY"};
    struct table table = {.columns = 5, .headings = headings};
    char size[QUANTITY_SIZE];

    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1)
            table_heading(&table);
        for (size_t i = 0; i < count; i++) {
            const struct bench_figure *figure = results[i].figure;
            uint64_t bytes = figure->large ? bench->size : 0;
            char ours[64], base[64], ratio[32];
            const char *cells[] = {figure->what, show(ours, results[i].ours, bytes), show(base, results[i].base, bytes),
                                   ratio, figure->standard};

            snprintf(ratio, sizeof ratio, "%.3gx", results[i].base / results[i].ours);
            if (pass == 0)
                table_measure(&table, cells);
            else
                table_line(&table, cells);
        }
    }
    out_fmt("large tensors of %s in %s\n", quantity_bytes(size, bench->size, false), bench->directory);
}

static void report_json(const struct bench *bench, const struct result *results, size_t count)
{
    json_begin("bench");
    json_text("directory", bench->directory);
    json_uint("size", bench->size);
    json_array("figures");
    for (size_t i = 0; i < count; i++) {
        json_object(NULL);
        json_text("name", results[i].figure->name);
        json_text("what", results[i].figure->what);
        json_text("standard", results[i].figure->standard);
        json_uint("ours_ns", (uint64_t)(results[i].ours + 0.5));
        json_uint("standard_ns", (uint64_t)(results[i].base + 0.5));
        if (results[i].figure->large)
            json_uint("bytes", bench->size);
        else
            json_null("bytes");
        json_close();
    }
    json_close();
    json_bool("complete", count == FIGURES);
    json_end();
}

/* ---- the store and the room ---- */

/* What a large tensor may have: a quarter of what the file system, memory and the control group have left. */
static uint64_t room(const char *directory)
{
    struct doctor machine = {.root = "", .directory = directory};
    uint64_t memory = 1024 * sysfile_field(&machine, "/proc/meminfo", "MemAvailable");
    uint64_t least = doctor_cgroup_room(&machine);
    struct statfs fs;

    if (statfs(directory, &fs) == 0 && (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < least)
        least = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    if (memory > 0 && memory < least)
        least = memory;
    return least / 4;
}

static int run(struct bench *bench, const struct target *target)
{
    struct result results[FIGURES];
    size_t count = 0;
    bool waits;

    waits = bench_wait_begin(bench);
    for (size_t i = 0; i < FIGURES && !interrupted; i++) {
        if (figures[i] == &bench_wait && !waits)
            continue;
        if (!target->json && isatty(STDERR_FILENO) == 1)
            fprintf(stderr, "\r\x1b[K%s ...", figures[i]->what);
        count += measure(bench, figures[i], &results[count]);
    }
    if (!target->json && isatty(STDERR_FILENO) == 1)
        fprintf(stderr, "\r\x1b[K");
    bench_wait_end(bench);
    if (target->json)
        report_json(bench, results, count);
    else
        report_text(bench, results, count);
    if (interrupted)
        err_fmt("interrupted: %zu of %d figures were measured", count, FIGURES);
    return count == FIGURES ? EXIT_OK : EXIT_FAILED;
}

/* Run in a store of our own: by its path, so that no store of the user's is meant. */
static int run_in_store(struct bench *bench, const struct target *target)
{
    char path[4352];
    /* Of a sixteenth of its capacity a store keeps the memory when tensors end: it has to be one of ours for "warm". */
    zct_store_options options = {.size = sizeof options, .capacity = 16 * bench->size + (64u << 20), .max_names = 1024};
    int code, result;

    snprintf(path, sizeof path, "%s/zct-bench-%d.store", bench->directory, getpid());
    snprintf(bench->path, sizeof bench->path, "%s/zct-bench-%d.file", bench->directory, getpid());
    result = zct_store_open(path, &options, &bench->store);
    if (result < 0) {
        err_library(result);
        return EXIT_CANNOT;
    }
    code = run(bench, target);
    zct_store_close(bench->store);
    result = zct_store_destroy(path, NULL);
    if (result < 0 && result != -ZCT_ENOTFOUND) {
        err_library(result);
        code = EXIT_FAILED;
    }
    return code;
}

int command_bench(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"size", required_argument, NULL, 'z'},
        {"seconds", required_argument, NULL, 't'},
        TARGET_OPTIONS,
    };
    const char *env = getenv("ZCT_DIR");
    struct sigaction action = {.sa_handler = interrupt};
    struct bench bench = {.size = 256u << 20};
    int64_t span = 20 * NS_PER_S;
    char size[QUANTITY_SIZE];
    int option, code;
    uint64_t most;
    bool over;

    while ((option = target_option(argc, argv, ":z:t:", options, help, target, &over, &code)) != -1) {
        if (option == 'z' && (!quantity_parse_bytes(optarg, &bench.size) || bench.size < 1u << 20))
            return err_usage("bench", "bench: --size takes a size from 1M on, as 64M or 1G, not '%s'", optarg);
        if (option == 't' && (!quantity_parse_span(optarg, &span) || span <= 0))
            return err_usage("bench", "bench: --seconds takes a length of time, not '%s'", optarg);
    }
    if (over)
        return code;
    if (optind < argc || target->store != NULL)
        return err_usage("bench", "bench: takes no names and no --store; --dir says where to measure");
    bench.directory = target->directory != NULL ? target->directory : env != NULL ? env : "/dev/shm";
    bench.budget = span / FIGURES;
    most = room(bench.directory);
    if (most < 1u << 20) {
        err_fmt("there is no room to measure in %s: zct doctor says what limits it", bench.directory);
        return EXIT_CANNOT;
    }
    if (bench.size > most) {
        bench.size = most & ~((1ull << 20) - 1);
        err_fmt("note: large tensors are %s: source, tensor and file need four times as much",
                quantity_bytes(size, bench.size, false));
    }
    bench.source = mmap(NULL, bench.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bench.source == MAP_FAILED) {
        bench_failed_errno("take private memory");
        return EXIT_CANNOT;
    }
    memset(bench.source, 1, bench.size);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    code = run_in_store(&bench, target);
    munmap(bench.source, bench.size);
    return code;
}
