/* watch - the tensors of a store as they come and go.
 *
 * It joins nothing, so nobody can wake it: it sleeps for a tenth of the interval, looks at the store's count of changes (one
 * load), and lists again when that has moved or when the interval is over, since who holds what is not counted there. */
#include "watch.h"

#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "out.h"
#include "quantity.h"

#define NS_PER_S 1000000000LL
#define NS_PER_MS 1000000LL

static const char help[] =
    "usage: zct watch [GLOB] [--interval TIME] [--sort KEY] [--reverse] [--all] [--bytes]\n"
    "\n"
    "Show the tensors of a store and draw the list again when it changes; on what is no terminal write a line for\n"
    "each that is born, ends or changes its holders. A store that is not there is waited for. Ctrl-C ends it.\n"
    "\n"
    "  -i, --interval TIME    look at least so often: 1s (default), 200ms, 5m. Births and ends show sooner\n"
    "  -s, --sort KEY         of the screen: name (default), size, age, held\n"
    "  -r, --reverse          the other way round\n"
    "  -a, --all              the nameless too: unnamed, unlinked while held, being made\n"
    "  -b, --bytes            sizes in bytes\n" TARGET_HELP "\n"
    "With --json each line is a document of its own. Exit: 0 when ended by Ctrl-C or a closed pipe; 1 if the list\n"
    "cannot be read; 2 if the store cannot be opened.\n";

static volatile sig_atomic_t ended, suspended, resized;

static void note_signal(int number)
{
    if (number == SIGTSTP)
        suspended = 1;
    else if (number == SIGWINCH)
        resized = 1;
    else
        ended = 1;
}

/* The signals come in between only while we sleep: *ret_asleep is the mask for that. */
static void catch_signals(bool screen, sigset_t *ret_asleep)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
    struct sigaction action = {.sa_handler = note_signal};
    sigset_t caught;

    sigemptyset(&caught);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] - !screen; i++) { /* lines: Ctrl-Z as everywhere */
        sigaction(numbers[i], &action, NULL);
        sigaddset(&caught, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &caught, ret_asleep);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigdelset(ret_asleep, numbers[i]);
}

/* Sleep until something came or `ns` are over. A reader that went away is noticed. */
static void doze(int64_t ns, const sigset_t *asleep)
{
    struct timespec time = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    struct pollfd output = {.fd = STDOUT_FILENO}; /* no events: errors and hang-ups alone */

    if (ppoll(&output, 1, &time, asleep) > 0)
        ended = 1;
}

static void suspend(void)
{
    suspended = 0;
    screen_leave();
    raise(SIGSTOP);
    screen_enter();
}

static int64_t monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Until something changed, or the interval is over, or a signal came. */
static void wait_for_change(const struct watch *watch, bool screen, const sigset_t *asleep)
{
    int64_t tick = watch->interval / 10 > 10 * NS_PER_MS ? watch->interval / 10 : 10 * NS_PER_MS;
    int64_t until = monotonic() + watch->interval;

    tick = tick < NS_PER_S ? tick : NS_PER_S;
    while (!ended && !resized && monotonic() < until &&
           (watch->store == NULL || zct_store_changes(watch->store) == watch->changes)) {
        doze(tick, asleep);
        if (suspended && screen) {
            suspend();
            return;
        }
    }
    resized = 0;
}

/* Returns 0 or a negative code. */
static int read_list(struct watch *watch, struct rows *rows)
{
    zct_stat stat = {.size = sizeof stat};
    zct_list *list;
    int more;

    watch->changes = zct_store_changes(watch->store); /* before the list: none is missed */
    more = zct_list_open(watch->store, watch->all ? ZCT_LIST_ALL : 0, &list);

    if (more < 0)
        return more;
    while ((more = zct_list_next(list, &stat)) > 0) {
        if (watch->pattern != NULL && fnmatch(watch->pattern, stat.name, 0) != 0)
            continue;
        if (!rows_add(rows, &stat)) {
            more = -ZCT_ENOMEM;
            break;
        }
    }
    zct_list_close(list);
    return more;
}

/* The store is not there (any more): what was seen of it has ended. */
static void let_go(struct watch *watch, bool screen)
{
    struct rows none = {0};

    if (watch->store == NULL)
        return;
    if (!screen) {
        lines_changes(watch, &none);
        lines_store(watch, "closed");
    }
    zct_store_close(watch->store);
    watch->store = NULL;
}

static bool is_absent(int code) { return code == -ZCT_ENOTFOUND || code == -ZCT_EGONE; }

/* One look. Returns an exit code, or -1 to go on. */
static int look(struct watch *watch, bool screen)
{
    zct_store_options options = {
        .size = sizeof options, .directory = watch->target->directory, .flags = ZCT_STORE_EXISTING | ZCT_STORE_OBSERVE};
    struct rows rows = {0};
    bool opening = watch->store == NULL;
    int result = opening ? zct_store_open(watch->target->store, &options, &watch->store) : 0;

    if (result >= 0) {
        if (opening && !screen)
            lines_store(watch, "opened");
        result = read_list(watch, &rows);
        opening = false;
    }
    if (result >= 0 && screen)
        screen_draw(watch, &rows);
    else if (result >= 0)
        lines_changes(watch, &rows);
    rows_free(&rows);
    if (is_absent(result)) {
        let_go(watch, screen);
        if (screen)
            screen_absent(zct_last_error());
    } else if (result < 0) {
        if (screen)
            screen_leave();
        err_library(result);
        return opening ? EXIT_CANNOT : EXIT_FAILED;
    }
    out_flush();
    return -1;
}

static int run(struct watch *watch)
{
    bool screen = out_is_terminal() && !watch->target->json;
    int code = -1;
    sigset_t asleep;

    catch_signals(screen, &asleep);
    if (screen)
        screen_enter();
    while (code < 0 && !ended && out_open()) {
        code = look(watch, screen);
        if (code < 0)
            wait_for_change(watch, screen, &asleep);
    }
    if (screen && code < 0)
        screen_leave();
    rows_free(&watch->seen);
    zct_store_close(watch->store);
    return code < 0 ? EXIT_OK : code;
}

int command_watch(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"interval", required_argument, NULL, 'i'}, {"sort", required_argument, NULL, 's'},
        {"reverse", no_argument, NULL, 'r'},        {"all", no_argument, NULL, 'a'},
        {"bytes", no_argument, NULL, 'b'},          TARGET_OPTIONS,
    };
    struct watch watch = {.target = target, .sort = ROWS_NAME, .interval = NS_PER_S};
    int option, code;
    bool over;

    while ((option = target_option(argc, argv, ":i:s:rab", options, help, target, &over, &code)) != -1) {
        if (option == 'i' && (!quantity_parse_span(optarg, &watch.interval) || watch.interval < NS_PER_MS))
            return err_usage("watch", "watch: --interval takes a time as 200ms, 1s or 5m, not '%s'", optarg);
        if (option == 's' && !rows_parse_sort(optarg, &watch.sort))
            return err_usage("watch", "watch: --sort takes name, size, age, held or none, not '%s'", optarg);
        watch.reverse |= option == 'r';
        watch.all |= option == 'a';
        watch.exact |= option == 'b';
    }
    if (over)
        return code;
    if (argc - optind > 1)
        return err_usage("watch", "watch: one GLOB at most; quote it, so that the shell does not expand it");
    watch.pattern = argv[optind];
    return run(&watch);
}
