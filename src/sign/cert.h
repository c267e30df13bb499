/*
 * Fulcio's certificates: short-lived, for code signing, with the identity as alternative name and
 * its issuer in extensions of their own.
 */
#pragma once

#include "sign/key.h"

#define CERT_MAX       ((size_t)64 << 10) /* DER */
#define CERT_CHAIN_MAX 16
#define CERT_NAMES_MAX 64

struct x509_st;

struct certs {
    struct x509_st **v; /* owned, and each of it */
    size_t n;
};

void certs_done(struct certs *c);
/* Add one certificate; it must be DER without anything behind it. */
int certs_add(struct certs *c, struct span der, const char *what, struct err *e) MUST_CHECK;
/* Add every block of a PEM text: CERTIFICATE and nothing else, at least one. */
int certs_add_pem(struct certs *c, const void *pem, size_t len, const char *what,
                  struct err *e) MUST_CHECK;

/* The signer's certificate. */
struct cert {
    struct x509_st *x509; /* owned */
    struct str der;
    struct sign_key *key; /* owned */
};

void cert_free(struct cert *c);
DEFINE_AUTOPTR(cert)

int cert_from_der(struct span der, struct cert **ret, struct err *e) MUST_CHECK;
int cert_from_pem(const void *pem, size_t len, struct cert **ret, struct err *e) MUST_CHECK;

/* What a certificate authority is trusted by. Certificates in the file of roots that are not
 * self-signed serve as intermediates. */
struct cert_anchors {
    struct certs roots, intermediates;
    struct sign_keys ct;
    bool ignore_sct;
};

void cert_anchors_done(struct cert_anchors *a);
int cert_anchors_add_pem(struct cert_anchors *a, const void *pem, size_t len, const char *what,
                         struct err *e) MUST_CHECK;

/* The certificate was good for signing code at `at_s` (Unix time): chain to a root through
 * `extra` and the intermediates, every certificate valid then, and an embedded SCT by a known
 * log. DENIED says what is missing. */
int cert_check(const struct cert *c, const struct certs *extra, const struct cert_anchors *a,
               int64_t at_s, struct err *e) MUST_CHECK;

/* Embedded SCTs (RFC 6962 section 3.3): none by another log than ours may be wrong, one must be
 * right. `issuer` is the certificate that signed c. */
int cert_check_sct(const struct cert *c, const struct x509_st *issuer,
                   const struct sign_keys *logs, struct err *e) MUST_CHECK;

struct cert_identity {
    char **names; /* email, URI, DNS name and Fulcio's otherName; NULL-terminated; owned */
    char *issuer; /* owned; "" when absent */
};

void cert_identity_done(struct cert_identity *id);
int cert_identity(const struct cert *c, struct cert_identity *ret, struct err *e) MUST_CHECK;
