#include "sign/tlog.h"

#include "sign/b64.h"
#include "sign/openssl.h"
#include "util/id.h"

#include <inttypes.h>
#include <string.h>

void tlog_entry_done(struct tlog_entry *t)
{
    str_done(&t->body);
    str_done(&t->promise);
    str_done(&t->proof.checkpoint);
}

/* ---- the Merkle tree ---- */

static bool hash_node(const uint8_t *left, const uint8_t *right, uint8_t *ret)
{
    uint8_t both[1 + 2 * SIGN_HASH_LEN] = { 1 };

    memcpy(both + 1, left, SIGN_HASH_LEN);
    memcpy(both + 1 + SIGN_HASH_LEN, right, SIGN_HASH_LEN);
    return sign_hash((struct span){ .p = both, .len = sizeof(both) }, ret);
}

static bool hash_leaf(struct span leaf, uint8_t *ret)
{
    autossl(EVP_MD_CTX) md = EVP_MD_CTX_new();

    return md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(md, "", 1) == 1 && EVP_DigestUpdate(md, leaf.p, leaf.len) == 1 &&
           EVP_DigestFinal_ex(md, ret, NULL) == 1;
}

bool merkle_included(struct span leaf, const struct tlog_proof *proof)
{
    uint64_t at = proof->index, last = proof->size - 1;
    uint8_t hash[SIGN_HASH_LEN];

    if (!proof->size || proof->index >= proof->size || !hash_leaf(leaf, hash))
        return false;
    for (size_t i = 0; i < proof->hashes_n; i++) {
        if (last == 0)
            return false;
        if ((at & 1) || at == last) {
            if (!hash_node(proof->hashes[i], hash, hash))
                return false;
            while (!(at & 1) && at) {
                at >>= 1;
                last >>= 1;
            }
        } else if (!hash_node(hash, proof->hashes[i], hash)) {
            return false;
        }
        at >>= 1;
        last >>= 1;
    }
    return last == 0 && memcmp(hash, proof->root, SIGN_HASH_LEN) == 0;
}

/* ---- the log's word ---- */

/* The text that the SET signs: RFC 8785 form of the entry. base64 and hexadecimal digits need no
 * escapes. */
static bool promise_text(const struct tlog_entry *t, struct str *ret)
{
    char id[2 * SIGN_HASH_LEN + 1];

    hex_encode(t->log, SIGN_HASH_LEN, id);
    str_adds(ret, "{\"body\":\"");
    if (!b64_encode(t->body.p, t->body.len, ret))
        return false;
    return str_addf(
        ret, "\",\"integratedTime\":%" PRId64 ",\"logID\":\"%s\",\"logIndex\":%" PRIu64 "}",
        t->time_s, id, t->index);
}

static int check_promise(const struct tlog_entry *t, const struct sign_key *log, struct err *e)
{
    autostr text = STR_INIT(2 * TLOG_BODY_MAX);

    if (!promise_text(t, &text))
        return err_os_at(e, ENOMEM, "log entry");
    if (!sign_key_verifies(log, span_of(&text), span_of(&t->promise)))
        return err_set(e, ERR_DENIED, "The transparency log's promise (SET) does not verify");
    return 0;
}

static int check_proof(const struct tlog_entry *t, const struct sign_key *log, struct err *e)
{
    const struct str *text = &t->proof.checkpoint;
    struct checkpoint c;
    int r;

    if (!text->len)
        return err_set(e, ERR_DENIED, "The transparency log's proof has no checkpoint");
    r = checkpoint_parse(text->p, text->len, &c, e);
    if (r < 0)
        return r;
    if (!checkpoint_signed_by(text->p, text->len, &c, log))
        return err_set(e, ERR_DENIED, "The transparency log's checkpoint does not verify");
    if (c.size != t->proof.size || memcmp(c.root, t->proof.root, SIGN_HASH_LEN) != 0)
        return err_set(e, ERR_DENIED, "The transparency log's proof is for another checkpoint");
    if (!merkle_included(span_of(&t->body), &t->proof))
        return err_set(e, ERR_DENIED, "The transparency log's inclusion proof does not verify");
    return 0;
}

const struct sign_key *tlog_find_log(const struct tlog_entry *t, const struct sign_keys *logs)
{
    const struct sign_key *log = sign_keys_find(logs, t->log);
    const char *text = str_c(&t->proof.checkpoint);
    struct span origin = { .p = text, .len = strcspn(text, "\n") };
    uint8_t id[SIGN_HASH_LEN];

    for (size_t i = 0; !log && i < logs->n; i++)
        if (checkpoint_key_id(logs->v[i], origin, id) && memcmp(id, t->log, sizeof(id)) == 0)
            log = logs->v[i];
    return log;
}

int tlog_check(const struct tlog_entry *t, const struct sign_keys *logs, int64_t *ret_time_s,
               struct err *e)
{
    const struct sign_key *log = tlog_find_log(t, logs);
    bool promised = t->promise.len > 0;
    int r = 0;

    if (!log)
        return err_set(e, ERR_DENIED, "The signature is in a transparency log we do not know");
    if (!promised && !t->proof.present)
        return err_set(e, ERR_DENIED, "The log entry has neither a promise nor a proof");
    if (promised)
        r = check_promise(t, log, e);
    if (r >= 0 && t->proof.present)
        r = check_proof(t, log, e);
    if (r < 0)
        return r;
    if (promised)
        *ret_time_s = t->time_s;
    return promised;
}
