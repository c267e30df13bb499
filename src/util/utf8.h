/* UTF-8 from strangers. */
#pragma once

#include <stddef.h>

/* The length of the valid sequence at `p` (1 for ASCII, NUL too), 0 when there is none within
 * `left` bytes (RFC 3629, section 4). */
size_t utf8_len(const void *p, size_t left);
