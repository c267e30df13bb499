/* The rate of this host's time stamp counter. */
#pragma once

#include <stdint.h>

/* In kHz; 0 when there is none (not x86). What the CPU does not tell is measured once, for 5 ms,
 * and kept for this boot in `cache_dir` (NULL: not kept). */
uint64_t tsc_khz(const char *cache_dir);
