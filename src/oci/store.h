/*
 * Where the files of images are, and the lock that makes bringing in and removing them safe.
 *
 * Content comes in as: files complete in images/tmp, then, under the exclusive lock, renamed into
 * place and recorded. It goes out as: records removed and files unlinked under the same lock.
 * Readers need no lock: files are never changed.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"
#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

struct db;

/* $home/images/blobs/sha256/HEX for "sha256:HEX"; the caller frees; NULL without memory. */
char *store_blob_path(const char *home, const char *digest);

/* What a file really takes on the disk; 0 when it is not there. */
uint64_t store_disk_bytes(const char *path);

/* Creates the directories if they are missing. Returns a descriptor that holds the lock. */
int store_lock(const char *home, struct err *e) MUST_CHECK;

/* Remove directories in images/tmp that no process holds locked: left by a kill -9. Adds
 * their bytes to *freed unless that is NULL. */
int store_sweep(const char *home, uint64_t *freed, struct err *e) MUST_CHECK;

/* Remove files that no record knows: a crash came between the two. Needs the store's lock. Adds
 * their bytes to *freed unless that is NULL. */
int content_sweep(struct db *db, const char *home, uint64_t *freed, struct err *e) MUST_CHECK;

/* A new directory in images/tmp, locked while the descriptor is open. *ret_path is owned. */
int store_stage(const char *home, char **ret_path, int *ret_fd, struct err *e) MUST_CHECK;
