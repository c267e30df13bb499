/* --filter KEY=VALUE, in docker's way: values of one key are alternatives, keys add up. */
#pragma once

#include "util/err.h"

#include <stdbool.h>

#define FILTERS_MAX 256 /* far more than anybody types */

struct show_filters {
    const char *text[FILTERS_MAX]; /* borrowed */
    size_t n;
};

/* Check the form and the keys; `keys` ends with NULL. USAGE: no '='; INVALID: "invalid filter
 * 'foo'". */
int show_filters_parse(const char *const *args, size_t n, const char *const *keys,
                       struct show_filters *ret, struct err *e) MUST_CHECK;

bool show_filters_has(const struct show_filters *f, const char *key);

typedef bool show_match(const char *value, const void *arg);

/* Does one of the values of this key match? True when the key is not there. */
bool show_filters_any(const struct show_filters *f, const char *key, show_match *match,
                      const void *arg);

/* Do all of them (labels)? */
bool show_filters_all(const struct show_filters *f, const char *key, show_match *match,
                      const void *arg);
