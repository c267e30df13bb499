#include "sign/cert.h"

#include "sign/openssl.h"
#include "sign/pem.h"

#include <string.h>

void certs_done(struct certs *c)
{
    for (size_t i = 0; i < c->n; i++)
        X509_free(c->v[i]);
    free(c->v);
    *c = (struct certs){ 0 };
}

void cert_free(struct cert *c)
{
    if (!c)
        return;
    X509_free(c->x509);
    str_done(&c->der);
    sign_key_free(c->key);
    free(c);
}

void cert_anchors_done(struct cert_anchors *a)
{
    certs_done(&a->roots);
    certs_done(&a->intermediates);
    sign_keys_done(&a->ct);
}

static int parse_der(struct span der, const char *what, X509 **ret, struct err *e)
{
    const unsigned char *p = der.p;
    X509 *x;

    if (der.len > CERT_MAX)
        return err_set(e, ERR_LIMIT, "%s: certificate is larger than %zu bytes", what, CERT_MAX);
    x = der.len ? d2i_X509(NULL, &p, (long)der.len) : NULL;
    ERR_clear_error();
    if (!x || p != (const unsigned char *)der.p + der.len) {
        X509_free(x);
        return err_set(e, ERR_CORRUPT, "%s: not a certificate", what);
    }
    *ret = x;
    return 0;
}

/* Takes over x, also on failure. */
static int push(struct certs *c, X509 *x, const char *what, struct err *e)
{
    X509 **v = NULL;

    if (c->n < CERT_CHAIN_MAX)
        v = realloc(c->v, (c->n + 1) * sizeof(X509 *));
    if (!v) {
        X509_free(x);
        return err_set(e, ERR_LIMIT, "%s: more than %d certificates", what, CERT_CHAIN_MAX);
    }
    c->v = v;
    v[c->n++] = x;
    return 0;
}

int certs_add(struct certs *c, struct span der, const char *what, struct err *e)
{
    X509 *x;
    int r = parse_der(der, what, &x, e);

    return r < 0 ? r : push(c, x, what, e);
}

int certs_add_pem(struct certs *c, const void *text, size_t len, const char *what, struct err *e)
{
    struct pem pem = { .p = text, .len = len };
    size_t found = 0;

    for (;; found++) {
        autopem b = { 0 };
        int r = pem_next(&pem, &b, e);

        if (r < 0)
            return err_ctx(e, "%s", what);
        if (r == 0)
            break;
        if (strcmp(b.label, "CERTIFICATE") != 0)
            return err_set(e, ERR_CORRUPT, "%s: holds a '%s', not a CERTIFICATE", what, b.label);
        r = certs_add(c, span_of(&b.bytes), what, e);
        if (r < 0)
            return r;
    }
    if (!found)
        return err_set(e, ERR_CORRUPT, "%s: no PEM certificate in it", what);
    return 0;
}

int cert_from_der(struct span der, struct cert **ret, struct err *e)
{
    autoptr(cert) c = calloc(1, sizeof(*c));
    int r;

    if (!c || !str_add(&c->der, der.p, der.len))
        return err_os_at(e, ENOMEM, "certificate");
    r = parse_der(der, "Signer's certificate", &c->x509, e);
    if (r < 0)
        return r;
    r = sign_key_from_pkey(X509_get0_pubkey(c->x509), "Signer's certificate", &c->key, e);
    ERR_clear_error();
    if (r < 0)
        return r;
    *ret = take_ptr(c);
    return 0;
}

int cert_from_pem(const void *text, size_t len, struct cert **ret, struct err *e)
{
    autopem b = { 0 };
    int r = pem_only(text, len, "Signer's certificate", &b, e);

    if (r < 0)
        return r;
    if (strcmp(b.label, "CERTIFICATE") != 0)
        return err_set(e, ERR_CORRUPT, "Signer's certificate is a '%s'", b.label);
    return cert_from_der(span_of(&b.bytes), ret, e);
}

int cert_anchors_add_pem(struct cert_anchors *a, const void *pem, size_t len, const char *what,
                         struct err *e)
{
    struct certs all = { 0 };
    int r = certs_add_pem(&all, pem, len, what, e);

    for (size_t i = 0; r >= 0 && i < all.n; i++) {
        X509 *x = all.v[i];
        bool self = X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0;

        if (X509_up_ref(x) != 1)
            r = err_os_at(e, ENOMEM, "%s", what);
        else
            r = push(self ? &a->roots : &a->intermediates, x, what, e);
    }
    certs_done(&all);
    return r;
}

/* ---- the chain ---- */

static bool stack_add(STACK_OF(X509) * stack, const struct certs *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (!sk_X509_push(stack, c->v[i]))
            return false;
    return true;
}

/* Code signing must be allowed by the leaf, and by every issuer that limits its use. */
static int check_usage(STACK_OF(X509) * chain, struct err *e)
{
    int n = sk_X509_num(chain);

    for (int i = 0; i < n; i++) {
        X509 *x = sk_X509_value(chain, i);
        bool limited = X509_get_ext_by_NID(x, NID_ext_key_usage, -1) >= 0;

        if (i > 0 && (!limited || i == n - 1))
            continue;
        if (!limited || !(X509_get_extended_key_usage(x) & (XKU_CODE_SIGN | XKU_ANYEKU)))
            return err_set(e, ERR_DENIED, "Signer's certificate is not for code signing");
    }
    if (!(X509_get_key_usage(sk_X509_value(chain, 0)) & KU_DIGITAL_SIGNATURE))
        return err_set(e, ERR_DENIED, "Signer's certificate is not for signatures");
    return 0;
}

static int chain_build(X509_STORE_CTX *ctx, X509_STORE *store, const struct cert *c,
                       STACK_OF(X509) * extra, int64_t at_s, struct err *e)
{
    X509_VERIFY_PARAM *param;

    if (X509_STORE_CTX_init(ctx, store, c->x509, extra) != 1)
        return err_os_at(e, ENOMEM, "certificate chain");
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)at_s);
    X509_VERIFY_PARAM_set_auth_level(param, 2); /* 112 bits: no SHA-1, no RSA below 2048 */
    X509_VERIFY_PARAM_set_depth(param, CERT_CHAIN_MAX);
    if (X509_verify_cert(ctx) != 1) {
        ERR_clear_error();
        return err_set(e, ERR_DENIED, "Signer's certificate is not trusted: %s",
                       X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
    }
    return check_usage(X509_STORE_CTX_get0_chain(ctx), e);
}

static int check_chain(const struct cert *c, STACK_OF(X509) * extra, const struct cert_anchors *a,
                       int64_t at_s, struct err *e)
{
    autossl(X509_STORE_CTX) ctx = X509_STORE_CTX_new();
    autossl(X509_STORE) store = X509_STORE_new();
    STACK_OF(X509) * chain;
    int r;

    if (!ctx || !store)
        return err_os_at(e, ENOMEM, "certificate chain");
    for (size_t i = 0; i < a->roots.n; i++)
        if (X509_STORE_add_cert(store, a->roots.v[i]) != 1)
            return err_os_at(e, ENOMEM, "certificate chain");
    r = chain_build(ctx, store, c, extra, at_s, e);
    if (r < 0 || a->ignore_sct)
        return r;
    chain = X509_STORE_CTX_get0_chain(ctx);
    if (sk_X509_num(chain) < 2)
        return err_set(e, ERR_DENIED, "Signer's certificate is its own root");
    return cert_check_sct(c, sk_X509_value(chain, 1), &a->ct, e);
}

int cert_check(const struct cert *c, const struct certs *extra, const struct cert_anchors *a,
               int64_t at_s, struct err *e)
{
    STACK_OF(X509) *stack = sk_X509_new_null();
    int r;

    if (!stack || !stack_add(stack, extra) || !stack_add(stack, &a->intermediates))
        r = err_os_at(e, ENOMEM, "certificate chain");
    else
        r = check_chain(c, stack, a, at_s, e);
    sk_X509_free(stack);
    return r;
}
