#include "oci/content.h"
#include "oci/install.h"
#include "oci/store.h"
#include "util/fs.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>

int content_read_blob(const char *home, const char *digest, struct str *ret, struct err *e)
{
    autofree char *path = store_blob_path(home, digest);
    struct digest got;
    int r;

    if (!path)
        return err_os(e, "blob");
    r = fs_read_file(AT_FDCWD, path, ret, e);
    if (r == 0)
        r = digest_of(str_c(ret), ret->len, &got, e);
    if (r < 0)
        return err_ctx(e, "blob %s", digest);
    return strcmp(got.text, digest) == 0
               ? 0
               : err_set(e, ERR_CORRUPT, "blob %s has the digest %s", digest, got.text);
}

int content_open(struct content *c, struct db *db, const char *home, const char *id,
                 struct err *e)
{
    autostr config = STR_INIT(JSON_DOC_MAX);
    int r;

    *c = (struct content){ .text = STR_INIT(JSON_DOC_MAX) };
    r = image_lookup(db, home, id, &c->image, e);
    if (r == 0)
        r = content_read_blob(home, c->image->manifest_digest, &c->text, e);
    if (r == 0)
        r = manifest_parse(str_c(&c->text), c->text.len, &c->manifest, e);
    if (r == 0 && strcmp(c->manifest.config.digest, c->image->id) != 0)
        r = err_set(e, ERR_CORRUPT, "the manifest is of another image: %s",
                    c->manifest.config.digest);
    if (r == 0)
        r = content_read_blob(home, c->image->id, &config, e);
    if (r == 0)
        r = image_meta_parse(str_c(&config), config.len, &c->meta, e);
    if (r == 0 && c->meta.n != c->manifest.layers_n)
        r = err_set(e, ERR_CORRUPT, "the configuration has %zu diff ids for %zu layers",
                    c->meta.n, c->manifest.layers_n);
    return r < 0 ? err_ctx(e, "image %.19s", id) : 0;
}

void content_done(struct content *c)
{
    image_free(c->image);
    str_done(&c->text);
    manifest_done(&c->manifest);
    image_meta_done(&c->meta);
}

/* A link to every layer's blob in the staging directory, as an archive's members would lie there:
 * they stay for us when the image is removed meanwhile. */
static int take_layers(struct incoming *in, struct member *members, const struct content *c,
                       const char *home, struct err *e)
{
    in->layers_n = c->manifest.layers_n;
    in->layers = calloc(in->layers_n + 1, sizeof(*in->layers));
    in->diff_ids = calloc(in->layers_n + 1, sizeof(*in->diff_ids));
    if (!in->layers || !in->diff_ids)
        return err_os(e, "rebuild");
    for (size_t i = 0; i < in->layers_n; i++) {
        autofree char *blob = store_blob_path(home, c->manifest.layers[i].digest);

        members[i] = (struct member){ .name = c->manifest.layers[i].digest,
                                      .size = c->manifest.layers[i].size };
        (void)snprintf(members[i].file, sizeof(members[i].file), "m%hu", (unsigned short)i);
        if (!blob || linkat(AT_FDCWD, blob, in->spool->dirfd, members[i].file, 0) < 0)
            return err_os(e, "layer %s", c->manifest.layers[i].digest);
        in->layers[i].member = &members[i];
        memcpy(in->layers[i].digest, c->manifest.layers[i].digest, DIGEST_LEN + 1);
    }
    return 0;
}

static int check_diff_ids(const struct incoming *in, const struct content *c, struct err *e)
{
    for (size_t i = 0; i < in->layers_n; i++)
        if (strcmp(in->diff_ids[i].text, c->meta.diff_ids[i]) != 0)
            return err_set(e, ERR_CORRUPT, "layer %.19s: its content has the diff id %s, not %s",
                           in->layers[i].digest, in->diff_ids[i].text, c->meta.diff_ids[i]);
    return 0;
}

static int rebuild(struct incoming *in, struct db *db, const char *home, const struct content *c,
                   const struct store_limits *limits, struct err *e)
{
    struct member *members = calloc(c->manifest.layers_n + 1, sizeof(*members));
    int r;

    if (!members)
        return err_os(e, "rebuild");
    memcpy(in->id.text, c->image->id, sizeof(in->id.text));
    r = take_layers(in, members, c, home, e);
    /* Without diff ids it does not ask whether there is such a file system already. */
    if (r == 0)
        r = incoming_flatten(in, db, home, limits, e);
    if (r == 0)
        r = check_diff_ids(in, c, e);
    if (r == 0)
        r = incoming_restore(in, db, home, e);
    free(members);
    return r;
}

int content_rebuild(struct db *db, const char *home, const char *id, uint64_t layer_bytes_max,
                    struct err *e)
{
    const struct store_limits limits = { .layer_bytes_max = layer_bytes_max };
    struct spool spool = { .dirfd = -1 };
    struct incoming in = { .spool = &spool };
    autofree char *stage = NULL;
    struct content c;
    struct err ignored;
    int r;

    r = content_open(&c, db, home, id, e);
    if (r == 0)
        r = store_stage(home, &stage, &spool.dirfd, e);
    in.stage = stage;
    if (r == 0)
        r = rebuild(&in, db, home, &c, &limits, e);
    if (stage && fs_remove_tree(AT_FDCWD, stage, &ignored) < 0)
        log_debug("%s: %s", stage, ignored.text); /* swept by the next load */
    close_fd(&spool.dirfd);
    incoming_done(&in);
    content_done(&c);
    return r < 0 ? err_ctx(e, "root file system of %.19s", id) : 0;
}
