#include "rootfs/blocks.h"

#include <fcntl.h>
#include <string.h>

#define BUF_SIZE ((size_t)1 << 20) /* one pwrite() per MiB */

int blocks_init(struct blocks *b, int fd, uint64_t first, uint64_t limit, struct err *e)
{
    *b = (struct blocks){ .fd = fd, .next = first, .limit = limit, .buf = malloc(BUF_SIZE) };
    return b->buf ? 0 : err_os(e, "image buffer");
}

void blocks_done(struct blocks *b)
{
    free(b->buf);
    *b = (struct blocks){ .fd = -1 };
}

int blocks_take(struct blocks *b, uint64_t n, uint64_t *ret_first, struct err *e)
{
    if (n > b->limit - b->next)
        return err_set(e, ERR_LIMIT, "the image would be larger than %ju GiB",
                       (uintmax_t)(b->limit * BLOCK_SIZE >> 30));
    *ret_first = b->next;
    b->next += n;
    return 0;
}

int blocks_flush(struct blocks *b, struct err *e)
{
    const char *p = b->buf;

    while (b->buf_len) {
        ssize_t n = pwrite(b->fd, p, b->buf_len, (off_t)b->buf_at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "write image");
        p += n;
        b->buf_at += (uint64_t)n;
        b->buf_len -= (size_t)n;
    }
    return 0;
}

/* Between the end of a file and the next block there is less than a block: fill it with the
 * zeros that are there anyway, so that small files share one write. */
static bool bridge(struct blocks *b, uint64_t at)
{
    uint64_t end = b->buf_at + b->buf_len;
    size_t gap;

    if (at < end || at - end >= BLOCK_SIZE || at - b->buf_at >= BUF_SIZE)
        return false;
    gap = (size_t)(at - end);
    memset(b->buf + b->buf_len, 0, gap);
    b->buf_len += gap;
    return true;
}

int blocks_write(struct blocks *b, uint64_t at, const void *data, size_t len, struct err *e)
{
    const char *p = data;
    int r;

    while (len) {
        size_t n;

        if (!b->buf_len) {
            b->buf_at = at;
        } else if (!bridge(b, at)) {
            r = blocks_flush(b, e);
            if (r < 0)
                return r;
            continue;
        }
        n = BUF_SIZE - b->buf_len;
        n = n < len ? n : len;
        memcpy(b->buf + b->buf_len, p, n);
        b->buf_len += n;
        p += n;
        at += n;
        len -= n;
    }
    return 0;
}

void blocks_give(struct blocks *b, uint64_t first, uint64_t n)
{
    struct err ignored = { 0 };

    if (b->buf_len && blocks_flush(b, &ignored) < 0)
        return; /* comes again, and is reported, at the next write */
    (void)fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)(first * BLOCK_SIZE), (off_t)(n * BLOCK_SIZE)); /* only saves space */
}
