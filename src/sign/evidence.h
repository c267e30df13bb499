/* One signature with all that came along, whatever layout it came in. Inside sign/ only. */
#pragma once

#include "sign/cert.h"
#include "sign/sign.h"
#include "sign/tlog.h"

#define TIMESTAMPS_MAX 8
#define TIMESTAMP_MAX  ((size_t)64 << 10)

struct evidence {
    struct str message;   /* what the signature is over */
    struct str about;     /* payload; of an envelope, the inner one */
    struct str signature; /* bytes */
    bool envelope;
    struct cert *cert; /* owned; NULL when there is none */
    struct certs chain;
    struct tlog_entry entries[TLOG_ENTRIES_MAX];
    size_t entries_n;
    struct str timestamps[TIMESTAMPS_MAX]; /* RFC 3161 responses */
    size_t timestamps_n;
};

struct evidence *evidence_new(void); /* NULL without memory */
void evidence_free(struct evidence *v);
DEFINE_AUTOPTR(evidence)

/* A rule whose files have been parsed. */
struct verifier {
    const struct trust_rule *rule;
    struct sign_keys keys, rekor;
    struct cert_anchors ca;
    struct certs tsa_roots, tsa_others;
};

int verifier_init(struct verifier *v, const struct trust_rule *rule, struct err *e) MUST_CHECK;
void verifier_done(struct verifier *v);

/* Whether the signature meets the rule; says by whom in ret_who. DENIED (or what is wrong with
 * the data) otherwise. */
int evidence_check(const struct evidence *ev, const struct verifier *v, char *ret_who,
                   size_t who_cap, struct err *e) MUST_CHECK;

/* The payload of the tag layout is about one of these digests. */
int payload_check(struct span json, const struct sign_request *request, bool same_repository,
                  char ret_digest[DIGEST_LEN + 1], struct err *e) MUST_CHECK;
/* The same of an in-toto statement. */
int statement_check(struct span json, const struct sign_request *request,
                    char ret_digest[DIGEST_LEN + 1], struct err *e) MUST_CHECK;
/* A new payload for digests[0]. */
bool payload_make(const struct sign_request *request, struct str *ret);

/* A layer of the tag layout: its descriptor's annotations and its bytes. */
int layer_read(const json_t *annotations, struct span payload, struct evidence *ev,
               struct err *e) MUST_CHECK;
/* A bundle. */
int bundle_read(struct span json, struct evidence *ev, struct err *e) MUST_CHECK;

/* An RFC 3161 response over `data`: its time. */
int timestamp_check(struct span response, struct span data, const struct verifier *v,
                    int64_t *ret_time_s, struct err *e) MUST_CHECK;

#define SIGNATURE_ANNOTATION "dev.cosignproject.cosign/signature"
#define PAYLOAD_MEDIA_TYPE   "application/vnd.dev.cosign.simplesigning.v1+json"
