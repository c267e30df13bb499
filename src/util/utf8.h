/* UTF-8 from strangers. */
#pragma once

#include "util/str.h"

/* The length of the valid sequence at `p` (1 for ASCII, NUL too), 0 when there is none within
 * `left` bytes (RFC 3629, section 4). */
size_t utf8_len(const void *p, size_t left);

/* Append `text` as a JSON string, quotes included; what is not UTF-8 becomes U+FFFD. A byte
 * becomes up to six. Failures are in out->failed. */
void utf8_put_json(struct str *out, const char *text);
