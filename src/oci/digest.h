/* SHA-256 as the OCI formats write it: "sha256:" and 64 hexadecimal digits. */
#pragma once

#include "oci/ref.h"
#include "oci/sha256.h"
#include "rootfs/source.h"

struct digest {
    char text[DIGEST_LEN + 1];
};

/* Of a buffer. */
int digest_of(const void *data, size_t len, struct digest *ret, struct err *e) MUST_CHECK;

/* Passes bytes through and hashes them. */
struct source_hash {
    struct source source;
    struct source *inner; /* borrowed */
    struct sha256 hash;
    uint64_t n; /* bytes so far */
};

int source_hash_init(struct source_hash *s, struct source *inner, struct err *e) MUST_CHECK;
/* Once, after the end. */
int source_hash_finish(struct source_hash *s, struct digest *ret, struct err *e) MUST_CHECK;
void source_hash_done(struct source_hash *s);

/* The chain id of n layers (OCI image spec, "Layer ChainID"): 64 digits without the prefix; of
 * no layers, the hash of nothing. */
int chain_id(const struct digest *diff_ids, size_t n, char ret[65], struct err *e) MUST_CHECK;
