/* The keys that leave a box behind: "ctrl-p,ctrl-q". */
#pragma once

#include "util/err.h"

#include <stdbool.h>

#define DETACH_KEYS_MAX     16
#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"

struct detach_keys {
    uint8_t keys[DETACH_KEYS_MAX];
    size_t n;       /* 0: nothing detaches */
    size_t matched; /* how many of them were the last bytes of the input */
};

/* As docker: a comma-separated list of single characters and ctrl-X, X one of a-z @ [ \ ] ^ _;
 * NULL is the default, "" none. */
int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *e) MUST_CHECK;

/* Pass input on: what may still become the sequence is held back, and given out when it does
 * not. `out` has room for len + DETACH_KEYS_MAX bytes. Returns true when the sequence is
 * complete: what came before it is in `out`, what came behind it is dropped. */
bool detach_keys_filter(struct detach_keys *d, const uint8_t *in, size_t len, uint8_t *out,
                        size_t *ret_len);
