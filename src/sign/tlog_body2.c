/*
 * Entries of Rekor v2: kinds hashedrekord 0.0.2 and dsse 0.0.2, in protobuf's JSON.
 *
 * Such a log promises nothing and knows no time: presence is proved by the checkpoint, and the
 * time comes from an RFC 3161 timestamp. Of an envelope, hashedrekord 0.0.2 has the hash of what
 * was signed, type and length included.
 */
#include "sign/openssl.h"
#include "sign/read.h"
#include "sign/tlog_internal.h"

#include <string.h>

static const EVP_MD *hash_named(const char *name)
{
    if (strcmp(name, "SHA2_256") == 0)
        return EVP_sha256();
    if (strcmp(name, "SHA2_384") == 0)
        return EVP_sha384();
    return strcmp(name, "SHA2_512") == 0 ? EVP_sha512() : NULL;
}

/* {"algorithm":"SHA2_256","digest":"base64"} of the message. */
static int check_digest(const json_t *o, const char *key, struct span message, struct err *e)
{
    autostr digest = STR_INIT(EVP_MAX_MD_SIZE);
    uint8_t hash[EVP_MAX_MD_SIZE];
    const char *algorithm = NULL;
    unsigned len = 0;
    const EVP_MD *md;
    json_t *h;
    int r = read_obj(o, key, &h, e);

    if (r >= 0)
        r = read_str(h, "algorithm", &algorithm, e);
    if (r >= 0)
        r = read_b64(h, "digest", &digest, e);
    if (r < 0)
        return r;
    md = hash_named(algorithm);
    if (!md)
        return err_set(e, ERR_UNSUPPORTED, "Log entry with hash '%.20s'", algorithm);
    if (EVP_Digest(message.p, message.len, hash, &len, md, NULL) != 1)
        return err_os_at(e, ENOMEM, "log entry");
    if (!span_equal(span_of(&digest), (struct span){ .p = hash, .len = len }))
        return tlog_differs("artifact", e);
    return 0;
}

/* {"content":"base64","verifier":{"x509Certificate"|"publicKey":{"rawBytes":"base64"}}} */
static int check_signature(const json_t *o, const struct tlog_about *about, struct err *e)
{
    autostr der = STR_INIT(64 << 10);
    json_t *verifier, *cert, *key;
    int r = tlog_check_signature(o, "content", about->signature, e);

    if (r >= 0)
        r = read_obj(o, "verifier", &verifier, e);
    if (r >= 0)
        r = json_get_obj(verifier, "x509Certificate", &cert, e);
    if (r >= 0)
        r = json_get_obj(verifier, "publicKey", &key, e);
    if (r < 0)
        return r;
    if (!cert == !key)
        return err_set(e, ERR_CORRUPT,
                       "The log entry has not exactly one of key and certificate");
    r = read_b64(cert ? cert : key, "rawBytes", &der, e);
    if (r < 0)
        return r;
    return span_equal(span_of(&der), about->verifier) ? 0 : tlog_differs("certificate or key", e);
}

int tlog_hashedrekord2(const json_t *spec, const struct tlog_about *about, struct err *e)
{
    json_t *entry, *signature;
    int r = read_obj(spec, "hashedRekordV002", &entry, e);

    if (r >= 0)
        r = check_digest(entry, "data", about->encoded, e);
    if (r >= 0)
        r = read_obj(entry, "signature", &signature, e);
    return r < 0 ? r : check_signature(signature, about, e);
}

int tlog_dsse2(const json_t *spec, const struct tlog_about *about, struct err *e)
{
    json_t *entry, *signature;
    int r = read_obj(spec, "dsseV002", &entry, e);

    if (r >= 0)
        r = check_digest(entry, "payloadHash", about->message, e);
    if (r >= 0)
        r = tlog_only_one(entry, "signatures", &signature, e);
    return r < 0 ? r : check_signature(signature, about, e);
}
