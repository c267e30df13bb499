#include "oci/growing.h"

#include "util/fd.h"

#include <string.h>
#include <sys/socket.h>

#define CHUNK     ((size_t)256 << 10)
#define TELL_STEP ((uint64_t)256 << 10) /* a message costs less than a per mille of the work */
#define READ_STEP ((uint64_t)1 << 20)   /* bars need no more */

void growing_name(size_t i, char ret[GROWING_NAME_LEN])
{
    (void)snprintf(ret, GROWING_NAME_LEN, "l%zu", i);
}

int growing_init(struct growing *g, int socket, size_t n, struct err *e)
{
    if (n > GROWING_FILES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d files", GROWING_FILES_MAX);
    *g = (struct growing){ .socket = socket, .file = GROWTH_NO_FILE, .n = n };
    return 0;
}

/* Wait for one message and take it in. */
static int hear(struct growing *g, struct err *e)
{
    struct growth m = { 0 };
    struct grown *grown;
    ssize_t n;

    do
        n = recv(g->socket, &m, sizeof(m), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_os(e, "download");
    if (n == 0)
        return err_set(e, ERR_CANCELED, "the download has ended");
    if (n != sizeof(m) || m.file >= g->n)
        return err_set(e, ERR_INTERNAL, "unexpected message about a download");
    grown = &g->v[m.file];
    if (m.bytes < grown->bytes || (m.kind != GROWTH_BYTES && m.kind != GROWTH_COMPLETE))
        return err_set(e, ERR_INTERNAL, "unexpected message about a download");
    grown->bytes = m.bytes;
    grown->complete = m.kind == GROWTH_COMPLETE;
    return 0;
}

static void tell(const struct growing *g, enum growth_kind kind, uint32_t file, uint64_t bytes)
{
    const struct growth m = { .kind = kind, .file = file, .bytes = bytes };

    (void)send(g->socket, &m, sizeof(m), MSG_NOSIGNAL); /* see growing_passed() */
}

static ssize_t read_some(struct source_growing *s, size_t want, struct err *e)
{
    ssize_t n;

    do
        n = pread(s->fd, s->buf, want, (off_t)s->at);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_os(e, "read");
    if (n == 0)
        return err_set(e, ERR_CORRUPT, "the downloaded file has been cut");
    return n;
}

static ssize_t growing_read(struct source *source, const void **ret, struct err *e)
{
    struct source_growing *s = CONTAINER_OF(source, struct source_growing, source);
    const struct grown *grown = &s->growing->v[s->file];
    uint64_t left;
    ssize_t n;
    int r;

    s->growing->file = s->file;
    while (grown->bytes <= s->at && !grown->complete) {
        r = hear(s->growing, e);
        if (r < 0)
            return r;
    }
    if (grown->bytes > s->size || (grown->complete && grown->bytes < s->size))
        return err_set(e, ERR_CORRUPT, "it has %ju bytes, not %ju", (uintmax_t)grown->bytes,
                       (uintmax_t)s->size);
    left = grown->bytes - s->at;
    if (!left)
        return 0;
    n = read_some(s, left < CHUNK ? (size_t)left : CHUNK, e);
    if (n < 0)
        return n;
    s->at += (uint64_t)n;
    if (s->at - s->told >= READ_STEP) {
        tell(s->growing, GROWTH_READ, s->file, s->at);
        s->told = s->at;
    }
    *ret = s->buf;
    return n;
}

int source_growing_init(struct source_growing *s, struct growing *g, uint32_t file, int fd,
                        uint64_t size, struct err *e)
{
    *s = (struct source_growing){ .source = { .read = growing_read },
                                  .growing = g,
                                  .file = file,
                                  .fd = fd,
                                  .size = size,
                                  .buf = malloc(CHUNK) };
    return s->buf ? 0 : err_os(e, "read buffer");
}

void source_growing_done(struct source_growing *s)
{
    free(s->buf);
    s->buf = NULL;
}

void growing_passed(struct growing *g, uint32_t file, uint64_t bytes)
{
    g->file = GROWTH_NO_FILE;
    tell(g, GROWTH_PASSED, file, bytes);
}

int growing_result(struct growing *g, const struct err *why, const char *id, struct err *e)
{
    struct growth_msg m = { .growth = { .kind = GROWTH_RESULT },
                            .result = { .kind = why->kind, .os = why->os, .file = g->file } };

    if (why->kind)
        memcpy(m.result.text, why->text, sizeof(m.result.text));
    else
        (void)snprintf(m.result.id, sizeof(m.result.id), "%s", id);
    return send(g->socket, &m, sizeof(m), MSG_NOSIGNAL) < 0 ? err_os(e, "report") : 0;
}

int feed_init(struct feed *f, int socket, size_t n, struct err *e)
{
    if (n > GROWING_FILES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d files", GROWING_FILES_MAX);
    *f = (struct feed){ .socket = socket, .n = n };
    return fd_nonblock(socket, true, e);
}

/* Who is gone is found out by feed_read(). */
static void send_file(struct feed *f, size_t i)
{
    struct feed_file *file = &f->v[i];
    const struct growth m = { .kind = file->complete ? GROWTH_COMPLETE : GROWTH_BYTES,
                              .file = (uint32_t)i,
                              .bytes = file->bytes };

    f->blocked = send(f->socket, &m, sizeof(m), MSG_NOSIGNAL) < 0 && errno == EAGAIN;
    if (f->blocked)
        return;
    file->sent = file->bytes;
    file->complete_sent = file->complete;
}

void feed_grown(struct feed *f, size_t file, uint64_t bytes, bool complete)
{
    struct feed_file *v = &f->v[file];

    v->bytes = bytes;
    v->complete = complete;
    if (!f->blocked && ((complete && !v->complete_sent) || bytes - v->sent >= TELL_STEP))
        send_file(f, file);
}

void feed_flush(struct feed *f)
{
    f->blocked = false;
    for (size_t i = 0; i < f->n && !f->blocked; i++) {
        const struct feed_file *v = &f->v[i];

        if (v->bytes != v->sent || v->complete != v->complete_sent)
            send_file(f, i);
    }
}

int feed_read(struct feed *f, struct growth_msg *ret, struct err *e)
{
    struct growth_msg m = { 0 };
    ssize_t n;

    /* The other end closed with messages unread: that is told first, once, and then comes what it
     * sent before. */
    do
        n = recv(f->socket, &m, sizeof(m), 0);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n < 0)
        return err_os(e, "a3s-box-image");
    if (n <= 0)
        return err_set(e, ERR_UNAVAILABLE, "a3s-box-image has ended early");
    if ((size_t)n != (m.growth.kind == GROWTH_RESULT ? sizeof(m) : sizeof(m.growth)))
        return err_set(e, ERR_INTERNAL, "unexpected message from a3s-box-image");
    m.result.text[sizeof(m.result.text) - 1] = '\0';
    m.result.id[sizeof(m.result.id) - 1] = '\0';
    *ret = m;
    return 1;
}
