#include "oci/load_internal.h"

#include "util/log.h"

#include <string.h>

int load_add(struct load *l, struct incoming **ret, struct err *e)
{
    struct incoming *v;

    if (l->n == LOAD_IMAGES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d images in the archive", LOAD_IMAGES_MAX);
    v = realloc(l->v, (l->n + 1) * sizeof(*v));
    if (!v)
        return err_os(e, "load");
    l->v = v;
    v[l->n] = (struct incoming){ .spool = &l->spool,
                                 .stage = l->stage,
                                 .manifest = STR_INIT(JSON_DOC_MAX),
                                 .config = STR_INIT(JSON_DOC_MAX),
                                 .number = (unsigned)l->n };
    *ret = &v[l->n++];
    return 0;
}

int load_add_reference(struct incoming *in, const char *name, struct err *e)
{
    struct err why = { 0 };
    char full[REF_TEXT_MAX];
    struct ref ref;
    size_t n = 0;
    char **v;

    if (ref_parse(name, &ref, &why) < 0) {
        log_warn("the archive's name for an image is left out: %s", why.text);
        return 0;
    }
    ref.digest[0] = '\0'; /* an archive cannot say which registry's digest that is */
    if (!ref.tag[0])
        memcpy(ref.tag, "latest", 7);
    ref_full(&ref, full);
    for (; in->references && in->references[n]; n++)
        if (strcmp(in->references[n], full) == 0)
            return 0;
    v = realloc(in->references, (n + 2) * sizeof(*v));
    if (!v)
        return err_os(e, "load");
    in->references = v;
    v[n] = strdup(full);
    v[n + 1] = NULL;
    return v[n] ? 0 : err_os(e, "load");
}

static int take_config(struct load *l, struct incoming *in, const char *digest, struct err *e)
{
    const struct member *m = spool_blob(&l->spool, digest);

    if (!m)
        return err_set(e, ERR_CORRUPT, "the configuration %s is missing", digest);
    if (m->size > JSON_DOC_MAX)
        return err_set(e, ERR_LIMIT, "the configuration is larger than %zu bytes", JSON_DOC_MAX);
    return spool_text(&l->spool, m, &in->config, e);
}

static int take_layers(struct load *l, struct incoming *in, const struct manifest *m,
                       struct err *e)
{
    in->layers = calloc(m->layers_n + 1, sizeof(*in->layers));
    if (!in->layers)
        return err_os(e, "load");
    in->layers_n = m->layers_n;
    for (size_t i = 0; i < m->layers_n; i++) {
        struct incoming_layer *layer = &in->layers[i];

        memcpy(layer->digest, m->layers[i].digest, sizeof(layer->digest));
        layer->member = spool_blob(&l->spool, layer->digest);
        if (!layer->member)
            return err_set(e, ERR_CORRUPT, "the layer %s is missing", layer->digest);
        if (layer->member->size != m->layers[i].size)
            return err_set(e, ERR_CORRUPT, "the layer %s has %ju bytes, not %ju", layer->digest,
                           (uintmax_t)layer->member->size, (uintmax_t)m->layers[i].size);
    }
    return 0;
}

int load_manifest(struct load *l, struct incoming *in, struct err *e)
{
    struct manifest m = { 0 };
    int r;

    r = manifest_parse(in->manifest.p, in->manifest.len, &m, e);
    if (r == 0)
        r = take_config(l, in, m.config.digest, e);
    if (r == 0)
        r = take_layers(l, in, &m, e);
    if (r == 0)
        r = incoming_read_config(in, e);
    manifest_done(&m);
    return r;
}

/* Which of the two formats it is; archives with both are OCI layouts with names for old tools. */
static int find_images(struct load *l, struct err *e)
{
    const struct member *index = spool_find(&l->spool, "index.json");
    const struct member *docker = spool_find(&l->spool, "manifest.json");
    int r;

    if (!index && !docker) {
        (void)err_set(e, ERR_INVALID,
                      "no image archive: it has neither index.json nor "
                      "manifest.json");
        e->hint = "A plain root file system is brought in with `a3s-box import`";
        return -(int)e->kind;
    }
    if (!index)
        return load_docker(l, docker, e);
    r = load_oci(l, index, e);
    if (r == 0 && docker)
        r = load_docker_names(l, docker, e);
    return r;
}

static int apply_tag(struct load *l, struct err *e)
{
    if (!l->options->tag)
        return 0;
    if (l->n != 1)
        return err_set(e, ERR_INVALID, "the archive has %zu images: a tag fits one only", l->n);
    strv_free(l->v[0].references);
    l->v[0].references = NULL;
    return load_add_reference(&l->v[0], l->options->tag, e);
}

static int load_all(struct load *l, struct db *db, struct err *e)
{
    int r;

    r = find_images(l, e);
    if (r == 0 && l->n == 0)
        r = err_set(e, ERR_NOT_FOUND, "the archive has no image for this platform");
    if (r == 0)
        r = apply_tag(l, e);
    for (size_t i = 0; i < l->n; i++)
        l->v[i].event = "load";
    return r < 0 ? r : incoming_install(l->v, l->n, db, l->options->home, &l->options->limits, e);
}

int load_archive(struct db *db, int fd, const struct load_options *options, loaded_fn *loaded,
                 void *ctx, struct err *e)
{
    struct load l = { .options = options };
    struct staging staging;
    int r;

    r = staging_open(&staging, options->home, fd, e);
    l.stage = staging.path;
    if (r == 0)
        r = spool_read(&l.spool, staging.fd, &staging.in.source, options->limits.layer_bytes_max,
                       e);
    if (r == 0)
        r = load_all(&l, db, e);
    for (size_t i = 0; i < l.n; i++) {
        if (r == 0)
            loaded(ctx, &l.v[i]);
        incoming_done(&l.v[i]);
    }
    free(l.v);
    spool_done(&l.spool);
    staging_done(&staging);
    return r;
}
