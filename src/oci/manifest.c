#include "oci/manifest.h"

#include "oci/image_internal.h"

#include <string.h>

static const struct {
    const char *type;
    enum media_kind kind;
} media_types[] = {
    { "application/vnd.oci.image.index.v1+json", MEDIA_INDEX },
    { "application/vnd.docker.distribution.manifest.list.v2+json", MEDIA_INDEX },
    { "application/vnd.oci.image.manifest.v1+json", MEDIA_MANIFEST },
    { "application/vnd.docker.distribution.manifest.v2+json", MEDIA_MANIFEST },
    { "application/vnd.oci.image.layer.v1.tar", MEDIA_LAYER },
    { "application/vnd.oci.image.layer.v1.tar+gzip", MEDIA_LAYER },
    { "application/vnd.oci.image.layer.v1.tar+zstd", MEDIA_LAYER },
    { "application/vnd.oci.image.layer.nondistributable.v1.tar", MEDIA_LAYER },
    { "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", MEDIA_LAYER },
    { "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", MEDIA_LAYER },
    { "application/vnd.docker.image.rootfs.diff.tar", MEDIA_LAYER },
    { "application/vnd.docker.image.rootfs.diff.tar.gzip", MEDIA_LAYER },
    { "application/vnd.docker.image.rootfs.diff.tar.zstd", MEDIA_LAYER },
};

enum media_kind media_kind(const char *media_type)
{
    for (size_t i = 0; i < ARRAY_LEN(media_types); i++)
        if (strcmp(media_types[i].type, media_type) == 0)
            return media_types[i].kind;
    return MEDIA_UNKNOWN;
}

static int parse_descriptor(const json_t *o, struct descriptor *ret, struct err *e)
{
    const char *digest = NULL, *type = NULL;
    int r;

    r = json_get_str(o, "digest", &digest, e);
    if (r == 0)
        r = json_get_str(o, "mediaType", &type, e);
    if (r == 0)
        r = json_get_u64(o, "size", &ret->size, e);
    if (r < 0)
        return r;
    if (!digest || !digest_valid(digest))
        return err_set(e, ERR_CORRUPT, "'%.80s' is not a sha256 digest", digest ? digest : "");
    memcpy(ret->digest, digest, sizeof(ret->digest));
    ret->media_type = strdup(type ? type : "");
    return ret->media_type ? 0 : err_os(e, "descriptor");
}

/* In a manifest the size is not optional. */
static int parse_content(const json_t *o, struct descriptor *ret, struct err *e)
{
    if (!json_is_integer(json_object_get(o, "size")))
        return err_set(e, ERR_CORRUPT, "'size' is not a positive number");
    return parse_descriptor(o, ret, e);
}

static int check_schema(const json_t *o, struct err *e)
{
    uint64_t version = 0;
    int r;

    r = json_get_u64(o, "schemaVersion", &version, e);
    if (r < 0)
        return r;
    if (version != 2)
        return err_set(e, ERR_UNSUPPORTED, "schemaVersion is not 2");
    return 0;
}

static int parse_layers(const json_t *o, struct manifest *m, struct err *e)
{
    json_t *layers = NULL, *item;
    size_t i;
    int r;

    r = json_get_arr(o, "layers", &layers, e);
    if (r < 0)
        return r;
    if (json_array_size(layers) > MANIFEST_LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d layers", MANIFEST_LAYERS_MAX);
    m->layers = calloc(json_array_size(layers) + 1, sizeof(*m->layers));
    if (!m->layers)
        return err_os(e, "layers");
    json_array_foreach(layers, i, item)
    {
        m->layers_n = i + 1;
        r = parse_content(item, &m->layers[i], e);
        if (r < 0)
            return err_ctx(e, "layer %zu", i);
        if (strstr(m->layers[i].media_type, ".foreign."))
            return err_set(e, ERR_UNSUPPORTED,
                           "layer %zu is foreign: its content is in no registry and no archive",
                           i);
        if (media_kind(m->layers[i].media_type) != MEDIA_LAYER)
            return err_set(e, ERR_UNSUPPORTED, "layer %zu: unknown media type '%.100s'", i,
                           m->layers[i].media_type);
    }
    return 0;
}

int manifest_parse(const void *text, size_t len, struct manifest *ret, struct err *e)
{
    struct manifest m = { 0 };
    json_t *config = NULL;
    autojson *o = NULL;
    int r;

    r = json_parse(text, len, "manifest", &o, e);
    if (r == 0)
        r = check_schema(o, e);
    if (r == 0)
        r = json_get_obj(o, "config", &config, e);
    if (r == 0 && !config)
        r = err_set(e, ERR_CORRUPT, "there is no 'config'");
    if (r == 0)
        r = parse_content(config, &m.config, e);
    if (r == 0)
        r = parse_layers(o, &m, e);
    if (r < 0) {
        manifest_done(&m);
        return err_ctx(e, "manifest");
    }
    *ret = m;
    return 0;
}

void manifest_done(struct manifest *m)
{
    free(m->config.media_type);
    for (size_t i = 0; i < m->layers_n; i++)
        free(m->layers[i].media_type);
    free(m->layers);
    *m = (struct manifest){ 0 };
}

size_t manifest_first(const struct manifest *m, size_t i)
{
    size_t first = 0;

    while (strcmp(m->layers[first].digest, m->layers[i].digest) != 0)
        first++;
    return first;
}

static int copy_field(const json_t *o, const char *key, char *ret, size_t size, struct err *e)
{
    const char *text = NULL;
    int r;

    r = json_get_str(o, key, &text, e);
    if (r < 0)
        return r;
    if (text && strlen(text) >= size)
        return err_set(e, ERR_CORRUPT, "'%s' is too long", key);
    (void)snprintf(ret, size, "%s", text ? text : "");
    return 0;
}

static int read_platform(const json_t *o, struct platform *ret, struct err *e)
{
    int r;

    r = copy_field(o, "os", ret->os, sizeof(ret->os), e);
    if (r == 0)
        r = copy_field(o, "architecture", ret->architecture, sizeof(ret->architecture), e);
    if (r == 0)
        r = copy_field(o, "variant", ret->variant, sizeof(ret->variant), e);
    return r;
}

static int parse_entry(const json_t *o, struct index_entry *ret, struct err *e)
{
    json_t *platform = NULL, *notes = NULL;
    const char *name = NULL;
    int r;

    r = parse_descriptor(o, &ret->descriptor, e);
    if (r == 0)
        r = json_get_obj(o, "platform", &platform, e);
    if (r == 0 && platform)
        r = read_platform(platform, &ret->platform, e);
    if (r == 0)
        r = json_get_obj(o, "annotations", &notes, e);
    /* docker save writes the full name there and only the tag into the standard one. */
    if (r == 0)
        r = json_get_str(notes, "io.containerd.image.name", &name, e);
    if (r == 0 && !name)
        r = json_get_str(notes, "org.opencontainers.image.ref.name", &name, e);
    if (r < 0)
        return r;
    ret->has_platform = platform != NULL;
    ret->name = name ? strdup(name) : NULL;
    return name && !ret->name ? err_os(e, "index") : 0;
}

int index_parse(const void *text, size_t len, struct index *ret, struct err *e)
{
    json_t *list = NULL, *item;
    struct index index = { 0 };
    autojson *o = NULL;
    size_t i;
    int r;

    r = json_parse(text, len, "index", &o, e);
    if (r == 0)
        r = check_schema(o, e);
    if (r == 0)
        r = json_get_arr(o, "manifests", &list, e);
    if (r == 0 && json_array_size(list) > INDEX_ENTRIES_MAX)
        r = err_set(e, ERR_LIMIT, "more than %d manifests", INDEX_ENTRIES_MAX);
    if (r < 0)
        return err_ctx(e, "index");
    index.entries = calloc(json_array_size(list) + 1, sizeof(*index.entries));
    if (!index.entries)
        return err_os(e, "index");
    json_array_foreach(list, i, item)
    {
        index.n = i + 1;
        r = parse_entry(item, &index.entries[i], e);
        if (r < 0) {
            index_done(&index);
            return err_ctx(e, "index: manifest %zu", i);
        }
    }
    *ret = index;
    return 0;
}

void index_done(struct index *index)
{
    for (size_t i = 0; i < index->n; i++) {
        free(index->entries[i].descriptor.media_type);
        free(index->entries[i].name);
    }
    free(index->entries);
    *index = (struct index){ 0 };
}

static int parse_diff_ids(const json_t *rootfs, struct image_meta *meta, struct err *e)
{
    json_t *list = NULL, *item;
    size_t i;
    int r;

    r = json_get_arr(rootfs, "diff_ids", &list, e);
    if (r < 0)
        return r;
    if (json_array_size(list) > MANIFEST_LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d layers", MANIFEST_LAYERS_MAX);
    meta->diff_ids = calloc(json_array_size(list) + 1, sizeof(*meta->diff_ids));
    if (!meta->diff_ids)
        return err_os(e, "diff ids");
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(item);

        if (!text || !digest_valid(text))
            return err_set(e, ERR_CORRUPT, "diff id %zu is not a sha256 digest", i);
        memcpy(meta->diff_ids[i], text, DIGEST_LEN + 1);
    }
    meta->n = json_array_size(list);
    return 0;
}

int image_meta_parse(const void *text, size_t len, struct image_meta *ret, struct err *e)
{
    struct image_meta meta = { 0 };
    const char *created = NULL;
    autoptr(image) img = calloc(1, sizeof(*img));
    json_t *rootfs = NULL;
    int r;

    if (!img)
        return err_os(e, "image configuration");
    r = image_read_config(img, text, len, e); /* all types are right, or it is refused now */
    if (r < 0)
        return r;
    r = read_platform(img->config, &meta.platform, e);
    if (r == 0)
        r = json_get_str(img->config, "created", &created, e);
    if (r == 0)
        r = json_get_obj(img->config, "rootfs", &rootfs, e);
    if (r == 0)
        r = parse_diff_ids(rootfs, &meta, e);
    if (r < 0) {
        image_meta_done(&meta);
        return err_ctx(e, "image configuration");
    }
    if (created && !rfc3339_parse(created, &meta.created_ns))
        meta.created_ns = 0; /* only for show */
    *ret = meta;
    return 0;
}

void image_meta_done(struct image_meta *meta)
{
    free(meta->diff_ids);
    *meta = (struct image_meta){ 0 };
}
