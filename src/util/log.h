/*
 * Diagnostics of our own programs: one line on stderr, never on stdout.
 *
 * The level comes from A3S_LOG, else RUST_LOG (kept for users of the Rust product): error, warn
 * (default), info, debug, trace. Colours never; lines are for grep.
 */
#pragma once

#include "util/attr.h"

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE
};

/* Call once from main(): `program` (static) prefixes each line. */
void log_init(const char *program);
/* Prefix lines with "box=ID"; `box` is borrowed for ever, NULL for none. */
void log_set_box(const char *box);
bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_trace(...) log_line(LOG_LEVEL_TRACE, __VA_ARGS__)
