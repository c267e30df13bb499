#include "oci/install.h"
#include "oci/event.h"

#include "db/db.h"
#include "oci/store.h"
#include "rootfs/build.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define COMMIT_TRIES  5 /* only when images are removed while they are brought in again */
#define ROOTFS_TIME_S 1 /* images must not depend on when they were made */

void incoming_done(struct incoming *in)
{
    str_done(&in->manifest);
    str_done(&in->config);
    free(in->layers);
    free(in->diff_ids);
    free(in->layer_bytes);
    strv_free(in->references);
    *in = (struct incoming){ 0 };
}

int incoming_read_config(struct incoming *in, struct err *e)
{
    struct image_meta meta = { 0 };
    int r;

    r = image_meta_parse(in->config.p, in->config.len, &meta, e);
    if (r < 0)
        return r;
    if (meta.n != in->layers_n) {
        r = err_set(e, ERR_CORRUPT, "the configuration has %zu diff ids for %zu layers", meta.n,
                    in->layers_n);
        image_meta_done(&meta);
        return r;
    }
    in->created_ns = meta.created_ns;
    in->diff_ids = calloc(meta.n + 1, sizeof(*in->diff_ids));
    for (size_t i = 0; in->diff_ids && i < meta.n; i++)
        memcpy(in->diff_ids[i].text, meta.diff_ids[i], sizeof(in->diff_ids[i].text));
    image_meta_done(&meta);
    return in->diff_ids ? 0 : err_os(e, "load");
}

/* A layer on its way: its bytes -> [hash] -> decompress -> hash. The first hash only when nobody
 * has computed the digest yet. */
struct layer_path {
    union {
        struct source_fd file;
        struct source_growing growing;
    };
    struct source_hash packed, plain;
    struct source *raw;
    struct unpack *unpack;
    bool grows;
};

static void path_done(struct layer_path *p)
{
    unpack_free(p->unpack);
    source_hash_done(&p->plain);
    source_hash_done(&p->packed);
    if (p->grows)
        source_growing_done(&p->growing);
    else
        source_fd_done(&p->file);
}

static int path_open(struct layer_path *p, const struct incoming *in, size_t i, int fd,
                     const struct store_limits *limits, struct err *e)
{
    const struct unpack_limits unpack_limits = { .bytes_max = limits->layer_bytes_max,
                                                 .ratio_max = UNPACK_RATIO_MAX };
    int r;

    *p = (struct layer_path){ .grows = in->growing != NULL };
    if (p->grows) {
        r = source_growing_init(&p->growing, in->growing, in->layers[i].file, fd,
                                in->layers[i].member->size, e);
        if (r == 0)
            r = source_hash_init(&p->packed, &p->growing.source, e);
        p->raw = &p->packed.source;
    } else {
        r = source_fd_init(&p->file, fd, UINT64_MAX, e);
        p->raw = &p->file.source;
    }
    if (r == 0)
        r = unpack_open(p->raw, &unpack_limits, &p->unpack, e);
    return r < 0 ? r : source_hash_init(&p->plain, unpack_source(p->unpack), e);
}

/* To the file system, or nowhere when only checking. */
static int path_run(struct layer_path *p, struct rootfs *fs, struct digest *ret, struct err *e)
{
    struct source *plain = &p->plain.source;
    const void *data;
    ssize_t n = 0;
    int r = 0;

    if (fs)
        r = rootfs_layer(fs, plain, e);
    while (r == 0 && !fs && (n = plain->read(plain, &data, e)) > 0)
        ;
    r = n < 0 ? (int)n : r;
    return r < 0 ? r : source_hash_finish(&p->plain, ret, e);
}

/* Read what the decompressor left behind its end, and compare. */
static int path_check_digest(struct layer_path *p, const char *digest, struct err *e)
{
    struct digest got;
    const void *data;
    ssize_t n;
    int r;

    while ((n = p->raw->read(p->raw, &data, e)) > 0)
        ;
    r = n < 0 ? (int)n : source_hash_finish(&p->packed, &got, e);
    if (r < 0)
        return r;
    if (strcmp(got.text, digest) != 0)
        return err_set(e, ERR_CORRUPT, "what was downloaded has the digest %s", got.text);
    return 0;
}

static int pass_layer(struct incoming *in, size_t i, struct rootfs *fs,
                      const struct store_limits *limits, struct err *e)
{
    const struct incoming_layer *layer = &in->layers[i];
    autofd int fd = spool_open(in->spool, layer->member, e);
    uint64_t before = fs ? rootfs_data_bytes(fs) : 0;
    struct layer_path path = { 0 };
    struct err wrong = { 0 };
    struct digest got;
    int r;

    if (fd < 0)
        return fd;
    r = path_open(&path, in, i, fd, limits, e);
    if (r == 0)
        r = path_run(&path, fs, &got, e);
    /* Broken because it is not what was asked for? Then that is what to say. */
    if (path.packed.inner && (r == 0 || r == -ERR_CORRUPT) &&
        path_check_digest(&path, layer->digest, &wrong) < 0 &&
        (r == 0 || wrong.kind == ERR_CORRUPT)) {
        *e = wrong;
        r = -(int)e->kind;
    }
    path_done(&path);
    if (r < 0)
        return r;
    if (fs && in->layer_bytes)
        in->layer_bytes[i] = rootfs_data_bytes(fs) - before;
    if (!in->diff_ids[i].text[0])
        in->diff_ids[i] = got;
    if (strcmp(in->diff_ids[i].text, got.text) != 0)
        return err_set(e, ERR_CORRUPT, "its content has the diff id %s, not %s", got.text,
                       in->diff_ids[i].text);
    if (in->growing)
        growing_passed(in->growing, layer->file, layer->member->size);
    return 0;
}

static int pass_layers(struct incoming *in, struct rootfs *fs, const struct store_limits *limits,
                       struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < in->layers_n; i++) {
        r = pass_layer(in, i, fs, limits, e);
        if (r < 0)
            return err_ctx(e, "layer %.19s", in->layers[i].digest);
    }
    return r;
}

static char *built_path(const struct incoming *in)
{
    return str_format("%s/rootfs-%u.ext4", in->stage, in->number);
}

static uint8_t nibble(char c)
{
    return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void incoming_uuid(const char chain[65], uint8_t ret[16])
{
    for (size_t i = 0; i < 16; i++)
        ret[i] = (uint8_t)(nibble(chain[2 * i]) << 4 | nibble(chain[2 * i + 1]));
    ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x80); /* RFC 9562: version 8, made from our own data */
    ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80);
}

static int build(struct incoming *in, const struct store_limits *limits, struct err *e)
{
    struct rootfs_limits rootfs_limits = ROOTFS_LIMITS_DEFAULT;
    autofree char *path = built_path(in);
    autoptr(rootfs) fs = NULL;
    uint8_t uuid[16];
    int r;

    if (!path)
        return err_os(e, "image");
    (void)unlink(path); /* of an earlier attempt */
    free(in->layer_bytes);
    in->layer_bytes = calloc(in->layers_n + 1, sizeof(*in->layer_bytes));
    if (!in->layer_bytes)
        return err_os(e, "image");
    rootfs_limits.layer_bytes_max = limits->layer_bytes_max;
    r = rootfs_open(path, &rootfs_limits, &fs, e);
    if (r == 0)
        r = pass_layers(in, fs, limits, e);
    if (r == 0)
        r = chain_id(in->diff_ids, in->layers_n, in->chain, e);
    if (r < 0)
        return r;
    incoming_uuid(in->chain, uuid);
    in->size = rootfs_data_bytes(fs);
    r = rootfs_finish(fs, uuid, ROOTFS_TIME_S, e);
    if (r < 0)
        return err_ctx(e, "root file system");
    in->built = true;
    return 0;
}

/* 1 and in->size when the store has this chain's file system, recorded. */
static int have_chain(struct incoming *in, struct db *db, const char *home, struct err *e)
{
    autofree char *path = image_rootfs_path(home, in->chain);
    autostmt st = { 0 };
    int r;

    if (!path)
        return err_os(e, "image");
    if (access(path, R_OK) < 0)
        return 0;
    r = stmt_open(db, &st, e, "SELECT size_bytes FROM image_content WHERE chain_id = ?", "s",
                  in->chain);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r > 0)
        in->size = (uint64_t)stmt_i64(&st, 0);
    return r;
}

int incoming_flatten(struct incoming *in, struct db *db, const char *home,
                     const struct store_limits *limits, struct err *e)
{
    int r = 0;

    if (in->built)
        return 0;
    /* Known diff ids may name a file system we have; then its layers are only checked. */
    for (size_t i = 0; i < in->layers_n; i++)
        if (!in->diff_ids[i].text[0])
            return build(in, limits, e);
    r = chain_id(in->diff_ids, in->layers_n, in->chain, e);
    if (r == 0)
        r = have_chain(in, db, home, e);
    if (r < 0)
        return r;
    return r > 0 ? pass_layers(in, NULL, limits, e) : build(in, limits, e);
}

static int record_blob(struct db *db, const char *id, const char *digest, struct err *e)
{
    int r = db_exec(db, e, "INSERT OR IGNORE INTO image_blobs (image_id, digest) VALUES (?, ?)",
                    "ss", id, digest);

    return r < 0 ? r : 0;
}

/* What was not unpacked here is known from another image with that layer, or not at all. */
static int record_layers(struct db *db, const struct incoming *in, struct err *e)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < in->layers_n; i++)
        r = in->layer_bytes
                ? db_exec(db, e,
                          "INSERT OR REPLACE INTO image_layers"
                          " (image_id, position, diff_id, size_bytes) VALUES (?, ?, ?, ?)",
                          "slsl", in->id.text, (int64_t)i, in->diff_ids[i].text,
                          (int64_t)in->layer_bytes[i])
                : db_exec(db, e,
                          "INSERT OR IGNORE INTO image_layers"
                          " (image_id, position, diff_id, size_bytes) SELECT ?1, ?2, diff_id,"
                          " size_bytes FROM image_layers WHERE diff_id = ?3 LIMIT 1",
                          "sls", in->id.text, (int64_t)i, in->diff_ids[i].text);
    return r < 0 ? r : 0;
}

static int record_references(struct db *db, const struct incoming *in, struct err *e)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && in->references && in->references[i]; i++)
        r = db_exec(db, e,
                    "INSERT INTO images (reference, image_id, manifest_digest, added_ns, used_ns,"
                    " repo_digest) VALUES (?1, ?2, ?3, ?4, ?4, ?5) ON CONFLICT (reference)"
                    " DO UPDATE SET image_id = excluded.image_id,"
                    " manifest_digest = excluded.manifest_digest, added_ns = excluded.added_ns,"
                    " repo_digest = excluded.repo_digest",
                    "sssls", in->references[i], in->id.text, in->manifest_digest.text,
                    time_real_ns(), in->repo_digest ? in->repo_digest : "");
    return r < 0 ? r : 0;
}

/* An event for each name; for an image without one, of its id. */
static int tell(struct db *db, const struct incoming *in, struct err *e)
{
    int r = 0;

    if (!in->event)
        return 0;
    if (!in->references || !in->references[0])
        return image_event(db, in->event, in->id.text, NULL, e);
    for (size_t i = 0; r == 0 && in->references[i]; i++)
        r = image_event(db, in->event, in->id.text, in->references[i], e);
    return r;
}

static int record(struct db *db, const struct incoming *in, struct err *e)
{
    int r;

    r = db_exec(db, e,
                "INSERT INTO image_content"
                " (image_id, manifest_digest, chain_id, size_bytes, created_ns, used_ns)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (image_id) DO UPDATE SET"
                " manifest_digest = excluded.manifest_digest, used_ns = excluded.used_ns",
                "ssslll", in->id.text, in->manifest_digest.text, in->chain, (int64_t)in->size,
                in->created_ns, time_real_ns());
    if (r >= 0)
        r = record_blob(db, in->id.text, in->manifest_digest.text, e);
    if (r >= 0)
        r = record_blob(db, in->id.text, in->id.text, e);
    for (size_t i = 0; r >= 0 && i < in->layers_n; i++)
        r = record_blob(db, in->id.text, in->layers[i].digest, e);
    if (r >= 0)
        r = record_layers(db, in, e);
    return r < 0 ? r : record_references(db, in, e);
}

/* Onto the disk before it gets its name, so that a name never stands for half a file. */
static int sync_file(const char *path, struct err *e)
{
    autofd int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 || fdatasync(fd) < 0 ? err_os(e, "sync %s", path) : 0;
}

static int publish_layer(const struct incoming *in, const char *home, size_t i, struct err *e)
{
    autofree char *from = str_format("%s/%s", in->stage, in->layers[i].member->file);
    autofree char *to = store_blob_path(home, in->layers[i].digest);
    int r;

    if (!from || !to)
        return err_os(e, "image");
    if (access(to, F_OK) == 0)
        return 0;
    r = sync_file(from, e);
    if (r < 0)
        return r;
    /* A link: another image of the same archive may need the staged file still. */
    return link(from, to) < 0 ? err_os(e, "link to %s", to) : 0;
}

static int publish_text(const char *home, const char *digest, const struct str *text,
                        struct err *e)
{
    autofree char *path = store_blob_path(home, digest);

    if (!path)
        return err_os(e, "image");
    if (access(path, F_OK) == 0)
        return 0;
    return fs_write_file(AT_FDCWD, path, text->p, text->len, 0600, e);
}

/* A file that is there without a record was left by a crash: not to be trusted. */
static int publish_rootfs(struct incoming *in, struct db *db, const char *home, struct err *e)
{
    autofree char *from = built_path(in), *to = image_rootfs_path(home, in->chain);
    int r;

    if (!from || !to)
        return err_os(e, "image");
    r = have_chain(in, db, home, e);
    if (r < 0)
        return r;
    if (r > 0)
        return 0;
    if (!in->built)
        return 1;
    r = sync_file(from, e);
    if (r < 0)
        return r;
    return rename(from, to) < 0 ? err_os(e, "rename to %s", to) : 0;
}

static int publish(struct incoming *in, const char *home, struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < in->layers_n; i++)
        r = publish_layer(in, home, i, e);
    if (r == 0)
        r = publish_text(home, in->manifest_digest.text, &in->manifest, e);
    if (r == 0)
        r = publish_text(home, in->id.text, &in->config, e);
    return r;
}

struct commit {
    struct incoming *v;
    size_t n;
    const char *home;
    bool again;
};

/* Files within the transaction: when one cannot be placed, nothing is recorded. */
static int commit(struct db *db, void *user, struct err *e)
{
    struct commit *c = user;
    int r = 0;

    for (size_t i = 0; r == 0 && i < c->n; i++) {
        r = publish_rootfs(&c->v[i], db, c->home, e);
        if (r > 0) {
            c->again = true;
            return err_set(e, ERR_STATE, "a file system was removed meanwhile");
        }
        if (r == 0)
            r = publish(&c->v[i], c->home, e);
        if (r == 0)
            r = record(db, &c->v[i], e);
        if (r == 0)
            r = tell(db, &c->v[i], e);
    }
    return r;
}

int incoming_commit(struct incoming *v, size_t n, struct db *db, const char *home, struct err *e)
{
    struct commit c = { .v = v, .n = n, .home = home };
    autofd int lock = -1;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        r = digest_of(v[i].config.p, v[i].config.len, &v[i].id, e);
        if (r == 0)
            r = digest_of(v[i].manifest.p, v[i].manifest.len, &v[i].manifest_digest, e);
    }
    if (r < 0)
        return r;
    lock = store_lock(home, e);
    if (lock < 0)
        return lock;
    r = content_sweep(db, home, NULL, e);
    if (r == 0)
        r = db_transaction(db, commit, &c, e);
    if (c.again) {
        err_clear(e);
        return 1;
    }
    return r < 0 ? r : 0;
}

struct restore {
    struct incoming *in;
    const char *home;
};

static int restore(struct db *db, void *user, struct err *e)
{
    struct restore *c = user;
    int r;

    r = image_exists(db, c->in->id.text, e);
    if (r == 0)
        r = publish_rootfs(c->in, db, c->home, e);
    return r < 0 ? r : record_layers(db, c->in, e);
}

int incoming_restore(struct incoming *in, struct db *db, const char *home, struct err *e)
{
    autofd int lock = store_lock(home, e);
    int r;

    if (lock < 0)
        return lock;
    r = db_transaction(db, restore, &(struct restore){ in, home }, e);
    return r < 0 ? r : 0;
}

int incoming_install(struct incoming *v, size_t n, struct db *db, const char *home,
                     const struct store_limits *limits, struct err *e)
{
    for (int i = 0; i < COMMIT_TRIES; i++) {
        int r = 0;

        for (size_t k = 0; r == 0 && k < n; k++)
            r = incoming_flatten(&v[k], db, home, limits, e);
        if (r == 0)
            r = incoming_commit(v, n, db, home, e);
        if (r <= 0)
            return r;
    }
    return err_set(e, ERR_STATE, "somebody keeps removing the image");
}
