/* Private keys. */
#include "sign/key.h"
#include "sign/openssl.h"
#include "sign/pem.h"

#include <string.h>

void signer_free(struct signer *s)
{
    if (!s)
        return;
    EVP_PKEY_free(s->pkey);
    sign_key_free(s->key);
    free(s);
}

static void wipe(struct str *s)
{
    if (s->p)
        OPENSSL_cleanse(s->p, s->cap);
    str_done(s);
}

static EVP_PKEY *parse_pkcs8(const struct str *der)
{
    const unsigned char *p = (const unsigned char *)der->p;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)der->len);
    EVP_PKEY *pkey =
        info && p == (const unsigned char *)der->p + der->len ? EVP_PKCS82PKEY(info) : NULL;

    PKCS8_PRIV_KEY_INFO_free(info);
    return pkey;
}

static EVP_PKEY *parse_sec1(const struct str *der)
{
    const unsigned char *p = (const unsigned char *)der->p;

    return d2i_PrivateKey(EVP_PKEY_EC, NULL, &p, (long)der->len);
}

static int open_encrypted(const struct pem_block *b, const char *what, sign_password_fn *password,
                          void *ctx, EVP_PKEY **ret, struct err *e)
{
    struct str der = STR_INIT(PEM_FILE_MAX);
    char text[SIGN_PASSWORD_MAX];
    size_t len = 0;
    int r = password(ctx, text, sizeof(text), &len, e);

    if (r >= 0)
        r = secretbox_open(span_of(&b->bytes), (struct span){ .p = text, .len = len }, &der, e);
    if (r >= 0)
        *ret = parse_pkcs8(&der);
    OPENSSL_cleanse(text, sizeof(text));
    wipe(&der);
    return r < 0 ? err_ctx(e, "%s", what) : 0;
}

static int parse_private(const struct pem_block *b, const char *what, sign_password_fn *password,
                         void *ctx, EVP_PKEY **ret, struct err *e)
{
    if (strcmp(b->label, "ENCRYPTED SIGSTORE PRIVATE KEY") == 0 ||
        strcmp(b->label, "ENCRYPTED COSIGN PRIVATE KEY") == 0)
        return open_encrypted(b, what, password, ctx, ret, e);
    if (strcmp(b->label, "PRIVATE KEY") == 0) {
        *ret = parse_pkcs8(&b->bytes);
        return 0;
    }
    if (strcmp(b->label, "EC PRIVATE KEY") == 0) {
        *ret = parse_sec1(&b->bytes);
        return 0;
    }
    return err_set(e, ERR_UNSUPPORTED, "%s: holds a '%s', not a private key that can sign", what,
                   b->label);
}

int signer_open(const void *text, size_t len, const char *what, sign_password_fn *password,
                void *ctx, struct signer **ret, struct err *e)
{
    autoptr(signer) s = calloc(1, sizeof(*s));
    struct pem_block b = { 0 };
    int r;

    if (!s)
        return err_os_at(e, ENOMEM, "%s", what);
    r = pem_only(text, len, what, &b, e);
    if (r < 0)
        return r;
    r = parse_private(&b, what, password, ctx, &s->pkey, e);
    wipe(&b.bytes);
    ERR_clear_error();
    if (r < 0)
        return r;
    if (!s->pkey)
        return err_set(e, ERR_CORRUPT, "%s: not a private key", what);
    r = sign_key_from_pkey(s->pkey, what, &s->key, e);
    if (r < 0)
        return r;
    *ret = take_ptr(s);
    return 0;
}

int signer_sign(const struct signer *s, struct span message, struct str *ret, struct err *e)
{
    const EVP_MD *md = EVP_PKEY_get_base_id(s->pkey) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    autossl(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
    unsigned char out[SIGNATURE_MAX];
    size_t len = sizeof(out);

    if (!ctx || EVP_DigestSignInit(ctx, NULL, md, NULL, s->pkey) != 1 ||
        EVP_DigestSign(ctx, out, &len, message.p, message.len) != 1) {
        ERR_clear_error();
        return err_set(e, ERR_SYSTEM, "Cannot sign with this key");
    }
    if (!str_add(ret, out, len))
        return err_os_at(e, ENOMEM, "signature");
    return 0;
}
