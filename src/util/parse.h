/* The one place where text from users and strangers becomes numbers. */
#pragma once

#include "util/err.h"

/* Decimal, no sign, no spaces, within [min, max]. INVALID names the text. */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret,
              struct err *e) MUST_CHECK;

/* Decimal with an optional '-'. */
int parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *e) MUST_CHECK;

/* Bytes: a number and an optional suffix b, k[b], m[b], g[b], t[b] (1024-based, any case);
 * a bare number counts in `unit` bytes. */
int parse_size(const char *text, uint64_t unit, uint64_t min, uint64_t max, uint64_t *ret,
               struct err *e) MUST_CHECK;

/* Nanoseconds: Go's durations ("1m30s", "500ms", "1.5h", also d for days); a bare number is
 * seconds. */
int parse_duration(const char *text, uint64_t *ret_ns, struct err *e) MUST_CHECK;

/* A signal's number from "TERM", "SIGTERM", "sigterm" or "15". */
int parse_signal(const char *text, int *ret, struct err *e) MUST_CHECK;

/* "TERM" for 15; NULL for numbers without a name. */
const char *signal_name(int sig);
