/* Who a certificate was issued to, and who vouched for that. */
#include "oci/json.h"
#include "sign/cert.h"
#include "sign/openssl.h"

#include <string.h>

#define OID_ISSUER_RAW "1.3.6.1.4.1.57264.1.1" /* the text itself, no DER inside */
#define OID_ISSUER     "1.3.6.1.4.1.57264.1.8" /* DER UTF8String */
#define OID_OTHER_NAME "1.3.6.1.4.1.57264.1.7"
#define TEXT_MAX       2048 /* bytes of one name */

void cert_identity_done(struct cert_identity *id)
{
    strv_free(id->names);
    free(id->issuer);
    *id = (struct cert_identity){ 0 };
}

/* A NUL in a name would let "good\0evil" look like "good". */
static int text_take(const void *p, int len, char **ret, struct err *e)
{
    if (len <= 0 || len > TEXT_MAX || memchr(p, '\0', (size_t)len))
        return err_set(e, ERR_CORRUPT, "Signer's certificate has a damaged name");
    *ret = strndup(p, (size_t)len);
    if (!*ret)
        return err_os_at(e, ENOMEM, "certificate");
    return 0;
}

static bool oid_is(const ASN1_OBJECT *object, const char *dotted)
{
    char text[80];
    int n = OBJ_obj2txt(text, sizeof(text), object, 1);

    return n > 0 && n < (int)sizeof(text) && strcmp(text, dotted) == 0;
}

static int other_name(const OTHERNAME *o, char **ret, struct err *e)
{
    const ASN1_TYPE *v = o->value;

    if (!oid_is(o->type_id, OID_OTHER_NAME) || !v || v->type != V_ASN1_UTF8STRING)
        return 0;
    return text_take(ASN1_STRING_get0_data(v->value.utf8string),
                     ASN1_STRING_length(v->value.utf8string), ret, e);
}

/* *ret stays NULL for kinds that name nobody. */
static int general_name(const GENERAL_NAME *name, char **ret, struct err *e)
{
    int type;
    const void *v = GENERAL_NAME_get0_value(name, &type);

    switch (type) {
    case GEN_EMAIL:
    case GEN_URI:
    case GEN_DNS:
        return text_take(ASN1_STRING_get0_data(v), ASN1_STRING_length(v), ret, e);
    case GEN_OTHERNAME:
        return other_name(v, ret, e);
    default:
        return 0;
    }
}

static int read_names(const GENERAL_NAMES *names, char **v, struct err *e)
{
    size_t n = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int r = general_name(sk_GENERAL_NAME_value(names, i), &v[n], e);

        if (r < 0)
            return r;
        n += v[n] != NULL;
    }
    return 0;
}

static int names_of(const X509 *x, struct cert_identity *id, struct err *e)
{
    int critical = 0;
    autossl(GENERAL_NAMES) names = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
    int n = names ? sk_GENERAL_NAME_num(names) : 0;

    if (!names && critical != -1) /* twice, or not readable */
        return err_set(e, ERR_CORRUPT, "Signer's certificate has a damaged alternative name");
    if (n > CERT_NAMES_MAX)
        return err_set(e, ERR_LIMIT, "Signer's certificate has more than %d names",
                       CERT_NAMES_MAX);
    id->names = calloc((size_t)n + 1, sizeof(char *));
    if (!id->names)
        return err_os_at(e, ENOMEM, "certificate");
    return n ? read_names(names, id->names, e) : 0;
}

/* The content of an extension; absent is 0 with *ret NULL. */
static int extension(const X509 *x, const char *dotted, const ASN1_OCTET_STRING **ret,
                     struct err *e)
{
    autossl(ASN1_OBJECT) oid = OBJ_txt2obj(dotted, 1);
    int at = oid ? X509_get_ext_by_OBJ(x, oid, -1) : -1;

    *ret = NULL;
    if (!oid)
        return err_os_at(e, ENOMEM, "certificate");
    if (at < 0)
        return 0;
    if (X509_get_ext_by_OBJ(x, oid, at) >= 0)
        return err_set(e, ERR_CORRUPT, "Signer's certificate has extension %s twice", dotted);
    *ret = X509_EXTENSION_get_data(X509_get_ext(x, at));
    return 0;
}

static int issuer_of(const X509 *x, char **ret, struct err *e)
{
    const ASN1_OCTET_STRING *v;
    const unsigned char *p;
    ASN1_UTF8STRING *text;
    int r = extension(x, OID_ISSUER, &v, e);

    if (r < 0)
        return r;
    if (v) {
        p = ASN1_STRING_get0_data(v);
        text = d2i_ASN1_UTF8STRING(NULL, &p, ASN1_STRING_length(v));
        if (!text || p != ASN1_STRING_get0_data(v) + ASN1_STRING_length(v))
            r = err_set(e, ERR_CORRUPT, "Signer's certificate has a damaged issuer");
        else
            r = text_take(ASN1_STRING_get0_data(text), ASN1_STRING_length(text), ret, e);
        ASN1_UTF8STRING_free(text);
        return r;
    }
    r = extension(x, OID_ISSUER_RAW, &v, e);
    if (r < 0)
        return r;
    if (v)
        return text_take(ASN1_STRING_get0_data(v), ASN1_STRING_length(v), ret, e);
    *ret = strdup("");
    return *ret ? 0 : err_os_at(e, ENOMEM, "certificate");
}

int cert_identity(const struct cert *c, struct cert_identity *ret, struct err *e)
{
    struct cert_identity id = { 0 };
    int r = names_of(c->x509, &id, e);

    if (r >= 0)
        r = issuer_of(c->x509, &id.issuer, e);
    ERR_clear_error();
    if (r < 0)
        cert_identity_done(&id);
    else
        *ret = id;
    return r;
}
