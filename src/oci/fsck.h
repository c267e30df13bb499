/*
 * Is the store what its records say?
 *
 * Every record has its files, every blob has the digest that is its name, every root file system
 * is the one of its chain, and no file is there that nobody knows. A root file system that is not
 * there is no fault while its layers are: it is made again when a box needs it.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>

struct db;

/* One line per finding: "corrupt images/blobs/sha256/HEX: its content has the digest ...". */
typedef void fsck_fn(void *ctx, const char *line);

/* The number of findings that remain. With `repair` goes what a crash can leave: files and
 * records that nothing refers to, and staging directories and partial downloads that nobody holds
 * locked. Takes the store's lock. */
int store_fsck(struct db *db, const char *home, bool repair, fsck_fn *found, void *ctx,
               size_t *ret_findings, struct err *e) MUST_CHECK;
