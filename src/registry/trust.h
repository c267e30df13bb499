/*
 * Signatures at a registry: sign/sign.h with a repository as its source.
 */
#pragma once

#include "oci/ref.h"
#include "registry/remote.h"

/* What the command line demands besides the policy; each may be NULL. */
struct trust_demand {
    const char *home;
    const char *verify_key;                      /* file */
    const char *verify_issuer, *verify_identity; /* both, or none */
};

/* Before anybody is asked for anything: whether the policy and the demands make sense, their
 * files can be read, and images of the repository are not rejected altogether. */
int trust_check_before(const struct ref *ref, const struct trust_demand *demand,
                       struct err *e) MUST_CHECK;

/* Whether the trust policy and the demands allow the image. `digest` is what the reference stands
 * for, `manifest_digest` the platform's manifest (often the same). What the policy wanted and got
 * is remembered for run and create. DENIED when a signature is missing or wrong. */
int trust_check_remote(struct remote *remote, const struct ref *ref, const char *digest,
                       const char *manifest_digest, const struct trust_demand *demand,
                       struct err *e) MUST_CHECK;

/* A private key in a file; its password comes from COSIGN_PASSWORD or the terminal. Opened before
 * anything is pushed: a wrong password must not leave an unsigned image behind. */
struct signer;
int trust_open_key(const char *key_file, struct signer **ret, struct err *e) MUST_CHECK;

/* Sign the image with that digest, which the repository has. `remote` is for pushing. ret_tag has
 * room for SIGN_TAG_LEN + 1. Returns 1 when that key had signed it already. */
int trust_sign_remote(struct remote *remote, const struct ref *ref, const char *digest,
                      const struct signer *signer, char *ret_tag, struct err *e) MUST_CHECK;
