#include "util/log.h"

#include "util/time.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = { "error", "warn", "info", "debug", "trace" };

/* The log is the one thing that may be process-wide: it is written in main() only. */
static struct {
    const char *program, *box;
    enum log_level level;
} g = { .program = "a3s-box", .level = LOG_LEVEL_WARN };

void log_init(const char *program)
{
    const char *want = getenv("A3S_LOG");

    g.program = program;
    if (!want)
        want = getenv("RUST_LOG");
    for (size_t i = 0; want && i < ARRAY_LEN(names); i++)
        if (strcmp(want, names[i]) == 0)
            g.level = (enum log_level)i;
}

void log_set_box(const char *box)
{
    g.box = box;
}

bool log_wants(enum log_level level)
{
    return level <= g.level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char when[TIME_RFC3339_LEN], line[1024];
    int saved = errno, used;
    va_list ap;

    if (!log_wants(level))
        return;
    time_rfc3339(time_real_ns(), when);
    used = snprintf(line, sizeof(line) / 2, "%s %s %s%s%s: ", when, g.program, names[level],
                    g.box ? " box=" : "", g.box ? g.box : "");
    va_start(ap, fmt);
    (void)vsnprintf(line + used, sizeof(line) - (size_t)used - 1, fmt, ap);
    va_end(ap);
    line[strlen(line) + 1] = '\0'; /* one byte was kept for the newline */
    line[strlen(line)] = '\n';
    used = (int)write(STDERR_FILENO, line, strlen(line));
    (void)used; /* nowhere left to say it */
    errno = saved;
}
