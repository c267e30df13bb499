#include "registry/push.h"

#include "db/db.h"
#include "oci/image.h"
#include "oci/manifest.h"
#include "oci/store.h"
#include "registry/trust.h"
#include "sign/sign.h"
#include "util/fs.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LAYER_ID 12 /* digits of a layer's id that people see, as docker */

#define MEDIA_OCI    "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_DOCKER "application/vnd.docker.distribution.manifest.v2+json"

void push_done(struct push *p)
{
    remote_free(p->remote);
    manifest_done(&p->manifest);
    str_done(&p->manifest_bytes);
    free(p->layers);
    for (size_t i = 0; i < ARRAY_LEN(p->from); i++)
        free(p->from[i]);
}

/* ---- what there is to push ------------------------------------------- */

static int read_blob(const char *home, const char *digest, struct str *ret, struct err *e)
{
    autofree char *path = store_blob_path(home, digest);
    struct digest got;
    int r;

    r = path ? fs_read_file(AT_FDCWD, path, ret, e) : err_os(e, "image store");
    if (r == 0)
        r = digest_of(str_c(ret), ret->len, &got, e);
    if (r == 0 && strcmp(got.text, digest) != 0)
        r = err_set(e, ERR_CORRUPT, "%s is damaged", path);
    return r;
}

/* The record of exactly this reference. */
static int find(struct push *p, const char *full, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(p->db, &st, e,
                  "SELECT manifest_digest, image_id FROM images WHERE reference = ?", "s", full);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_NOT_FOUND, "No such image: %s", ref_familiar_name(full));
    (void)snprintf(p->digest.text, sizeof(p->digest.text), "%s", stmt_text(&st, 0));
    (void)snprintf(p->image_id.text, sizeof(p->image_id.text), "%s", stmt_text(&st, 1));
    return 0;
}

/* "mediaType" of the manifest; when it has none, its configuration's tells. */
static int find_media_type(struct push *p, struct err *e)
{
    const char *type = NULL;
    autojson *j = NULL;
    int r;

    r = json_parse(str_c(&p->manifest_bytes), p->manifest_bytes.len, "manifest", &j, e);
    if (r == 0)
        r = json_get_str(j, "mediaType", &type, e);
    if (r < 0)
        return r;
    if (!type || !*type)
        type = strstr(p->manifest.config.media_type, "docker") ? MEDIA_DOCKER : MEDIA_OCI;
    if (strlen(type) >= sizeof(p->media_type))
        return err_set(e, ERR_CORRUPT, "the manifest's media type is too long");
    (void)snprintf(p->media_type, sizeof(p->media_type), "%s", type);
    return 0;
}

/* Layers are shown by their diff ids, as docker does. */
static int name_layers(struct push *p, struct err *e)
{
    autostr config = STR_INIT(JSON_DOC_MAX);
    struct image_meta meta = { 0 };
    int r;

    r = read_blob(p->home, p->manifest.config.digest, &config, e);
    if (r == 0)
        r = image_meta_parse(str_c(&config), config.len, &meta, e);
    if (r < 0)
        return r;
    p->layers_n = p->manifest.layers_n;
    p->layers = calloc(p->layers_n ? p->layers_n : 1, sizeof(*p->layers));
    for (size_t i = 0; p->layers && i < p->layers_n; i++) {
        const char *id = i < meta.n ? meta.diff_ids[i] : p->manifest.layers[i].digest;

        (void)snprintf(p->layers[i].id, sizeof(p->layers[i].id), "%.*s", LAYER_ID,
                       id + strlen("sha256:"));
        p->layers[i].blob = &p->manifest.layers[i];
    }
    image_meta_done(&meta);
    return p->layers ? 0 : err_os(e, "push");
}

/* A repository of the same registry under whose name the store has the blob, too. */
static int find_source(struct push *p, const char *digest, char **ret, struct err *e)
{
    autofree char *begin = str_format("%s/", p->ref.host);
    autostmt st = { 0 };
    int r;

    if (!begin)
        return err_os(e, "push");
    /* Those that were pulled first: the registry surely has them. */
    r = stmt_open(p->db, &st, e,
                  "SELECT i.reference FROM image_blobs b JOIN images i USING (image_id)"
                  " WHERE b.digest = ?1 AND substr(i.reference, 1, length(?2)) = ?2"
                  " ORDER BY i.repo_digest = '', i.added_ns DESC",
                  "ss", digest, begin);
    while (r >= 0 && !*ret && (r = stmt_step(&st, e)) > 0) {
        struct ref other;

        r = ref_parse(stmt_text(&st, 0), &other, e);
        if (r == 0 && strcmp(other.name, p->ref.name) != 0 &&
            !(*ret = strdup(other.name + other.path_at)))
            r = err_os(e, "push");
    }
    return r < 0 ? r : 0;
}

/* Whom each layer may come from, without doubles in p->from. */
static int find_sources(struct push *p, struct err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < p->layers_n; i++) {
        autofree char *from = NULL;
        size_t k = 0;
        int r;

        r = find_source(p, p->layers[i].blob->digest, &from, e);
        if (r < 0)
            return r;
        while (from && k < n && strcmp(p->from[k], from) != 0)
            k++;
        if (!from || (k == n && n == AUTH_SCOPES_FROM))
            continue;
        if (k == n)
            p->from[n++] = take_ptr(from);
        p->layers[i].from = p->from[k];
    }
    return 0;
}

int push_open(struct push *p, const char *reference, struct err *e)
{
    char full[REF_TEXT_MAX];
    int r;

    r = ref_parse(reference, &p->ref, e);
    if (r < 0)
        return r;
    if (p->ref.digest[0])
        return err_set(e, ERR_INVALID, "Cannot push a digest reference: %s", reference);
    ref_full(&p->ref, full);
    r = find(p, full, e);
    if (r == 0)
        r = read_blob(p->home, p->digest.text, &p->manifest_bytes, e);
    if (r == 0)
        r = manifest_parse(str_c(&p->manifest_bytes), p->manifest_bytes.len, &p->manifest, e);
    if (r == 0)
        r = find_media_type(p, e);
    if (r == 0)
        r = name_layers(p, e);
    if (r == 0)
        r = find_sources(p, e);
    if (r < 0)
        return r;
    struct remote_options o = { .home = p->home, .mount_from = (const char *const *)p->from };

    return remote_open(&p->ref, REMOTE_PUSH, &o, &p->remote, e);
}

/* ---- pushing --------------------------------------------------------- */

struct progress {
    const struct push_layer *layer;
};

static int emit_layer(const struct push_layer *layer, const char *state, uint64_t bytes,
                      struct err *e)
{
    return registry_emit(json_pack("{s:s,s:s,s:s,s:I,s:I,s:s*}", "event", "layer", "id",
                                   layer->id, "state", state, "bytes", (json_int_t)bytes, "total",
                                   (json_int_t)layer->blob->size, "from", layer->from),
                         e);
}

static int on_sent(void *ctx, uint64_t bytes, struct err *e)
{
    const struct progress *p = ctx;

    return p->layer ? emit_layer(p->layer, "pushing", bytes, e) : 0;
}

/* 1: mounted; 0: sent. */
static int send_blob(struct push *p, const struct descriptor *d, const struct push_layer *layer,
                     const char *from, struct err *e)
{
    autofree char *path = store_blob_path(p->home, d->digest);
    autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    struct progress progress = { .layer = layer };
    struct remote_upload up = { .digest = d->digest,
                                .size = d->size,
                                .fd = fd,
                                .mount_from = from,
                                .sent = on_sent,
                                .ctx = &progress };
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_os(e, "open %s", path ? path : "blob");
    if ((uint64_t)st.st_size != d->size)
        return err_set(e, ERR_CORRUPT, "%s is damaged: it has not the size its manifest says",
                       path);
    return remote_blob_upload(p->remote, &up, e);
}

static bool was_before(const struct push *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(p->layers[i].blob->digest, p->layers[n].blob->digest) == 0)
            return true;
    return false;
}

static int push_layer(struct push *p, size_t i, struct err *e)
{
    const struct push_layer *layer = &p->layers[i];
    int r;

    r = was_before(p, i) ? 1 : remote_blob_exists(p->remote, layer->blob->digest, e);
    if (r < 0)
        return r;
    if (r > 0)
        return emit_layer(layer, "present", layer->blob->size, e);
    r = send_blob(p, layer->blob, layer, layer->from, e);
    return r < 0 ? r : emit_layer(layer, r ? "mounted" : "pushed", layer->blob->size, e);
}

static int push_config(struct push *p, struct err *e)
{
    int r;

    r = remote_blob_exists(p->remote, p->manifest.config.digest, e);
    if (r == 0)
        r = send_blob(p, &p->manifest.config, NULL, p->layers_n ? p->layers[0].from : NULL, e);
    return r < 0 ? r : 0;
}

int push_run(struct push *p, struct err *e)
{
    struct digest got;
    int r;

    r = registry_emit(json_pack("{s:s,s:s}", "event", "pushing", "repository", p->ref.name), e);
    for (size_t i = 0; r == 0 && i < p->layers_n; i++)
        r = emit_layer(&p->layers[i], "preparing", 0, e);
    for (size_t i = 0; r == 0 && i < p->layers_n; i++)
        r = push_layer(p, i, e);
    if (r == 0)
        r = push_config(p, e);
    if (r == 0)
        r = remote_manifest_put(p->remote, p->ref.tag, p->media_type, p->manifest_bytes.p,
                                p->manifest_bytes.len, &got, e);
    return r;
}

static int emit_done(const struct push *p, struct err *e)
{
    char full[REF_TEXT_MAX];

    ref_full(&p->ref, full);
    return registry_emit(json_pack("{s:s,s:s,s:s,s:s,s:I}", "event", "done", "reference", full,
                                   "tag", p->ref.tag, "digest", p->digest.text, "size",
                                   (json_int_t)p->manifest_bytes.len),
                         e);
}

/* Without a signer there is nothing to do. */
static int push_sign(struct push *p, const struct signer *signer, struct err *e)
{
    char tag[SIGN_TAG_LEN + 1];
    int r;

    if (!signer)
        return 0;
    r = trust_sign_remote(p->remote, &p->ref, p->digest.text, signer, tag, e);
    if (r < 0)
        return r;
    return registry_emit(json_pack("{s:s,s:s,s:b}", "event", "signed", "tag", tag, "new", r == 0),
                         e);
}

static int push_signed(struct push *p, const char *reference, const char *key, struct err *e)
{
    autoptr(signer) signer = NULL;
    int r;

    r = push_open(p, reference, e);
    if (r == 0 && key)
        r = trust_open_key(key, &signer, e);
    if (r == 0)
        r = push_run(p, e);
    if (r == 0)
        r = push_sign(p, signer, e);
    return r == 0 ? emit_done(p, e) : r;
}

int verb_push(int argc, char **argv, struct err *e)
{
    struct push p = { .manifest_bytes = STR_INIT(JSON_DOC_MAX) };
    bool with_key = argc == 3 && strcmp(argv[0], "--sign-key") == 0;
    autoptr(db) db = NULL;
    int r;

    if (argc != 1 && !with_key)
        return err_set(e, ERR_USAGE, "push takes [--sign-key FILE] REFERENCE");
    r = registry_open_home(&p.home, &db, e);
    if (r < 0)
        return r;
    p.db = db;
    r = push_signed(&p, argv[argc - 1], with_key ? argv[1] : NULL, e);
    push_done(&p);
    return r;
}
