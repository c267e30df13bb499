#include "oci/save_internal.h"
#include "oci/store.h"
#include "util/fd.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

/* The archive, and which blobs are in it. */
struct tar {
    struct archive *a;
    int fd;
    bool ended; /* after a failure nothing more is written: it would look like a whole archive */
    struct err why;
    const char *home;
    void *seen; /* a tree of borrowed digests */
};

static la_ssize_t write_out(struct archive *a UNUSED, void *ctx, const void *p, size_t len)
{
    struct tar *t = ctx;

    if (t->ended || fd_write_all(t->fd, p, len, &t->why) < 0) {
        t->ended = true;
        return ARCHIVE_FATAL;
    }
    return (la_ssize_t)len;
}

static int failed(struct tar *t, const char *name, struct err *e)
{
    if (!t->why.kind)
        return err_set(e, ERR_INTERNAL, "archive: '%s': %s", name, archive_error_string(t->a));
    *e = t->why;
    return err_ctx(e, "write the archive");
}

static int header(struct tar *t, const char *name, mode_t type, uint64_t size, struct err *e)
{
    struct archive_entry *entry = archive_entry_new();
    int r;

    if (!entry)
        return err_os(e, "save");
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, type == S_IFDIR ? 0755 : 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_mtime(entry, 0, 0);
    r = archive_write_header(t->a, entry);
    archive_entry_free(entry);
    return r == ARCHIVE_OK ? 0 : failed(t, name, e);
}

static int data(struct tar *t, const char *name, const void *p, size_t len, struct err *e)
{
    return archive_write_data(t->a, p, len) == (la_ssize_t)len ? 0 : failed(t, name, e);
}

static int text(struct tar *t, const char *name, const void *p, size_t len, struct err *e)
{
    int r = header(t, name, S_IFREG, len, e);

    return r < 0 ? r : data(t, name, p, len, e);
}

static int json(struct tar *t, const char *name, json_t *own, struct err *e)
{
    autofree char *p = own ? json_dumps(own, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    json_decref(own);
    return p ? text(t, name, p, strlen(p), e) : err_set(e, ERR_LIMIT, "Out of memory");
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* 1: it is in the archive already. */
static int seen(struct tar *t, const char *digest, struct err *e)
{
    if (tfind(digest, &t->seen, compare))
        return 1;
    return tsearch(digest, &t->seen, compare) ? 0 : err_os(e, "save");
}

/* A layer, hashed on its way: a damaged store does not make a damaged archive. */
static int copy(struct tar *t, const char *name, int fd, const struct descriptor *d,
                struct err *e)
{
    struct source_hash hash = { 0 };
    struct source_fd in = { 0 };
    struct digest got = { "" };
    const void *p;
    ssize_t n = 0;
    int r;

    r = source_fd_init(&in, fd, d->size, e);
    if (r == 0)
        r = source_hash_init(&hash, &in.source, e);
    while (r == 0 && (n = hash.source.read(&hash.source, &p, e)) > 0)
        r = data(t, name, p, (size_t)n, e);
    r = n < 0 ? (int)n : r;
    if (r == 0)
        r = source_hash_finish(&hash, &got, e);
    if (r == 0 && strcmp(got.text, d->digest) != 0)
        r = err_set(e, ERR_CORRUPT, "blob %s is damaged: its content has the digest %s",
                    d->digest, got.text);
    source_hash_done(&hash);
    source_fd_done(&in);
    return r;
}

static int layer(struct tar *t, const struct descriptor *d, struct err *e)
{
    autofree char *path = store_blob_path(t->home, d->digest);
    autofree char *name = str_format("blobs/sha256/%s", d->digest + strlen("sha256:"));
    autofd int fd = -1;
    struct stat st;
    int r = seen(t, d->digest, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (!path || !name)
        return err_os(e, "save");
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_os(e, "blob %s", d->digest);
    if ((uint64_t)st.st_size != d->size)
        return err_set(e, ERR_CORRUPT, "blob %s is damaged: it has %jd bytes, not %ju", d->digest,
                       (intmax_t)st.st_size, (uintmax_t)d->size);
    r = header(t, name, S_IFREG, d->size, e);
    return r < 0 ? r : copy(t, name, fd, d, e);
}

static int small_blob(struct tar *t, const char *digest, const struct str *own, struct err *e)
{
    autofree char *name = str_format("blobs/sha256/%s", digest + strlen("sha256:"));
    autostr read = STR_INIT(JSON_DOC_MAX);
    int r = seen(t, digest, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (!name)
        return err_os(e, "save");
    if (!own)
        r = content_read_blob(t->home, digest, &read, e);
    if (r < 0)
        return r;
    own = own ? own : &read;
    return text(t, name, own->p, own->len, e);
}

static int image(struct tar *t, const struct content *c, struct err *e)
{
    int r;

    r = small_blob(t, c->image->manifest_digest, &c->text, e);
    if (r == 0)
        r = small_blob(t, c->image->id, NULL, e);
    for (size_t i = 0; r == 0 && i < c->manifest.layers_n; i++)
        r = layer(t, &c->manifest.layers[i], e);
    return r < 0 ? err_ctx(e, "image %.19s", c->image->id) : 0;
}

static int members(struct tar *t, const struct save *s, struct err *e)
{
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    json_t *repositories;
    int r;

    r = header(t, "blobs/", S_IFDIR, 0, e);
    if (r == 0)
        r = header(t, "blobs/sha256/", S_IFDIR, 0, e);
    for (size_t i = 0; r == 0 && i < s->n; i++)
        r = image(t, &s->v[i].content, e);
    if (r == 0)
        r = json(t, "index.json", save_index(s), e);
    if (r == 0)
        r = json(t, "manifest.json", save_manifest(s), e);
    if (r == 0)
        r = text(t, "oci-layout", layout, strlen(layout), e);
    repositories = save_repositories(s);
    if (r == 0 && json_object_size(repositories))
        return json(t, "repositories", repositories, e);
    json_decref(repositories);
    return r;
}

static void keep(void *digest UNUSED)
{
}

int save_write(const struct save *s, int fd, struct err *e)
{
    struct tar t = { .a = archive_write_new(), .fd = fd, .home = s->home };
    int r;

    if (!t.a || archive_write_set_format_pax_restricted(t.a) != ARCHIVE_OK ||
        archive_write_add_filter_none(t.a) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(t.a, 1) != ARCHIVE_OK ||
        archive_write_open(t.a, &t, NULL, write_out, NULL) != ARCHIVE_OK)
        r = t.a ? failed(&t, "archive", e) : err_os(e, "save");
    else
        r = members(&t, s, e);
    if (r == 0 && archive_write_close(t.a) != ARCHIVE_OK)
        r = failed(&t, "end", e);
    t.ended = true;
    (void)archive_write_free(t.a); /* NULL is fine; what matters is closed */
    tdestroy(t.seen, keep);
    return r;
}
