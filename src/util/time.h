/* One clock for everything we measure, another for what users read. */
#pragma once

#include "util/attr.h"

#include <time.h>

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

uint64_t time_mono_ns(void); /* CLOCK_MONOTONIC */
int64_t time_real_ns(void);  /* nanoseconds since 1970-01-01T00:00:00Z */

/* "2026-11-22T13:33:16.120000000Z" (RFC 3339, nanoseconds, UTC): 30 characters and a NUL. */
#define TIME_RFC3339_LEN 31
void time_rfc3339(int64_t real_ns, char ret[TIME_RFC3339_LEN]);
