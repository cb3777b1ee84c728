/* doctor - what on this machine would hurt a store: as found, why it matters, the command that changes it. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "json.h"
#include "out.h"
#include "text.h"

#define WIDTH 110 /* columns of wrapped text */
#define INDENT 22

static const char help[] =
    "usage: zct doctor [--explain] [--root DIR]\n"
    "\n"
    "Look for what would hurt stores on this machine: the size of /dev/shm, the container and its limits, huge\n"
    "pages, logind, resource limits, the kernel, stores that nobody uses, what other libraries left behind. Each\n"
    "is shown as found; for what is not well, why it matters and the command that changes it. Changes nothing.\n"
    "\n"
    "  -e, --explain          why and what to do for what is well, too\n"
    "      --root DIR         read /proc, /sys, /etc, /run and /var below DIR: another system's, mounted there\n" TARGET_HELP
    "\n"
    "Exit: 0; 1 if there is a warning; 2 wrong usage.\n";

static const char *const level_words[] = {"ok", "note", "warn"};

/* " why   text", continued below itself. */
static void say_wrapped(const char *label, const char *text)
{
    const char *at = text;

    out_fmt("      %-*s", INDENT - 6, label);
    for (;;) {
        size_t len = strlen(at), cut = WIDTH - INDENT;

        if (len > cut)
            while (cut > 0 && at[cut] != ' ')
                cut--;
        if (len <= cut || cut == 0)
            break;
        out_bytes(at, cut);
        out_str("\n");
        out_pad(INDENT);
        at += cut + 1;
    }
    out_str(at);
    out_str("\n");
}

static void say_text(const struct doctor *doctor, const char *check, enum doctor_level level, const char *why,
                     const char *fix, const char *found)
{
    char shown[8192];

    text_escape(shown, sizeof shown, found, strlen(found), TEXT_SENTENCE);
    out_fmt("%-4s  %-*s", level_words[level], INDENT - 6, check);
    out_str(shown);
    out_str("\n");
    if (level == DOCTOR_OK && !doctor->explain)
        return;
    say_wrapped("why", why);
    if (fix != NULL) {
        text_escape(shown, sizeof shown, fix, strlen(fix), TEXT_SENTENCE);
        out_fmt("      %-*s", INDENT - 6, "do");
        out_str(shown); /* to be copied: never broken */
        out_str("\n");
    }
}

void doctor_say(struct doctor *doctor, const char *check, enum doctor_level level, const char *why, const char *fix,
                const char *found, ...)
{
    char sentence[4096];
    va_list args;

    va_start(args, found);
    vsnprintf(sentence, sizeof sentence, found, args);
    va_end(args);
    doctor->count[level]++;
    if (!doctor->json) {
        say_text(doctor, check, level, why, fix, sentence);
        return;
    }
    json_object(NULL);
    json_text("check", check);
    json_text("level", level_words[level]);
    json_text("found", sentence);
    json_text("why", why);
    if (fix != NULL)
        json_text("fix", fix);
    else
        json_null("fix");
    json_close();
}

static int examine(struct doctor *doctor)
{
    enum doctor_level worst = DOCTOR_OK;

    if (doctor->json) {
        json_begin("doctor");
        json_text("directory", doctor->directory);
        json_array("findings");
    }
    doctor_memory(doctor);
    doctor_pages(doctor);
    doctor_limits(doctor);
    doctor_kernel(doctor);
    doctor_stores(doctor);
    doctor_leftovers(doctor);
    worst = doctor->count[DOCTOR_WARN] > 0 ? DOCTOR_WARN : doctor->count[DOCTOR_NOTE] > 0 ? DOCTOR_NOTE : DOCTOR_OK;
    if (doctor->json) {
        json_close();
        json_text("worst", level_words[worst]);
        json_end();
    } else {
        out_fmt("%u warning%s, %u note%s, %u well\n", doctor->count[DOCTOR_WARN],
                doctor->count[DOCTOR_WARN] == 1 ? "" : "s", doctor->count[DOCTOR_NOTE],
                doctor->count[DOCTOR_NOTE] == 1 ? "" : "s", doctor->count[DOCTOR_OK]);
    }
    return worst == DOCTOR_WARN ? EXIT_FAILED : EXIT_OK;
}

int command_doctor(int argc, char **argv, struct target *target)
{
    enum { OPT_ROOT = 0x200 };
    static const struct option options[] = {
        {"explain", no_argument, NULL, 'e'},
        {"root", required_argument, NULL, OPT_ROOT},
        TARGET_OPTIONS,
    };
    const char *env = getenv("ZCT_DIR");
    struct doctor doctor = {.root = ""};
    int option, code;
    bool over;

    while ((option = target_option(argc, argv, ":e", options, help, target, &over, &code)) != -1) {
        doctor.explain |= option == 'e';
        if (option == OPT_ROOT)
            doctor.root = optarg;
    }
    if (over)
        return code;
    if (optind < argc)
        return err_usage("doctor", "doctor: takes no arguments; --dir says which directory of stores");
    doctor.json = target->json;
    doctor.directory = target->directory != NULL ? target->directory : env != NULL ? env : "/dev/shm";
    return examine(&doctor);
}
