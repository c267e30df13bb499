/* The list of SCTs in a certificate (RFC 6962 section 3.3). Inside sign/, and for tests. */
#pragma once

#include "sign/cert.h"
#include "util/cur.h"

#define SCT_LIST_MAX ((size_t)16 << 10)
#define SCT_MAX      16
#define SCT_SHA256   4 /* TLS HashAlgorithm */

struct sct {
    uint8_t version;
    uint8_t log[SIGN_HASH_LEN];
    uint64_t timestamp_ms;
    struct cur extensions, signature; /* borrowed */
    uint8_t hash, algorithm;
};

/* The list's inside; false when it is damaged. */
bool sct_list_open(struct span list, struct cur *ret);
/* Moves on by one; false when it is damaged. */
bool sct_list_next(struct cur *list, struct sct *ret);

/* The list in a certificate, borrowed. DENIED when there is none. */
int sct_extension(const struct x509_st *x, struct span *ret, struct err *e) MUST_CHECK;
