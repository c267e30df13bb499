/* Bytes of a client on an exec stream of the guest, and texts that the guest parses. */
#include "guest/procs.h"
#include "guest/session.h"
#include "guest/tmpfs.h"
#include "util/own.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_hello(struct channel *ch, const struct channel_hello *peer)
{
    (void)ch;
    (void)peer;
}

static int on_open(struct channel *ch, struct stream *s, uint32_t port)
{
    (void)port;
    return session_open(channel_user(ch), s);
}

static void on_failed(struct channel *ch, const struct err *why)
{
    (void)ch;
    (void)why;
}

static void put(struct str *to, uint8_t type, uint32_t id, const void *data, size_t len)
{
    uint8_t head[CHANNEL_HEADER] = { type };

    put_u32be(head + 4, id);
    put_u32be(head + 8, (uint32_t)len);
    (void)str_add(to, head, sizeof(head));
    (void)str_add(to, data, len);
}

static void fuzz_stream(struct guest *g, const uint8_t *data, size_t size)
{
    static const uint8_t hello[26] = { 0x61, 0x33, 0x73, 0x31, 0, 1 };
    autostr in = STR_INIT(4 << 20);
    uint8_t port[4];

    put(&in, FRAME_HELLO, 0, hello, sizeof(hello));
    put_u32be(port, PORT_EXEC);
    put(&in, FRAME_OPEN, 1, port, sizeof(port));
    for (size_t at = 0; at < size; at += 997) /* in pieces, as it may come */
        put(&in, FRAME_DATA, 1, data + at, size - at < 997 ? size - at : 997);
    channel_input(g->channel, str_c(&in), in.len);
    sessions_sweep(g);
}

static void fuzz_texts(const char *text)
{
    struct tmpfs_options o;
    struct proc_row row;
    struct err e;

    (void)!tmpfs_options_parse(text, &o, &e);
    tmpfs_options_done(&o);
    if (procs_parse(text, "\nUid:\t1 1\nGid:\t1 1\nNSpid:\t1 1\n", &row, &e) >= 0)
        config_done(proc_row, &row);
    if (procs_parse("1 (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", text, &row, &e) >= 0)
        config_done(proc_row, &row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct channel_ops ops = { on_hello, on_open, on_failed };
    static struct guest guest;
    autofree char *text = strndup((const char *)data, size);
    struct err e;
    int pair[2];

    if (!text || size > CHANNEL_WINDOW ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        loop_new(&guest.loop, &e) < 0 ||
        channel_new(guest.loop, pair[0], CHANNEL_GUEST, &ops, &guest, &guest.channel, &e) < 0)
        return 0;
    fuzz_stream(&guest, data, size);
    channel_free(guest.channel);
    sessions_sweep(&guest);
    if (guest.sessions)
        abort();
    loop_free(guest.loop);
    (void)close(pair[0]);
    (void)close(pair[1]);
    fuzz_texts(text);
    return 0;
}
