/* Paths as docker's `cp` takes them apart (Go's path/filepath and docker's archive package). What
 * is returned is owned by the caller, NULL without memory. */
#pragma once

#include "util/err.h"

#include <stdbool.h>

/* The shortest path of the same meaning, by its letters alone: "a/b/../c/." is "a/c". */
char *path_clean(const char *path);
/* The last element; "." for "", "/" for the root. Trailing slashes do not count. */
char *path_base(const char *path);
/* Ends in a slash? */
bool path_ends_in_slash(const char *path);
/* Is the last element "."? */
bool path_is_dot(const char *path);
/* Must be a directory by its look. */
bool path_asks_dir(const char *path);
/* `cleaned`, with the "/." or "/" that `original` ends in. */
char *path_keep_end(const char *cleaned, const char *original);
/* Directory and last element; "/." at the end counts as an element. */
int path_split(const char *path, char **ret_dir, char **ret_base, struct err *e) MUST_CHECK;
/* All symbolic links resolved; errors in Go's words: "lstat /a: no such file or directory". */
int path_resolve(const char *path, char **ret, struct err *e) MUST_CHECK;
/* That error for `path` from errno. */
int path_fail(const char *verb, const char *path, int os, struct err *e) MUST_CHECK;
