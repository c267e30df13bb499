/*
 * Image references, by docker's rules (distribution/reference).
 *
 *     [HOST[:PORT]/]PATH[:TAG][@DIGEST]
 *
 * The first component is a host when it has a '.' or a ':', is "localhost", or has an upper-case
 * letter. Without a host it is docker.io, and a single component there gets "library/" in front.
 * Without tag and digest the tag is "latest". An IPv6 host stands in brackets. 64 hexadecimal
 * digits alone are an id, not a name.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>

#define REF_NAME_MAX 255 /* host and path together, as docker */
#define REF_TAG_MAX  128
#define DIGEST_LEN   71 /* "sha256:" and 64 digits */

struct ref {
    char name[REF_NAME_MAX + 1]; /* "docker.io/library/redis" */
    char tag[REF_TAG_MAX + 1];   /* "" only when there is a digest */
    char digest[DIGEST_LEN + 1]; /* "sha256:..." or "" */
    char host[REF_NAME_MAX + 1]; /* "docker.io" */
    size_t path_at;              /* where "library/redis" begins in name */
    bool has_tag;                /* false: "latest" was filled in */
};

/* The longest full reference and its NUL. */
#define REF_TEXT_MAX (REF_NAME_MAX + 1 + REF_TAG_MAX + 1 + DIGEST_LEN + 1)

/* INVALID, and the text says which part is wrong. */
int ref_parse(const char *text, struct ref *ret, struct err *e) MUST_CHECK;

/* "docker.io/library/redis:7" (and "@sha256:..." when there is one). */
void ref_full(const struct ref *ref, char ret[REF_TEXT_MAX]);

/* "redis:7": what users see. */
void ref_familiar(const struct ref *ref, char ret[REF_TEXT_MAX]);

/* The familiar form of a full reference or name ("docker.io/library/redis" is "redis"): points
 * into `full`. */
const char *ref_familiar_name(const char *full);

/* "sha256:" and 64 lower-case hexadecimal digits. */
bool digest_valid(const char *text);
