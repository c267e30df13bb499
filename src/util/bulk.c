#include "util/bulk.h"

#include "util/fd.h"
#include "util/own.h"

#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>

#define ALIGNMENT 4096 /* of memory: what any of our disks wants */
#define EXT4      0xef53
#define OVERLAY   0x794c7630

static bool set_direct(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/* Others take the flag and gain nothing, or do not take it. */
static bool is_on_disk(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && (fs.f_type == EXT4 || fs.f_type == OVERLAY);
}

void bulk_begin(struct bulk *b, int fd, uint64_t size)
{
    b->len = 0;
    b->on = false;
    if (size < BULK_MIN || !is_on_disk(fd))
        return;
    if (!b->block)
        b->block = aligned_alloc(ALIGNMENT, BULK_BLOCK);
    b->on = b->block && set_direct(fd, true);
}

/* What waits, by way of the page cache, from its `done`th byte on; so does all that follows. */
static int write_rest(struct bulk *b, int fd, size_t done, struct err *e)
{
    size_t len = b->len;

    b->len = 0;
    b->on = false;
    if (!set_direct(fd, false))
        return err_os(e, "write");
    return fd_write_all(fd, b->block + done, len - done, e);
}

static int write_block(struct bulk *b, int fd, struct err *e)
{
    ssize_t n;

    do
        n = write(fd, b->block, BULK_BLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EINVAL)
        return err_os(e, "write");
    if (n == (ssize_t)BULK_BLOCK) {
        b->len = 0;
        return 0;
    }
    return write_rest(b, fd, n < 0 ? 0 : (size_t)n, e); /* it tells why */
}

int bulk_write(struct bulk *b, int fd, const void *data, size_t len, struct err *e)
{
    const char *p = data;

    while (b->on && len) {
        size_t n = BULK_BLOCK - b->len < len ? BULK_BLOCK - b->len : len;

        memcpy(b->block + b->len, p, n);
        b->len += n;
        p += n;
        len -= n;
        if (b->len == BULK_BLOCK && write_block(b, fd, e) < 0)
            return -e->kind;
    }
    return fd_write_all(fd, p, len, e);
}

int bulk_end(struct bulk *b, int fd, struct err *e)
{
    return b->on ? write_rest(b, fd, 0, e) : 0;
}

ssize_t bulk_read(struct bulk *b, int fd, struct err *e)
{
    ssize_t n;

    do {
        n = read(fd, b->block, BULK_BLOCK);
        if (n < 0 && errno == EINVAL && b->on) {
            b->on = false;
            errno = set_direct(fd, false) ? EINTR : EINVAL;
        }
    } while (n < 0 && errno == EINTR);
    return n < 0 ? err_os(e, "read") : n;
}

void bulk_done(struct bulk *b)
{
    free(b->block);
    *b = (struct bulk){ 0 };
}
