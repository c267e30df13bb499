/* Inside oci/ only. */
#pragma once

#include "oci/image.h"
#include "oci/ref.h"

/* Parse a configuration blob into the fields that come from it. */
int image_read_config(struct image *img, const void *text, size_t len, struct err *e) MUST_CHECK;

/* `query` to an id, by the rules of image_lookup(). ret_ref->name is "" when it was an id. */
int image_resolve(struct db *db, const char *query, struct ref *ret_ref, char **ret_id,
                  struct err *e) MUST_CHECK;

/* The first column of every row as a NULL-terminated array; `arg` NULL: no parameter. */
int image_query_strv(struct db *db, char ***ret, struct err *e, const char *sql,
                     const char *arg) MUST_CHECK;
