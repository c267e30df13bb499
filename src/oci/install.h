/*
 * Make an image of what lies in a staging directory: verify and flatten the layers, then put
 * files and records into place under the store's lock. Nothing of it is visible before, all of it
 * after.
 */
#pragma once

#include "oci/growing.h"
#include "oci/image.h"
#include "oci/manifest.h"
#include "oci/spool.h"

struct incoming_layer {
    const struct member *member; /* borrowed; the layer as it came */
    char digest[DIGEST_LEN + 1]; /* of that */
    char media_type[96];
    uint32_t file; /* its number, when it grows */
};

struct incoming {
    struct spool *spool;     /* borrowed */
    struct growing *growing; /* borrowed; the layers are still coming, and not hashed yet; or
                                NULL: they are there, and their digests have been computed */
    const char *stage;       /* borrowed; path of the staging directory */
    struct str manifest;     /* the blob */
    struct str config;       /* the blob */
    struct incoming_layer *layers; /* owned */
    size_t layers_n;
    struct digest *diff_ids; /* owned; layers_n of them: what they must have, or "" */
    char **references;       /* full; owned */
    const char *repo_digest; /* borrowed; what the references were pulled by, or NULL */
    const char *event;       /* borrowed; what `events` says: "load", ...; NULL: nothing */
    int64_t created_ns;
    bool built;                        /* its file system is in the staging directory */
    unsigned number;                   /* tells the images of one archive apart */
    uint64_t *layer_bytes;             /* owned; of each layer's files; NULL: not known */
    char chain[65];                    /* set by incoming_flatten() */
    uint64_t size;                     /* set by incoming_flatten() */
    struct digest id, manifest_digest; /* set by incoming_commit() */
};

void incoming_done(struct incoming *in);

/* Set diff_ids and created_ns from `config`, which must be as the layers say: diff ids are always
 * the configuration's, also for archives without a manifest. */
int incoming_read_config(struct incoming *in, struct err *e) MUST_CHECK;

struct store_limits {
    uint64_t layer_bytes_max;
};

/* Unpack every layer, while it grows even: check the diff ids (fill in those that are ""),
 * compute the chain id, and build the file system in the staging directory unless the store has
 * that chain already. */
int incoming_flatten(struct incoming *in, struct db *db, const char *home,
                     const struct store_limits *limits, struct err *e) MUST_CHECK;

/* The uuid of a chain's file system. */
void incoming_uuid(const char chain[65], uint8_t ret[16]);

/* All of them into the store, or none. Returns 1 when a file system that incoming_flatten() found
 * there has been removed since: flatten again. */
int incoming_commit(struct incoming *v, size_t n, struct db *db, const char *home,
                    struct err *e) MUST_CHECK;

/* Put the file system of an image that is recorded already into place, and the sizes of its
 * layers. in->id is set. NOT_FOUND when the image was removed meanwhile. */
int incoming_restore(struct incoming *in, struct db *db, const char *home,
                     struct err *e) MUST_CHECK;

/* Flatten and commit, again when that is needed. */
int incoming_install(struct incoming *v, size_t n, struct db *db, const char *home,
                     const struct store_limits *limits, struct err *e) MUST_CHECK;
