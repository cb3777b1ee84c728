#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <zct/zct.h>

#include "text.h"

static struct {
    char bytes[64 * 1024];
    size_t used;
    bool lost;   /* nothing arrives any more */
    int failure; /* errno, if that is an error: not for EPIPE */
} out;

void out_prepare(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* Write to a descriptor that may be non-blocking. Returns 0 or an errno. */
static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, bytes, len);

        if (done >= 0) {
            bytes += done;
            len -= (size_t)done;
        } else if (errno == EAGAIN) {
            struct pollfd waiting = {.fd = fd, .events = POLLOUT};

            poll(&waiting, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

void out_flush(void)
{
    int error;

    if (out.used == 0)
        return;
    error = out.lost ? 0 : write_all(STDOUT_FILENO, out.bytes, out.used);
    out.used = 0;
    if (error != 0) {
        out.lost = true;
        if (error != EPIPE)
            out.failure = error;
    }
}

void out_bytes(const char *bytes, size_t len)
{
    while (len > 0 && !out.lost) {
        size_t room = sizeof out.bytes - out.used;
        size_t part = len < room ? len : room;

        memcpy(out.bytes + out.used, bytes, part);
        out.used += part;
        bytes += part;
        len -= part;
        if (out.used == sizeof out.bytes)
            out_flush();
    }
}

void out_str(const char *text) { out_bytes(text, strlen(text)); }

void out_fmt(const char *format, ...)
{
    char text[2048];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len > 0)
        out_bytes(text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

void out_name(const char *name)
{
    char text[4096];

    out_bytes(text, text_escape(text, sizeof text, name, strlen(name), TEXT_NAME));
}

void out_pad(size_t spaces)
{
    static const char blank[] = "                                ";

    while (spaces > 0) {
        size_t part = spaces < sizeof blank - 1 ? spaces : sizeof blank - 1;

        out_bytes(blank, part);
        spaces -= part;
    }
}

bool out_open(void) { return !out.lost; }

bool out_is_terminal(void) { return isatty(STDOUT_FILENO) == 1; }

int out_finish(int code)
{
    out_flush();
    if (out.failure == 0)
        return code;
    err_fmt("cannot write to standard output: %s", strerror(out.failure));
    return code == EXIT_OK ? EXIT_FAILED : code;
}

static void err_line(const char *sentence)
{
    char line[4096] = "zct: ";
    size_t len = strlen(line);

    out_flush();
    len += text_escape(line + len, sizeof line - len - 1, sentence, strlen(sentence), TEXT_SENTENCE);
    line[len++] = '\n';
    (void)write_all(STDERR_FILENO, line, len);
}

void err_fmt(const char *format, ...)
{
    char sentence[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    err_line(sentence);
}

void err_library(int code)
{
    const char *sentence = zct_last_error();

    err_line(sentence[0] != '\0' ? sentence : zct_strerror(code));
}

int err_usage(const char *command, const char *format, ...)
{
    char sentence[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    if (command != NULL)
        err_fmt("%s; see: zct %s --help", sentence, command);
    else
        err_fmt("%s; see: zct --help", sentence);
    return EXIT_CANNOT;
}
