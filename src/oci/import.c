#include "oci/changes.h"
#include "oci/load_internal.h"
#include "util/time.h"

#include <string.h>

static int make_config(struct incoming *in, const struct import_options *o, struct err *e)
{
    char created[TIME_RFC3339_LEN];
    autojson *doc = NULL, *config = json_object();
    char *text;
    int r = config ? 0 : err_os(e, "import");

    for (size_t i = 0; r == 0 && o->changes && o->changes[i]; i++)
        r = change_apply(config, o->changes[i], e);
    if (r < 0)
        return r;
    in->created_ns = time_real_ns();
    time_rfc3339(in->created_ns, created);
    doc =
        json_pack("{s:s, s:s, s:s, s:O, s:{s:s, s:[s]}, s:[{s:s, s:s}]}", "created", created,
                  "architecture", o->platform.architecture, "os", o->platform.os, "config",
                  config, "rootfs", "type", "layers", "diff_ids", in->diff_ids[0].text, "history",
                  "created", created, "comment", o->message ? o->message : "Imported from -");
    if (doc && o->platform.variant[0])
        (void)json_object_set_new(doc, "variant", json_string(o->platform.variant));
    text = doc ? json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text || !str_adds(&in->config, text))
        r = err_set(e, ERR_INVALID, "the message is not UTF-8");
    free(text);
    return r;
}

/* The layer's diff id is known only after flattening, and the config only after that. */
static int make_image(struct load *l, struct incoming *in, struct db *db,
                      const struct import_options *o, struct err *e)
{
    const struct member *layer = &l->spool.v[0];
    int r = 0;

    in->layers = calloc(1, sizeof(*in->layers));
    in->diff_ids = calloc(1, sizeof(*in->diff_ids));
    if (!in->layers || !in->diff_ids)
        return err_os(e, "import");
    in->layers_n = 1;
    in->event = "import";
    in->layers[0].member = layer;
    memcpy(in->layers[0].digest, layer->digest.text, sizeof(in->layers[0].digest));
    if (o->reference)
        r = load_add_reference(in, o->reference, e);
    if (r == 0)
        r = incoming_flatten(in, db, o->home, &o->limits, e);
    if (r == 0)
        r = make_config(in, o, e);
    if (r == 0)
        r = load_make_manifest(in, e);
    return r < 0 ? r : incoming_install(in, 1, db, o->home, &o->limits, e);
}

int import_archive(struct db *db, int fd, const struct import_options *options, loaded_fn *loaded,
                   void *ctx, struct err *e)
{
    struct incoming *in = NULL;
    struct staging staging;
    struct load l = { 0 };
    struct ref ref;
    int r;

    if (options->reference) {
        r = ref_parse(options->reference, &ref, e);
        if (r < 0)
            return r;
    }
    r = staging_open(&staging, options->home, fd, e);
    l.stage = staging.path;
    if (r == 0)
        r = spool_one(&l.spool, staging.fd, &staging.in.source, options->limits.layer_bytes_max,
                      e);
    if (r == 0)
        r = load_add(&l, &in, e);
    if (r == 0)
        r = make_image(&l, in, db, options, e);
    if (r == 0)
        loaded(ctx, in);
    if (in)
        incoming_done(in);
    free(l.v);
    spool_done(&l.spool);
    staging_done(&staging);
    return r;
}
