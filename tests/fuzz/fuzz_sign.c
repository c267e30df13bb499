/* Everything of sign/ that reads what a registry, a log, a key file or the policy says; the first
 * byte says which. */
#include "sign/evidence.h"
#include "sign/pem.h"
#include "sign/sct.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct sign_request request = {
    .repository = "registry.example.org/team/web",
    .digests = { "sha256:1111111111111111111111111111111111111111111111111111111111111111" },
    .digests_n = 1
};

static void check(int r, const struct err *e)
{
    if (r < 0 && (r != -(int)e->kind || !e->text[0]))
        abort(); /* every failure says why */
}

static void evidence(struct evidence *ev)
{
    struct sign_keys none = { 0 };
    struct err e = { 0 };
    int64_t at_s;

    for (size_t i = 0; i < ev->entries_n; i++) {
        struct tlog_about about = { .message = span_of(&ev->about),
                                    .encoded = span_of(&ev->message),
                                    .signature = span_of(&ev->signature),
                                    .envelope = ev->envelope };

        if (tlog_check(&ev->entries[i], &none, &at_s, &e) >= 0)
            abort(); /* by no log that we know */
        check(tlog_check_body(&ev->entries[i], &about, &e), &e);
    }
}

static void bundle(struct span text)
{
    autoptr(evidence) ev = evidence_new();
    struct err e = { 0 };
    int r = bundle_read(text, ev, &e);

    check(r, &e);
    if (r >= 0)
        evidence(ev);
}

static void layer(struct span text)
{
    autoptr(evidence) ev = evidence_new();
    autojson *annotations = NULL;
    struct err e = { 0 };
    int r = json_parse(text.p, text.len, "annotations", &annotations, &e);

    if (r >= 0)
        r = layer_read(annotations, text, ev, &e);
    check(r, &e);
    if (r >= 0)
        evidence(ev);
}

static void claims(struct span text)
{
    char digest[DIGEST_LEN + 1];
    struct err e = { 0 };

    check(payload_check(text, &request, true, digest, &e), &e);
    check(statement_check(text, &request, digest, &e), &e);
}

static void checkpoint(struct span text)
{
    struct checkpoint c;
    struct err e = { 0 };

    check(checkpoint_parse(text.p, text.len, &c, &e), &e);
}

static void certificate(struct span der)
{
    struct cert_identity id = { 0 };
    struct cert_anchors none = { 0 };
    struct sign_keys own = { 0 };
    struct certs extra = { 0 };
    autoptr(cert) c = NULL;
    struct err e = { 0 };
    int r = cert_from_der(der, &c, &e);

    check(r, &e);
    if (r < 0)
        return;
    check(cert_identity(c, &id, &e), &e);
    cert_identity_done(&id);
    own.v = &c->key;
    own.n = 1;
    check(cert_check_sct(c, c->x509, &own, &e), &e);
    if (cert_check(c, &extra, &none, 0, &e) >= 0)
        abort(); /* without a root nothing is trusted */
}

static void scts(struct span bytes)
{
    struct cur list;
    struct sct s;

    if (sct_list_open(bytes, &list))
        while (list.len && sct_list_next(&list, &s))
            ;
}

static int no_password(void *ctx UNUSED, char *ret UNUSED, size_t cap UNUSED,
                       size_t *ret_len UNUSED, struct err *e)
{
    return err_set(e, ERR_DENIED, "none");
}

static void keys(struct span text)
{
    struct cert_anchors anchors = { 0 };
    struct sign_keys public = { 0 };
    autoptr(signer) signer = NULL;
    struct err e = { 0 };

    check(sign_keys_add(&public, text.p, text.len, "keys", &e), &e);
    check(cert_anchors_add_pem(&anchors, text.p, text.len, "roots", &e), &e);
    check(signer_open(text.p, text.len, "key", no_password, NULL, &signer, &e), &e);
    sign_keys_done(&public);
    cert_anchors_done(&anchors);
}

static void timestamp(struct span der)
{
    struct trust_rule rule = { .kind = TRUST_KEYLESS };
    struct verifier v = { .rule = &rule };
    struct err e = { 0 };
    int64_t at_s;

    if (timestamp_check(der, (struct span){ .p = "x", .len = 1 }, &v, &at_s, &e) >= 0)
        abort(); /* no clock is trusted */
}

static void policy(struct span text)
{
    autoptr(trust_rule) rule = NULL;
    struct err e = { 0 };

    check(trust_parse(text.p, text.len, request.repository, &rule, &e), &e);
}

static void container(struct span text)
{
    struct err e = { 0 };

    check(secretbox_check(text, &e), &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const parts[])(struct span) = { bundle,      layer,    claims, checkpoint,
                                                  certificate, scts,     keys,   timestamp,
                                                  policy,      container };
    char *copy;

    if (len < 1)
        return 0;
    copy = malloc(len > 1 ? len - 1 : 1); /* exactly as long, so that reading behind it is seen */
    if (!copy)
        return 0;
    memcpy(copy, data + 1, len - 1);
    parts[data[0] % ARRAY_LEN(parts)]((struct span){ .p = copy, .len = len - 1 });
    free(copy);
    return 0;
}
