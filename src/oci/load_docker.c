#include "oci/load_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int read_list(struct load *l, const struct member *manifest, json_t **ret, struct err *e)
{
    autostr text = STR_INIT(JSON_DOC_MAX);
    int r;

    r = spool_text(&l->spool, manifest, &text, e);
    if (r == 0)
        r = json_parse(str_c(&text), text.len, "manifest.json", ret, e);
    if (r == 0 && !json_is_array(*ret))
        r = err_set(e, ERR_CORRUPT, "manifest.json is not an array");
    return r;
}

static const struct member *config_member(struct load *l, const json_t *item, struct err *e)
{
    const struct member *m = NULL;
    const char *name = NULL;

    if (json_get_str(item, "Config", &name, e) < 0)
        return NULL;
    if (name)
        m = spool_find(&l->spool, name);
    if (!m)
        (void)err_set(e, ERR_CORRUPT, "the configuration '%.100s' is missing", name ? name : "");
    return m;
}

/* Layers are named by their path; their digest is that of the file as it came. */
static int take_layers(struct load *l, struct incoming *in, const json_t *item, struct err *e)
{
    json_t *layers = NULL, *name;
    size_t i;
    int r;

    r = json_get_arr(item, "Layers", &layers, e);
    if (r < 0)
        return r;
    if (json_array_size(layers) > MANIFEST_LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d layers", MANIFEST_LAYERS_MAX);
    in->layers = calloc(json_array_size(layers) + 1, sizeof(*in->layers));
    if (!in->layers)
        return err_os(e, "load");
    json_array_foreach(layers, i, name)
    {
        const char *path = json_string_value(name);
        const struct member *m = path ? spool_find(&l->spool, path) : NULL;

        if (!m)
            return err_set(e, ERR_CORRUPT, "the layer '%.100s' is missing", path ? path : "");
        in->layers[i].member = m;
        memcpy(in->layers[i].digest, m->digest.text, sizeof(in->layers[i].digest));
    }
    in->layers_n = json_array_size(layers);
    return 0;
}

static int add_names(struct incoming *in, const json_t *item, struct err *e)
{
    char **tags = NULL;
    int r;

    r = json_get_strv(item, "RepoTags", &tags, e);
    for (size_t i = 0; r == 0 && tags[i]; i++)
        r = load_add_reference(in, tags[i], e);
    strv_free(tags);
    return r;
}

static int add_image(struct load *l, const json_t *item, struct err *e)
{
    const struct member *config = config_member(l, item, e);
    struct incoming *in;
    int r;

    if (!config)
        return -(int)e->kind;
    if (config->size > JSON_DOC_MAX)
        return err_set(e, ERR_LIMIT, "the configuration is larger than %zu bytes", JSON_DOC_MAX);
    r = load_add(l, &in, e);
    if (r == 0)
        r = spool_text(&l->spool, config, &in->config, e);
    if (r == 0)
        r = take_layers(l, in, item, e);
    if (r == 0)
        r = load_make_manifest(in, e);
    if (r < 0)
        return r;
    /* Now it is like an OCI image: one way to check it all. */
    free(in->layers);
    in->layers = NULL;
    str_clear(&in->config);
    r = load_manifest(l, in, e);
    return r < 0 ? r : add_names(in, item, e);
}

int load_docker(struct load *l, const struct member *manifest, struct err *e)
{
    autojson *list = NULL;
    json_t *item;
    size_t i;
    int r;

    r = read_list(l, manifest, &list, e);
    if (r < 0)
        return r;
    json_array_foreach(list, i, item)
    {
        r = add_image(l, item, e);
        if (r < 0)
            return err_ctx(e, "manifest.json: image %zu", i);
    }
    return 0;
}

int load_docker_names(struct load *l, const struct member *manifest, struct err *e)
{
    autojson *list = NULL;
    json_t *item;
    size_t i;
    int r;

    r = read_list(l, manifest, &list, e);
    if (r < 0)
        return r;
    json_array_foreach(list, i, item)
    {
        const struct member *config = config_member(l, item, e);

        if (!config)
            return -(int)e->kind;
        for (size_t k = 0; r == 0 && k < l->n; k++) {
            struct incoming *in = &l->v[k];
            struct digest digest;

            r = digest_of(in->config.p, in->config.len, &digest, e);
            if (r == 0 && !in->references && strcmp(digest.text, config->digest.text) == 0)
                r = add_names(in, item, e);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int sniff(const struct spool *sp, const struct member *m, const char **ret_suffix,
                 struct err *e)
{
    autofd int fd = spool_open(sp, m, e);
    unsigned char magic[4] = { 0 };

    if (fd < 0)
        return fd;
    if (pread(fd, magic, sizeof(magic), 0) < 0)
        return err_os(e, "read '%s'", m->name);
    if (magic[0] == 0x1f && magic[1] == 0x8b)
        *ret_suffix = "+gzip";
    else if (memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0)
        *ret_suffix = "+zstd";
    else
        *ret_suffix = "";
    return 0;
}

int load_make_manifest(struct incoming *in, struct err *e)
{
    autojson *o = NULL, *layers = json_array();
    struct digest config;
    char *text;
    int r;

    r = layers ? digest_of(in->config.p, in->config.len, &config, e) : err_os(e, "manifest");
    for (size_t i = 0; r == 0 && i < in->layers_n; i++) {
        const struct member *m = in->layers[i].member;
        const char *suffix = "";
        char type[96];

        r = sniff(in->spool, m, &suffix, e);
        (void)snprintf(type, sizeof(type), "application/vnd.oci.image.layer.v1.tar%s", suffix);
        if (r == 0 && json_array_append_new(layers, json_pack("{s:s, s:s, s:I}", "mediaType",
                                                              type, "digest", m->digest.text,
                                                              "size", (json_int_t)m->size)) < 0)
            r = err_os(e, "manifest");
    }
    if (r < 0)
        return r;
    o = json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:O}", "schemaVersion", 2, "mediaType",
                  "application/vnd.oci.image.manifest.v1+json", "config", "mediaType",
                  "application/vnd.oci.image.config.v1+json", "digest", config.text, "size",
                  (json_int_t)in->config.len, "layers", layers);
    text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text || !str_adds(&in->manifest, text))
        r = err_os(e, "manifest");
    free(text);
    return r;
}
