/* Base64 (RFC 4648 section 4), strict: full padding, no white space, no stray bits at the end, so
 * that every text has one meaning and every meaning one text. */
#pragma once

#include "util/str.h"

/* Append to `ret`; false when the text is wrong or ret's limit is reached. */
bool b64_decode(const char *text, size_t len, struct str *ret);
bool b64_encode(const void *data, size_t len, struct str *ret);

/* Exactly `len` bytes from 2 * len lower-case hexadecimal digits. */
bool hex_decode(const char *text, uint8_t *ret, size_t len);
