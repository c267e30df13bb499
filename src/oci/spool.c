#include "oci/spool.h"

#include "util/fd.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define BLOBS       "blobs/sha256/"
#define LINKS_MAX   8
#define MEMBER_PATH 1024
#define ARCHIVE_MAX (UINT64_C(1) << 42) /* 4 TiB: only the disk sets a limit before */

struct feed {
    struct source *in;
    struct err err; /* libarchive cannot carry it */
};

static la_ssize_t feed_read(struct archive *a UNUSED, void *ctx, const void **ret)
{
    struct feed *f = ctx;
    ssize_t n = f->in->read(f->in, ret, &f->err);

    return n < 0 ? ARCHIVE_FATAL : n;
}

static int archive_failed(struct archive *a, struct feed *f, struct err *e)
{
    if (f->err.kind) {
        *e = f->err;
        return -(int)e->kind;
    }
    return err_set(e, ERR_CORRUPT, "not an image archive, or a broken one: %s",
                   archive_error_string(a));
}

/* Relative, without "." and ".."; false when there is nothing left or it leaves the archive. */
static bool clean_name(const char *base, const char *name, char ret[MEMBER_PATH])
{
    size_t n = strlen(base);

    if (n >= MEMBER_PATH)
        return false;
    memcpy(ret, base, n);
    while (*name) {
        size_t len = strcspn(name, "/");

        if (len == 2 && memcmp(name, "..", 2) == 0) {
            if (!n)
                return false;
            while (n && ret[--n] != '/')
                ;
        } else if (len && !(len == 1 && *name == '.')) {
            if (n + len + 2 > MEMBER_PATH)
                return false;
            if (n)
                ret[n++] = '/';
            memcpy(ret + n, name, len);
            n += len;
        }
        name += len;
        name += *name == '/';
    }
    ret[n] = '\0';
    return n > 0;
}

static struct member *find(const struct spool *sp, const char *name)
{
    for (size_t i = 0; i < sp->n; i++)
        if (strcmp(sp->v[i].name, name) == 0)
            return &sp->v[i];
    return NULL;
}

const struct member *spool_find(const struct spool *sp, const char *name)
{
    char path[MEMBER_PATH];
    const struct member *m;

    if (!clean_name("", name, path))
        return NULL;
    m = find(sp, path);
    for (int i = 0; m && m->link && i < LINKS_MAX; i++) {
        char *slash = strrchr(path, '/');
        char next[MEMBER_PATH];

        *(slash ? slash : path) = '\0';
        if (!clean_name(path, m->link, next))
            return NULL;
        memcpy(path, next, sizeof(path));
        m = find(sp, path);
    }
    return m && !m->link ? m : NULL;
}

const struct member *spool_blob(const struct spool *sp, const char *digest)
{
    for (size_t i = 0; i < sp->n; i++)
        if (!sp->v[i].link && strcmp(sp->v[i].digest.text, digest) == 0)
            return &sp->v[i];
    return NULL;
}

static struct member *add(struct spool *sp, const char *name)
{
    struct member *m;

    if ((sp->n & (sp->n + 1)) == 0 || !sp->v) { /* grows at 0, 1, 3, 7, ... */
        m = realloc(sp->v, 2 * (sp->n + 1) * sizeof(*m));
        if (!m)
            return NULL;
        sp->v = m;
    }
    m = &sp->v[sp->n];
    *m = (struct member){ .name = strdup(name) };
    if (!m->name)
        return NULL;
    (void)snprintf(m->file, sizeof(m->file), "m%zu", sp->n);
    sp->n++;
    return m;
}

/* A member's data as a source, so that it can be hashed and limited like everything else. */
struct member_source {
    struct source source;
    struct archive *archive;
    struct feed *feed;
    uint64_t left;
};

static ssize_t member_read(struct source *source, const void **ret, struct err *e)
{
    struct member_source *s = CONTAINER_OF(source, struct member_source, source);
    la_int64_t offset;
    size_t len = 0;
    int r;

    do
        r = archive_read_data_block(s->archive, ret, &len, &offset);
    while (r == ARCHIVE_OK && len == 0);
    if (r == ARCHIVE_EOF)
        return 0;
    if (r != ARCHIVE_OK)
        return archive_failed(s->archive, s->feed, e);
    if (len > s->left)
        return err_set(e, ERR_LIMIT, "larger than the limit for a layer");
    s->left -= len;
    return (ssize_t)len;
}

/* Write all of `in` to the member's file, hashing it. */
static int store(struct spool *sp, struct member *m, struct source *in, struct err *e)
{
    autofd int fd = openat(sp->dirfd, m->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct source_hash hash = { 0 };
    const void *data;
    ssize_t n = 0;
    int r;

    if (fd < 0)
        return err_os(e, "create %s", m->file);
    r = source_hash_init(&hash, in, e);
    while (r == 0 && (n = hash.source.read(&hash.source, &data, e)) > 0)
        r = fd_write_all(fd, data, (size_t)n, e);
    if (n < 0)
        r = (int)n;
    if (r == 0)
        r = source_hash_finish(&hash, &m->digest, e);
    m->size = hash.n;
    source_hash_done(&hash);
    return r;
}

static int take_file(struct spool *sp, struct archive *a, struct feed *feed, const char *name,
                     uint64_t member_max, struct err *e)
{
    struct member_source in = {
        .source = { .read = member_read }, .archive = a, .feed = feed, .left = member_max
    };
    struct member *m = add(sp, name);
    int r;

    if (!m)
        return err_os(e, "archive");
    r = store(sp, m, &in.source, e);
    if (r < 0)
        return r;
    if (strncmp(name, BLOBS, strlen(BLOBS)) == 0 &&
        strcmp(name + strlen(BLOBS), m->digest.text + strlen("sha256:")) != 0)
        return err_set(e, ERR_CORRUPT, "its content has the digest %s", m->digest.text);
    return 0;
}

static int take_member(struct spool *sp, struct archive *a, struct feed *feed,
                       struct archive_entry *entry, uint64_t member_max, struct err *e)
{
    const char *path = archive_entry_pathname(entry), *link = archive_entry_symlink(entry);
    bool regular = archive_entry_filetype(entry) == S_IFREG && !archive_entry_hardlink(entry);
    char name[MEMBER_PATH];
    struct member *m;
    int r;

    if (!path || (!regular && !link) || !clean_name("", path, name) || find(sp, name))
        return 0; /* directories, duplicates, what no image refers to */
    if (sp->n == SPOOL_MEMBERS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d files in the archive", SPOOL_MEMBERS_MAX);
    if (regular) {
        r = take_file(sp, a, feed, name, member_max, e);
        return r < 0 ? err_ctx(e, "'%s'", name) : 0;
    }
    m = add(sp, name);
    if (m)
        m->link = strdup(link);
    return m && m->link ? 0 : err_os(e, "archive");
}

static int read_members(struct spool *sp, struct source *tar, uint64_t member_max, struct err *e)
{
    struct feed feed = { .in = tar };
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    int r;

    if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_support_format_empty(a) != ARCHIVE_OK ||
        archive_read_open2(a, &feed, NULL, feed_read, NULL, NULL) != ARCHIVE_OK) {
        r = a ? archive_failed(a, &feed, e) : err_os(e, "archive");
        (void)archive_read_free(a); /* NULL is fine */
        return r;
    }
    for (;;) {
        r = archive_read_next_header(a, &entry);
        if (r == ARCHIVE_EOF) {
            r = 0;
            break;
        }
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
            r = archive_failed(a, &feed, e);
            break;
        }
        r = take_member(sp, a, &feed, entry, member_max, e);
        if (r < 0)
            break;
    }
    (void)archive_read_free(a); /* read-only: nothing to lose */
    return r;
}

int spool_read(struct spool *sp, int dirfd, struct source *in, uint64_t member_max, struct err *e)
{
    const struct unpack_limits limits = { .bytes_max = ARCHIVE_MAX,
                                          .ratio_max = UNPACK_RATIO_MAX };
    autoptr(unpack) unpack = NULL;
    int r;

    *sp = (struct spool){ .dirfd = dirfd };
    r = unpack_open(in, &limits, &unpack, e);
    if (r == 0)
        r = read_members(sp, unpack_source(unpack), member_max, e);
    if (r < 0)
        spool_done(sp);
    return r;
}

struct limited_source {
    struct source source;
    struct source *inner;
    uint64_t left;
};

static ssize_t limited_read(struct source *source, const void **ret, struct err *e)
{
    struct limited_source *s = CONTAINER_OF(source, struct limited_source, source);
    ssize_t n = s->inner->read(s->inner, ret, e);

    if (n > 0 && (uint64_t)n > s->left)
        return err_set(e, ERR_LIMIT, "larger than the limit for a layer");
    s->left -= n > 0 ? (uint64_t)n : 0;
    return n;
}

int spool_one(struct spool *sp, int dirfd, struct source *in, uint64_t member_max, struct err *e)
{
    struct limited_source limited = { .source = { .read = limited_read },
                                      .inner = in,
                                      .left = member_max };
    struct member *m;
    int r;

    *sp = (struct spool){ .dirfd = dirfd };
    m = add(sp, "layer");
    r = m ? store(sp, m, &limited.source, e) : err_os(e, "archive");
    if (r < 0)
        spool_done(sp);
    return r;
}

int spool_add(struct spool *sp, const char *digest, uint64_t size, const char *file,
              struct err *e)
{
    struct member *m = add(sp, digest);

    if (!m)
        return err_os(e, "layer");
    m->size = size;
    (void)snprintf(m->digest.text, sizeof(m->digest.text), "%s", digest);
    (void)snprintf(m->file, sizeof(m->file), "%s", file);
    return 0;
}

void spool_done(struct spool *sp)
{
    for (size_t i = 0; i < sp->n; i++) {
        free(sp->v[i].name);
        free(sp->v[i].link);
    }
    free(sp->v);
    *sp = (struct spool){ .dirfd = -1 };
}

int spool_open(const struct spool *sp, const struct member *m, struct err *e)
{
    int fd = openat(sp->dirfd, m->file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? err_os(e, "open '%s'", m->name) : fd;
}

int spool_text(const struct spool *sp, const struct member *m, struct str *ret, struct err *e)
{
    autofd int fd = spool_open(sp, m, e);
    int r;

    if (fd < 0)
        return fd;
    r = fd_read_all(fd, ret, e);
    return r < 0 ? err_ctx(e, "'%s'", m->name) : 0;
}
