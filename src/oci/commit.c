#include "oci/commit.h"

#include "oci/changes.h"
#include "oci/content.h"
#include "oci/gzip.h"
#include "oci/load_internal.h"
#include "oci/store.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>

/* The diff id of a tar without members: two blocks of zeros. */
#define EMPTY_DIFF_ID "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

struct commit {
    const struct commit_options *o;
    struct content base;
    struct spool spool;
    struct incoming in;
    struct digest diff_id; /* of the new layer */
    bool empty;            /* there is nothing in it */
    char *stage;           /* owned */
    int stage_fd;
};

/* ---- the layer --------------------------------------------------------- */

static int take_layer(struct commit *c, struct source *layer, struct err *e)
{
    autoptr(gzip) gzip = NULL;
    struct source_hash plain = { 0 };
    int r = source_hash_init(&plain, layer, e);

    if (r == 0)
        r = gzip_open(&plain.source, &gzip, e);
    if (r == 0)
        r = spool_one(&c->spool, c->stage_fd, gzip_source(gzip), c->o->limits.layer_bytes_max, e);
    if (r == 0)
        r = source_hash_finish(&plain, &c->diff_id, e);
    source_hash_done(&plain);
    c->empty = r == 0 && strcmp(c->diff_id.text, EMPTY_DIFF_ID) == 0;
    return r < 0 ? err_ctx(e, "layer") : 0;
}

/* The image's layers are linked beside it: they stay for us when the image is removed. */
static int take_base_layers(struct commit *c, struct err *e)
{
    const struct manifest *m = &c->base.manifest;

    for (size_t i = 0; i < m->layers_n; i++) {
        autofree char *blob = store_blob_path(c->o->home, m->layers[i].digest);
        char file[16];
        int r;

        (void)snprintf(file, sizeof(file), "b%hu", (unsigned short)i);
        if (!blob || linkat(AT_FDCWD, blob, c->stage_fd, file, 0) < 0)
            return err_os(e, "layer %s", m->layers[i].digest);
        r = spool_add(&c->spool, m->layers[i].digest, m->layers[i].size, file, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static void set_layer(struct incoming *in, const struct member *member, const char *diff_id)
{
    struct incoming_layer *layer = &in->layers[in->layers_n];

    layer->member = member;
    memcpy(layer->digest, member->digest.text, sizeof(layer->digest));
    memcpy(in->diff_ids[in->layers_n].text, diff_id, DIGEST_LEN + 1);
    in->layers_n++;
}

/* Members do not move any more: the new layer's is the first, then the image's. */
static int set_layers(struct commit *c, struct err *e)
{
    size_t n = c->base.manifest.layers_n;

    if (n + 1 > MANIFEST_LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "the image would have more than %d layers",
                       MANIFEST_LAYERS_MAX);
    c->in.layers = calloc(n + 1, sizeof(*c->in.layers));
    c->in.diff_ids = calloc(n + 1, sizeof(*c->in.diff_ids));
    if (!c->in.layers || !c->in.diff_ids)
        return err_os(e, "commit");
    for (size_t i = 0; i < n; i++)
        set_layer(&c->in, &c->spool.v[i + 1], c->base.meta.diff_ids[i]);
    if (!c->empty)
        set_layer(&c->in, &c->spool.v[0], c->diff_id.text);
    return 0;
}

/* ---- the configuration ------------------------------------------------- */

static bool begins_with_word(const char *instruction, const char *word)
{
    const char *start = instruction + strspn(instruction, " \t");

    return strcspn(start, " \t") == strlen(word) && strncasecmp(start, word, strlen(word)) == 0;
}

/* As in a Dockerfile, a new entry point takes the old command away. */
static int apply_changes(struct commit *c, json_t *config, struct err *e)
{
    bool command = false;
    int r = 0;

    for (size_t i = 0; r == 0 && c->o->changes && c->o->changes[i]; i++) {
        const char *change = c->o->changes[i];

        command |= begins_with_word(change, "CMD");
        r = change_apply(config, change, e);
        if (r == 0 && !command && begins_with_word(change, "ENTRYPOINT"))
            (void)json_object_del(config, "Cmd"); /* it may not be there */
    }
    return r;
}

/* The image's, the box's over it, the changes over that. */
static int make_config(struct commit *c, json_t *doc, struct err *e)
{
    autojson *box = NULL, *config = NULL;
    json_t *old = NULL;
    int r = json_parse(str_c(c->o->config), c->o->config->len, "configuration", &box, e);

    if (r == 0 && !json_is_object(box))
        r = err_set(e, ERR_CORRUPT, "the configuration is not an object");
    if (r == 0)
        r = json_get_obj(doc, "config", &old, e);
    if (r < 0)
        return r;
    config = old ? json_deep_copy(old) : json_object();
    if (!config || json_object_update(config, box) < 0)
        return err_os(e, "configuration");
    r = apply_changes(c, config, e);
    if (r < 0)
        return r;
    return json_object_set(doc, "config", config) < 0 ? err_os(e, "configuration") : 0;
}

/* The words of the box's command: what made the layer. */
static int created_by(const json_t *doc, struct str *ret, struct err *e)
{
    char **words = NULL;
    int r = json_get_strv(json_object_get(doc, "config"), "Cmd", &words, e);

    for (size_t i = 0; r == 0 && words[i]; i++)
        if (!str_addf(ret, "%s%s", i ? " " : "", words[i]))
            r = err_set(e, ERR_LIMIT, "the command is too long");
    strv_free(words);
    return r;
}

static int add_history(struct commit *c, json_t *doc, const char *created, struct err *e)
{
    autostr by = STR_INIT(JSON_DOC_MAX / 4);
    autojson *row = NULL;
    json_t *history = NULL;
    int r = created_by(doc, &by, e);

    if (r == 0)
        r = json_get_arr(doc, "history", &history, e);
    if (r < 0)
        return r;
    if (!history) {
        history = json_array();
        if (json_object_set_new(doc, "history", history) < 0)
            return err_os(e, "history");
    }
    row = json_pack("{s:s, s:s, s:s*, s:s*}", "created", created, "created_by", str_c(&by),
                    "author", c->o->author, "comment", c->o->message);
    if (!row)
        return err_set(e, ERR_INVALID, "the author or the message is not UTF-8");
    if (c->empty)
        (void)json_object_set_new(row, "empty_layer", json_true());
    return json_array_append(history, row) < 0 ? err_os(e, "history") : 0;
}

static int set_members(struct commit *c, json_t *doc, const char *created, struct err *e)
{
    json_t *ids = json_array();

    for (size_t i = 0; i < c->in.layers_n; i++)
        (void)json_array_append_new(ids, json_string(c->in.diff_ids[i].text));
    if (json_array_size(ids) != c->in.layers_n ||
        json_object_set_new(doc, "rootfs",
                            json_pack("{s:s, s:o}", "type", "layers", "diff_ids", ids)) < 0 ||
        json_object_set_new(doc, "created", json_string(created)) < 0)
        return err_os(e, "configuration");
    (void)json_object_del(doc, "container");        /* of an old docker: how the image */
    (void)json_object_del(doc, "container_config"); /* below was made */
    if (c->o->author && json_object_set_new(doc, "author", json_string(c->o->author)) < 0)
        return err_set(e, ERR_INVALID, "the author is not UTF-8");
    if (c->o->message && json_object_set_new(doc, "comment", json_string(c->o->message)) < 0)
        return err_set(e, ERR_INVALID, "the message is not UTF-8");
    return 0;
}

static int make_document(struct commit *c, struct err *e)
{
    autojson *doc = json_deep_copy(c->base.image->config);
    char created[TIME_RFC3339_LEN], *text;
    int r = doc ? 0 : err_os(e, "configuration");

    c->in.created_ns = time_real_ns();
    time_rfc3339(c->in.created_ns, created);
    if (r == 0)
        r = make_config(c, doc, e);
    if (r == 0)
        r = set_members(c, doc, created, e);
    if (r == 0)
        r = add_history(c, doc, created, e);
    if (r < 0)
        return r;
    text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text || !str_adds(&c->in.config, text))
        r = err_set(e, ERR_LIMIT, "the configuration is larger than %zu bytes", JSON_DOC_MAX);
    free(text);
    return r;
}

/* ---- all of it --------------------------------------------------------- */

static int commit(struct commit *c, struct db *db, struct source *layer, struct err *e)
{
    int r = store_sweep(c->o->home, NULL, e);

    if (r == 0)
        r = store_stage(c->o->home, &c->stage, &c->stage_fd, e);
    if (r == 0)
        r = content_open(&c->base, db, c->o->home, c->o->image_id, e);
    if (r == 0)
        r = take_layer(c, layer, e);
    if (r == 0)
        r = take_base_layers(c, e);
    if (r == 0)
        r = set_layers(c, e);
    if (r == 0)
        r = make_document(c, e);
    c->in.spool = &c->spool;
    c->in.stage = c->stage;
    if (r == 0 && c->o->reference)
        r = load_add_reference(&c->in, c->o->reference, e);
    if (r == 0)
        r = load_make_manifest(&c->in, e);
    return r < 0 ? r : incoming_install(&c->in, 1, db, c->o->home, &c->o->limits, e);
}

int commit_image(struct db *db, struct source *layer, const struct commit_options *options,
                 loaded_fn *loaded, void *ctx, struct err *e)
{
    struct commit c = { .o = options,
                        .spool = { .dirfd = -1 },
                        .in = { .manifest = STR_INIT(JSON_DOC_MAX),
                                .config = STR_INIT(JSON_DOC_MAX) },
                        .stage_fd = -1 };
    struct err ignored = { 0 };
    struct ref ref;
    int r = options->reference ? ref_parse(options->reference, &ref, e) : 0;

    if (r == 0)
        r = commit(&c, db, layer, e);

    if (r == 0)
        loaded(ctx, &c.in);
    incoming_done(&c.in);
    spool_done(&c.spool);
    content_done(&c.base);
    if (c.stage && fs_remove_tree(AT_FDCWD, c.stage, &ignored) < 0)
        log_debug("%s: %s", c.stage, ignored.text); /* swept by the next load */
    free(c.stage);
    close_fd(&c.stage_fd);
    return r;
}
