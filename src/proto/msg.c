#include "proto/msg.h"

#include "util/fd.h"

#include <string.h>
#include <sys/uio.h>

static void put_header(uint8_t head[MSG_HEADER], enum msg_type type, size_t len)
{
    head[0] = (uint8_t)type;
    put_u32be(head + 1, (uint32_t)len);
}

bool msg_put(struct str *out, enum msg_type type, const void *payload, size_t len)
{
    uint8_t head[MSG_HEADER];

    if (len > MSG_MAX || !str_reserve(out, sizeof(head) + len))
        return false;
    put_header(head, type, len);
    (void)str_add(out, head, sizeof(head)); /* the room is reserved */
    (void)str_add(out, payload, len);
    return true;
}

void msg_reader_done(struct msg_reader *r)
{
    str_done(&r->pending);
}

/* Looks for a complete message at the front of the bytes. Returns its whole length, 0 when more
 * bytes are needed. */
static int next_message(const struct msg_reader *r, const uint8_t *p, size_t len, struct msg *ret,
                        size_t *ret_len, struct err *e)
{
    uint32_t max = r->max ? r->max : MSG_MAX, body = 0;
    struct cur c = cur_of(p, len);

    *ret_len = 0;
    if (!cur_u8(&c, &ret->type) || !cur_u32be(&c, &body))
        return 0;
    if (body > max)
        return err_set(e, ERR_CORRUPT, "message of type %u claims %u bytes", ret->type, body);
    if (!cur_bytes(&c, body, &ret->data))
        return 0;
    ret->len = body;
    *ret_len = MSG_HEADER + (size_t)body;
    return 0;
}

static int deliver(struct msg_reader *r, const uint8_t *p, size_t len, size_t *ret_used,
                   int (*on_msg)(void *user, const struct msg *m, struct err *e), void *user,
                   struct err *e)
{
    size_t n;
    int rc;

    for (*ret_used = 0; *ret_used < len; *ret_used += n) {
        struct msg m;

        rc = next_message(r, p + *ret_used, len - *ret_used, &m, &n, e);
        if (rc < 0 || n == 0)
            return rc;
        rc = on_msg(user, &m, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int msg_read(struct msg_reader *r, const void *data, size_t len,
             int (*on_msg)(void *user, const struct msg *m, struct err *e), void *user,
             struct err *e)
{
    struct str *pending = &r->pending;
    size_t used = 0;
    int rc;

    pending->max = 2 * (MSG_HEADER + (size_t)MSG_MAX);
    if (pending->len == 0) {
        rc = deliver(r, data, len, &used, on_msg, user, e);
        if (rc < 0)
            return rc;
    }
    if (len > used && !str_add(pending, (const uint8_t *)data + used, len - used))
        return err_set(e, ERR_LIMIT, "no memory for a message");
    if (used > 0 || pending->len == 0)
        return 0;
    rc = deliver(r, (const uint8_t *)pending->p, pending->len, &used, on_msg, user, e);
    str_drop(pending, used);
    return rc;
}

int msg_send(int fd, enum msg_type type, const void *payload, size_t len, struct err *e)
{
    uint8_t head[MSG_HEADER];
    struct iovec iov[2] = { { head, sizeof(head) }, { (void *)(uintptr_t)payload, len } };
    ssize_t n;

    put_header(head, type, len);
    do
        n = writev(fd, iov, len ? 2 : 1);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_os(e, "send message");
    if ((size_t)n < sizeof(head)) {
        int r = fd_write_all(fd, head + n, sizeof(head) - (size_t)n, e);

        return r < 0 ? r : fd_write_all(fd, payload, len, e);
    }
    n -= (ssize_t)sizeof(head);
    return fd_write_all(fd, (const char *)payload + n, len - (size_t)n, e);
}

int msg_recv(int fd, struct str *buf, struct msg *ret, struct err *e)
{
    uint8_t head[MSG_HEADER];
    struct cur c = cur_of(head, sizeof(head));
    uint32_t len = 0;
    ssize_t n;
    char *at;

    str_clear(buf);
    n = fd_read_upto(fd, head, sizeof(head), e);
    if (n <= 0)
        return (int)n;
    if (!cur_u8(&c, &ret->type) || (size_t)n < sizeof(head) || !cur_u32be(&c, &len))
        return err_set(e, ERR_CORRUPT, "connection ended inside a message");
    if (len > MSG_MAX)
        return err_set(e, ERR_CORRUPT, "message of type %u claims %u bytes", ret->type, len);
    /* In pieces: memory follows what has really arrived. */
    for (size_t left = len; left; left -= (size_t)n) {
        size_t part = left < 65536 ? left : 65536;

        at = str_reserve(buf, part);
        if (!at)
            return err_set(e, ERR_LIMIT, "no memory for a message of %u bytes", len);
        n = fd_read_upto(fd, at, part, e);
        if (n < 0)
            return (int)n;
        if ((size_t)n < part)
            return err_set(e, ERR_CORRUPT, "connection ended inside a message");
        str_added(buf, part);
    }
    ret->data = str_c(buf);
    ret->len = len;
    return 1;
}
