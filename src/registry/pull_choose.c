#include "oci/json.h"
#include "registry/pull.h"

#include <string.h>

#define INDEX_DEPTH_MAX 4 /* indexes in indexes; real ones have two */
#define LIST_MAX        300

static const char *const schema1_types[] = {
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
};

static const char *const config_types[] = {
    "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json",
    "", /* some old tools */
};

static bool is_one_of(const char *type, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(type, list[i]) == 0)
            return true;
    return false;
}

static int refuse_schema1(struct err *e)
{
    (void)err_set(e, ERR_UNSUPPORTED, "it is in docker's old format, schema 1");
    e->hint = "Whoever made the image can push it again with a current tool";
    return -ERR_UNSUPPORTED;
}

/* What it is by the header, by its own word and by its members; these must not contradict each
 * other (OCI distribution spec; CVE-2021-41190). */
static int document_kind(const struct remote_manifest *m, enum media_kind *ret, struct err *e)
{
    bool by_index, by_manifest;
    const char *own = NULL;
    uint64_t version = 0;
    autojson *o = NULL;
    enum media_kind kind;
    int r;

    if (is_one_of(m->media_type, schema1_types, ARRAY_LEN(schema1_types)))
        return refuse_schema1(e);
    r = json_parse(str_c(&m->bytes), m->bytes.len, "manifest", &o, e);
    if (r == 0)
        r = json_get_str(o, "mediaType", &own, e);
    if (r == 0)
        r = json_get_u64(o, "schemaVersion", &version, e);
    if (r < 0)
        return r;
    if (version == 1)
        return refuse_schema1(e);
    by_index = json_object_get(o, "manifests");
    by_manifest = json_object_get(o, "layers") || json_object_get(o, "config");
    if (by_index == by_manifest)
        return err_set(e, ERR_CORRUPT, "it is neither a manifest nor an index, or both");
    *ret = by_index ? MEDIA_INDEX : MEDIA_MANIFEST;
    kind = media_kind(m->media_type);
    if (own && *own && media_kind(own) != *ret)
        return err_set(e, ERR_CORRUPT, "it calls itself '%.100s', which it is not", own);
    if (kind != MEDIA_UNKNOWN && kind != *ret)
        return err_set(e, ERR_CORRUPT, "the registry calls it '%.100s', which it is not",
                       m->media_type);
    return 0;
}

static int not_available(const struct index *index, const struct pull_options *o, struct err *e)
{
    char want[PLATFORM_TEXT_MAX], have[LIST_MAX];

    platform_text(&o->want, want);
    index_platforms(index, have, sizeof(have));
    return err_set(e, ERR_NOT_FOUND, "no matching manifest for %s: there is %s", want,
                   have[0] ? have : "none for any platform");
}

/* From an index to its entry for the platform. */
static int descend(struct remote *remote, const struct pull_options *o, struct remote_manifest *m,
                   struct err *e)
{
    const struct index_entry *entry;
    struct index index = { 0 };
    struct remote_manifest next = { 0 };
    int r;

    r = index_parse(str_c(&m->bytes), m->bytes.len, &index, e);
    if (r < 0)
        return r;
    entry = index_choose(&index, &o->want);
    if (!entry)
        r = not_available(&index, o, e);
    else
        r = remote_manifest_get(remote, entry->descriptor.digest, &next, e);
    if (r == 0 && next.bytes.len != entry->descriptor.size)
        r = err_set(e, ERR_CORRUPT, "the manifest %s has %zu bytes, and the index says %ju",
                    entry->descriptor.digest, next.bytes.len, (uintmax_t)entry->descriptor.size);
    index_done(&index);
    if (r < 0) {
        remote_manifest_done(&next);
        return r;
    }
    remote_manifest_done(m);
    *m = next;
    return 0;
}

static int find_manifest(struct remote *remote, const struct ref *ref,
                         const struct pull_options *o, struct pull_image *image, struct err *e)
{
    enum media_kind kind = MEDIA_UNKNOWN;
    int r;

    r = remote_manifest_get(remote, ref->digest[0] ? ref->digest : ref->tag, &image->manifest, e);
    if (r < 0)
        return r;
    image->digest = image->manifest.digest;
    for (int depth = 0; depth <= INDEX_DEPTH_MAX; depth++) {
        r = document_kind(&image->manifest, &kind, e);
        if (r < 0)
            return err_ctx(e, "manifest %.19s", image->manifest.digest.text);
        if (kind == MEDIA_MANIFEST)
            return 0;
        r = descend(remote, o, &image->manifest, e);
        if (r < 0)
            return r;
    }
    return err_set(e, ERR_LIMIT, "its indexes are nested more than %d deep", INDEX_DEPTH_MAX);
}

static int check_layers(const struct manifest *m, struct err *e)
{
    if (!is_one_of(m->config.media_type, config_types, ARRAY_LEN(config_types)))
        return err_set(e, ERR_UNSUPPORTED,
                       "it is no container image: its configuration is '%.100s'",
                       m->config.media_type);
    for (size_t i = 0; i < m->layers_n; i++) {
        const char *type = m->layers[i].media_type;

        if (strstr(type, "nondistributable"))
            return err_set(e, ERR_UNSUPPORTED,
                           "layer %zu is foreign ('%.100s'): its content is in no registry", i,
                           type);
    }
    return 0;
}

static int fetch_config(struct remote *remote, struct pull_image *image, struct err *e)
{
    const struct descriptor *d = &image->parsed.config;
    int r;

    if (d->size > JSON_DOC_MAX)
        return err_set(e, ERR_LIMIT, "the configuration is larger than %zu bytes", JSON_DOC_MAX);
    r = remote_blob_get(remote, d->digest, JSON_DOC_MAX, &image->config, e);
    if (r < 0)
        return err_ctx(e, "configuration");
    if (image->config.len != d->size)
        return err_set(e, ERR_CORRUPT, "the configuration has %zu bytes, not %ju",
                       image->config.len, (uintmax_t)d->size);
    r = image_meta_parse(str_c(&image->config), image->config.len, &image->meta, e);
    if (r < 0)
        return r;
    if (image->meta.n != image->parsed.layers_n)
        return err_set(e, ERR_CORRUPT, "the configuration has %zu diff ids for %zu layers",
                       image->meta.n, image->parsed.layers_n);
    return 0;
}

static int check_platform(const struct pull_image *image, const struct pull_options *o,
                          struct err *e)
{
    char want[PLATFORM_TEXT_MAX], have[PLATFORM_TEXT_MAX];

    if (platform_rank(&o->want, &image->meta.platform) > 0)
        return 0;
    platform_text(&o->want, want);
    platform_text(&image->meta.platform, have);
    return err_set(e, ERR_NOT_FOUND, "it is an image for %s, not for %s", have, want);
}

int pull_choose(struct remote *remote, const struct ref *ref, const struct pull_options *o,
                struct pull_image *ret, struct err *e)
{
    struct pull_image image = { .config = STR_INIT(JSON_DOC_MAX) };
    int r;

    r = find_manifest(remote, ref, o, &image, e);
    if (r == 0)
        r = manifest_parse(str_c(&image.manifest.bytes), image.manifest.bytes.len, &image.parsed,
                           e);
    if (r == 0)
        r = check_layers(&image.parsed, e);
    if (r == 0)
        r = fetch_config(remote, &image, e);
    if (r == 0)
        r = check_platform(&image, o, e);
    if (r < 0) {
        pull_image_done(&image);
        return r;
    }
    *ret = image;
    return 0;
}

void pull_image_done(struct pull_image *image)
{
    remote_manifest_done(&image->manifest);
    manifest_done(&image->parsed);
    image_meta_done(&image->meta);
    str_done(&image->config);
}
