/*
 * Sigstore's bundles (protobuf JSON), versions 0.1 to 0.3, with a DSSE envelope.
 *
 * 0.1 has a promise in each log entry, from 0.2 on there is a proof, 0.3 has one certificate
 * instead of a chain.
 */
#include "sign/b64.h"
#include "sign/evidence.h"
#include "sign/read.h"

#include <string.h>

#define MEDIA_TYPE   "application/vnd.dev.sigstore.bundle"
#define PAYLOAD_TYPE "application/vnd.in-toto+json"

static int read_version(const json_t *root, unsigned *ret, struct err *e)
{
    static const char *const types[][2] = {
        { MEDIA_TYPE "+json;version=0.1", MEDIA_TYPE ".v0.1+json" },
        { MEDIA_TYPE "+json;version=0.2", MEDIA_TYPE ".v0.2+json" },
        { MEDIA_TYPE "+json;version=0.3", MEDIA_TYPE ".v0.3+json" },
    };
    const char *text = NULL;
    int r = read_str(root, "mediaType", &text, e);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(text, types[i][0]) == 0 || strcmp(text, types[i][1]) == 0) {
            *ret = i + 1;
            return 0;
        }
    return err_set(e, ERR_UNSUPPORTED, "Bundle of type '%.80s'", text);
}

/* ---- who ---- */

static int add_der(const json_t *o, struct evidence *ev, struct err *e)
{
    autostr der = STR_INIT(CERT_MAX);
    int r = read_b64(o, "rawBytes", &der, e);

    if (r < 0)
        return r;
    if (!ev->cert)
        return cert_from_der(span_of(&der), &ev->cert, e);
    return certs_add(&ev->chain, span_of(&der), "Certificate chain", e);
}

static int read_chain(const json_t *o, struct evidence *ev, struct err *e)
{
    json_t *list;
    int r = json_get_arr(o, "certificates", &list, e);

    if (r < 0)
        return r;
    if (!json_array_size(list) || json_array_size(list) > CERT_CHAIN_MAX)
        return err_set(e, ERR_CORRUPT, "Certificate chain of 0 or more than %d", CERT_CHAIN_MAX);
    for (size_t i = 0; r >= 0 && i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);

        r = json_is_object(one) ? add_der(one, ev, e)
                                : err_set(e, ERR_CORRUPT, "Certificate is not an object");
    }
    return r;
}

static int read_who(const json_t *material, unsigned version, struct evidence *ev, struct err *e)
{
    json_t *cert, *chain, *key;
    int r = json_get_obj(material, "certificate", &cert, e);

    if (r >= 0)
        r = json_get_obj(material, "x509CertificateChain", &chain, e);
    if (r >= 0)
        r = json_get_obj(material, "publicKey", &key, e);
    if (r < 0)
        return r;
    if ((cert != NULL) + (chain != NULL) + (key != NULL) != 1)
        return err_set(e, ERR_CORRUPT, "Bundle has not exactly one of certificate and key");
    if (cert)
        return add_der(cert, ev, e);
    if (!chain)
        return 0; /* the key itself is the policy's */
    if (version >= 3)
        return err_set(e, ERR_CORRUPT, "Bundle of version 0.3 with a chain of certificates");
    return read_chain(chain, ev, e);
}

/* ---- when ---- */

static int check_version(const struct tlog_entry *t, unsigned version, struct err *e)
{
    if (version == 1 && !t->promise.len)
        return err_set(e, ERR_CORRUPT, "Bundle of version 0.1 without an inclusion promise");
    if (version > 1 && !t->proof.present)
        return err_set(e, ERR_CORRUPT, "Bundle of version 0.%u without an inclusion proof",
                       version);
    return 0;
}

static int read_entries(const json_t *material, unsigned version, struct evidence *ev,
                        struct err *e)
{
    json_t *list;
    int r = json_get_arr(material, "tlogEntries", &list, e);

    if (r < 0)
        return r;
    if (json_array_size(list) > TLOG_ENTRIES_MAX)
        return err_set(e, ERR_LIMIT, "Bundle with more than %d log entries", TLOG_ENTRIES_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct tlog_entry *t = &ev->entries[ev->entries_n];

        if (!json_is_object(json_array_get(list, i)))
            return err_set(e, ERR_CORRUPT, "Log entry is not an object");
        r = tlog_parse_bundled(json_array_get(list, i), t, e);
        if (r < 0)
            return r;
        ev->entries_n++;
        r = check_version(t, version, e);
        if (r < 0)
            return r;
        if (version == 1 && !t->proof.checkpoint.len)
            t->proof.present =
                false; /* 0.1 had proofs without a checkpoint: they prove nothing */
    }
    return 0;
}

static int read_timestamps(const json_t *material, struct evidence *ev, struct err *e)
{
    json_t *data, *list = NULL;
    int r = json_get_obj(material, "timestampVerificationData", &data, e);

    if (r >= 0 && data)
        r = json_get_arr(data, "rfc3161Timestamps", &list, e);
    if (r < 0)
        return r;
    if (json_array_size(list) > TIMESTAMPS_MAX)
        return err_set(e, ERR_LIMIT, "Bundle with more than %d timestamps", TIMESTAMPS_MAX);
    for (size_t i = 0; r >= 0 && i < json_array_size(list); i++) {
        r = read_b64(json_array_get(list, i), "signedTimestamp", &ev->timestamps[i], e);
        ev->timestamps_n += r >= 0;
    }
    return r;
}

/* ---- what ---- */

/* DSSE's pre-authentication encoding. */
static bool encode(const char *type, const struct str *payload, struct str *ret)
{
    return str_addf(ret, "DSSEv1 %zu %s %zu ", strlen(type), type, payload->len) &&
           str_add(ret, payload->p, payload->len);
}

static int read_envelope(const json_t *o, struct evidence *ev, struct err *e)
{
    const char *type = NULL;
    json_t *list = NULL;
    int r = read_str(o, "payloadType", &type, e);

    if (r >= 0)
        r = read_b64(o, "payload", &ev->about, e);
    if (r >= 0)
        r = json_get_arr(o, "signatures", &list, e);
    if (r < 0)
        return r;
    if (strcmp(type, PAYLOAD_TYPE) != 0)
        return err_set(e, ERR_UNSUPPORTED, "Envelope of type '%.80s'", type);
    if (json_array_size(list) != 1 || !json_is_object(json_array_get(list, 0)))
        return err_set(e, ERR_DENIED, "Envelope has not exactly one signature");
    r = read_b64(json_array_get(list, 0), "sig", &ev->signature, e);
    if (r >= 0 && !encode(type, &ev->about, &ev->message))
        r = err_os_at(e, ENOMEM, "bundle");
    ev->envelope = true;
    return r;
}

static int read_content(const json_t *root, struct evidence *ev, struct err *e)
{
    json_t *envelope, *message;
    int r = json_get_obj(root, "dsseEnvelope", &envelope, e);

    if (r >= 0)
        r = json_get_obj(root, "messageSignature", &message, e);
    if (r < 0)
        return r;
    if (message)
        return err_set(e, ERR_UNSUPPORTED,
                       "Bundle with a bare message signature: it does not say "
                       "that it is for an image");
    if (!envelope)
        return err_set(e, ERR_CORRUPT, "Bundle without an envelope");
    return read_envelope(envelope, ev, e);
}

int bundle_read(struct span json, struct evidence *ev, struct err *e)
{
    autojson *root = NULL;
    json_t *material;
    unsigned version = 0;
    int r = json_parse(json.p, json.len, "bundle", &root, e);

    if (r >= 0)
        r = read_version(root, &version, e);
    if (r >= 0)
        r = read_obj(root, "verificationMaterial", &material, e);
    if (r >= 0)
        r = read_who(material, version, ev, e);
    if (r >= 0)
        r = read_entries(material, version, ev, e);
    if (r >= 0)
        r = read_timestamps(material, ev, e);
    return r < 0 ? r : read_content(root, ev, e);
}
