/*
 * Entries of a transparency log (Rekor): what is in the log, when it came in, and the log's
 * word for both.
 *
 *   promise (SET)   the log's signature over body, time, index and its own id: gives the time
 *   proof           Merkle path (RFC 6962) to the root hash of a checkpoint signed by the log:
 *                   gives presence, but its time is not signed
 */
#pragma once

#include "oci/json.h"
#include "sign/key.h"

#define TLOG_BODY_MAX       ((size_t)1 << 20)
#define TLOG_CHECKPOINT_MAX ((size_t)16 << 10)
#define TLOG_HASHES_MAX     64 /* a tree of 2^64 leaves */
#define TLOG_ENTRIES_MAX    32

struct tlog_proof {
    bool present;
    uint64_t index, size;
    uint8_t root[SIGN_HASH_LEN];
    uint8_t hashes[TLOG_HASHES_MAX][SIGN_HASH_LEN];
    size_t hashes_n;
    struct str checkpoint; /* "" when there is none */
};

struct tlog_entry {
    uint8_t log[SIGN_HASH_LEN]; /* its id: SHA-256 of its key */
    uint64_t index;
    int64_t time_s; /* when it came in, as it says */
    struct str body;
    struct str promise; /* SET; "" when there is none */
    struct tlog_proof proof;
};

void tlog_entry_done(struct tlog_entry *t);

/* The annotation dev.sigstore.cosign/bundle. */
int tlog_parse_annotation(const char *text, size_t len, struct tlog_entry *ret,
                          struct err *e) MUST_CHECK;
/* An element of verificationMaterial.tlogEntries in sigstore's bundles. */
int tlog_parse_bundled(const json_t *o, struct tlog_entry *ret, struct err *e) MUST_CHECK;

/* The log that the entry says it is in, or NULL. Logs with Ed25519 keys are named after their
 * origin, too. */
const struct sign_key *tlog_find_log(const struct tlog_entry *t, const struct sign_keys *logs);

/* Promise and proof, both when both are there, by one of these logs. Returns 1 when *ret_time_s
 * is the log's word, 0 when only presence is proved. DENIED otherwise. */
int tlog_check(const struct tlog_entry *t, const struct sign_keys *logs, int64_t *ret_time_s,
               struct err *e) MUST_CHECK;

/* What the entry must be about. */
struct tlog_about {
    struct span message;   /* payload; of an envelope: the inner one */
    struct span encoded;   /* what the signature is over; the same without an envelope */
    struct span signature; /* the bytes */
    struct span verifier;  /* DER of the certificate, or of the public key when there is none */
    bool envelope;         /* DSSE */
};

/* DENIED when the entry's body is about something else; UNSUPPORTED kinds are named. */
int tlog_check_body(const struct tlog_entry *t, const struct tlog_about *about,
                    struct err *e) MUST_CHECK;

/* ---- parts, for tests ---- */

/* "origin\nsize\nroot\n...\n\n— name base64\n": a signed note (C2SP tlog-checkpoint). */
struct checkpoint {
    uint64_t size;
    uint8_t root[SIGN_HASH_LEN];
    size_t text_len; /* the signed part, from the start */
};

int checkpoint_parse(const char *text, size_t len, struct checkpoint *ret,
                     struct err *e) MUST_CHECK;
/* SHA-256 of name, newline, 1 and an Ed25519 key: what notes call such a key. False for others.
 */
bool checkpoint_key_id(const struct sign_key *key, struct span name, uint8_t ret[SIGN_HASH_LEN]);
/* Whether one of its signatures is by this key. */
bool checkpoint_signed_by(const char *text, size_t len, const struct checkpoint *c,
                          const struct sign_key *key);
/* RFC 9162 section 2.1.3.2 with the hash of the leaf's bytes. */
bool merkle_included(struct span leaf, const struct tlog_proof *proof);
