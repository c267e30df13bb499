/* Sizes, durations and lengths as docker shows them to people. */
#pragma once

#include "util/str.h"

#include <stdint.h>

/* 1000-based, four significant digits: "48.1MB", "1.09kB", "0B". */
void human_size(uint64_t bytes, struct str *out);

/* The same with three digits, as docker shows images: "48.1MB" is "48.1MB", "1.982MB" "1.98MB".
 */
void human_size_short(uint64_t bytes, struct str *out);

/* 1024-based: "19MiB", "1.5GiB". */
void human_bytes(uint64_t bytes, struct str *out);

/* "Less than a second", "5 seconds", "About a minute", "3 hours", "2 weeks", ...; below zero
 * counts as zero. */
void human_duration(int64_t ns, struct str *out);

/* The local moment as Go's time.String() shows it in UTC: "2026-11-22 12:31:16 +0000 UTC". */
void human_time(int64_t real_ns, struct str *out);

/* Columns a terminal needs; bytes that are not UTF-8 count as one each. */
size_t human_width(const char *s, size_t len);

/* At most `width` columns; what is cut is replaced by one U+2026 inside of them. */
void human_ellipsis(const char *s, size_t width, struct str *out);
