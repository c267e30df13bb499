#include "sign/sign.h"

#include "sign/evidence.h"
#include "sign/openssl.h"
#include "sign/read.h"
#include "util/id.h"

#include <string.h>

#define BUNDLE_TYPE "application/vnd.dev.sigstore.bundle"

struct search {
    const struct sign_request *request;
    const struct sign_source *source;
    struct verifier verifier;
    unsigned seen;  /* signatures that were looked at */
    struct err why; /* of the last one that did not do */
};

void sign_tag(const char *digest, char ret[SIGN_TAG_LEN + 1])
{
    snprintf(ret, SIGN_TAG_LEN + 1, "sha256-%.64s.sig", digest + strlen("sha256:"));
}

/* ---- fetching ---- */

/* What a source hands out under a digest must have it: a registry's lie must not count as a
 * signature that somebody made for something else. */
static int fetch_blob(const struct sign_source *s, const char *digest, struct str *ret,
                      struct err *e)
{
    uint8_t hash[SIGN_HASH_LEN];
    char text[DIGEST_LEN + 1] = "sha256:";
    int r;

    if (!digest_valid(digest))
        return err_set(e, ERR_CORRUPT, "'%.80s' is not a digest", digest);
    r = s->blob(s->ctx, digest, ret, e);
    if (r < 0)
        return r;
    if (!sign_hash(span_of(ret), hash))
        return err_os_at(e, ENOMEM, "signature");
    hex_encode(hash, sizeof(hash), text + strlen("sha256:"));
    if (strcmp(text, digest) != 0)
        return err_set(e, ERR_CORRUPT, "Blob %s has other content", digest);
    return 0;
}

/* The layers of a manifest; *ret_root owns them. */
static int parse_layers(const struct str *manifest, json_t **ret_root, json_t **ret_layers,
                        struct err *e)
{
    autojson *root = NULL;
    int r = json_parse(str_c(manifest), manifest->len, "manifest of signatures", &root, e);

    if (r >= 0)
        r = json_get_arr(root, "layers", ret_layers, e);
    if (r < 0)
        return r;
    *ret_root = take_ptr(root);
    return 0;
}

/* ---- one signature ---- */

/* Returns 1 when it does; 0 after noting why not. */
static int judge(struct search *s, const struct evidence *ev, const char *layout,
                 struct sign_result *ret)
{
    const struct trust_rule *rule = s->verifier.rule;
    struct sign_result result = { .how = "" };
    char who[224] = "";
    struct err e = { 0 };
    int r = evidence_check(ev, &s->verifier, who, sizeof(who), &e);

    if (r >= 0 && ev->envelope && rule->same_repository)
        r = err_set(&e, ERR_DENIED, "A bundle does not say for which repository it was made");
    else if (r >= 0 && ev->envelope)
        r = statement_check(span_of(&ev->about), s->request, result.digest, &e);
    else if (r >= 0)
        r = payload_check(span_of(&ev->about), s->request, rule->same_repository, result.digest,
                          &e);
    if (r < 0) {
        s->why = e;
        return 0;
    }
    snprintf(result.how, sizeof(result.how), "%s, %s", who, layout);
    *ret = result;
    return 1;
}

/* A failure of the source ends the search, damaged data only this signature. */
static bool is_data(const struct err *e)
{
    return e->kind == ERR_CORRUPT || e->kind == ERR_DENIED || e->kind == ERR_LIMIT ||
           e->kind == ERR_UNSUPPORTED || e->kind == ERR_INVALID || e->kind == ERR_NOT_FOUND;
}

static int note(struct search *s, struct err *e)
{
    if (!is_data(e))
        return -(int)e->kind;
    s->why = *e;
    err_clear(e);
    return 0;
}

/* ---- the tag ---- */

static int try_layer(struct search *s, const json_t *layer, struct sign_result *ret,
                     struct err *e)
{
    autoptr(evidence) ev = evidence_new();
    autostr payload = STR_INIT(SIGN_BLOB_MAX);
    const char *digest = NULL;
    json_t *annotations;
    int r =
        ev ? read_obj(layer, "annotations", &annotations, e) : err_os_at(e, ENOMEM, "signature");

    if (r >= 0)
        r = read_str(layer, "digest", &digest, e);
    if (r >= 0)
        r = fetch_blob(s->source, digest, &payload, e);
    if (r >= 0)
        r = layer_read(annotations, span_of(&payload), ev, e);
    return r < 0 ? note(s, e) : judge(s, ev, "tag", ret);
}

static int try_layers(struct search *s, const json_t *layers, struct sign_result *ret,
                      struct err *e)
{
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        int r;

        if (i >= SIGN_TRIES_MAX)
            return note(
                s, &(struct err){ .kind = ERR_LIMIT, .text = "Too many signatures in one tag" });
        if (!json_is_object(layer))
            continue;
        s->seen++;
        r = try_layer(s, layer, ret, e);
        if (r != 0)
            return r;
    }
    return 0;
}

static int try_tag(struct search *s, const char *digest, struct sign_result *ret, struct err *e)
{
    autostr manifest = STR_INIT(SIGN_MANIFEST_MAX);
    char tag[SIGN_TAG_LEN + 1];
    autojson *root = NULL;
    json_t *layers = NULL;
    int r;

    sign_tag(digest, tag);
    r = s->source->manifest(s->source->ctx, tag, &manifest, e);
    if (r < 0 && e->kind == ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (r < 0)
        return err_ctx(e, "signatures (%s)", tag);
    r = parse_layers(&manifest, &root, &layers, e);
    if (r < 0) {
        s->seen++;
        return note(s, e);
    }
    return try_layers(s, layers, ret, e);
}

/* ---- referrers ---- */

static bool is_bundle(const json_t *o, const char *key)
{
    const char *type = json_string_value(json_object_get(o, key));

    return type && strncmp(type, BUNDLE_TYPE, strlen(BUNDLE_TYPE)) == 0;
}

static int try_bundle_blob(struct search *s, const json_t *layer, struct sign_result *ret,
                           struct err *e)
{
    autoptr(evidence) ev = evidence_new();
    autostr json = STR_INIT(SIGN_BLOB_MAX);
    const char *digest = NULL;
    int r = ev ? read_str(layer, "digest", &digest, e) : err_os_at(e, ENOMEM, "signature");

    if (r >= 0)
        r = fetch_blob(s->source, digest, &json, e);
    if (r >= 0)
        r = bundle_read(span_of(&json), ev, e);
    return r < 0 ? note(s, e) : judge(s, ev, "bundle", ret);
}

static int try_referrer(struct search *s, const char *digest, struct sign_result *ret,
                        struct err *e)
{
    autostr manifest = STR_INIT(SIGN_MANIFEST_MAX);
    autojson *root = NULL;
    json_t *layers = NULL;
    int r = digest_valid(digest)
                ? s->source->manifest(s->source->ctx, digest, &manifest, e)
                : err_set(e, ERR_CORRUPT, "Referrer '%.80s' is not a digest", digest);

    if (r >= 0)
        r = parse_layers(&manifest, &root, &layers, e);
    if (r < 0)
        return note(s, e);
    if (json_array_size(layers) != 1 || !is_bundle(json_array_get(layers, 0), "mediaType"))
        return 0;
    s->seen++;
    return try_bundle_blob(s, json_array_get(layers, 0), ret, e);
}

static int try_index(struct search *s, const json_t *list, struct sign_result *ret, struct err *e)
{
    unsigned tries = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *digest = json_string_value(json_object_get(one, "digest"));
        int r;

        /* Registries without the field leave it out; what names another type is skipped. */
        if (!digest || (json_object_get(one, "artifactType") && !is_bundle(one, "artifactType")))
            continue;
        if (++tries > SIGN_TRIES_MAX)
            return note(s, &(struct err){ .kind = ERR_LIMIT, .text = "Too many referrers" });
        r = try_referrer(s, digest, ret, e);
        if (r != 0)
            return r;
    }
    return 0;
}

static int try_referrers(struct search *s, const char *digest, struct sign_result *ret,
                         struct err *e)
{
    autostr text = STR_INIT(SIGN_MANIFEST_MAX);
    autojson *root = NULL;
    json_t *list = NULL;
    int r = s->source->referrers(s->source->ctx, digest, &text, e);

    if (r < 0 && e->kind == ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (r < 0)
        return err_ctx(e, "signatures (referrers)");
    if (!text.len)
        return 0;
    r = json_parse(text.p, text.len, "index of referrers", &root, e);
    if (r >= 0)
        r = json_get_arr(root, "manifests", &list, e);
    return r < 0 ? note(s, e) : try_index(s, list, ret, e);
}

/* ---- all of them ---- */

static int search_all(struct search *s, struct sign_result *ret, struct err *e)
{
    for (size_t i = 0; i < s->request->digests_n; i++) {
        int r = try_tag(s, s->request->digests[i], ret, e);

        if (r == 0)
            r = try_referrers(s, s->request->digests[i], ret, e);
        if (r != 0)
            return r;
    }
    return 0;
}

static int nothing_found(const struct search *s, struct err *e)
{
    const char *scope = s->verifier.rule->scope;

    if (!s->seen && !s->why.kind)
        return err_set(e, ERR_DENIED, "%s has no signature, and rule '%s' wants one",
                       s->request->repository, scope);
    return err_set(e, ERR_DENIED, "None of the %u signatures of %s is what rule '%s' wants: %s",
                   s->seen, s->request->repository, scope, s->why.text);
}

int sign_check_rule(const struct trust_rule *rule, struct err *e)
{
    struct verifier v;
    int r = verifier_init(&v, rule, e);

    if (r >= 0)
        verifier_done(&v);
    return r;
}

int sign_verify(const struct sign_request *request, const struct trust_rule *rule,
                const struct sign_source *source, struct sign_result *ret, struct err *e)
{
    struct search s = { .request = request, .source = source };
    int r;

    if (rule->kind == TRUST_ACCEPT) {
        *ret = (struct sign_result){ .how = "accepted without a signature" };
        return 0;
    }
    if (rule->kind == TRUST_REJECT)
        return err_set(e, ERR_DENIED, "The trust policy rejects images of %s (rule '%s')",
                       request->repository, rule->scope);
    r = verifier_init(&s.verifier, rule, e);
    if (r < 0)
        return r;
    r = search_all(&s, ret, e);
    if (r == 0)
        r = nothing_found(&s, e);
    verifier_done(&s.verifier);
    return r < 0 ? r : 0;
}
