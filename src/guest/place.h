/*
 * Mount points inside a root file system that is not to be trusted.
 *
 * Every path is resolved as if the root were "/": symlinks, also absolute ones
 * and "..", cannot leave it. Missing parts are made, as docker does.
 */
#pragma once

#include "util/err.h"

/* Open (O_PATH) the directory or regular file `path`; what is missing is made, mode 0755 or 0644.
 * A dangling symlink makes its target. INVALID when something else is in the way. */
int place_dir(int rootfd, const char *path, struct err *e) MUST_CHECK;
int place_file(int rootfd, const char *path, struct err *e) MUST_CHECK;
