/*
 * One repository at one registry (OCI distribution spec 1.1, docker's registry API v2).
 *
 * remote_open() settles where to go (mirrors first, then the registry itself) without touching
 * the network. Every other function authenticates as it is asked to (bearer tokens, basic),
 * follows redirects without giving credentials away, and repeats what a busy or unreachable
 * registry could not do: at most A3S_REGISTRY_PULL_MAX_ATTEMPTS times, with growing pauses.
 *
 * Errors read "Registry error: HOST - REASON (CODE)". Kinds: NOT_FOUND when the registry has no
 * such thing, DENIED when it wants other credentials, UNAVAILABLE when it could not be reached or
 * was too busy every time, TIMEOUT when nothing moved any more, CORRUPT when what came is not
 * what was asked for (digest, size), LIMIT when it was larger than it may be.
 *
 * Not safe for threads; functions may be called from within the callbacks of remote_fetch() only
 * where that says so.
 */
#pragma once

#include "oci/digest.h"
#include "oci/ref.h"
#include "util/own.h"
#include "util/str.h"

#include <poll.h>
#include <stdbool.h>

#define REMOTE_MANIFEST_MAX   ((size_t)4 << 20) /* the spec's advice, and docker's limit */
#define REMOTE_MEDIA_TYPE_MAX 128
#define REMOTE_PARALLEL_MAX   16 /* more connections only make a registry refuse us */

struct remote;

enum remote_use { REMOTE_PULL, REMOTE_PUSH };

struct remote_options {
    const char *home; /* $A3S_HOME */
    /* REMOTE_PUSH: other repositories ("library/redis") of this registry that blobs are mounted
     * from: the token is asked to cover them. NULL-terminated; NULL for none. */
    const char *const *mount_from;
};

/* REMOTE_PUSH goes to the registry itself, never to a mirror. */
int remote_open(const struct ref *ref, enum remote_use use, const struct remote_options *options,
                struct remote **ret, struct err *e) MUST_CHECK;
void remote_free(struct remote *r);
DEFINE_AUTOPTR(remote)

/* ---- manifests ------------------------------------------------------- */

struct remote_manifest {
    char media_type[REMOTE_MEDIA_TYPE_MAX]; /* as the Content-Type says; "" when it does not */
    struct digest digest;                   /* of bytes */
    struct str bytes;                       /* exactly as sent; empty after a HEAD */
};

void remote_manifest_done(struct remote_manifest *m);

/* `which` is a tag or a digest. One HEAD request; when the registry does not say the digest, the
 * manifest is fetched and hashed. Fills in media_type and digest only. */
int remote_manifest_head(struct remote *r, const char *which, struct remote_manifest *ret,
                         struct err *e) MUST_CHECK;

/* An index or a manifest, by tag or digest. Asked for by digest, it has that digest; asked for by
 * tag, it has the digest that the registry named. At most REMOTE_MANIFEST_MAX bytes. */
int remote_manifest_get(struct remote *r, const char *which, struct remote_manifest *ret,
                        struct err *e) MUST_CHECK;

/* The index of what refers to `digest` (spec 1.1, "Listing Referrers"), all pages of it as one
 * index document; from the tag "sha256-HEX" where the registry does not know that API. An index
 * without entries when nothing refers to it. The caller frees with str_done(). */
int remote_referrers(struct remote *r, const char *digest, struct str *ret,
                     struct err *e) MUST_CHECK;

/* ---- blobs ----------------------------------------------------------- */

/* A small blob (configuration, signature payload) into memory: at most `max` bytes, its digest
 * checked. `ret` is filled in from empty; the caller frees it. */
int remote_blob_get(struct remote *r, const char *digest, size_t max, struct str *ret,
                    struct err *e) MUST_CHECK;

struct remote_fetch_item {
    char digest[DIGEST_LEN + 1];
    uint64_t size;   /* by the descriptor: a byte more or less is an error */
    int fd;          /* borrowed; written with pwrite() from `offset` on */
    uint64_t offset; /* bytes that are there already; kept up to date */
    bool done;       /* set when all bytes are there; items that are done already are skipped */
};

/* Each may be NULL; a negative result ends the fetch with that error. They are called between
 * transfers, never from within one: remote_manifest_get() and the like may be called from them.
 */
struct remote_fetch_ops {
    /* items[i].offset has grown. Coalesced: not for every write. */
    int (*grew)(void *ctx, size_t i, struct err *e);
    /* The registry cannot resume: everything comes again from 0, over the bytes that are there.
     * Called before the first of them is written; the file is not truncated. */
    int (*restarted)(void *ctx, size_t i, struct err *e);
    /* All bytes of items[i] are there. Their digest was NOT checked: whoever reads them does. */
    int (*done)(void *ctx, size_t i, struct err *e);
    /* One of `waits` is ready (see revents). */
    int (*ready)(void *ctx, struct pollfd *waits, size_t n, struct err *e);
    /* A transfer broke and is repeated after a pause: for progress and logs. */
    void (*retrying)(void *ctx, size_t i, uint64_t pause_ms, const struct err *why);
};

struct remote_fetch {
    struct remote_fetch_item *items; /* borrowed */
    size_t n;
    unsigned parallel; /* at once; 0: A3S_REGISTRY_PULL_MAX_CONCURRENT, or 4 */
    const struct remote_fetch_ops *ops;
    void *ctx;
    struct pollfd *waits; /* further descriptors to wait for; may change between callbacks */
    size_t waits_n;
};

/* Several blobs into files, in the order of `items`. Broken transfers are resumed where they
 * stopped. Returns when all are done, or at the first error, with what is there in `offset`. */
int remote_fetch(struct remote *r, struct remote_fetch *f, struct err *e) MUST_CHECK;

/* ---- push (REMOTE_PUSH) ---------------------------------------------- */

/* 1: the repository has the blob; 0: it does not. */
int remote_blob_exists(struct remote *r, const char *digest, struct err *e) MUST_CHECK;

struct remote_upload {
    const char *digest;
    uint64_t size;
    int fd;                 /* borrowed; read with pread() from 0; or -1 ... */
    const void *data;       /* ... and the bytes are here */
    const char *mount_from; /* repository that may have it already, or NULL */
    /* Progress, or NULL; a negative result ends the upload. */
    int (*sent)(void *ctx, uint64_t bytes, struct err *e);
    void *ctx;
};

/* Mount it from another repository, or else send it: in one piece when it is small, in chunks
 * that are resumed when they break otherwise. Returns 1 when it was mounted, 0 when sent. */
int remote_blob_upload(struct remote *r, const struct remote_upload *up,
                       struct err *e) MUST_CHECK;

/* Under a tag, or under its digest (then `which` is that digest). *ret is the digest of `bytes`;
 * CORRUPT when the registry calls it something else. */
int remote_manifest_put(struct remote *r, const char *which, const char *media_type,
                        const void *bytes, size_t len, struct digest *ret,
                        struct err *e) MUST_CHECK;
