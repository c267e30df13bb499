/* Signed certificate timestamps that are embedded in a certificate (RFC 6962). */
#include "sign/sct.h"
#include "sign/cert.h"
#include "sign/openssl.h"

#include <string.h>

bool sct_list_next(struct cur *list, struct sct *ret)
{
    uint16_t len;
    struct cur c;
    struct sct s = { 0 };
    const void *id;

    if (!cur_u16be(list, &len) || !cur_sub(list, len, &c))
        return false;
    if (!cur_u8(&c, &s.version) || s.version != 0) {
        *ret = s; /* a later version is skipped as a whole */
        return s.version != 0;
    }
    if (!cur_bytes(&c, SIGN_HASH_LEN, &id) || !cur_u64be(&c, &s.timestamp_ms) ||
        !cur_u16be(&c, &len) || !cur_sub(&c, len, &s.extensions) || !cur_u8(&c, &s.hash) ||
        !cur_u8(&c, &s.algorithm) || !cur_u16be(&c, &len) || !cur_sub(&c, len, &s.signature) ||
        c.len)
        return false;
    memcpy(s.log, id, SIGN_HASH_LEN);
    *ret = s;
    return true;
}

bool sct_list_open(struct span list, struct cur *ret)
{
    struct cur c = cur_of(list.p, list.len);
    uint16_t len;

    if (list.len > SCT_LIST_MAX || !cur_u16be(&c, &len) || len != c.len || !len)
        return false;
    *ret = c;
    return true;
}

/* The certificate as the log saw it: without the list. */
static int precertificate(const X509 *x, struct str *ret, struct err *e)
{
    autossl(X509) copy = X509_dup(x);
    int at = copy ? X509_get_ext_by_NID(copy, NID_ct_precert_scts, -1) : -1;
    unsigned char *der = NULL;
    int len;

    if (at < 0)
        return err_os_at(e, ENOMEM, "certificate");
    X509_EXTENSION_free(X509_delete_ext(copy, at));
    len = i2d_re_X509_tbs(copy, &der);
    if (len <= 0)
        return err_set(e, ERR_CORRUPT, "Signer's certificate cannot be read by a log");
    str_add(ret, der, (size_t)len);
    OPENSSL_free(der);
    return ret->failed ? err_os_at(e, ENOMEM, "certificate") : 0;
}

/* struct digitally-signed of section 3.2, for a precert_entry. */
static bool signed_part(const struct sct *s, const struct str *tbs, const uint8_t *issuer_hash,
                        struct str *ret)
{
    uint8_t head[12] = { 0 /* version */, 0 /* certificate_timestamp */ };
    uint8_t size[4];

    put_u64be(head + 2, s->timestamp_ms);
    put_u16be(head + 10, 1); /* precert_entry */
    put_u32be(size, (uint32_t)tbs->len);
    str_clear(ret);
    str_add(ret, head, sizeof(head));
    str_add(ret, issuer_hash, SIGN_HASH_LEN);
    str_add(ret, size + 1, 3);
    str_add(ret, tbs->p, tbs->len);
    put_u16be(size, (uint16_t)s->extensions.len);
    str_add(ret, size, 2);
    return str_add(ret, s->extensions.p, s->extensions.len);
}

/* 1: right, 0: by a log that we do not know. */
static int check_one(const struct sct *s, const struct str *tbs, const uint8_t *issuer_hash,
                     const struct sign_keys *logs, struct err *e)
{
    const struct sign_key *log = s->version == 0 ? sign_keys_find(logs, s->log) : NULL;
    autostr message = STR_INIT(CERT_MAX * 2);

    if (!log)
        return 0;
    if (!signed_part(s, tbs, issuer_hash, &message))
        return err_os_at(e, ENOMEM, "certificate");
    if (s->hash != SCT_SHA256 ||
        !sign_key_verifies(log, span_of(&message),
                           (struct span){ .p = s->signature.p, .len = s->signature.len }))
        return err_set(e, ERR_DENIED, "The timestamp of the certificate log does not verify");
    return 1;
}

static int check_list(struct cur list, const struct str *tbs, const uint8_t *issuer_hash,
                      const struct sign_keys *logs, struct err *e)
{
    unsigned good = 0, seen = 0;

    for (; list.len; seen++) {
        struct sct s;
        int r;

        if (seen >= SCT_MAX || !sct_list_next(&list, &s))
            return err_set(e, ERR_CORRUPT,
                           "Signer's certificate has a damaged list of log timestamps");
        r = check_one(&s, tbs, issuer_hash, logs, e);
        if (r < 0)
            return r;
        good += (unsigned)r;
    }
    if (!good)
        return err_set(e, ERR_DENIED, "Signer's certificate is in no certificate log we know");
    return 0;
}

int cert_check_sct(const struct cert *c, const X509 *issuer, const struct sign_keys *logs,
                   struct err *e)
{
    autostr tbs = STR_INIT(CERT_MAX);
    uint8_t issuer_hash[SIGN_HASH_LEN];
    autoptr(sign_key) by = NULL;
    struct span raw = { 0 };
    struct cur list;
    int r = sct_extension(c->x509, &raw, e);

    if (r < 0)
        return r;
    if (!sct_list_open(raw, &list))
        return err_set(e, ERR_CORRUPT,
                       "Signer's certificate has a damaged list of log timestamps");
    r = precertificate(c->x509, &tbs, e);
    if (r < 0)
        return r;
    r = sign_key_from_pkey(X509_get0_pubkey(issuer), "Issuer of the signer's certificate", &by,
                           e);
    if (r < 0)
        return r;
    memcpy(issuer_hash, by->id, sizeof(issuer_hash));
    return check_list(list, &tbs, issuer_hash, logs, e);
}

int sct_extension(const X509 *x, struct span *ret, struct err *e)
{
    int at = X509_get_ext_by_NID(x, NID_ct_precert_scts, -1);
    const ASN1_OCTET_STRING *v;
    const unsigned char *p;
    long len = 0;
    int tag, class;

    if (at < 0)
        return err_set(e, ERR_DENIED, "Signer's certificate has no timestamp of a log (SCT)");
    if (X509_get_ext_by_NID(x, NID_ct_precert_scts, at) >= 0)
        return err_set(e, ERR_CORRUPT, "Signer's certificate has two lists of log timestamps");
    v = X509_EXTENSION_get_data(X509_get_ext(x, at));
    p = ASN1_STRING_get0_data(v);
    if (ASN1_get_object(&p, &len, &tag, &class, ASN1_STRING_length(v)) != 0 ||
        tag != V_ASN1_OCTET_STRING || class != V_ASN1_UNIVERSAL ||
        p + len != ASN1_STRING_get0_data(v) + ASN1_STRING_length(v)) {
        ERR_clear_error();
        return err_set(e, ERR_CORRUPT,
                       "Signer's certificate has a damaged list of log timestamps");
    }
    *ret = (struct span){ .p = p, .len = (size_t)len };
    return 0;
}
