#include "registry/pull.h"

#include "db/db.h"
#include "oci/store.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The store's own copy, when a record vouches for it. A link keeps it there as long as we need
 * it, whoever removes the image meanwhile. */
static int take_from_store(struct pull_layers *p, struct pull_layer *layer, const char *file,
                           struct db *db, struct err *e)
{
    autofree char *blob = store_blob_path(p->home, layer->digest);
    autostmt st = { 0 };
    struct stat info;
    int r;

    if (!blob)
        return err_os(e, "layer");
    r = stmt_open(db, &st, e, "SELECT 1 FROM image_blobs WHERE digest = ?", "s", layer->digest);
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r <= 0)
        return r;
    if (linkat(AT_FDCWD, blob, p->stage_fd, file, 0) < 0)
        return errno == ENOENT ? 0 : err_os(e, "link %s", blob);
    if (fstatat(p->stage_fd, file, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        (uint64_t)info.st_size == layer->size) {
        layer->from_store = true;
        layer->bytes = layer->size;
        layer->state = LAYER_EXISTS;
        return 0;
    }
    return unlinkat(p->stage_fd, file, 0) < 0 ? err_os(e, "unlink %s", file) : 0;
}

static int take_partial(struct pull_layers *p, struct pull_layer *layer, const char *file,
                        struct err *e)
{
    int r = partial_open(p->home, layer->digest, &layer->partial, e);

    if (r < 0)
        return r;
    if (r > 0) { /* somebody is fetching it, for another image */
        layer->fd = openat(p->stage_fd, file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return layer->fd < 0 ? err_os(e, "create %s/%s", p->stage, file) : 0;
    }
    layer->fd = layer->partial.fd;
    if (layer->partial.have > layer->size) {
        if (ftruncate(layer->fd, 0) < 0)
            return err_os(e, "truncate %s", layer->partial.path);
        layer->partial.have = 0;
    }
    layer->bytes = layer->partial.have;
    layer->resumed = layer->bytes > 0;
    if (layer->bytes == layer->size)
        layer->state = LAYER_DOWNLOADED;
    if (linkat(AT_FDCWD, layer->partial.path, p->stage_fd, file, 0) < 0)
        return err_os(e, "link %s", layer->partial.path);
    return 0;
}

static int take_layer(struct pull_layers *p, size_t number, struct db *db, struct err *e)
{
    const struct descriptor *d = &p->image->parsed.layers[number];
    struct pull_layer *layer = &p->v[p->n];
    char file[GROWING_NAME_LEN];
    int r;

    *layer = (struct pull_layer){
        .digest = d->digest, .size = d->size, .fd = -1, .partial = { .fd = -1 }, .changed = true
    };
    p->number[p->n++] = number;
    growing_name(number, file);
    r = take_from_store(p, layer, file, db, e);
    if (r == 0 && !layer->from_store)
        r = take_partial(p, layer, file, e);
    return r < 0 ? err_ctx(e, "layer %.19s", layer->digest) : 0;
}

static int put_text(struct pull_layers *p, const char *name, const struct str *text,
                    struct err *e)
{
    autofd int fd = openat(p->stage_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_os(e, "create %s/%s", p->stage, name);
    return fd_write_all(fd, str_c(text), text->len, e);
}

static int prepare(struct pull_layers *p, struct db *db, struct err *e)
{
    const struct manifest *m = &p->image->parsed;
    int r;

    p->v = calloc(m->layers_n + 1, sizeof(*p->v));
    p->number = calloc(m->layers_n + 1, sizeof(*p->number));
    if (!p->v || !p->number)
        return err_os(e, "layers");
    r = store_stage(p->home, &p->stage, &p->stage_fd, e);
    if (r == 0)
        r = put_text(p, "manifest", &p->image->manifest.bytes, e);
    if (r == 0)
        r = put_text(p, "config", &p->image->config, e);
    for (size_t i = 0; r == 0 && i < m->layers_n; i++)
        if (manifest_first(m, i) == i)
            r = take_layer(p, i, db, e);
    return r;
}

/* ---- downloading ----------------------------------------------------------- */

struct download {
    struct pull_layers *p;
    struct remote_fetch fetch;
    struct remote_fetch_item *items; /* owned; of the layers in `layer` */
    size_t *layer;                   /* owned */
    struct pollfd wait;
};

static void update_wait(struct download *d)
{
    d->wait.fd = d->p->worker.socket;
    d->wait.events = (short)(POLLIN | (d->p->feed.blocked ? POLLOUT : 0));
}

static int on_grew(void *ctx, size_t i, struct err *e UNUSED)
{
    struct download *d = ctx;
    struct pull_layer *layer = &d->p->v[d->layer[i]];

    layer->bytes = d->items[i].offset;
    layer->state = LAYER_DOWNLOADING;
    layer->changed = true;
    feed_grown(&d->p->feed, d->p->number[d->layer[i]], layer->bytes, false);
    update_wait(d);
    event_layers(d->p, EVENT_SOON);
    return 0;
}

static int on_done(void *ctx, size_t i, struct err *e UNUSED)
{
    struct download *d = ctx;
    struct pull_layer *layer = &d->p->v[d->layer[i]];

    layer->bytes = layer->size;
    layer->state = LAYER_DOWNLOADED;
    layer->changed = true;
    feed_grown(&d->p->feed, d->p->number[d->layer[i]], layer->bytes, true);
    update_wait(d);
    event_layers(d->p, EVENT_NOW);
    return 0;
}

/* What was read of it may be wrong: begin anew with reading. */
static int on_restarted(void *ctx, size_t i, struct err *e)
{
    struct download *d = ctx;
    size_t k = d->layer[i];
    int r;

    d->p->v[k].bytes = 0;
    d->p->v[k].resumed = false;
    d->p->v[k].changed = true;
    r = worker_start(d->p, e);
    update_wait(d);
    return r;
}

static int on_ready(void *ctx, struct pollfd *waits UNUSED, size_t n UNUSED, struct err *e)
{
    struct download *d = ctx;
    int r = worker_hear(d->p, e);

    update_wait(d);
    if (r == 0 && d->p->has_result)
        r = err_set(e, ERR_INTERNAL, "a3s-box-image was done before the download");
    return r;
}

static void on_retrying(void *ctx, size_t i, uint64_t pause_ms, const struct err *why)
{
    struct download *d = ctx;

    event_retry(&d->p->v[d->layer[i]], pause_ms, why->text);
}

static const struct remote_fetch_ops fetch_ops = { .grew = on_grew,
                                                   .restarted = on_restarted,
                                                   .done = on_done,
                                                   .ready = on_ready,
                                                   .retrying = on_retrying };

static int download(struct pull_layers *p, struct err *e)
{
    autofree struct remote_fetch_item *items = calloc(p->n + 1, sizeof(*items));
    autofree size_t *layer = calloc(p->n + 1, sizeof(*layer));
    struct download d = { .p = p, .items = items, .layer = layer };
    int r;

    if (!items || !layer)
        return err_os(e, "download");
    d.fetch = (struct remote_fetch){
        .items = items, .ops = &fetch_ops, .ctx = &d, .waits = &d.wait, .waits_n = 1
    };
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].bytes == p->v[i].size) /* in the store, or left complete */
            continue;
        items[d.fetch.n] = (struct remote_fetch_item){ .size = p->v[i].size,
                                                       .fd = p->v[i].fd,
                                                       .offset = p->v[i].bytes };
        memcpy(items[d.fetch.n].digest, p->v[i].digest, DIGEST_LEN + 1);
        layer[d.fetch.n++] = i;
    }
    update_wait(&d);
    r = d.fetch.n ? remote_fetch(p->remote, &d.fetch, e) : 0;
    for (size_t i = 0; i < d.fetch.n; i++)
        p->v[layer[i]].bytes = items[i].offset;
    return r;
}

/* What an earlier pull left was not what it should be: fetch that layer once again, whole. */
static bool start_over(struct pull_layers *p, const struct err *e)
{
    struct pull_layer *layer = NULL;

    if (!p->has_result || e->kind != ERR_CORRUPT)
        return false;
    for (size_t i = 0; i < p->n; i++)
        if (p->number[i] == p->result.file)
            layer = &p->v[i];
    if (!layer || !layer->resumed || ftruncate(layer->fd, 0) < 0)
        return false;
    log_info("layer %.19s: %s: once again from its start", layer->digest, e->text);
    layer->resumed = false;
    layer->bytes = 0;
    layer->state = LAYER_WAITING;
    layer->changed = true;
    return true;
}

static int run(struct pull_layers *p, struct err *e)
{
    int r;

    for (;;) {
        event_layers(p, EVENT_NOW);
        r = worker_start(p, e);
        if (r == 0)
            r = download(p, e);
        if (r == 0)
            r = worker_wait(p, e);
        if (r == 0 || !start_over(p, e))
            return r;
        err_clear(e);
    }
}

/* Worth going on with another time? Not when it was refused or wrong, or filled the disk. */
static bool worth_keeping(const struct pull_layer *layer, const struct err *e)
{
    if (!e || e->os == ENOSPC || e->os == EDQUOT || !layer->bytes)
        return false;
    return e->kind == ERR_UNAVAILABLE || e->kind == ERR_TIMEOUT || e->kind == ERR_CANCELED;
}

static void finish(struct pull_layers *p, const struct err *e)
{
    struct err ignored = { 0 };

    worker_end(p);
    for (size_t i = 0; i < p->n; i++) {
        struct pull_layer *layer = &p->v[i];

        if (layer->fd >= 0 && layer->partial.fd < 0)
            close_fd(&layer->fd);
        if (worth_keeping(layer, e))
            partial_close(&layer->partial);
        else
            partial_remove(&layer->partial);
    }
    if (p->stage && fs_remove_tree(AT_FDCWD, p->stage, &ignored) < 0)
        log_debug("%s: %s", p->stage, ignored.text); /* swept by the next pull */
    close_fd(&p->stage_fd);
    free(p->stage);
    free(p->v);
    free(p->number);
}

int pull_layers(struct pull_layers *p, struct db *db, struct digest *ret_id, struct err *e)
{
    int r;

    p->stage_fd = -1;
    p->worker = (struct pull_worker){ .pidfd = -1, .socket = -1 };
    r = prepare(p, db, e);
    if (r == 0)
        r = run(p, e);
    if (r == 0)
        memcpy(ret_id->text, p->result.id, sizeof(ret_id->text));
    finish(p, r < 0 ? e : NULL);
    return r;
}
