/*
 * Facts about this host that hold until it reboots, kept in small files.
 *
 * A file is "<boot id>\n<key>\n<value>\n"; with another boot id or key it does not count. What
 * cannot be read or written is no error: the fact is found again.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define BOOT_CACHE_VALUE_MAX 512

/* `dir` may be NULL. */
bool boot_cache_get(const char *dir, const char *name, const char *key, char *ret, size_t size);
/* `value` has no line ends. */
void boot_cache_put(const char *dir, const char *name, const char *key, const char *value);
