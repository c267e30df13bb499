/* Log entries as cosign's annotation and sigstore's bundle write them. */
#include "sign/b64.h"
#include "sign/read.h"
#include "sign/tlog.h"

#include <string.h>

static void entry_init(struct tlog_entry *t)
{
    *t = (struct tlog_entry){ .body = STR_INIT(TLOG_BODY_MAX),
                              .promise = STR_INIT(SIGNATURE_MAX),
                              .proof.checkpoint = STR_INIT(TLOG_CHECKPOINT_MAX) };
}

static int fill_annotation(const json_t *root, struct tlog_entry *t, struct err *e)
{
    const char *id = NULL;
    json_t *payload;
    uint64_t time_s = 0;
    int r = read_b64(root, "SignedEntryTimestamp", &t->promise, e);

    if (r >= 0)
        r = read_obj(root, "Payload", &payload, e);
    if (r >= 0)
        r = read_b64(payload, "body", &t->body, e);
    if (r >= 0)
        r = read_number(payload, "integratedTime", &time_s, e);
    if (r >= 0)
        r = read_number(payload, "logIndex", &t->index, e);
    if (r >= 0)
        r = read_str(payload, "logID", &id, e);
    if (r < 0)
        return r;
    if (!t->promise.len || !hex_decode(id, t->log, SIGN_HASH_LEN))
        return err_set(e, ERR_CORRUPT, "'logID' or 'SignedEntryTimestamp' is damaged");
    t->time_s = (int64_t)time_s;
    return 0;
}

int tlog_parse_annotation(const char *text, size_t len, struct tlog_entry *ret, struct err *e)
{
    autojson *root = NULL;
    struct tlog_entry t;
    int r;

    entry_init(&t);
    r = len > 2 * TLOG_BODY_MAX ? err_set(e, ERR_LIMIT, "Log entry is too large")
                                : json_parse(text, len, "log entry", &root, e);
    if (r >= 0)
        r = fill_annotation(root, &t, e);
    if (r < 0) {
        tlog_entry_done(&t);
        return err_ctx(e, "bundle annotation");
    }
    *ret = t;
    return 0;
}

static int read_hash(const json_t *o, const char *key, uint8_t *ret, struct err *e)
{
    autostr bytes = STR_INIT(SIGN_HASH_LEN);
    int r = read_b64(o, key, &bytes, e);

    if (r < 0)
        return r;
    if (bytes.len != SIGN_HASH_LEN)
        return err_set(e, ERR_CORRUPT, "'%s' is not %d bytes", key, SIGN_HASH_LEN);
    memcpy(ret, bytes.p, SIGN_HASH_LEN);
    return 0;
}

static int fill_hashes(const json_t *list, struct tlog_proof *p, struct err *e)
{
    if (json_array_size(list) > TLOG_HASHES_MAX)
        return err_set(e, ERR_LIMIT, "Inclusion proof has more than %d hashes", TLOG_HASHES_MAX);
    for (; p->hashes_n < json_array_size(list); p->hashes_n++) {
        const json_t *v = json_array_get(list, p->hashes_n);
        autostr bytes = STR_INIT(SIGN_HASH_LEN);

        if (!json_is_string(v) ||
            !b64_decode(json_string_value(v), json_string_length(v), &bytes) ||
            bytes.len != SIGN_HASH_LEN)
            return err_set(e, ERR_CORRUPT, "Inclusion proof has a damaged hash");
        memcpy(p->hashes[p->hashes_n], bytes.p, SIGN_HASH_LEN);
    }
    return 0;
}

static int fill_proof(const json_t *o, struct tlog_proof *p, struct err *e)
{
    const char *envelope = NULL;
    json_t *list, *checkpoint;
    int r = read_number(o, "logIndex", &p->index, e);

    if (r >= 0)
        r = read_number(o, "treeSize", &p->size, e);
    if (r >= 0)
        r = read_hash(o, "rootHash", p->root, e);
    if (r >= 0)
        r = json_get_arr(o, "hashes", &list, e);
    if (r >= 0)
        r = fill_hashes(list, p, e);
    if (r >= 0)
        r = json_get_obj(o, "checkpoint", &checkpoint, e);
    if (r >= 0 && checkpoint)
        r = read_str(checkpoint, "envelope", &envelope, e);
    if (r < 0)
        return r;
    if (envelope && !str_adds(&p->checkpoint, envelope))
        return err_set(e, ERR_LIMIT, "Checkpoint is larger than %zu bytes", TLOG_CHECKPOINT_MAX);
    p->present = true;
    return 0;
}

static int fill_parts(const json_t *o, struct tlog_entry *t, struct err *e)
{
    json_t *id, *promise, *proof;
    int r = read_obj(o, "logId", &id, e);

    if (r >= 0)
        r = read_hash(id, "keyId", t->log, e);
    if (r >= 0)
        r = json_get_obj(o, "inclusionPromise", &promise, e);
    if (r >= 0 && promise)
        r = read_b64(promise, "signedEntryTimestamp", &t->promise, e);
    if (r >= 0)
        r = json_get_obj(o, "inclusionProof", &proof, e);
    if (r >= 0 && proof)
        r = fill_proof(proof, &t->proof, e);
    return r;
}

int tlog_parse_bundled(const json_t *o, struct tlog_entry *ret, struct err *e)
{
    struct tlog_entry t;
    uint64_t time_s = 0;
    int r;

    entry_init(&t);
    r = read_b64(o, "canonicalizedBody", &t.body, e);
    if (r >= 0)
        r = read_number(o, "logIndex", &t.index, e);
    if (r >= 0)
        r = read_number(o, "integratedTime", &time_s, e);
    if (r >= 0)
        r = fill_parts(o, &t, e);
    if (r < 0) {
        tlog_entry_done(&t);
        return err_ctx(e, "log entry");
    }
    t.time_s = (int64_t)time_s;
    *ret = t;
    return 0;
}
