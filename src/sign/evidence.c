#include "sign/evidence.h"

#include "sign/openssl.h"

#include <inttypes.h>
#include <string.h>

struct evidence *evidence_new(void)
{
    struct evidence *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    v->message.max = 2 * SIGN_BLOB_MAX;
    v->about.max = SIGN_BLOB_MAX;
    v->signature.max = SIGNATURE_MAX;
    for (size_t i = 0; i < TIMESTAMPS_MAX; i++)
        v->timestamps[i].max = TIMESTAMP_MAX;
    return v;
}

void evidence_free(struct evidence *v)
{
    if (!v)
        return;
    str_done(&v->message);
    str_done(&v->about);
    str_done(&v->signature);
    cert_free(v->cert);
    certs_done(&v->chain);
    for (size_t i = 0; i < v->entries_n; i++)
        tlog_entry_done(&v->entries[i]);
    for (size_t i = 0; i < TIMESTAMPS_MAX; i++)
        str_done(&v->timestamps[i]);
    free(v);
}

/* ---- the rule ---- */

static int load_keys(const struct trust_files *files, struct sign_keys *ret, struct err *e)
{
    for (size_t i = 0; i < files->n; i++) {
        const struct trust_file *f = &files->v[i];
        int r = sign_keys_add(ret, str_c(&f->text), f->text.len, f->name, e);

        if (r < 0)
            return r;
    }
    return 0;
}

static int load_anchors(const struct trust_files *files, struct cert_anchors *ret, struct err *e)
{
    for (size_t i = 0; i < files->n; i++) {
        const struct trust_file *f = &files->v[i];
        int r = cert_anchors_add_pem(ret, str_c(&f->text), f->text.len, f->name, e);

        if (r < 0)
            return r;
    }
    return 0;
}

static int load_all(struct verifier *v, struct err *e)
{
    const struct trust_rule *rule = v->rule;
    struct cert_anchors tsa = { 0 };
    int r = load_keys(&rule->keys, &v->keys, e);

    if (r >= 0)
        r = load_keys(&rule->rekor, &v->rekor, e);
    if (r >= 0)
        r = load_keys(&rule->ct, &v->ca.ct, e);
    if (r >= 0)
        r = load_anchors(&rule->roots, &v->ca, e);
    if (r >= 0)
        r = load_anchors(&rule->tsa, &tsa, e);
    v->ca.ignore_sct = rule->ignore_sct;
    v->tsa_roots = tsa.roots;
    v->tsa_others = tsa.intermediates;
    return r;
}

int verifier_init(struct verifier *v, const struct trust_rule *rule, struct err *e)
{
    int r;

    *v = (struct verifier){ .rule = rule };
    r = load_all(v, e);
    if (r < 0) {
        verifier_done(v);
        return err_ctx(e, "trust policy (%s)", rule->scope);
    }
    return 0;
}

void verifier_done(struct verifier *v)
{
    sign_keys_done(&v->keys);
    sign_keys_done(&v->rekor);
    cert_anchors_done(&v->ca);
    certs_done(&v->tsa_roots);
    certs_done(&v->tsa_others);
}

/* ---- logs and clocks ---- */

#define TIMES_MAX (TLOG_ENTRIES_MAX + TIMESTAMPS_MAX)

struct times {
    int64_t at_s[TIMES_MAX];
    size_t n;
};

/* Every entry by a log that we know must be right and about this signature. */
static int check_entries(const struct evidence *ev, const struct verifier *v, struct span der,
                         struct times *times, struct err *e)
{
    struct tlog_about about = { .message = span_of(&ev->about),
                                .encoded = span_of(&ev->message),
                                .signature = span_of(&ev->signature),
                                .verifier = der,
                                .envelope = ev->envelope };
    size_t good = 0;

    for (size_t i = 0; i < ev->entries_n; i++) {
        const struct tlog_entry *t = &ev->entries[i];
        int64_t at_s = 0;
        int r;

        if (!tlog_find_log(t, &v->rekor))
            continue;
        r = tlog_check(t, &v->rekor, &at_s, e);
        if (r > 0)
            times->at_s[times->n++] = at_s;
        if (r >= 0)
            r = tlog_check_body(t, &about, e);
        if (r < 0)
            return r;
        good++;
    }
    if (!good)
        return err_set(e, ERR_DENIED, "The signature is in no transparency log of the policy");
    return 0;
}

static int check_timestamps(const struct evidence *ev, const struct verifier *v,
                            struct times *times, struct err *e)
{
    for (size_t i = 0; v->tsa_roots.n && i < ev->timestamps_n; i++) {
        int64_t at_s = 0;
        int r =
            timestamp_check(span_of(&ev->timestamps[i]), span_of(&ev->signature), v, &at_s, e);

        if (r < 0)
            return r;
        times->at_s[times->n++] = at_s;
    }
    return 0;
}

/* ---- keys ---- */

static const struct sign_key *key_that_signed(const struct evidence *ev, const struct verifier *v)
{
    for (size_t i = 0; i < v->keys.n; i++)
        if (sign_key_verifies(v->keys.v[i], span_of(&ev->message), span_of(&ev->signature)))
            return v->keys.v[i];
    return NULL;
}

static int check_key(const struct evidence *ev, const struct verifier *v, char *who, size_t cap,
                     struct err *e)
{
    const struct sign_key *key = key_that_signed(ev, v);
    struct times times = { .n = 0 };
    int r;

    if (!key)
        return err_set(e, ERR_DENIED, "The signature is by no key of the policy");
    if (v->rekor.n) {
        r = check_entries(ev, v, span_of(&key->spki), &times, e);
        if (r < 0)
            return r;
    }
    snprintf(who, cap, "key sha256:%02x%02x%02x%02x%02x%02x%s", key->id[0], key->id[1],
             key->id[2], key->id[3], key->id[4], key->id[5], v->rekor.n ? ", logged" : "");
    return 0;
}

/* ---- certificates ---- */

static bool identity_fits(const struct cert_identity *id, const struct trust_identity *want)
{
    if (strcmp(id->issuer, want->issuer) != 0)
        return false;
    for (char **name = id->names; *name; name++)
        if (strcmp(*name, want->identity) == 0)
            return true;
    return false;
}

static int check_identity(const struct cert *cert, const struct trust_rule *rule, char *who,
                          size_t cap, struct err *e)
{
    struct cert_identity id = { 0 };
    size_t i = 0;
    int r = cert_identity(cert, &id, e);

    if (r < 0)
        return r;
    while (i < rule->identities_n && !identity_fits(&id, &rule->identities[i]))
        i++;
    if (i == rule->identities_n)
        r = err_set(e, ERR_DENIED,
                    "The signature is by '%.120s' (issuer '%.120s'), whom the "
                    "policy does not name",
                    id.names[0] ? id.names[0] : "", id.issuer);
    else
        snprintf(who, cap, "%.100s (%.100s)", rule->identities[i].identity, id.issuer);
    cert_identity_done(&id);
    return r;
}

static int check_keyless(const struct evidence *ev, const struct verifier *v, char *who,
                         size_t cap, struct err *e)
{
    struct times times = { .n = 0 };
    int r;

    if (!ev->cert)
        return err_set(e, ERR_DENIED, "The signature has no certificate");
    if (!sign_key_verifies(ev->cert->key, span_of(&ev->message), span_of(&ev->signature)))
        return err_set(e, ERR_DENIED, "The signature does not verify with its certificate");
    r = check_timestamps(ev, v, &times, e);
    if (r >= 0 && v->rekor.n)
        r = check_entries(ev, v, span_of(&ev->cert->der), &times, e);
    if (r < 0)
        return r;
    if (!times.n)
        return err_set(e, ERR_DENIED,
                       "Nobody of the policy says when the signature was made: "
                       "neither a log's promise nor a timestamp");
    for (size_t i = 0; i < times.n; i++) {
        r = cert_check(ev->cert, &ev->chain, &v->ca, times.at_s[i], e);
        if (r < 0)
            return r;
    }
    return check_identity(ev->cert, v->rule, who, cap, e);
}

int evidence_check(const struct evidence *ev, const struct verifier *v, char *ret_who,
                   size_t who_cap, struct err *e)
{
    switch (v->rule->kind) {
    case TRUST_KEY:
        return check_key(ev, v, ret_who, who_cap, e);
    case TRUST_KEYLESS:
        return check_keyless(ev, v, ret_who, who_cap, e);
    case TRUST_ACCEPT:
    case TRUST_REJECT:
        break;
    }
    return err_set(e, ERR_INTERNAL, "This rule looks at no signature");
}
