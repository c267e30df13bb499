/* A layer of the .sig tag: payload and annotations. */
#include "sign/b64.h"
#include "sign/evidence.h"
#include "sign/read.h"

#include <string.h>

#define CERTIFICATE "dev.sigstore.cosign/certificate"
#define CHAIN       "dev.sigstore.cosign/chain"
#define LOG_ENTRY   "dev.sigstore.cosign/bundle"
#define TIMESTAMP   "dev.sigstore.cosign/rfc3161timestamp"

static int read_certificate(const json_t *annotations, struct evidence *ev, struct err *e)
{
    const char *text, *chain;
    int r = json_get_str(annotations, CERTIFICATE, &text, e);

    if (r >= 0)
        r = json_get_str(annotations, CHAIN, &chain, e);
    if (r < 0)
        return r;
    if (text && *text)
        r = cert_from_pem(text, strlen(text), &ev->cert, e);
    if (r >= 0 && chain && *chain)
        r = certs_add_pem(&ev->chain, chain, strlen(chain), "Certificate chain", e);
    return r;
}

static int read_log_entry(const json_t *annotations, struct evidence *ev, struct err *e)
{
    const char *text;
    int r = json_get_str(annotations, LOG_ENTRY, &text, e);

    if (r < 0 || !text || !*text)
        return r;
    r = tlog_parse_annotation(text, strlen(text), &ev->entries[0], e);
    if (r >= 0)
        ev->entries_n = 1;
    return r;
}

static int read_timestamp(const json_t *annotations, struct evidence *ev, struct err *e)
{
    autojson *o = NULL;
    const char *text;
    int r = json_get_str(annotations, TIMESTAMP, &text, e);

    if (r < 0 || !text || !*text)
        return r;
    r = json_parse(text, strlen(text), "timestamp annotation", &o, e);
    if (r >= 0)
        r = read_b64(o, "SignedRFC3161Timestamp", &ev->timestamps[0], e);
    if (r >= 0)
        ev->timestamps_n = 1;
    return r;
}

int layer_read(const json_t *annotations, struct span payload, struct evidence *ev, struct err *e)
{
    int r = read_b64(annotations, SIGNATURE_ANNOTATION, &ev->signature, e);

    if (r >= 0)
        r = read_certificate(annotations, ev, e);
    if (r >= 0)
        r = read_log_entry(annotations, ev, e);
    if (r >= 0)
        r = read_timestamp(annotations, ev, e);
    if (r < 0)
        return r;
    if (!str_add(&ev->message, payload.p, payload.len) ||
        !str_add(&ev->about, payload.p, payload.len))
        return err_os_at(e, ENOMEM, "signature");
    return 0;
}
