/*
 * Write images out: one tar that is an OCI layout (index.json) and, for older programs, a
 * docker-archive (manifest.json, repositories), as docker 25 and later write it.
 *
 * Blobs are written as they lie in the store, each once, and checked while they are. The same
 * images give the same bytes. Memory does not grow with the images.
 */
#pragma once

#include "util/err.h"

#include <stddef.h>

struct db;

/* A query is what image_lookup() takes. A reference gives the image that name; a repository
 * without tag stands for all its tags; an id gives no name. On failure a part may have been
 * written. */
int save_archive(struct db *db, const char *home, char *const *queries, size_t n, int fd,
                 struct err *e) MUST_CHECK;
