/* A signature in the tag layout, added to those that are there. */
#include "sign/b64.h"
#include "sign/evidence.h"
#include "sign/openssl.h"
#include "sign/read.h"
#include "sign/sign.h"
#include "util/id.h"

#include <string.h>

#define SIGNATURES_MAX    1000 /* as cosign */
#define CONFIG_MEDIA_TYPE "application/vnd.oci.image.config.v1+json"
#define EMPTY_MANIFEST                                                                           \
    "{\"schemaVersion\":2,\"mediaType\":\"" SIGN_MANIFEST_TYPE "\",\"config\":{},\"layers\":[]}"
#define EMPTY_CONFIG                                                                             \
    "{\"architecture\":\"\",\"created\":\"0001-01-01T00:00:00Z\",\"history\":[],\"os\":\"\","    \
    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"config\":{}}"

void signing_done(struct signing *s)
{
    str_done(&s->payload);
    str_done(&s->config);
    str_done(&s->manifest);
}

static int digest_text(const struct str *bytes, char ret[DIGEST_LEN + 1], struct err *e)
{
    uint8_t hash[SIGN_HASH_LEN];

    if (bytes->failed || !sign_hash(span_of(bytes), hash))
        return err_os_at(e, ENOMEM, "signature");
    memcpy(ret, "sha256:", strlen("sha256:"));
    hex_encode(hash, sizeof(hash), ret + strlen("sha256:"));
    return 0;
}

/* ---- what is there ---- */

struct tag {
    json_t *manifest, *config; /* owned */
    json_t *layers, *diff_ids; /* in them */
};

static void tag_done(struct tag *t)
{
    json_decref(t->manifest);
    json_decref(t->config);
}

static int tag_check(struct tag *t, struct err *e)
{
    json_t *rootfs;
    const char *type = NULL;
    int r = json_get_str(t->manifest, "mediaType", &type, e);

    if (r >= 0 && type && strcmp(type, SIGN_MANIFEST_TYPE) != 0)
        return err_set(e, ERR_UNSUPPORTED, "It is a '%.80s', not signatures", type);
    if (r >= 0)
        r = json_get_arr(t->manifest, "layers", &t->layers, e);
    if (r >= 0)
        r = read_obj(t->config, "rootfs", &rootfs, e);
    if (r >= 0)
        r = json_get_arr(rootfs, "diff_ids", &t->diff_ids, e);
    if (r < 0)
        return r;
    if (!t->layers || !t->diff_ids || json_array_size(t->layers) >= SIGNATURES_MAX)
        return err_set(e, ERR_UNSUPPORTED, "It has no layers, or more than %d", SIGNATURES_MAX);
    return 0;
}

static int tag_parse(struct tag *t, const struct sign_source *source, const struct str *manifest,
                     struct err *e)
{
    autostr config = STR_INIT(SIGN_BLOB_MAX);
    const char *digest = NULL;
    json_t *descriptor;
    int r = json_parse(str_c(manifest), manifest->len, "manifest", &t->manifest, e);

    if (r >= 0)
        r = read_obj(t->manifest, "config", &descriptor, e);
    if (r >= 0)
        r = read_str(descriptor, "digest", &digest, e);
    if (r >= 0)
        r = source->blob(source->ctx, digest, &config, e);
    if (r >= 0)
        r = json_parse(str_c(&config), config.len, "config", &t->config, e);
    return r < 0 ? r : tag_check(t, e);
}

static int tag_new(struct tag *t, struct err *e)
{
    int r = json_parse(EMPTY_MANIFEST, strlen(EMPTY_MANIFEST), "manifest", &t->manifest, e);

    if (r >= 0)
        r = json_parse(EMPTY_CONFIG, strlen(EMPTY_CONFIG), "config", &t->config, e);
    return r < 0 ? r : tag_check(t, e);
}

static int tag_read(struct tag *t, const struct sign_source *source, const char *name,
                    struct err *e)
{
    autostr manifest = STR_INIT(SIGN_MANIFEST_MAX);
    int r = source->manifest(source->ctx, name, &manifest, e);

    if (r < 0 && e->kind == ERR_NOT_FOUND) {
        err_clear(e);
        return tag_new(t, e);
    }
    if (r >= 0)
        r = tag_parse(t, source, &manifest, e);
    return r < 0 ? err_ctx(e, "signatures that are there (%s)", name) : 0;
}

/* Whether one of the layers is this payload signed by this key. */
static bool has_ours(const struct tag *t, const struct signer *signer, const struct signing *s)
{
    size_t i;
    json_t *layer;

    json_array_foreach(t->layers, i, layer)
    {
        const char *digest = json_string_value(json_object_get(layer, "digest"));
        const json_t *annotations = json_object_get(layer, "annotations");
        const char *text = json_string_value(json_object_get(annotations, SIGNATURE_ANNOTATION));
        autostr bytes = STR_INIT(SIGNATURE_MAX);

        if (digest && text && strcmp(digest, s->payload_digest) == 0 &&
            b64_decode(text, strlen(text), &bytes) &&
            sign_key_verifies(signer->key, span_of(&s->payload), span_of(&bytes)))
            return true;
    }
    return false;
}

/* ---- what is added ---- */

static int add_layer(struct tag *t, const struct signer *signer, const struct signing *s,
                     struct err *e)
{
    autostr signature = STR_INIT(SIGNATURE_MAX);
    autostr text = STR_INIT(2 * SIGNATURE_MAX);
    json_t *history = json_object_get(t->config, "history");
    int r = signer_sign(signer, span_of(&s->payload), &signature, e);

    if (r < 0)
        return r;
    if (!b64_encode(signature.p, signature.len, &text) ||
        json_array_append_new(
            t->layers, json_pack("{s:s, s:I, s:s, s:{s:s}}", "mediaType", PAYLOAD_MEDIA_TYPE,
                                 "size", (json_int_t)s->payload.len, "digest", s->payload_digest,
                                 "annotations", SIGNATURE_ANNOTATION, str_c(&text))) < 0 ||
        json_array_append_new(t->diff_ids, json_string(s->payload_digest)) < 0)
        return err_os_at(e, ENOMEM, "signature");
    if (json_is_array(history) &&
        json_array_append_new(history, json_pack("{s:s}", "created", "0001-01-01T00:00:00Z")) < 0)
        return err_os_at(e, ENOMEM, "signature");
    return 0;
}

static int dump(const json_t *o, struct str *ret, struct err *e)
{
    autofree char *text = json_dumps(o, JSON_COMPACT);

    if (!text || !str_adds(ret, text))
        return err_set(e, ERR_LIMIT, "Too many signatures for one tag");
    return 0;
}

static int tag_write(struct tag *t, struct signing *s, struct err *e)
{
    int r = dump(t->config, &s->config, e);

    if (r >= 0)
        r = digest_text(&s->config, s->config_digest, e);
    if (r < 0)
        return r;
    if (json_object_set_new(t->manifest, "config",
                            json_pack("{s:s, s:I, s:s}", "mediaType", CONFIG_MEDIA_TYPE, "size",
                                      (json_int_t)s->config.len, "digest", s->config_digest)) < 0)
        return err_os_at(e, ENOMEM, "signature");
    return dump(t->manifest, &s->manifest, e);
}

static int make(const struct signer *signer, const struct sign_source *source, struct signing *s,
                struct err *e)
{
    struct tag t = { 0 };
    int r = tag_read(&t, source, s->tag, e);

    if (r >= 0) {
        s->present = has_ours(&t, signer, s);
        if (!s->present)
            r = add_layer(&t, signer, s, e);
    }
    if (r >= 0 && !s->present)
        r = tag_write(&t, s, e);
    tag_done(&t);
    return r;
}

int sign_make(const struct sign_request *request, const struct signer *signer,
              const struct sign_source *source, struct signing *ret, struct err *e)
{
    struct signing s = { .payload = STR_INIT(SIGN_BLOB_MAX),
                         .config = STR_INIT(SIGN_BLOB_MAX),
                         .manifest = STR_INIT(SIGN_MANIFEST_MAX) };
    int r;

    sign_tag(request->digests[0], s.tag);
    if (!payload_make(request, &s.payload))
        r = err_os_at(e, ENOMEM, "signature");
    else
        r = digest_text(&s.payload, s.payload_digest, e);
    if (r >= 0)
        r = make(signer, source, &s, e);
    if (r < 0)
        signing_done(&s);
    else
        *ret = s;
    return r;
}
