/*
 * SHA-256 through libcrypto, which uses the CPU's instructions for it.
 *
 * Apart from oci/digest.h because OpenSSL's headers and util/err.h both have an ERR_STATE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

struct sha256 {
    struct evp_md_ctx_st *md; /* owned */
};

/* Each is false when libcrypto refuses or memory is short. */
bool sha256_init(struct sha256 *h);
bool sha256_add(struct sha256 *h, const void *data, size_t len);
bool sha256_finish(struct sha256 *h, uint8_t ret[SHA256_LEN]);
void sha256_done(struct sha256 *h); /* fine on a zeroed one, and twice */
