#include "image/archive_input.h"

static ssize_t read_input(struct source *source, const void **ret, struct err *e)
{
    struct archive_input *in = CONTAINER_OF(source, struct archive_input, source);
    struct msg m;
    int r;

    *ret = NULL;
    if (in->ended)
        return 0;
    if (in->broken)
        return err_set(e, ERR_CANCELED, "the client is gone");
    do
        r = msg_recv(in->fd, &in->text, &m, e);
    while (r > 0 && m.type == MSG_ARCHIVE_IN && m.len == 0);
    in->broken = r <= 0;
    if (r == 0)
        return err_set(e, ERR_CANCELED, "the client is gone");
    if (r < 0)
        return r;
    if (m.type == MSG_ARCHIVE_IN) {
        *ret = m.data;
        return (ssize_t)m.len;
    }
    in->ended = m.type == MSG_ARCHIVE_IN_END;
    in->broken = !in->ended;
    return in->ended ? 0 : err_set(e, ERR_CORRUPT, "unexpected message %#x", m.type);
}

void archive_input_init(struct archive_input *in, int fd)
{
    *in = (struct archive_input){ .source = { .read = read_input },
                                  .fd = fd,
                                  .text = STR_INIT(MSG_MAX) };
}

void archive_input_done(struct archive_input *in)
{
    str_done(&in->text);
}

int archive_input_drain(struct archive_input *in, struct err *e)
{
    const void *data;
    ssize_t n;

    do
        n = read_input(&in->source, &data, e);
    while (n > 0);
    return (int)n;
}

int archive_input_config(struct archive_input *in, struct str *ret, struct err *e)
{
    struct msg m;
    int r = msg_recv(in->fd, &in->text, &m, e);

    if (r < 0)
        return r;
    if (r == 0 || m.type != MSG_ARCHIVE_CONFIG)
        return err_set(e, ERR_CORRUPT, "no configuration has come");
    return str_add(ret, m.data, m.len) ? 0
                                       : err_set(e, ERR_LIMIT, "the configuration is too large");
}
