/*
 * Public and private keys: ECDSA (P-256, P-384, P-521), Ed25519, RSA (2048 to 8192 bits).
 *
 * Signatures are over SHA-256 whatever the curve, as cosign's are when it is given a key file;
 * for P-384 and P-521 the hash of the curve's own size is accepted too, which sigstore's bundles
 * use. Ed25519 is the pure variant. RSA is PKCS #1 v1.5.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"
#include "util/str.h"

#define SIGN_HASH_LEN 32
#define SIGNATURE_MAX 2048 /* bytes; RSA-8192 needs 1024 */

struct evp_pkey_st;

struct sign_key {
    struct evp_pkey_st *pkey;  /* owned */
    struct str spki;           /* SubjectPublicKeyInfo, DER */
    uint8_t id[SIGN_HASH_LEN]; /* SHA-256 of that: what logs call their id */
};

void sign_key_free(struct sign_key *key);
DEFINE_AUTOPTR(sign_key)

/* UNSUPPORTED for other algorithms and sizes. `what` names it in errors. */
int sign_key_from_spki(const void *der, size_t len, const char *what, struct sign_key **ret,
                       struct err *e) MUST_CHECK;
/* A key of its own of the one in a certificate or private key. */
int sign_key_from_pkey(struct evp_pkey_st *pkey, const char *what, struct sign_key **ret,
                       struct err *e) MUST_CHECK;

struct sign_keys {
    struct sign_key **v; /* owned, and each of it */
    size_t n;
};

#define SIGN_KEYS_MAX 64

void sign_keys_done(struct sign_keys *keys);
/* Add every "PUBLIC KEY" block of a PEM text; other blocks, or none, are CORRUPT. */
int sign_keys_add(struct sign_keys *keys, const void *pem, size_t len, const char *what,
                  struct err *e) MUST_CHECK;
/* The key with that id, or NULL. */
const struct sign_key *sign_keys_find(const struct sign_keys *keys,
                                      const uint8_t id[SIGN_HASH_LEN]);

struct span {
    const void *p;
    size_t len;
};

static inline struct span span_of(const struct str *s)
{
    return (struct span){ .p = s->p, .len = s->len };
}

bool span_equal(struct span a, struct span b);

/* Whether `signature` of `message` was made with the key. */
bool sign_key_verifies(const struct sign_key *key, struct span message, struct span signature);

/* SHA-256; false only without memory. */
bool sign_hash(struct span data, uint8_t ret[SIGN_HASH_LEN]);

/* ---- private keys ---- */

/* Writes the password (at most cap bytes, no NUL) and its length. */
typedef int sign_password_fn(void *ctx, char *ret, size_t cap, size_t *ret_len, struct err *e);

#define SIGN_PASSWORD_MAX 1024

struct signer {
    struct evp_pkey_st *pkey; /* owned */
    struct sign_key *key;     /* owned; its public half */
};

void signer_free(struct signer *s);
DEFINE_AUTOPTR(signer)

/* A PEM text: "EC PRIVATE KEY" (SEC 1), "PRIVATE KEY" (PKCS #8), or cosign's "ENCRYPTED SIGSTORE
 * PRIVATE KEY" / "ENCRYPTED COSIGN PRIVATE KEY", for which the password is asked. DENIED when
 * that is wrong. `what` names it in errors. */
int signer_open(const void *pem, size_t len, const char *what, sign_password_fn *password,
                void *ctx, struct signer **ret, struct err *e) MUST_CHECK;
/* Append a signature. */
int signer_sign(const struct signer *s, struct span message, struct str *ret,
                struct err *e) MUST_CHECK;

/* Decrypt cosign's container (JSON: scrypt and NaCl's secretbox) to PKCS #8. The caller wipes
 * *ret. Only the three sets of parameters that cosign writes are accepted, so that a file cannot
 * ask for gigabytes. */
int secretbox_check(struct span json, struct err *e) MUST_CHECK; /* the form only: cheap */
int secretbox_open(struct span json, struct span password, struct str *ret,
                   struct err *e) MUST_CHECK;
