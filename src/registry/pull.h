/*
 * `pull`: an image from a registry into the store.
 *
 * The manifest and the configuration are read here. Layers are only written to files; what is in
 * them is a3s-box-image's business, which verifies and unpacks them while they grow
 * (oci/growing.h) and puts everything into the store in one step at the end.
 *
 * Files: pull.c (the verb and its steps), pull_choose.c (from a reference to the manifest of one
 * platform), pull_layers.c (download), pull_worker.c (a3s-box-image), pull_events.c (what it
 * tells on stdout).
 */
#pragma once

#include "oci/growing.h"
#include "oci/manifest.h"
#include "oci/partial.h"
#include "registry/remote.h"

#include <sys/types.h>

struct db;

struct pull_options {
    const char *home;
    struct platform want;
    /* What the signature must say, or NULL. */
    const char *verify_key, *verify_issuer, *verify_identity;
};

/* What is to be pulled: set by pull_choose(). */
struct pull_image {
    struct digest digest;            /* of what the reference stands for: an index, or manifest */
    struct remote_manifest manifest; /* of the platform */
    struct manifest parsed;
    struct str config;
    struct image_meta meta;
};

void pull_image_done(struct pull_image *image);

/* Fetch what the reference stands for: through indexes to the manifest for the wanted platform,
 * and its configuration; all of it checked as far as that goes without the layers. */
int pull_choose(struct remote *remote, const struct ref *ref, const struct pull_options *o,
                struct pull_image *ret, struct err *e) MUST_CHECK;

/* Whether an image of that name may be used, as far as that can be said without asking anybody.
 */
int pull_check_before(const struct ref *ref, const struct pull_options *o,
                      struct err *e) MUST_CHECK;

/* Whether the image may be used: the trust policy, and the --verify options. `digest` is what the
 * reference stands for, `manifest_digest` the platform's manifest (often the same). Called before
 * any layer is fetched, and again for an image that is there already. DENIED when not. */
int pull_check_trust(struct remote *remote, const struct ref *ref, const char *digest,
                     const char *manifest_digest, const struct pull_options *o,
                     struct err *e) MUST_CHECK;

/* ---- layers -------------------------------------------------------------- */

enum layer_state {
    LAYER_WAITING,
    LAYER_EXISTS, /* in the store already */
    LAYER_DOWNLOADING,
    LAYER_DOWNLOADED,
    LAYER_UNPACKING,
    LAYER_DONE,
};

struct pull_layer {
    const char *digest; /* borrowed */
    uint64_t size, bytes, unpacked;
    enum layer_state state;
    struct partial partial; /* of a resumable download; its fd is -1 otherwise */
    int fd;                 /* borrowed from partial, or owned */
    bool from_store;        /* nothing to fetch */
    bool resumed;           /* some of it is from an earlier pull, and not verified yet */
    bool changed;           /* to be told */
};

/* a3s-box-image at work on the layers. */
struct pull_worker {
    pid_t pid; /* 0: none */
    int pidfd, socket;
};

struct pull_layers {
    const char *home;               /* borrowed */
    struct remote *remote;          /* borrowed */
    const struct pull_image *image; /* borrowed */
    const char *reference;          /* full; borrowed */
    char *stage;                    /* owned; path */
    int stage_fd;                   /* holds its lock */
    struct pull_layer *v;           /* one for each different layer, in their order */
    size_t n;
    size_t *number; /* v[i] is layer number[i] of the manifest */
    struct pull_worker worker;
    struct feed feed;
    struct growth_result result;
    bool has_result;
    uint64_t told_ns; /* when events were written last */
};

/* Download, verify, unpack, record. *ret_id is the image's id. */
int pull_layers(struct pull_layers *p, struct db *db, struct digest *ret_id,
                struct err *e) MUST_CHECK;

/* pull_worker.c. Start a3s-box-image and tell it all that is known; an earlier one is ended. */
int worker_start(struct pull_layers *p, struct err *e) MUST_CHECK;
/* Take in what it says. Its failure is an error. */
int worker_hear(struct pull_layers *p, struct err *e) MUST_CHECK;
/* Everything is there: until it has a result. */
int worker_wait(struct pull_layers *p, struct err *e) MUST_CHECK;
void worker_end(struct pull_layers *p);

/* ---- events: JSON lines on stdout ---------------------------------------- */

/* The image's name without the registry's, and its tag or digest. */
void event_pulling(const struct ref *ref);
/* Another process pulls the same. */
void event_shared(void);
/* Layers that have changed; now, or when it is time again. */
enum event_when { EVENT_NOW, EVENT_SOON };
void event_layers(struct pull_layers *p, enum event_when when);
void event_retry(const struct pull_layer *layer, uint64_t pause_ms, const char *why);
/* The end. `fresh`: it was not there before. */
void event_done(const char *reference, const char *digest, const char *id, bool fresh);
