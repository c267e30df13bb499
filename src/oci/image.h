/*
 * Images of the local store: look up, list, tag, remove.
 *
 * This is the light half of src/oci (jansson and SQLite only), linked into every program. What
 * brings images in (tar, decompression, ext4) is oci/load.h and runs in a3s-box-image.
 *
 * On disk, under $A3S_HOME:
 *   images/blobs/sha256/HEX   manifests, configs: every blob is stored under its own digest
 *   images/tmp/               files being written; swept when the last writer is gone
 *   rootfs/HEX.ext4           the flattened root file system; HEX is the chain id of its layers
 * Records (tables images and image_refs of state.db) are written last, in one transaction: a
 * crash leaves at most unreferenced files, never a record without its files.
 *
 * An image's id is the digest of its config blob, as docker's. References are kept in full
 * ("docker.io/library/redis:7") and shown in familiar form ("redis:7").
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct db;

struct image {
    char *id;              /* "sha256:" and 64 hexadecimal digits */
    char *manifest_digest; /* the same form; of the platform's manifest */
    char **references;     /* full, with tag, sorted, NULL-terminated; empty when dangling */
    char **repo_digests;   /* full "repo@sha256:...", one for each reference */
    int64_t created_ns;    /* real time; 0 when the config does not say */
    int64_t loaded_ns;     /* real time it came into the store */
    uint64_t size;         /* bytes of content: the sum of its uncompressed layers */
    char *architecture, *os, *variant; /* as the config says; "" when absent */
    char *chain_id;                    /* 64 hexadecimal digits, no prefix */
    char *rootfs;                      /* path of the read-only ext4 file */

    /* What the config's "config" object says. Strings are "" and arrays empty when absent;
     * arrays of strings end with NULL. entrypoint_set and cmd_set tell [] from absent. */
    char **env, **cmd, **entrypoint, **onbuild, **shell;
    bool entrypoint_set, cmd_set;
    char *working_dir, *user, *stop_signal;
    json_t *labels, *exposed_ports, *volumes; /* objects, never NULL */
    json_t *healthcheck;                      /* object, or NULL */
    json_t *config;                           /* the whole config blob */
};

void image_free(struct image *img);
DEFINE_AUTOPTR(image)

/* `query` is a reference in any form (with tag, digest or both), an id with or without "sha256:",
 * or a unique prefix of an id. NOT_FOUND "No such image: Q"; INVALID when a prefix fits several.
 * A reference wins over an id. */
int image_lookup(struct db *db, const char *home, const char *query, struct image **ret,
                 struct err *e) MUST_CHECK;

/* 0 when `query` names an image, or a repository without a tag that has some; the same errors. */
int image_named(struct db *db, const char *query, struct err *e) MUST_CHECK;

struct image_list {
    struct image **v;
    size_t n;
};

void image_list_done(struct image_list *list);

/* All images, newest (created_ns) first. */
int image_list(struct db *db, const char *home, struct image_list *ret, struct err *e) MUST_CHECK;

/* Add reference `to` (any form without digest) to the image that `from` names, taking it away
 * from the image that has it now. */
int image_tag(struct db *db, const char *home, const char *from, const char *to,
              struct err *e) MUST_CHECK;

/* The image and the digest that the full reference `full` was pulled by; NOT_FOUND when the
 * reference is not there or was not pulled. The caller frees both. */
int image_pulled(struct db *db, const char *full, char **ret_id, char **ret_digest,
                 struct err *e) MUST_CHECK;

/* Give the full reference `full`, pulled by `repo_digest`, to an image whose manifest is in the
 * store. NOT_FOUND when there is none. */
int image_put_pulled(struct db *db, const char *full, const char *manifest_digest,
                     const char *repo_digest, char **ret_id, struct err *e) MUST_CHECK;

/* 0 while the image is in the store, NOT_FOUND after its removal. */
int image_exists(struct db *db, const char *id, struct err *e) MUST_CHECK;

/* Remember that a box was made of it or started: what was not used for longest goes first. The
 * file system of an image used within ROOTFS_GRACE_S seconds is never removed. */
#define ROOTFS_GRACE_S 60
int image_used(struct db *db, const char *id, struct err *e) MUST_CHECK;
int image_touch(struct db *db, const struct image *img, struct err *e) MUST_CHECK;

/* Called once per line of docker's output: "Untagged: redis:7", "Deleted: sha256:...". */
typedef void image_removed_fn(void *ctx, const char *line);

/* Remove a reference, and the image itself with its files when that was the last one; by id,
 * all references (more than one needs `force`). STATE while boxes use the image: with `force` and
 * none of them live it loses its references only, so that the boxes can still be started. */
int image_remove(struct db *db, const char *home, const char *query, bool force,
                 image_removed_fn *removed, void *ctx, struct err *e) MUST_CHECK;

/* Remove an image with all its references, unless a box in any state uses it (STATE). Adds the
 * bytes its files took to *freed. Needs the store's lock (oci/store.h). */
int image_evict(struct db *db, const char *home, const char *id, image_removed_fn *removed,
                void *ctx, uint64_t *freed, struct err *e) MUST_CHECK;

/* docker's `image inspect` object plus the fields of reference.md. The caller owns it. */
json_t *image_inspect(const struct image *img);

/* $home/rootfs/CHAIN.ext4; the caller frees. NULL without memory. */
char *image_rootfs_path(const char *home, const char *chain_id);
