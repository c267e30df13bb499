/*
 * Pushing an image: what the store has under a reference, byte for byte. Inside registry/ only.
 */
#pragma once

#include "oci/manifest.h"
#include "registry/registry.h"
#include "registry/remote.h"

#include <jansson.h>

struct db;

/* Repositories a push may mount from: a token names them all. */
#define AUTH_SCOPES_FROM 6

struct push_layer {
    char id[16];                   /* what people see */
    const struct descriptor *blob; /* borrowed from the manifest */
    const char *from;              /* repository to mount it from; borrowed; or NULL */
};

/* Zero and .home, .db, .manifest_bytes = STR_INIT(JSON_DOC_MAX) to begin with. */
struct push {
    const char *home;     /* borrowed */
    struct db *db;        /* borrowed */
    struct ref ref;       /* what it is pushed as */
    struct digest digest; /* of the manifest */
    struct digest image_id;
    struct str manifest_bytes; /* exactly as they came */
    char media_type[REMOTE_MEDIA_TYPE_MAX];
    struct manifest manifest;
    struct push_layer *layers; /* owned */
    size_t layers_n;
    char *from[AUTH_SCOPES_FROM + 1]; /* owned; NULL-terminated */
    struct remote *remote;            /* owned */
};

/* Find and read everything; opens the remote repository, without the network yet. NOT_FOUND when
 * the store has no such reference. */
int push_open(struct push *p, const char *reference, struct err *e) MUST_CHECK;
/* Blobs first, then the manifest under the tag. Events on stdout. */
int push_run(struct push *p, struct err *e) MUST_CHECK;
void push_done(struct push *p);
