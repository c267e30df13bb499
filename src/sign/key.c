#include "sign/key.h"

#include "sign/openssl.h"
#include "sign/pem.h"

#include <string.h>

void sign_key_free(struct sign_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    str_done(&key->spki);
    free(key);
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool sign_hash(struct span data, uint8_t ret[SIGN_HASH_LEN])
{
    return EVP_Digest(data.p, data.len, ret, NULL, EVP_sha256(), NULL) == 1;
}

/* The hash that goes with a curve, 0 when it is not one of ours. */
static int curve_bits(const EVP_PKEY *pkey)
{
    char group[32] = "";

    if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1)
        return 0;
    if (strcmp(group, SN_X9_62_prime256v1) == 0 || strcmp(group, "P-256") == 0)
        return 256;
    if (strcmp(group, SN_secp384r1) == 0 || strcmp(group, "P-384") == 0)
        return 384;
    return strcmp(group, SN_secp521r1) == 0 || strcmp(group, "P-521") == 0 ? 521 : 0;
}

static int check_kind(const EVP_PKEY *pkey, const char *what, struct err *e)
{
    int bits = EVP_PKEY_get_bits(pkey);

    switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_ED25519:
        return 0;
    case EVP_PKEY_EC:
        if (curve_bits(pkey))
            return 0;
        return err_set(e, ERR_UNSUPPORTED, "%s: curve is not P-256, P-384 or P-521", what);
    case EVP_PKEY_RSA:
        if (bits >= 2048 && bits <= 8192)
            return 0;
        return err_set(e, ERR_UNSUPPORTED, "%s: RSA key of %d bits, not 2048 to 8192", what,
                       bits);
    default:
        return err_set(e, ERR_UNSUPPORTED, "%s: key is not ECDSA, Ed25519 or RSA", what);
    }
}

/* Takes over pkey, also on failure. */
static int key_new(EVP_PKEY *pkey, const char *what, struct sign_key **ret, struct err *e)
{
    autoptr(sign_key) key = calloc(1, sizeof(*key));
    unsigned char *der = NULL;
    int len, r;

    if (!key) {
        EVP_PKEY_free(pkey);
        return err_os_at(e, ENOMEM, "%s", what);
    }
    key->pkey = pkey;
    r = check_kind(pkey, what, e);
    if (r < 0)
        return r;
    len = i2d_PUBKEY(pkey, &der);
    if (len <= 0)
        return err_set(e, ERR_CORRUPT, "%s: not a usable public key", what);
    str_add(&key->spki, der, (size_t)len);
    OPENSSL_free(der);
    if (key->spki.failed || !sign_hash(span_of(&key->spki), key->id))
        return err_os_at(e, ENOMEM, "%s", what);
    *ret = take_ptr(key);
    return 0;
}

int sign_key_from_spki(const void *der, size_t len, const char *what, struct sign_key **ret,
                       struct err *e)
{
    const unsigned char *p = der;
    EVP_PKEY *pkey = len <= PEM_FILE_MAX ? d2i_PUBKEY(NULL, &p, (long)len) : NULL;

    ERR_clear_error();
    if (!pkey || p != (const unsigned char *)der + len) {
        EVP_PKEY_free(pkey);
        return err_set(e, ERR_CORRUPT, "%s: not a public key", what);
    }
    return key_new(pkey, what, ret, e);
}

int sign_key_from_pkey(EVP_PKEY *pkey, const char *what, struct sign_key **ret, struct err *e)
{
    if (!pkey || EVP_PKEY_up_ref(pkey) != 1)
        return err_set(e, ERR_CORRUPT, "%s: no usable public key in it", what);
    return key_new(pkey, what, ret, e);
}

/* ---- several ---- */

void sign_keys_done(struct sign_keys *keys)
{
    for (size_t i = 0; i < keys->n; i++)
        sign_key_free(keys->v[i]);
    free(keys->v);
    *keys = (struct sign_keys){ 0 };
}

static int keys_push(struct sign_keys *keys, struct span der, const char *what, struct err *e)
{
    struct sign_key **v;
    int r;

    if (keys->n >= SIGN_KEYS_MAX)
        return err_set(e, ERR_LIMIT, "%s: more than %d keys", what, SIGN_KEYS_MAX);
    v = realloc(keys->v, (keys->n + 1) * sizeof(struct sign_key *));
    if (!v)
        return err_os_at(e, ENOMEM, "%s", what);
    keys->v = v;
    r = sign_key_from_spki(der.p, der.len, what, &v[keys->n], e);
    if (r < 0)
        return r;
    keys->n++;
    return 0;
}

int sign_keys_add(struct sign_keys *keys, const void *text, size_t len, const char *what,
                  struct err *e)
{
    struct pem pem = { .p = text, .len = len };
    size_t found = 0;

    for (;;) {
        autopem b = { 0 };
        int r = pem_next(&pem, &b, e);

        if (r < 0)
            return err_ctx(e, "%s", what);
        if (r == 0)
            break;
        if (strcmp(b.label, "PUBLIC KEY") != 0)
            return err_set(e, ERR_CORRUPT, "%s: holds a '%s', not a PUBLIC KEY", what, b.label);
        r = keys_push(keys, span_of(&b.bytes), what, e);
        if (r < 0)
            return r;
        found++;
    }
    if (!found)
        return err_set(e, ERR_CORRUPT, "%s: no PEM public key in it", what);
    return 0;
}

const struct sign_key *sign_keys_find(const struct sign_keys *keys,
                                      const uint8_t id[SIGN_HASH_LEN])
{
    for (size_t i = 0; i < keys->n; i++)
        if (memcmp(keys->v[i]->id, id, SIGN_HASH_LEN) == 0)
            return keys->v[i];
    return NULL;
}

/* ---- verifying ---- */

static bool verify_with(EVP_PKEY *pkey, const EVP_MD *md, struct span message,
                        struct span signature)
{
    autossl(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey) == 1 &&
              EVP_DigestVerify(ctx, signature.p, signature.len, message.p, message.len) == 1;

    ERR_clear_error();
    return ok;
}

bool sign_key_verifies(const struct sign_key *key, struct span message, struct span signature)
{
    if (signature.len == 0 || signature.len > SIGNATURE_MAX)
        return false;
    if (!message.p)
        message.p = "";
    if (EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_ED25519)
        return verify_with(key->pkey, NULL, message, signature);
    if (verify_with(key->pkey, EVP_sha256(), message, signature))
        return true;
    if (EVP_PKEY_get_base_id(key->pkey) != EVP_PKEY_EC)
        return false;
    switch (curve_bits(key->pkey)) {
    case 384:
        return verify_with(key->pkey, EVP_sha384(), message, signature);
    case 521:
        return verify_with(key->pkey, EVP_sha512(), message, signature);
    default:
        return false;
    }
}
