/* What a log entry is about: the kinds hashedrekord 0.0.1, dsse 0.0.1 and intoto 0.0.2 of Rekor
 * v1. */
#include "sign/b64.h"
#include "sign/openssl.h"
#include "sign/pem.h"
#include "sign/read.h"
#include "sign/tlog_internal.h"
#include "util/id.h"

#include <string.h>

int tlog_differs(const char *what, struct err *e)
{
    return err_set(e, ERR_DENIED, "The log entry is about another %s", what);
}

/* {"algorithm":"sha256","value":"hex"} of the message. */
static int check_hash(const json_t *o, const char *key, struct span message, struct err *e)
{
    const char *algorithm = NULL, *value = NULL;
    uint8_t hash[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    unsigned len = 0;
    const EVP_MD *md;
    json_t *h;
    int r = read_obj(o, key, &h, e);

    if (r >= 0)
        r = read_str(h, "algorithm", &algorithm, e);
    if (r >= 0)
        r = read_str(h, "value", &value, e);
    if (r < 0)
        return r;
    md = strcmp(algorithm, "sha256") == 0   ? EVP_sha256()
         : strcmp(algorithm, "sha384") == 0 ? EVP_sha384()
         : strcmp(algorithm, "sha512") == 0 ? EVP_sha512()
                                            : NULL;
    if (!md)
        return err_set(e, ERR_UNSUPPORTED, "Log entry with hash '%.20s'", algorithm);
    if (EVP_Digest(message.p, message.len, hash, &len, md, NULL) != 1)
        return err_os_at(e, ENOMEM, "log entry");
    hex_encode(hash, len, hex);
    return strcmp(hex, value) == 0 ? 0 : tlog_differs("artifact", e);
}

int tlog_check_signature(const json_t *o, const char *key, struct span want, struct err *e)
{
    autostr bytes = STR_INIT(2 * SIGNATURE_MAX);
    int r = read_b64(o, key, &bytes, e);

    if (r < 0)
        return r;
    return span_equal(span_of(&bytes), want) ? 0 : tlog_differs("signature", e);
}

/* base64(PEM(certificate or public key)) */
static int check_verifier(const json_t *o, const char *key, struct span want, struct err *e)
{
    autostr text = STR_INIT(PEM_FILE_MAX);
    autopem b = { 0 };
    int r = read_b64(o, key, &text, e);

    if (r >= 0)
        r = pem_only(text.p, text.len, "log entry", &b, e);
    if (r < 0)
        return r;
    return span_equal(span_of(&b.bytes), want) ? 0 : tlog_differs("certificate or key", e);
}

static int hashedrekord(const json_t *spec, const struct tlog_about *about, struct err *e)
{
    json_t *data, *signature, *key;
    int r = read_obj(spec, "data", &data, e);

    if (r >= 0)
        r = check_hash(data, "hash", about->message, e);
    if (r >= 0)
        r = read_obj(spec, "signature", &signature, e);
    if (r >= 0)
        r = tlog_check_signature(signature, "content", about->signature, e);
    if (r >= 0)
        r = read_obj(signature, "publicKey", &key, e);
    return r < 0 ? r : check_verifier(key, "content", about->verifier, e);
}

int tlog_only_one(const json_t *o, const char *key, json_t **ret, struct err *e)
{
    json_t *list;
    int r = json_get_arr(o, key, &list, e);

    if (r < 0)
        return r;
    if (json_array_size(list) != 1 || !json_is_object(json_array_get(list, 0)))
        return err_set(e, ERR_DENIED, "The log entry has not exactly one signature");
    *ret = json_array_get(list, 0);
    return 0;
}

static int dsse(const json_t *spec, const struct tlog_about *about, struct err *e)
{
    json_t *signature;
    int r = check_hash(spec, "payloadHash", about->message, e);

    if (r >= 0)
        r = tlog_only_one(spec, "signatures", &signature, e);
    if (r >= 0)
        r = tlog_check_signature(signature, "signature", about->signature, e);
    return r < 0 ? r : check_verifier(signature, "verifier", about->verifier, e);
}

/* Signatures in intoto entries are base64 of base64. */
static int intoto_signature(const json_t *o, struct span want, struct err *e)
{
    autostr once = STR_INIT(4 * SIGNATURE_MAX);
    autostr bytes = STR_INIT(2 * SIGNATURE_MAX);
    int r = read_b64(o, "sig", &once, e);

    if (r < 0)
        return r;
    if (!once.len || !b64_decode(once.p, once.len, &bytes))
        return err_set(e, ERR_CORRUPT, "'sig' of the log entry is damaged");
    return span_equal(span_of(&bytes), want) ? 0 : tlog_differs("signature", e);
}

static int intoto(const json_t *spec, const struct tlog_about *about, struct err *e)
{
    json_t *content, *envelope, *signature;
    int r = read_obj(spec, "content", &content, e);

    if (r >= 0)
        r = check_hash(content, "payloadHash", about->message, e);
    if (r >= 0)
        r = read_obj(content, "envelope", &envelope, e);
    if (r >= 0)
        r = tlog_only_one(envelope, "signatures", &signature, e);
    if (r >= 0)
        r = intoto_signature(signature, about->signature, e);
    return r < 0 ? r : check_verifier(signature, "publicKey", about->verifier, e);
}

enum layout { FOR_BYTES, FOR_ENVELOPE, FOR_BOTH };

static int check_kind(const char *kind, const char *version, const json_t *spec,
                      const struct tlog_about *about, struct err *e)
{
    static const struct {
        const char *kind, *version;
        enum layout layout;
        tlog_kind_fn *check;
    } kinds[] = {
        { "hashedrekord", "0.0.1", FOR_BYTES, hashedrekord },
        { "dsse", "0.0.1", FOR_ENVELOPE, dsse },
        { "intoto", "0.0.2", FOR_ENVELOPE, intoto },
        { "hashedrekord", "0.0.2", FOR_BOTH, tlog_hashedrekord2 },
        { "dsse", "0.0.2", FOR_ENVELOPE, tlog_dsse2 },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(kind, kinds[i].kind) == 0 && strcmp(version, kinds[i].version) == 0) {
            if (kinds[i].layout != FOR_BOTH &&
                (kinds[i].layout == FOR_ENVELOPE) != about->envelope)
                return tlog_differs("kind of signature", e);
            return kinds[i].check(spec, about, e);
        }
    return err_set(e, ERR_UNSUPPORTED, "Log entry of kind %.30s %.10s", kind, version);
}

int tlog_check_body(const struct tlog_entry *t, const struct tlog_about *about, struct err *e)
{
    const char *kind = NULL, *version = NULL;
    autojson *root = NULL;
    json_t *spec;
    int r = json_parse(str_c(&t->body), t->body.len, "log entry", &root, e);

    if (r >= 0)
        r = read_str(root, "kind", &kind, e);
    if (r >= 0)
        r = read_str(root, "apiVersion", &version, e);
    if (r >= 0)
        r = read_obj(root, "spec", &spec, e);
    return r < 0 ? r : check_kind(kind, version, spec, about, e);
}
