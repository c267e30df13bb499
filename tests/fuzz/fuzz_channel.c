/* Bytes from a hostile guest into the host's end of the channel. */
#include "proto/channel.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static size_t held; /* bytes that on_data() has not given credit for */

static void on_data(struct stream *s, const void *data, size_t len)
{
    uint8_t first = *(const uint8_t *)data;

    held += len;
    if (first & 1)
        stream_consumed(s, len);
    if (first == 0xff)
        stream_reset(s, RESET_CANCELED);
    else
        (void)stream_send(s, data, len);
}

static void on_fin(struct stream *s)
{
    stream_finish(s);
}

static void on_writable(struct stream *s)
{
    (void)stream_send(s, "w", 1);
}

static void on_closed(struct stream *s, enum reset_reason why)
{
    (void)s;
    (void)why;
}

static const struct stream_ops ops = { on_data, on_fin, on_writable, on_closed };

static void on_hello(struct channel *ch, const struct channel_hello *peer)
{
    struct stream *s;
    struct err e;

    (void)peer;
    (void)stream_open(ch, PORT_EXEC, &ops, NULL, &s, &e);
}

static int on_open(struct channel *ch, struct stream *s, uint32_t port)
{
    (void)ch;
    if (port & 1)
        return RESET_REFUSED;
    stream_accept(s, &ops, NULL);
    return 0;
}

static void on_failed(struct channel *ch, const struct err *why)
{
    (void)ch;
    (void)why;
}

static const struct channel_ops channel_ops = { on_hello, on_open, on_failed };

/* A valid HELLO, so that the input starts where it gets interesting. */
static void say_hello(struct channel *ch)
{
    static const uint8_t frame[CHANNEL_HEADER + 26] = { FRAME_HELLO, 0,   0,   0,   0, 0,
                                                        0,           0,   0,   0,   0, 26,
                                                        'a',         '3', 's', '1', 0, 1 };

    channel_input(ch, frame, sizeof(frame));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct channel *ch;
    struct loop *loop;
    struct err e;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 || loop_new(&loop, &e) < 0 ||
        channel_new(loop, fds[0], CHANNEL_HOST, &channel_ops, NULL, &ch, &e) < 0)
        abort();
    held = 0;
    say_hello(ch);
    while (len) {
        size_t n = 1 + data[0] % 64; /* cut at places that the input chooses */

        n = n < len ? n : len;
        channel_input(ch, data, n);
        data += n;
        len -= n;
    }
    if (held > (size_t)CHANNEL_STREAMS_MAX * CHANNEL_WINDOW * 2)
        abort();
    channel_free(ch);
    loop_free(loop);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return 0;
}
