/* cosign's encrypted private keys: {"kdf":{"name":"scrypt","params":{"N","r","p"},"salt"},
 * "cipher":{"name":"nacl/secretbox","nonce"},"ciphertext"}. */
#include "oci/json.h"
#include "sign/b64.h"
#include "sign/key.h"
#include "sign/openssl.h"

#include <sodium.h>
#include <string.h>

#define CONTAINER_MAX ((size_t)64 << 10)
#define SALT_MAX      ((size_t)256)
#define SCRYPT_MEM    ((uint64_t)192 << 20) /* N = 2^17, r = 8 needs 128 MiB */

struct container {
    uint64_t n;
    struct str salt, nonce, box;
};

static void container_done(struct container *c)
{
    str_done(&c->salt);
    str_done(&c->nonce);
    str_done(&c->box);
}

static int get_bytes(const json_t *o, const char *key, struct str *ret, struct err *e)
{
    const char *text;
    int r = json_get_str(o, key, &text, e);

    if (r < 0)
        return r;
    if (!text || !b64_decode(text, strlen(text), ret))
        return err_set(e, ERR_CORRUPT, "'%s' is not base64 of at most %zu bytes", key, ret->max);
    return 0;
}

static int get_named(const json_t *o, const char *key, const char *want, json_t **ret,
                     struct err *e)
{
    const char *name;
    int r = json_get_obj(o, key, ret, e);

    if (r < 0)
        return r;
    if (!*ret)
        return err_set(e, ERR_CORRUPT, "'%s' is missing", key);
    r = json_get_str(*ret, "name", &name, e);
    if (r < 0)
        return r;
    if (!name || strcmp(name, want) != 0)
        return err_set(e, ERR_UNSUPPORTED, "%s '%.40s' is not %s", key, name ? name : "", want);
    return 0;
}

static int parse_kdf(const json_t *root, struct container *c, struct err *e)
{
    json_t *kdf, *params;
    uint64_t block = 0, parallel = 0;
    int r = get_named(root, "kdf", "scrypt", &kdf, e);

    if (r >= 0)
        r = json_get_obj(kdf, "params", &params, e);
    if (r < 0)
        return r;
    if (!params)
        return err_set(e, ERR_CORRUPT, "'params' is missing");
    r = json_get_u64(params, "N", &c->n, e);
    if (r >= 0)
        r = json_get_u64(params, "r", &block, e);
    if (r >= 0)
        r = json_get_u64(params, "p", &parallel, e);
    if (r < 0)
        return r;
    if ((c->n != 1 << 15 && c->n != 1 << 16 && c->n != 1 << 17) || block != 8 || parallel != 1)
        return err_set(e, ERR_LIMIT, "scrypt parameters are not among those that cosign writes");
    return get_bytes(kdf, "salt", &c->salt, e);
}

static int container_parse(struct span json, struct container *c, struct err *e)
{
    autojson *root = NULL;
    json_t *cipher;
    int r;

    if (json.len > CONTAINER_MAX)
        return err_set(e, ERR_LIMIT, "Encrypted key is larger than %zu bytes", CONTAINER_MAX);
    r = json_parse(json.p, json.len, "encrypted key", &root, e);
    if (r < 0)
        return r;
    r = parse_kdf(root, c, e);
    if (r >= 0)
        r = get_named(root, "cipher", "nacl/secretbox", &cipher, e);
    if (r >= 0)
        r = get_bytes(cipher, "nonce", &c->nonce, e);
    if (r >= 0)
        r = get_bytes(root, "ciphertext", &c->box, e);
    if (r < 0)
        return r;
    if (c->nonce.len != crypto_secretbox_NONCEBYTES || c->box.len < crypto_secretbox_MACBYTES)
        return err_set(e, ERR_CORRUPT, "Encrypted key has a nonce or text of the wrong size");
    return 0;
}

static int container_open(const struct container *c, struct span password, struct str *ret,
                          struct err *e)
{
    unsigned char key[crypto_secretbox_KEYBYTES];
    size_t len = c->box.len - crypto_secretbox_MACBYTES;
    char *at = str_reserve(ret, len + 1);
    int r = 0;

    if (!at)
        return err_os_at(e, ENOMEM, "encrypted key");
    if (EVP_PBE_scrypt(password.p, password.len, (const unsigned char *)str_c(&c->salt),
                       c->salt.len, c->n, 8, 1, SCRYPT_MEM, key, sizeof(key)) != 1)
        r = err_os_at(e, ENOMEM, "scrypt");
    else if (crypto_secretbox_open_easy((unsigned char *)at, (const unsigned char *)c->box.p,
                                        c->box.len, (const unsigned char *)c->nonce.p, key) != 0)
        r = err_set(e, ERR_DENIED, "Wrong password for the private key, or it is damaged");
    else
        str_added(ret, len);
    OPENSSL_cleanse(key, sizeof(key));
    return r;
}

#define CONTAINER_INIT                                                                           \
    {                                                                                            \
        .salt = STR_INIT(SALT_MAX), .nonce = STR_INIT(crypto_secretbox_NONCEBYTES),              \
        .box = STR_INIT(CONTAINER_MAX)                                                           \
    }

int secretbox_check(struct span json, struct err *e)
{
    struct container c = CONTAINER_INIT;
    int r = container_parse(json, &c, e);

    container_done(&c);
    return r;
}

int secretbox_open(struct span json, struct span password, struct str *ret, struct err *e)
{
    struct container c = CONTAINER_INIT;
    int r = sodium_init() < 0 ? err_set(e, ERR_SYSTEM, "libsodium does not start")
                              : container_parse(json, &c, e);

    if (r >= 0)
        r = container_open(&c, password, ret, e);
    container_done(&c);
    return r;
}
