/* Printing the log of a box: docker's json-file format, written and rotated by the shim. */
#pragma once

#include "cli/command.h"

#include <stdint.h>

struct log_range {
    bool follow, timestamps, details;
    int64_t tail;     /* the last N entries; -1: all */
    int64_t since_ns; /* real time; INT64_MIN: from the start */
    int64_t until_ns; /* real time; INT64_MAX: to the end */
};

/* Print the entries of the files in logs_fd to cli->out and cli->err, as they were written.
 * `shim_pidfd` ends following when the process ends; -1: it has ended already. Stops quietly when
 * nobody reads cli->out. */
int log_view(struct cli *cli, int logs_fd, int shim_pidfd, const struct log_range *range,
             struct err *e) MUST_CHECK;

/* A moment as users give it: RFC 3339 (also without zone, time, or fraction; local time then),
 * seconds since 1970, or how long ago ("10m"). INVALID names the text. */
int log_moment(const char *text, int64_t now_ns, int64_t *ret_ns, struct err *e) MUST_CHECK;
