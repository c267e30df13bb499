/* Signatures: everything that tests/lib/sigstore.py makes, right and wrong, and every bit of it
 * turned over. The path of its JSON is in SIGN_FIXTURE. */
#include "oci/json.h"
#include "sign/b64.h"
#include "sign/evidence.h"
#include "sign/pem.h"
#include "sign/sct.h"
#include "util/parse.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static const char *text_at(const json_t *o, const char *a, const char *b)
{
    const char *text =
        json_string_value(json_object_get(b ? json_object_get(o, a) : o, b ? b : a));

    assert_non_null(text);
    return text;
}

static const char *file_of(const json_t *fx, const char *name)
{
    return text_at(fx, "files", name);
}

static int setup(void **state)
{
    const char *path = getenv("SIGN_FIXTURE");

    if (!path)
        return -1;
    *state = json_load_file(path, 0, NULL);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

/* ---- rules ---- */

static void add(struct trust_files *files, const json_t *fx, const char *name)
{
    struct trust_file *v = realloc(files->v, (files->n + 1) * sizeof(*v));

    assert_non_null(v);
    v[files->n] = (struct trust_file){ .name = strdup(name) };
    assert_true(str_adds(&v[files->n].text, file_of(fx, name)));
    files->v = v;
    files->n++;
}

static void add_identity(struct trust_rule *rule, const char *issuer, const char *identity)
{
    rule->identities = calloc(1, sizeof(*rule->identities));
    assert_non_null(rule->identities);
    rule->identities[0].issuer = strdup(issuer);
    rule->identities[0].identity = strdup(identity);
    rule->identities_n = 1;
}

static void keyless_rule(struct trust_rule *rule, const json_t *fx, const char *name)
{
    const char *identity = text_at(fx, "identity", NULL);

    if (strstr(name, " uri"))
        identity = "https://ci.example.org/workflow@main";
    if (strstr(name, " other"))
        identity = "machine!ci";
    add_identity(rule, text_at(fx, "issuer", NULL), identity);
    add(&rule->roots, fx, "roots.pem");
    if (strstr(name, " tsa") || strstr(name, " both"))
        add(&rule->tsa, fx, "tsa.pem");
    if (!strstr(name, " tsa"))
        add(&rule->rekor, fx, strstr(name, " v2") ? "rekor2.pub" : "rekor.pub");
    if (strstr(name, " ignore sct"))
        rule->ignore_sct = true;
    else
        add(&rule->ct, fx, "ctfe.pub");
}

/* "keyless...", or a key's name and " logged" or " here" */
static struct trust_rule *rule_of(const json_t *fx, const char *name)
{
    struct trust_rule *rule = calloc(1, sizeof(*rule));
    int len = name ? (int)strcspn(name, " ") : 0;
    char key[32];

    assert_non_null(rule);
    rule->scope = strdup("test");
    if (strncmp(name, "keyless", 7) == 0) {
        rule->kind = TRUST_KEYLESS;
        keyless_rule(rule, fx, name);
        return rule;
    }
    rule->kind = TRUST_KEY;
    snprintf(key, sizeof(key), "%.*s.pub", len, name ? name : "");
    add(&rule->keys, fx, "other.pub");
    add(&rule->keys, fx, key);
    if (strstr(name, " logged"))
        add(&rule->rekor, fx, "rekor.pub");
    rule->same_repository = strstr(name, " here") != NULL;
    return rule;
}

static struct sign_request request_of(const json_t *fx)
{
    return (struct sign_request){ .repository = text_at(fx, "repository", NULL),
                                  .digests = { text_at(fx, "digest", NULL) },
                                  .digests_n = 1 };
}

/* ---- judging one signature ---- */

static int judge(const json_t *fx, const struct evidence *ev, const struct verifier *v,
                 struct err *e)
{
    struct sign_request request = request_of(fx);
    char digest[DIGEST_LEN + 1], who[256];
    int r = evidence_check(ev, v, who, sizeof(who), e);

    if (r < 0)
        return r;
    return ev->envelope ? statement_check(span_of(&ev->about), &request, digest, e)
                        : payload_check(span_of(&ev->about), &request, v->rule->same_repository,
                                        digest, e);
}

static int try_layer(const json_t *fx, const json_t *annotations, struct span payload,
                     const struct verifier *v, struct err *e)
{
    autoptr(evidence) ev = evidence_new();
    int r = layer_read(annotations, payload, ev, e);

    return r < 0 ? r : judge(fx, ev, v, e);
}

static int try_bundle(const json_t *fx, struct span json, const struct verifier *v, struct err *e)
{
    autoptr(evidence) ev = evidence_new();
    int r = bundle_read(json, ev, e);

    return r < 0 ? r : judge(fx, ev, v, e);
}

static struct span span_text(const char *text)
{
    return (struct span){ .p = text, .len = strlen(text) };
}

/* ---- a source in memory: blobs and manifests by name ---- */

struct memory {
    json_t *manifests, *blobs; /* objects of strings; owned */
    const char *referrers;     /* index, or NULL */
    enum err_kind fails;       /* everything fails like this when it is not NONE */
};

static int give(const json_t *from, const char *name, struct str *ret, struct err *e)
{
    const json_t *v = json_object_get(from, name);

    if (!v)
        return err_set(e, ERR_NOT_FOUND, "%s is not there", name);
    return str_add(ret, json_string_value(v), json_string_length(v))
               ? 0
               : err_set(e, ERR_LIMIT, "%s is too large", name);
}

static int memory_manifest(void *ctx, const char *name, struct str *ret, struct err *e)
{
    struct memory *m = ctx;

    if (m->fails)
        return err_set(e, m->fails, "It does not answer");
    return give(m->manifests, name, ret, e);
}

static int memory_blob(void *ctx, const char *digest, struct str *ret, struct err *e)
{
    return give(((struct memory *)ctx)->blobs, digest, ret, e);
}

static int memory_referrers(void *ctx, const char *digest UNUSED, struct str *ret, struct err *e)
{
    struct memory *m = ctx;

    if (!m->referrers)
        return err_set(e, ERR_NOT_FOUND, "none");
    return str_adds(ret, m->referrers) ? 0 : err_set(e, ERR_LIMIT, "large");
}

static struct sign_source source_of(struct memory *m)
{
    return (struct sign_source){
        .ctx = m, .manifest = memory_manifest, .referrers = memory_referrers, .blob = memory_blob
    };
}

static void digest_text(const char *bytes, char ret[DIGEST_LEN + 1])
{
    uint8_t hash[SIGN_HASH_LEN];

    assert_true(sign_hash(span_text(bytes), hash));
    memcpy(ret, "sha256:", 7);
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(ret + 7 + 2 * i, 3, "%02x", hash[i]);
}

static void memory_init(struct memory *m)
{
    *m = (struct memory){ .manifests = json_object(), .blobs = json_object() };
}

static void memory_done(struct memory *m)
{
    json_decref(m->manifests);
    json_decref(m->blobs);
}

static void put_layer(struct memory *m, const char *tag, const json_t *layer)
{
    const char *payload = text_at(layer, "payload", NULL);
    char digest[DIGEST_LEN + 1];
    autojson *manifest = NULL;
    char *text;

    digest_text(payload, digest);
    json_object_set_new(m->blobs, digest, json_string(payload));
    manifest = json_pack("{s:[{s:s, s:O}]}", "layers", "digest", digest, "annotations",
                         json_object_get(layer, "annotations"));
    text = json_dumps(manifest, 0);
    json_object_set_new(m->manifests, tag, json_string(text));
    free(text);
}

/* ---- right ones ---- */

static void test_layers(void **state)
{
    const json_t *fx = *state;
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(fx, "layers"), name, value)
    {
        autoptr(trust_rule) rule = rule_of(fx, json_string_value(json_array_get(value, 0)));
        struct sign_request request = request_of(fx);
        struct sign_result result = { .how = "" };
        char tag[SIGN_TAG_LEN + 1];
        struct sign_source source;
        struct err e = { 0 };
        struct memory m;

        memory_init(&m);
        source = source_of(&m);
        sign_tag(request.digests[0], tag);
        put_layer(&m, tag, json_array_get(value, 1));
        if (sign_verify(&request, rule, &source, &result, &e) < 0)
            fail_msg("%s: %s", name, e.text);
        assert_string_equal(result.digest, request.digests[0]);
        memory_done(&m);
    }
}

static void test_bundles(void **state)
{
    const json_t *fx = *state;
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(fx, "bundles"), name, value)
    {
        autoptr(trust_rule) rule = rule_of(fx, json_string_value(json_array_get(value, 0)));
        struct verifier v;
        struct err e = { 0 };

        assert_int_equal(verifier_init(&v, rule, &e), 0);
        if (try_bundle(fx, span_text(json_string_value(json_array_get(value, 1))), &v, &e) < 0)
            fail_msg("%s: %s", name, e.text);
        verifier_done(&v);
    }
}

/* ---- wrong ones ---- */

static void check_bad(const json_t *fx, const char *name, const json_t *value, bool bundle)
{
    autoptr(trust_rule) rule = rule_of(fx, json_string_value(json_array_get(value, 0)));
    const json_t *what = json_array_get(value, 1);
    const char *why = json_string_value(json_array_get(value, 2));
    struct sign_request request = request_of(fx);
    struct verifier v;
    struct err e = { 0 };
    int r;

    assert_int_equal(verifier_init(&v, rule, &e), 0);
    if (bundle && rule->same_repository) { /* sign_verify() looks at that one */
        verifier_done(&v);
        return;
    }
    r = bundle ? try_bundle(fx, span_text(json_string_value(what)), &v, &e)
               : try_layer(fx, json_object_get(what, "annotations"),
                           span_text(text_at(what, "payload", NULL)), &v, &e);
    if (r >= 0)
        fail_msg("%s was accepted for %s", name, request.repository);
    if (!strstr(e.text, why))
        fail_msg("%s: '%s' does not say '%s'", name, e.text, why);
    verifier_done(&v);
}

static void test_refused(void **state)
{
    const json_t *fx = *state;
    const char *name;
    json_t *value;

    json_object_foreach(json_object_get(fx, "bad_layers"), name, value)
        check_bad(fx, name, value, false);
    json_object_foreach(json_object_get(fx, "bad_bundles"), name, value)
        check_bad(fx, name, value, true);
}

/* ---- one bit ---- */

/* Bits of base64 text are turned over in what it stands for. */
static void set_b64(json_t *o, const char *key, const struct str *bytes)
{
    autostr text = STR_INIT(1 << 20);

    assert_true(b64_encode(bytes->p, bytes->len, &text));
    json_object_set_new(o, key, json_string(str_c(&text)));
}

struct flips {
    const json_t *fx;
    const struct verifier *v;
    const char *name;
    unsigned n;
    unsigned step; /* every bit, or one of each `step` */
};

static void must_refuse_bundle(struct flips *f, const json_t *root, const char *what, size_t bit)
{
    autofree char *text = json_dumps(root, JSON_COMPACT);
    struct err e = { 0 };

    f->n++;
    if (try_bundle(f->fx, span_text(text), f->v, &e) >= 0)
        fail_msg("%s: bit %zu of %s made no difference", f->name, bit, what);
}

static void flip_b64(struct flips *f, json_t *root, json_t *o, const char *key)
{
    json_t *was = json_incref(json_object_get(o, key));
    autostr bytes = STR_INIT(1 << 20);

    assert_true(b64_decode(json_string_value(was), json_string_length(was), &bytes));
    for (size_t bit = 0; bit < 8 * bytes.len; bit += f->step) {
        bytes.p[bit / 8] ^= (char)(1 << bit % 8);
        set_b64(o, key, &bytes);
        must_refuse_bundle(f, root, key, bit);
        bytes.p[bit / 8] ^= (char)(1 << bit % 8);
    }
    json_object_set_new(o, key, was);
}

/* Plain text; a bit that makes it no UTF-8 is refused by the parser already. */
static void flip_text(struct flips *f, json_t *root, json_t *o, const char *key)
{
    json_t *was = json_incref(json_object_get(o, key));
    autofree char *text = strdup(json_string_value(was));

    for (size_t bit = 0; bit < 8 * strlen(json_string_value(was)); bit += f->step) {
        json_t *changed;

        text[bit / 8] ^= (char)(1 << bit % 8);
        changed = json_stringn(text, json_string_length(was));
        if (changed) {
            json_object_set_new(o, key, changed);
            must_refuse_bundle(f, root, key, bit);
        }
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    json_object_set_new(o, key, was);
}

static void flip_number(struct flips *f, json_t *root, json_t *o, const char *key)
{
    json_t *was = json_incref(json_object_get(o, key));
    uint64_t value = (uint64_t)json_integer_value(was);
    struct err e = { 0 };

    if (json_is_string(was))
        assert_int_equal(parse_u64(json_string_value(was), 0, INT64_MAX, &value, &e), 0);
    for (unsigned bit = 0; bit < 63; bit++) {
        char text[24];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)(value ^ (UINT64_C(1) << bit)));
        json_object_set_new(o, key, json_string(text));
        must_refuse_bundle(f, root, key, bit);
    }
    json_object_set_new(o, key, was);
}

static void flip_entry(struct flips *f, json_t *root, json_t *entry)
{
    json_t *proof = json_object_get(entry, "inclusionProof");
    json_t *hashes = json_object_get(proof, "hashes");
    autojson *box = json_object();

    flip_b64(f, root, entry, "canonicalizedBody");
    flip_b64(f, root, json_object_get(entry, "logId"), "keyId");
    if (json_object_get(entry, "inclusionPromise")) { /* it signs the other two */
        flip_b64(f, root, json_object_get(entry, "inclusionPromise"), "signedEntryTimestamp");
        flip_number(f, root, entry, "integratedTime");
        flip_number(f, root, entry, "logIndex");
    }
    flip_b64(f, root, proof, "rootHash");
    flip_number(f, root, proof, "treeSize");
    flip_number(f, root, proof, "logIndex");
    flip_text(f, root, json_object_get(proof, "checkpoint"), "envelope");
    for (size_t i = 0; i < json_array_size(hashes); i++) {
        json_t *was = json_incref(json_array_get(hashes, i));
        autostr bytes = STR_INIT(64);

        assert_true(b64_decode(json_string_value(was), json_string_length(was), &bytes));
        for (size_t bit = 0; bit < 8 * bytes.len; bit += f->step) {
            bytes.p[bit / 8] ^= (char)(1 << bit % 8);
            set_b64(box, "h", &bytes);
            json_array_set(hashes, i, json_object_get(box, "h"));
            must_refuse_bundle(f, root, "hashes", bit);
            bytes.p[bit / 8] ^= (char)(1 << bit % 8);
        }
        json_array_set_new(hashes, i, was);
    }
}

static void flip_bundle(const json_t *fx, const char *name)
{
    const json_t *value = json_object_get(json_object_get(fx, "bundles"), name);
    autoptr(trust_rule) rule = rule_of(fx, json_string_value(json_array_get(value, 0)));
    const char *text = json_string_value(json_array_get(value, 1));
    autojson *root = json_loads(text, 0, NULL);
    json_t *material = json_object_get(root, "verificationMaterial");
    json_t *envelope = json_object_get(root, "dsseEnvelope");
    json_t *entries = json_object_get(material, "tlogEntries");
    struct err e = { 0 };
    struct verifier v;
    /* Certificates are slow: 11 is prime to 8, so that every position in a byte has its turn. */
    struct flips f = {
        .fx = fx, .v = &v, .name = name, .step = rule->kind == TRUST_KEY ? 3 : 11
    };

    assert_int_equal(verifier_init(&v, rule, &e), 0);
    flip_b64(&f, root, envelope, "payload");
    flip_text(&f, root, envelope, "payloadType");
    flip_b64(&f, root, json_array_get(json_object_get(envelope, "signatures"), 0), "sig");
    if (json_object_get(material, "certificate"))
        flip_b64(&f, root, json_object_get(material, "certificate"), "rawBytes");
    if (entries)
        flip_entry(&f, root, json_array_get(entries, 0));
    assert_int_equal(try_bundle(fx, span_text(text), &v, &e), 0);
    assert_true(f.n > 100);
    verifier_done(&v);
}

static void test_bits_of_bundles(void **state)
{
    flip_bundle(*state, "bundle p256");
    flip_bundle(*state, "bundle ed25519");
    flip_bundle(*state, "bundle logged");
    flip_bundle(*state, "bundle keyless 0.3");
    flip_bundle(*state, "bundle rekor v2 hashedrekord");
}

static void must_refuse_layer(struct flips *f, const json_t *annotations, struct span payload,
                              const char *what, size_t bit)
{
    struct err e = { 0 };

    f->n++;
    if (try_layer(f->fx, annotations, payload, f->v, &e) >= 0)
        fail_msg("%s: bit %zu of %s made no difference", f->name, bit, what);
}

static void flip_annotation(struct flips *f, json_t *annotations, struct span payload,
                            const char *key)
{
    json_t *was = json_incref(json_object_get(annotations, key));
    autofree char *text = strdup(json_string_value(was));

    for (size_t bit = 0; bit < 8 * json_string_length(was); bit += f->step) {
        json_t *changed;

        text[bit / 8] ^= (char)(1 << bit % 8);
        changed = json_stringn(text, json_string_length(was));
        if (changed) {
            json_object_set_new(annotations, key, changed);
            must_refuse_layer(f, annotations, payload, key, bit);
        }
        text[bit / 8] ^= (char)(1 << bit % 8);
    }
    json_object_set_new(annotations, key, was);
}

static void flip_layer(const json_t *fx, const char *name)
{
    const json_t *value = json_object_get(json_object_get(fx, "layers"), name);
    autoptr(trust_rule) rule = rule_of(fx, json_string_value(json_array_get(value, 0)));
    const json_t *layer = json_array_get(value, 1);
    autojson *annotations = json_deep_copy(json_object_get(layer, "annotations"));
    const char *text = text_at(layer, "payload", NULL);
    autofree char *payload = strdup(text);
    struct span span = span_text(payload);
    struct err e = { 0 };
    struct verifier v;
    struct flips f = {
        .fx = fx, .v = &v, .name = name, .step = rule->kind == TRUST_KEY ? 1 : 11
    };

    assert_int_equal(verifier_init(&v, rule, &e), 0);
    for (size_t bit = 0; bit < 8 * span.len; bit += f.step) {
        payload[bit / 8] ^= (char)(1 << bit % 8);
        must_refuse_layer(&f, annotations, span, "payload", bit);
        payload[bit / 8] ^= (char)(1 << bit % 8);
    }
    flip_annotation(&f, annotations, span, SIGNATURE_ANNOTATION);
    f.step = 11;
    if (rule->kind == TRUST_KEYLESS)
        flip_annotation(&f, annotations, span, "dev.sigstore.cosign/certificate");
    if (rule->rekor.n)
        flip_annotation(&f, annotations, span, "dev.sigstore.cosign/bundle");
    assert_int_equal(try_layer(fx, annotations, span, &v, &e), 0);
    verifier_done(&v);
}

static void test_bits_of_layers(void **state)
{
    flip_layer(*state, "key p256");
    flip_layer(*state, "key ed25519");
    flip_layer(*state, "key logged");
    flip_layer(*state, "keyless");
}

/* ---- searching ---- */

static void test_search(void **state)
{
    const json_t *fx = *state;
    const json_t *good =
        json_array_get(json_object_get(json_object_get(fx, "layers"), "key p256"), 1);
    autoptr(trust_rule) rule = rule_of(fx, "p256");
    struct sign_request request = request_of(fx);
    struct sign_result result = { .how = "" };
    char tag[SIGN_TAG_LEN + 1];
    struct sign_source source;
    struct err e = { 0 };
    struct memory m;

    memory_init(&m);
    source = source_of(&m);
    assert_int_equal(sign_verify(&request, rule, &source, &result, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "has no signature"));

    /* who cannot ask must not accept */
    m.fails = ERR_UNAVAILABLE;
    assert_int_equal(sign_verify(&request, rule, &source, &result, &e), -ERR_UNAVAILABLE);
    m.fails = ERR_NONE;

    sign_tag(request.digests[0], tag);
    put_layer(&m, tag, good);
    assert_int_equal(sign_verify(&request, rule, &source, &result, &e), 0);
    assert_non_null(strstr(result.how, "tag"));

    /* content that is not what its digest says */
    json_object_clear(m.blobs);
    {
        char digest[DIGEST_LEN + 1];

        digest_text(text_at(good, "payload", NULL), digest);
        json_object_set_new(m.blobs, digest, json_string("{}"));
    }
    assert_int_equal(sign_verify(&request, rule, &source, &result, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "other content"));
    memory_done(&m);
}

static void test_search_referrers(void **state)
{
    const json_t *fx = *state;
    const char *bundle = json_string_value(
        json_array_get(json_object_get(json_object_get(fx, "bundles"), "bundle p256"), 1));
    autoptr(trust_rule) rule = rule_of(fx, "p256");
    struct sign_request request = request_of(fx);
    struct sign_result result = { .how = "" };
    char digest[DIGEST_LEN + 1], text[1024], index[1024];
    struct sign_source source;
    struct err e = { 0 };
    struct memory m;

    memory_init(&m);
    source = source_of(&m);
    digest_text(bundle, digest);
    json_object_set_new(m.blobs, digest, json_string(bundle));
    snprintf(text, sizeof(text),
             "{\"layers\":[{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\","
             "\"digest\":\"%s\"}]}",
             digest);
    digest_text(text, digest);
    json_object_set_new(m.manifests, digest, json_string(text));
    snprintf(index, sizeof(index),
             "{\"manifests\":[{\"digest\":\"%s\",\"artifactType\":\"application/spdx+json\"},"
             "{\"digest\":\"%s\"}]}",
             request.digests[0], digest);
    m.referrers = index;
    assert_int_equal(sign_verify(&request, rule, &source, &result, &e), 0);
    assert_non_null(strstr(result.how, "bundle"));

    /* a bundle does not say where its image lies */
    rule->same_repository = true;
    assert_int_equal(sign_verify(&request, rule, &source, &result, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "which repository"));

    m.referrers = "{\"manifests\":7}";
    assert_int_equal(sign_verify(&request, rule, &source, &result, &e), -ERR_DENIED);
    memory_done(&m);
}

static void test_reject(void **state)
{
    struct trust_rule reject = { .kind = TRUST_REJECT, .scope = (char *)(uintptr_t) "here" };
    struct trust_rule accept = { .kind = TRUST_ACCEPT };
    struct sign_request request = request_of(*state);
    struct sign_source none = { 0 };
    struct sign_result result;
    struct err e = { 0 };

    assert_int_equal(sign_verify(&request, &reject, &none, &result, &e), -ERR_DENIED);
    assert_int_equal(sign_verify(&request, &accept, &none, &result, &e), 0);
}

/* ---- keys ---- */

static int password(void *ctx, char *ret, size_t cap UNUSED, size_t *ret_len,
                    struct err *e UNUSED)
{
    *ret_len = strlen(ctx);
    memcpy(ret, ctx, *ret_len);
    return 0;
}

static int open_key(const json_t *fx, const char *name, const char *secret, struct signer **ret,
                    struct err *e)
{
    const char *text = file_of(fx, name);

    return signer_open(text, strlen(text), name, password, (void *)(uintptr_t)secret, ret, e);
}

static void test_private_keys(void **state)
{
    static const struct {
        const char *file, *password, *public;
    } keys[] = {
        { "p256.p8", "", "p256.pub" },        { "p256.sec1", "", "p256.pub" },
        { "p384.p8", "", "p384.pub" },        { "p521.p8", "", "p521.pub" },
        { "ed25519.p8", "", "ed25519.pub" },  { "rsa.p8", "", "rsa.pub" },
        { "ed25519.enc", "", "ed25519.pub" }, { "p256.enc", "correct horse", "p256.pub" },
    };
    const json_t *fx = *state;
    struct err e = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        autoptr(signer) s = NULL;
        struct sign_keys public = { 0 };
        const char *text = file_of(fx, keys[i].public);
        autostr signature = STR_INIT(SIGNATURE_MAX);

        if (open_key(fx, keys[i].file, keys[i].password, &s, &e) < 0)
            fail_msg("%s: %s", keys[i].file, e.text);
        assert_int_equal(sign_keys_add(&public, text, strlen(text), "key", &e), 0);
        assert_memory_equal(s->key->id, public.v[0]->id, SIGN_HASH_LEN);
        assert_int_equal(signer_sign(s, span_text("hello"), &signature, &e), 0);
        assert_true(sign_key_verifies(public.v[0], span_text("hello"), span_of(&signature)));
        assert_false(sign_key_verifies(public.v[0], span_text("hellp"), span_of(&signature)));
        sign_keys_done(&public);
    }
}

static void test_refused_keys(void **state)
{
    const json_t *fx = *state;
    struct sign_keys keys = { 0 };
    autoptr(signer) s = NULL;
    struct err e = { 0 };
    const char *text;

    assert_int_equal(open_key(fx, "p256.enc", "wrong", &s, &e), -ERR_DENIED);
    assert_non_null(strstr(e.text, "Wrong password"));
    assert_int_equal(open_key(fx, "rsa.pkcs1", "", &s, &e), -ERR_UNSUPPORTED);
    assert_int_equal(open_key(fx, "p256.pub", "", &s, &e), -ERR_UNSUPPORTED);
    text = file_of(fx, "k256.pub");
    assert_int_equal(sign_keys_add(&keys, text, strlen(text), "k", &e), -ERR_UNSUPPORTED);
    text = file_of(fx, "rsa1024.pub");
    assert_int_equal(sign_keys_add(&keys, text, strlen(text), "k", &e), -ERR_UNSUPPORTED);
    text = file_of(fx, "p256.p8");
    assert_int_equal(sign_keys_add(&keys, text, strlen(text), "k", &e), -ERR_CORRUPT);
    assert_int_equal(sign_keys_add(&keys, "", 0, "k", &e), -ERR_CORRUPT);
    assert_int_equal(keys.n, 0);
    sign_keys_done(&keys);
}

/* Parameters that would ask for gigabytes are refused before scrypt starts. */
static void test_scrypt_cost(void **state UNUSED)
{
    static const char box[] =
        "{\"kdf\":{\"name\":\"scrypt\",\"params\":{\"N\":%s,\"r\":%s,\"p\":1},\"salt\":\"AAAA\"},"
        "\"cipher\":{\"name\":\"nacl/secretbox\",\"nonce\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"},"
        "\"ciphertext\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}";
    static const char *const costs[][2] = {
        { "1073741824", "8" }, { "32768", "1048576" }, { "0", "8" }, { "32769", "8" }
    };
    struct err e = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(costs); i++) {
        autofree char *text = str_format(box, costs[i][0], costs[i][1]);
        autostr out = STR_INIT(4096);

        assert_int_equal(secretbox_open(span_text(text), span_text("x"), &out, &e), -ERR_LIMIT);
    }
}

/* ---- small formats ---- */

static void test_base64(void **state UNUSED)
{
    static const char *const bad[] = { "A",    "AA",   "AAA",      "AA=A",  "A===",   "====",
                                       "AB==", "AAB=", "AA==AAAA", "AA\n=", "AAA\xc3" };
    autostr out = STR_INIT(64);
    uint8_t hex[2];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(b64_decode(bad[i], strlen(bad[i]), &out));
    str_clear(&out);
    assert_true(b64_decode("/+8AAQ==", 8, &out));
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.p, "\xff\xef\0\1", 4);
    assert_true(hex_decode("01ff", hex, 2));
    assert_false(hex_decode("01fF", hex, 2) || hex_decode("01f", hex, 2) ||
                 hex_decode("01ff0", hex, 2));
}

static void test_pem(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "-----BEGIN A-----\nAAAA\n",
        "-----BEGIN A-----\nAAAA\n-----END B-----\n",
        "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nAAAA\n-----END A-----\n",
        "-----BEGIN A-----\nAAAA\n-----END A-----\n-----BEGIN A-----\nAAAA\n-----END A-----\n",
        "-----BEGIN A-----\n-----END A-----\n",
    };
    struct err e = { 0 };
    autopem b = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(pem_only(bad[i], strlen(bad[i]), "it", &b, &e), -ERR_CORRUPT);
    assert_int_equal(
        pem_only("text\n-----BEGIN A B-----\r\nAA\r\nA=\r\n-----END A B-----", 51, "it", &b, &e),
        0);
    assert_string_equal(b.label, "A B");
    assert_int_equal(b.bytes.len, 2);
}

static void test_checkpoint(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "x\n1\n",
        "x\n0\nAAAA\n\n",
        "x\n-1\nAAAA\n\n",
        "x\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
        "x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", /* no empty line */
        "\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n",
    };
    const char *text = text_at(*state, "checkpoint", NULL);
    struct checkpoint c;
    struct err e = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(checkpoint_parse(bad[i], strlen(bad[i]), &c, &e), -ERR_CORRUPT);
    assert_int_equal(checkpoint_parse(text, strlen(text), &c, &e), 0);
    assert_int_equal(c.size, 21);
}

/* Trees of 1 to 20 leaves, every leaf; and none of the paths fits another leaf. */
static void merkle_root(size_t from, size_t n, uint8_t *ret)
{
    uint8_t both[65] = { 1 }, leaf[2] = { 0, (uint8_t)from };
    size_t k = 1;

    if (n == 1) {
        assert_true(sign_hash((struct span){ .p = leaf, .len = 2 }, ret));
        return;
    }
    while (2 * k < n)
        k *= 2;
    merkle_root(from, k, both + 1);
    merkle_root(from + k, n - k, both + 33);
    assert_true(sign_hash((struct span){ .p = both, .len = 65 }, ret));
}

static void merkle_path(size_t from, size_t n, size_t at, struct tlog_proof *p)
{
    size_t k = 1;

    if (n == 1)
        return;
    while (2 * k < n)
        k *= 2;
    if (at < k) {
        merkle_path(from, k, at, p);
        merkle_root(from + k, n - k, p->hashes[p->hashes_n++]);
    } else {
        merkle_path(from + k, n - k, at - k, p);
        merkle_root(from, k, p->hashes[p->hashes_n++]);
    }
}

static void test_merkle(void **state UNUSED)
{
    for (size_t n = 1; n <= 20; n++)
        for (size_t at = 0; at < n; at++) {
            struct tlog_proof p = { .index = at, .size = n };
            uint8_t leaf = (uint8_t)at;
            struct span span = { .p = &leaf, .len = 1 };

            merkle_root(0, n, p.root);
            merkle_path(0, n, at, &p);
            assert_true(merkle_included(span, &p));
            for (p.index = 0; p.index <= n; p.index++)
                assert_int_equal(merkle_included(span, &p), p.index == at);
            p.index = at;
            leaf ^= 64;
            assert_false(merkle_included(span, &p));
            leaf ^= 64;
            p.hashes_n += 1;
            assert_false(merkle_included(span, &p));
            p.hashes_n -= 1;
            if (p.hashes_n) {
                p.hashes_n -= 1;
                assert_false(merkle_included(span, &p));
            }
        }
}

static void test_sct_list(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = { { "", 0 }, { "\0", 1 }, { "\0\0", 2 }, { "\0\1", 2 }, { "\0\1xx", 4 } };
    struct cur list;
    struct sct s;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(sct_list_open((struct span){ .p = bad[i].bytes, .len = bad[i].len }, &list));
    assert_true(sct_list_open((struct span){ .p = "\0\3\0\1\0", .len = 5 }, &list));
    assert_false(sct_list_next(&list, &s)); /* version 0, and nothing more */
    assert_true(sct_list_open((struct span){ .p = "\0\3\0\1\7", .len = 5 }, &list));
    assert_true(sct_list_next(&list, &s)); /* a version to come is skipped */
    assert_int_equal(s.version, 7);
}

/* ---- making ---- */

static void store(struct memory *m, const struct signing *s)
{
    json_object_set_new(m->blobs, s->payload_digest, json_string(str_c(&s->payload)));
    json_object_set_new(m->blobs, s->config_digest, json_string(str_c(&s->config)));
    json_object_set_new(m->manifests, s->tag, json_string(str_c(&s->manifest)));
}

static void test_make(void **state)
{
    static const char *const names[] = { "p256.p8", "ed25519.p8", "rsa.p8" };
    static const char *const rules[] = { "p256 here", "ed25519 here", "rsa here" };
    const json_t *fx = *state;
    struct sign_request request = request_of(fx);
    struct sign_source source;
    struct err e = { 0 };
    struct memory m;

    memory_init(&m);
    source = source_of(&m);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        autoptr(signer) s = NULL;
        struct signing made;
        autojson *manifest = NULL;

        assert_int_equal(open_key(fx, names[i], "", &s, &e), 0);
        assert_int_equal(sign_make(&request, s, &source, &made, &e), 0);
        assert_false(made.present);
        store(&m, &made);
        manifest = json_loads(str_c(&made.manifest), 0, NULL);
        assert_int_equal(json_array_size(json_object_get(manifest, "layers")), i + 1);
        signing_done(&made);
        /* the same key again adds nothing */
        assert_int_equal(sign_make(&request, s, &source, &made, &e), 0);
        assert_true(made.present);
        signing_done(&made);
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        autoptr(trust_rule) rule = rule_of(fx, rules[i]);
        struct sign_result result;

        if (sign_verify(&request, rule, &source, &result, &e) < 0)
            fail_msg("%s: %s", rules[i], e.text);
    }
    memory_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_pem),
        cmocka_unit_test(test_checkpoint),
        cmocka_unit_test(test_merkle),
        cmocka_unit_test(test_sct_list),
        cmocka_unit_test(test_scrypt_cost),
        cmocka_unit_test(test_private_keys),
        cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_bundles),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_search_referrers),
        cmocka_unit_test(test_reject),
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_bits_of_layers),
        cmocka_unit_test(test_bits_of_bundles),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
