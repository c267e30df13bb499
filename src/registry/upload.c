#include "registry/remote_internal.h"

#include "registry/reply.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/time.h"

#include <string.h>

#define CHUNK_BYTES                                                                              \
    ((uint64_t)16 << 20) /* what is sent again at worst when a connection breaks */
#define CHUNK_MAX     ((uint64_t)1 << 30) /* the most a registry may ask for */
#define COMMIT_IDLE_S 300 /* a registry hashes and moves what it got before it answers */
#define TELL_MS       200

/* One blob on its way. */
struct sending {
    struct remote *remote;
    struct side *side;
    const struct remote_upload *up;
    char *location; /* owned; of the upload session; NULL: there is none */
    uint64_t offset, chunk;
    struct err why; /* what the last try died of */
};

/* ---- requests -------------------------------------------------------- */

/* side_send() that tells how far it has come. One try only for what is not to be repeated
 * blindly: then *q may be a failure or a busy reply. */
static int send_body(struct sending *s, struct http_request *q, uint64_t base, struct tries *t,
                     struct err *e)
{
    enum verdict v = VERDICT_AGAIN;
    int r = 0;

    while (r == 0 && v == VERDICT_AGAIN) {
        uint64_t told = 0, next = 0;

        r = side_prepare(s->side, q, s->location, t, e);
        if (r == 0)
            r = http_start(s->remote->http, q, e);
        while (r == 0 && !q->done) {
            r = http_step(s->remote->http, time_mono_ns() + TELL_MS * NS_PER_MS, NULL, 0, e);
            if (r < 0 || !s->up->sent || q->sent == told || time_mono_ns() < next)
                continue;
            told = q->sent;
            next = time_mono_ns() + TELL_MS * NS_PER_MS;
            r = s->up->sent(s->up->ctx, base + told, e);
        }
        if (r == 0)
            r = side_judge(s->side, q, t, &v, e);
    }
    return r;
}

static void set_body(const struct sending *s, struct http_request *q, uint64_t at, uint64_t n)
{
    q->body_fd = s->up->fd;
    q->body = s->up->data ? (const char *)s->up->data + at : "";
    q->body_at = at;
    q->body_len = n;
}

/* The Location of a reply becomes ours. */
static int take_location(struct sending *s, const struct http_request *q, bool needed,
                         struct err *e)
{
    const char *value = http_reply_header(q, "Location", 0);
    struct origin from, to;
    char *url = NULL;
    int r;

    if (!value && !needed)
        return 0;
    if (!value)
        return err_set(e, ERR_CORRUPT, "Registry error: %s - it does not say where to upload to",
                       s->side->name);
    r = url_resolve(q->url, value, &url, e);
    if (r == 0)
        r = url_origin(q->url, &from, e);
    if (r == 0)
        r = url_origin(url, &to, e);
    if (r == 0 && from.tls && !to.tls)
        r = err_set(e, ERR_CORRUPT,
                    "Registry error: %s - it wants the upload to go to plain http (%.100s): "
                    "refused",
                    s->side->name, to.host);
    if (r < 0) {
        free(url);
        return r;
    }
    free(s->location);
    s->location = url;
    value = http_reply_header(q, "OCI-Chunk-Min-Length", 0);
    if (value) {
        struct err ignored = { 0 };
        uint64_t least;

        if (parse_u64(value, 1, CHUNK_MAX, &least, &ignored) == 0 && least > s->chunk)
            s->chunk = least;
    }
    return 0;
}

/* A session; 1: there is no need, the blob was mounted. */
static int open_session(struct sending *s, bool mount, struct err *e)
{
    autofree char *where = NULL;
    autorequest q;
    int r;

    http_request_init(&q);
    where = mount
                ? str_format("blobs/uploads/?mount=%s&from=%s", s->up->digest, s->up->mount_from)
                : str_format("blobs/uploads/");
    if (!where)
        return err_os(e, "registry");
    q.method = HTTP_POST;
    r = side_send(s->side, &q, where, e);
    if (r < 0)
        return r;
    if (mount && !q.failed && q.status == 201)
        return 1;
    if (!q.failed && q.status == 202)
        return take_location(s, &q, true, e);
    /* No right to read over there, or no mounting at all: that is no reason to stop. */
    if (mount && !q.failed && q.status >= 400 && q.status < 500)
        return open_session(s, false, e);
    return reply_error(s->side->name, &q, e);
}

/* PUT with the digest: what was sent so far and this make the blob. */
static int commit(struct sending *s, uint64_t at, uint64_t n, struct tries *t,
                  struct http_request *q, struct err *e)
{
    autofree char *before = take_ptr(s->location);
    char sep = strchr(before, '?') ? '&' : '?';

    s->location = str_format("%s%cdigest=sha256%%3A%s", before, sep, s->up->digest + 7);
    if (!s->location || !http_request_header(q, "Content-Type: application/octet-stream"))
        return err_set(e, ERR_LIMIT, "Out of memory");
    q->method = HTTP_PUT;
    q->idle_s = COMMIT_IDLE_S;
    set_body(s, q, at, n);
    return send_body(s, q, at, t, e);
}

/* ---- chunks ---------------------------------------------------------- */

/* How much the registry has. 1: known, s->offset is set; 0: the session is gone. */
static int ask_offset(struct sending *s, struct err *e)
{
    const char *range;
    autorequest q;
    uint64_t last;
    int r;

    http_request_init(&q);
    r = side_send(s->side, &q, s->location, e);
    if (r < 0)
        return r;
    if (q.failed)
        return reply_error(s->side->name, &q, e);
    (void)err_set(&s->why, ERR_UNAVAILABLE, "Registry error: %s - it has forgotten the upload",
                  s->side->name);
    if (!reply_good(&q))
        return 0;
    range = http_reply_header(&q, "Range", 0);
    if (!range || !upload_range_parse(range, &last) || last >= s->up->size)
        return 0;
    /* "0-0" is one byte, or none: registries differ. One byte is not worth finding out. */
    if (last == 0)
        return 0;
    s->offset = last + 1;
    r = take_location(s, &q, false, e);
    return r < 0 ? r : 1;
}

/* PATCH one chunk. 1: it is there; 0: it may be there in part, or not. */
static int send_chunk(struct sending *s, struct tries *t, struct err *e)
{
    uint64_t n = s->up->size - s->offset, last;
    const char *range;
    autorequest q;
    int r;

    http_request_init(&q);
    n = n < s->chunk ? n : s->chunk;
    q.method = HTTP_PATCH;
    if (!http_request_header(&q, "Content-Type: application/octet-stream") ||
        !http_request_header(&q, "Content-Range: %llu-%llu", (unsigned long long)s->offset,
                             (unsigned long long)(s->offset + n - 1)))
        return err_set(e, ERR_LIMIT, "Out of memory");
    set_body(s, &q, s->offset, n);
    r = send_body(s, &q, s->offset, t, e);
    if (r < 0)
        return r;
    if (!reply_good(&q)) {
        bool no_chunks = !q.failed && (q.status == 400 || q.status == 405 || q.status == 411 ||
                                       q.status == 415 || q.status == 501);

        if (q.failed ? !q.transient
                     : !no_chunks && q.status != 404 && q.status != 416 && !reply_transient(&q))
            return reply_error(s->side->name, &q, e);
        (void)reply_error(s->side->name, &q, &s->why);
        log_info("upload at %llu: %s", (unsigned long long)s->offset, s->why.text);
        s->chunk = no_chunks ? UINT64_MAX : s->chunk; /* then in one piece, from the start */
        return 0;
    }
    s->offset += n;
    range = http_reply_header(&q, "Range", 0);
    if (range && upload_range_parse(range, &last) && last + 1 != s->offset)
        return err_set(e, ERR_CORRUPT, "Registry error: %s - it took %llu of %llu bytes",
                       s->side->name, (unsigned long long)last + 1,
                       (unsigned long long)s->offset);
    r = take_location(s, &q, true, e);
    return r < 0 ? r : 1;
}

/* After a chunk that failed: wait, and find out where to go on. 0: the session is lost. */
static int recover(struct sending *s, unsigned failures, struct err *e)
{
    int r;

    if (failures >= s->remote->limits.attempts) {
        *e = s->why;
        return -(int)e->kind;
    }
    if (s->chunk == UINT64_MAX)
        return 0;
    r = http_pause(s->remote->http, retry_pause_ms(&s->remote->limits, failures, 0), e);
    return r < 0 ? r : ask_offset(s, e);
}

/* 1: all chunks are there; 0: the session was lost, begin again. */
static int send_chunks(struct sending *s, unsigned *failures, struct err *e)
{
    int r;

    s->offset = 0;
    while (s->offset < s->up->size) {
        struct tries t = { .attempt = s->remote->limits.attempts };
        uint64_t before = s->offset;

        r = send_chunk(s, &t, e);
        if (r == 0)
            r = recover(s, ++*failures, e);
        if (r <= 0)
            return r;
        if (s->offset > before)
            *failures = 0;
    }
    return 1;
}

/* ---- the whole ------------------------------------------------------- */

/* 1: it is there; 0: try again. */
static int send_once(struct sending *s, unsigned *failures, struct err *e)
{
    struct tries t = { .attempt = s->remote->limits.attempts };
    uint64_t at = 0;
    autorequest q;
    int r;

    http_request_init(&q);
    if (s->up->size > s->chunk) {
        r = send_chunks(s, failures, e);
        if (r <= 0)
            return r;
        at = s->up->size;
    }
    r = commit(s, at, s->up->size - at, &t, &q, e);
    if (r < 0)
        return r;
    if (reply_good(&q))
        return 1;
    if (!reply_transient(&q) && q.status != 404 && q.status != 416)
        return reply_error(s->side->name, &q, e);
    (void)reply_error(s->side->name, &q, &s->why);
    return 0;
}

/* The registry may have what it could not confirm. */
static int send_blob(struct sending *s, struct err *e)
{
    unsigned failures = 0;
    int r;

    r = open_session(s, s->up->mount_from != NULL, e);
    if (r != 0)
        return r;
    for (;;) {
        r = send_once(s, &failures, e);
        if (r != 0)
            return r < 0 ? r : 0;
        if (++failures >= s->remote->limits.attempts) {
            *e = s->why;
            return -(int)e->kind;
        }
        r = http_pause(s->remote->http, retry_pause_ms(&s->remote->limits, failures, 0), e);
        if (r == 0)
            r = remote_blob_exists(s->remote, s->up->digest, e);
        if (r != 0)
            return r < 0 ? r : 0;
        r = open_session(s, false, e);
        if (r < 0)
            return r;
    }
}

int remote_blob_upload(struct remote *r, const struct remote_upload *up, struct err *e)
{
    struct sending s = { .remote = r, .side = remote_own(r), .up = up, .chunk = CHUNK_BYTES };
    int rc;

    rc = send_blob(&s, e);
    free(s.location);
    return rc < 0 ? err_ctx(e, "blob %.19s", up->digest) : rc;
}

int remote_blob_exists(struct remote *r, const char *digest, struct err *e)
{
    autofree char *where = str_format("blobs/%s", digest);
    autorequest q;
    int rc;

    http_request_init(&q);
    if (!where)
        return err_os(e, "registry");
    q.method = HTTP_HEAD;
    rc = side_send(remote_own(r), &q, where, e);
    if (rc < 0)
        return rc;
    if (reply_good(&q))
        return 1;
    return !q.failed && q.status == 404 ? 0 : reply_error(remote_own(r)->name, &q, e);
}

int remote_manifest_put(struct remote *r, const char *which, const char *media_type,
                        const void *bytes, size_t len, struct digest *ret, struct err *e)
{
    autofree char *where = str_format("manifests/%s", which);
    const char *named;
    struct digest own;
    autorequest q;
    int rc;

    http_request_init(&q);
    rc = digest_of(bytes, len, &own, e);
    if (rc < 0)
        return rc;
    if (!where || !http_request_header(&q, "Content-Type: %s", media_type))
        return err_set(e, ERR_LIMIT, "Out of memory");
    q.method = HTTP_PUT;
    q.body = bytes;
    q.body_len = len;
    rc = side_send(remote_own(r), &q, where, e);
    if (rc == 0 && !reply_good(&q))
        rc = reply_error(remote_own(r)->name, &q, e);
    if (rc < 0)
        return rc;
    named = http_reply_header(&q, "Docker-Content-Digest", 0);
    if (named && digest_valid(named) && strcmp(named, own.text) != 0)
        return err_set(e, ERR_CORRUPT,
                       "Registry error: %s - it calls the manifest %s, but its digest is %s",
                       remote_own(r)->name, named, own.text);
    *ret = own;
    return 0;
}
