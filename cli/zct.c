/* zct - look at stores of shared tensors and keep them tidy. A client of the public header alone. */
#include <signal.h>
#include <string.h>

#include "commands.h"
#include "out.h"

static const struct command {
    const char *name;
    command_fn run;
    const char *summary;
} commands[] = {
    {"ls", command_ls, "list tensors, or the stores"},
    {"stat", command_stat, "what a tensor is, where it lies, who holds it; or the store's use"},
    {"head", command_head, "the values of a tensor, or the ends of a large one"},
    {"load", command_load, "arrays of .npy, .npz and .safetensors files, into the store"},
    {"save", command_save, "tensors, to an .npy, .npz or .safetensors file"},
    {"rm", command_rm, "remove tensors by name, or whole stores"},
    {"gc", command_gc, "return what dead processes left; --unheld: what nobody holds"},
    {"trim", command_trim, "give free memory back to the system"},
    {"check", command_check, "check every invariant of a store; --repair: rebuild what is derived"},
    {"watch", command_watch, "show the tensors, and what changes, until Ctrl-C"},
    {"bench", command_bench, "what this machine gives, beside the standard library's way"},
    {"doctor", command_doctor, "what on this machine would hurt, and the command that changes it"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const char usage[] = "usage: zct COMMAND [OPTION...] [ARGUMENT...]\n"
                            "\n"
                            "Named tensors in shared memory: see what is there, and tidy up.\n"
                            "\n";

static void write_help(void)
{
    out_str(usage);
    for (size_t i = 0; i < COMMANDS; i++)
        out_fmt("  %-7s %s\n", commands[i].name, commands[i].summary);
    out_str("\n      --version          versions of the command and of the format of the shared memory" TARGET_HELP "\n"
            "zct COMMAND --help says more. Exit: 0 done; 1 something was not found or could not be done;\n"
            "2 wrong usage, or the store cannot be opened; check: 1 if the store is not whole.\n");
}

static void write_version(void) { out_fmt("zct %s (format %d)\n", ZCT_VERSION_STRING, ZCT_FORMAT_VERSION); }

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    err_usage(NULL, "there is no command '%s'", name);
    return NULL;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"version", no_argument, NULL, 'V'}, TARGET_OPTIONS};
    static char own_name[] = "zct", help_option[] = "--help";
    struct target target = {0};
    const struct command *command;
    int option, code;
    bool over;

    argv[0] = own_name;
    /* Options before the command belong to all commands: '+' stops at the first word. */
    while ((option = target_option(argc, argv, "+:Vh", options, NULL, &target, &over, &code)) != -1) {
        if (option == 'V')
            write_version();
        else
            write_help();
        return EXIT_OK;
    }
    if (over) {
        if (code == EXIT_OK)
            write_help();
        return code;
    }
    argv += optind;
    argc -= optind;
    if (argc == 0)
        return err_usage(NULL, "which command?");
    if (strcmp(argv[0], "help") == 0) {
        if (argc == 1) {
            write_help();
            return EXIT_OK;
        }
        argv[0] = argv[1];
        argv[1] = help_option;
        argc = 2;
    }
    command = find(argv[0]);
    optind = 0; /* glibc: a new scan, of another vector */
    return command != NULL ? command->run(argc, argv, &target) : EXIT_CANNOT;
}

int main(int argc, char **argv)
{
    out_prepare();
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is told by write() */
    if (argc < 1)
        return EXIT_CANNOT;
    opterr = 0;
    return out_finish(run(argc, argv));
}
