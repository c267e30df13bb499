#include "rootfs/source.h"

#include "util/fd.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>

#define CHUNK          ((size_t)256 << 10)
#define RATIO_FREE_LEN ((uint64_t)256 << 20) /* small streams of zeros are no bombs */

static ssize_t fd_read_some(struct source *source, const void **ret, struct err *e)
{
    struct source_fd *s = CONTAINER_OF(source, struct source_fd, source);
    size_t want = s->left < CHUNK ? (size_t)s->left : CHUNK;
    ssize_t n;

    do
        n = read(s->fd, s->buf, want);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_os(e, "read");
    if (s->left != UINT64_MAX)
        s->left -= (uint64_t)n;
    *ret = s->buf;
    return n;
}

int source_fd_init(struct source_fd *s, int fd, uint64_t left, struct err *e)
{
    *s = (struct source_fd){
        .source = { .read = fd_read_some }, .fd = fd, .left = left, .buf = malloc(CHUNK)
    };
    return s->buf ? 0 : err_os(e, "read buffer");
}

void source_fd_done(struct source_fd *s)
{
    free(s->buf);
    s->buf = NULL;
}

struct unpack {
    struct source source;
    struct source *inner; /* borrowed */
    struct unpack_limits limits;
    struct archive *archive;
    struct err inner_err; /* of `inner`: libarchive cannot carry it */
    uint64_t in, out;
    bool empty; /* no bytes at all: libarchive has no entry to read from */
};

static la_ssize_t unpack_feed(struct archive *a UNUSED, void *ctx, const void **ret)
{
    struct unpack *u = ctx;
    ssize_t n = u->inner->read(u->inner, ret, &u->inner_err);

    if (n < 0)
        return ARCHIVE_FATAL;
    u->in += (uint64_t)n;
    return n;
}

static int unpack_failed(struct unpack *u, struct err *e)
{
    if (u->inner_err.kind) {
        *e = u->inner_err;
        return -(int)e->kind;
    }
    return err_set(e, ERR_CORRUPT, "decompress: %s", archive_error_string(u->archive));
}

static ssize_t unpack_read(struct source *source, const void **ret, struct err *e)
{
    struct unpack *u = CONTAINER_OF(source, struct unpack, source);
    la_int64_t offset;
    size_t len;
    int r;

    if (u->empty)
        return 0;
    r = archive_read_data_block(u->archive, ret, &len, &offset);
    if (r == ARCHIVE_EOF)
        return 0;
    if (r != ARCHIVE_OK)
        return unpack_failed(u, e);
    if (u->out == u->limits.bytes_max && len)
        return err_set(e, ERR_LIMIT, "more than %ju bytes when decompressed",
                       (uintmax_t)u->limits.bytes_max);
    if (len > u->limits.bytes_max - u->out)
        len = u->limits.bytes_max - u->out; /* the error comes next, inside the guilty entry */
    u->out += len;
    if (u->out > RATIO_FREE_LEN && u->out / u->limits.ratio_max > u->in)
        return err_set(e, ERR_LIMIT, "it decompresses to more than %u times its size",
                       u->limits.ratio_max);
    return (ssize_t)len;
}

int unpack_open(struct source *inner, const struct unpack_limits *limits, struct unpack **ret,
                struct err *e)
{
    autoptr(unpack) u = calloc(1, sizeof(*u));
    struct archive_entry *entry;
    int r;

    if (!u)
        return err_os(e, "decompress");
    *u = (struct unpack){ .source = { .read = unpack_read }, .inner = inner, .limits = *limits };
    u->archive = archive_read_new();
    if (!u->archive)
        return err_os(e, "decompress");
    /* By name, never "all": that would run external programs on a stranger's data. */
    if (archive_read_support_filter_gzip(u->archive) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(u->archive) != ARCHIVE_OK ||
        archive_read_support_format_raw(u->archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(u->archive) != ARCHIVE_OK)
        return err_set(e, ERR_INTERNAL, "libarchive lacks gzip or zstd");
    r = archive_read_open2(u->archive, u, NULL, unpack_feed, NULL, NULL);
    if (r == ARCHIVE_OK)
        r = archive_read_next_header(u->archive, &entry);
    if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
        return unpack_failed(u, e);
    u->empty = r == ARCHIVE_EOF;
    *ret = take_ptr(u);
    return 0;
}

struct source *unpack_source(struct unpack *u)
{
    return &u->source;
}

void unpack_free(struct unpack *u)
{
    if (!u)
        return;
    (void)archive_read_free(u->archive); /* read-only: nothing to lose */
    free(u);
}
