#include "log/log.h"

#include "util/fd.h"
#include "util/own.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK       ((size_t)128 << 10)
#define WINDOW_GZIP (MAX_WBITS + 16)

struct buffers {
    uint8_t in[CHUNK], out[CHUNK];
};

static ssize_t fill(z_stream *z, struct buffers *b, int in, struct err *e)
{
    ssize_t n = fd_read_upto(in, b->in, sizeof(b->in), e);

    z->next_in = b->in;
    z->avail_in = n > 0 ? (uInt)n : 0;
    return n;
}

/* Everything that deflate has to say now. */
static int deflate_some(z_stream *z, struct buffers *b, int out, int flush, struct err *e)
{
    int r = 0, z_r;

    do {
        z->next_out = b->out;
        z->avail_out = sizeof(b->out);
        z_r = deflate(z, flush);
        r = fd_write_all(out, b->out, sizeof(b->out) - z->avail_out, e);
    } while (r == 0 && z->avail_out == 0 && z_r == Z_OK);
    return r;
}

int gzip_pack(int in, int out, struct err *e)
{
    autofree struct buffers *b = malloc(sizeof(*b));
    z_stream z = { 0 };
    ssize_t n = 1;
    int r = 0;

    if (!b || deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_GZIP, MAX_MEM_LEVEL,
                           Z_DEFAULT_STRATEGY) != Z_OK)
        return err_os_at(e, ENOMEM, "gzip");
    while (r == 0 && n > 0) {
        n = fill(&z, b, in, e);
        r = n < 0 ? (int)n : deflate_some(&z, b, out, n ? Z_NO_FLUSH : Z_FINISH, e);
    }
    (void)deflateEnd(&z);                                /* frees */
    if (r == 0 && fdatasync(out) < 0 && errno != EINVAL) /* a pipe */
        return err_os(e, "gzip: sync");
    return r;
}

int gzip_unpack(int in, int out, struct err *e)
{
    autofree struct buffers *b = malloc(sizeof(*b));
    z_stream z = { 0 };
    int r = 0, z_r = Z_OK;
    ssize_t n;

    if (!b || inflateInit2(&z, WINDOW_GZIP) != Z_OK)
        return err_os_at(e, ENOMEM, "gunzip");
    while (r == 0 && z_r != Z_STREAM_END) {
        if (z.avail_in == 0) {
            n = fill(&z, b, in, e);
            if (n <= 0) {
                r = n < 0 ? (int)n : err_set(e, ERR_CORRUPT, "the compressed log ends early");
                break;
            }
        }
        z.next_out = b->out;
        z.avail_out = sizeof(b->out);
        z_r = inflate(&z, Z_NO_FLUSH);
        r = fd_write_all(out, b->out, sizeof(b->out) - z.avail_out, e);
        if (r < 0 && e->os == EPIPE) {
            err_clear(e);
            r = 0;
            break;
        }
        if (r == 0 && z_r != Z_OK && z_r != Z_STREAM_END)
            r = err_set(e, ERR_CORRUPT, "the compressed log is damaged: %s",
                        z.msg ? z.msg : "unknown");
    }
    (void)inflateEnd(&z); /* frees */
    return r;
}
