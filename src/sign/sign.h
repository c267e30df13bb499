/*
 * Signatures of images in cosign's formats: looking for them, verifying them, making them.
 *
 * Nothing in this directory does I/O but reading files that the policy names: signatures come
 * through a `struct sign_source`, which a registry client fills in. Every byte from there is
 * hostile.
 *
 * Two layouts are looked at, for each digest that names the image (index and manifest):
 *
 *   tag     sha256-HEX.sig: a manifest whose layers are payloads ("simple signing" JSON) with
 *           signature, certificate, chain and log entry in annotations
 *   bundle  a referrer of type application/vnd.dev.sigstore.bundle*: a DSSE envelope with an
 *           in-toto statement of predicate type https://sigstore.dev/cosign/sign/v1
 *
 * One signature that meets the rule is enough; others may be anything. As in cosign, a key's
 * signature needs no log entry unless the rule names logs, and a certificate's needs one. Other
 * predicate types (an SBOM, a build's provenance) say something about an image, not that it is
 * good, and do not count. Bundles with a bare message signature are refused, as cosign does.
 */
#pragma once

#include "oci/ref.h"
#include "sign/key.h"
#include "sign/trust.h"

#define SIGN_BLOB_MAX     ((size_t)1 << 20) /* a payload or a bundle: both are a few KiB */
#define SIGN_MANIFEST_MAX ((size_t)4 << 20)
#define SIGN_TRIES_MAX    64 /* signatures of an image that are looked at, in each layout */

struct sign_source {
    void *ctx;
    /* By tag or digest; ret's limit is set by the caller. NOT_FOUND when there is none. */
    int (*manifest)(void *ctx, const char *name, struct str *ret, struct err *e);
    /* The index of what refers to a digest; an empty one or NOT_FOUND when nothing does. */
    int (*referrers)(void *ctx, const char *digest, struct str *ret, struct err *e);
    int (*blob)(void *ctx, const char *digest, struct str *ret, struct err *e);
};

struct sign_request {
    const char *repository; /* in full: "docker.io/library/redis" */
    const char
        *digests[2]; /* that name the image, "sha256:..."; what the reference led to first */
    size_t digests_n;
};

struct sign_result {
    char digest[DIGEST_LEN + 1]; /* that was signed */
    char how[256];               /* for people: by whom, in which layout */
};

/* Whether the keys and certificates that a rule names can be used. */
int sign_check_rule(const struct trust_rule *rule, struct err *e) MUST_CHECK;

/* DENIED with the reason when no signature meets the rule, or the rule rejects the image. A
 * registry that cannot be asked is an error, too: nothing is accepted then. */
int sign_verify(const struct sign_request *request, const struct trust_rule *rule,
                const struct sign_source *source, struct sign_result *ret,
                struct err *e) MUST_CHECK;

/* ---- making one (tag layout) ---- */

#define SIGN_TAG_LEN (7 + 64 + 4) /* "sha256-" HEX ".sig" */

void sign_tag(const char *digest, char ret[SIGN_TAG_LEN + 1]);

struct signing {
    struct str payload, config, manifest; /* to be put, in that order */
    char payload_digest[DIGEST_LEN + 1], config_digest[DIGEST_LEN + 1];
    char tag[SIGN_TAG_LEN + 1]; /* of the manifest */
    bool present;               /* that key has signed it already */
};

void signing_done(struct signing *s);

#define SIGN_MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"

/* Sign digests[0]. Signatures that the tag has already are kept. `cosign verify --key` accepts
 * the result (with --insecure-ignore-tlog: nothing is sent to a transparency log). */
int sign_make(const struct sign_request *request, const struct signer *signer,
              const struct sign_source *source, struct signing *ret, struct err *e) MUST_CHECK;
