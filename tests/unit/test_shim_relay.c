#include "shim/relay.h"

#include "util/time.h"

#include "unit.h"

#include <poll.h>
#include <sys/socket.h>

/* Both ends of the channel live on one loop; the guest's end echoes, or does as a test says. */
struct guest {
    struct channel *ch;
    struct stream *stream; /* the last one opened */
    uint32_t port;
    bool refuse, silent, fin;
    size_t got;
};

static struct loop *loop;
static struct channel *host;
static struct relays *relays;
static struct guest guest;
static int wire[2];

static void echo(struct stream *s, const void *data, size_t len)
{
    guest.got += len;
    if (guest.silent)
        return;
    assert_int_equal(stream_send(s, data, len),
                     len); /* tests send less than a window at a time */
    stream_consumed(s, len);
}

static void on_fin(struct stream *s)
{
    guest.fin = true;
    if (!guest.silent)
        stream_finish(s);
}

static void on_writable(struct stream *s UNUSED)
{
}

static void on_closed(struct stream *s, enum reset_reason why UNUSED)
{
    if (s == guest.stream)
        guest.stream = NULL;
}

static const struct stream_ops guest_ops = { echo, on_fin, on_writable, on_closed };

static int on_open(struct channel *ch UNUSED, struct stream *s, uint32_t port)
{
    uint8_t connected = CHANNEL_CONNECTED;

    guest.port = port;
    if (guest.refuse)
        return RESET_REFUSED;
    guest.stream = s;
    stream_accept(s, &guest_ops, NULL);
    if (port < PORT_CONTROL || port > PORT_PORT_FORWARD)
        assert_int_equal(stream_send(s, &connected, 1), 1);
    return 0;
}

static int on_no_open(struct channel *ch UNUSED, struct stream *s UNUSED, uint32_t port UNUSED)
{
    return RESET_REFUSED;
}

static void on_hello(struct channel *ch UNUSED, const struct channel_hello *hello UNUSED)
{
}

static void on_failed(struct channel *ch UNUSED, const struct err *why)
{
    fail_msg("channel: %s", why->text);
}

static void turn(void)
{
    struct err e;

    assert_true(loop_turn(loop, 100, &e) >= 0);
    relays_turn(relays);
}

/* Turns of the loop that end when nothing moves any more. */
static void settle(void)
{
    struct err e;

    while (loop_turn(loop, 5, &e) > 0)
        relays_turn(relays);
    relays_turn(relays);
}

static int setup(void **state UNUSED)
{
    static const struct channel_ops guest_side = { on_hello, on_open, on_failed };
    static const struct channel_ops host_side = { on_hello, on_no_open, on_failed };
    const struct channel_hello hello = { .version = CHANNEL_VERSION };
    struct err e;

    guest = (struct guest){ 0 };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, wire), 0);
    assert_int_equal(loop_new(&loop, &e), 0);
    assert_int_equal(channel_new(loop, wire[0], CHANNEL_HOST, &host_side, NULL, &host, &e), 0);
    assert_int_equal(channel_new(loop, wire[1], CHANNEL_GUEST, &guest_side, NULL, &guest.ch, &e),
                     0);
    assert_int_equal(channel_send_hello(host, &hello, &e), 0);
    assert_int_equal(channel_send_hello(guest.ch, &hello, &e), 0);
    relays = calloc(1, sizeof(*relays));
    relays_init(relays, loop);
    assert_int_equal(relays_start(relays, host, &e), 0);
    settle();
    return 0;
}

static int teardown(void **state UNUSED)
{
    relays_done(relays);
    channel_free(host);
    channel_free(guest.ch);
    loop_free(loop);
    free(relays);
    (void)close(wire[0]);
    (void)close(wire[1]);
    return 0;
}

/* A client's end of a new connection. */
static int client(enum relay_kind kind)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    relay_new(relays, kind, pair[0]);
    return pair[1];
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    settle();
}

/* What there is to read now; "" at end of file or when there is nothing. */
static const char *hear(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static bool at_eof(int fd)
{
    ssize_t n;
    char c;

    settle();
    n = recv(fd, &c, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET); /* closed with bytes of ours unread */
}

static void bytes_and_half_closes_pass(void **state UNUSED)
{
    int fd = client(RELAY_EXEC);

    say(fd, "hello");
    assert_int_equal(guest.port, PORT_EXEC);
    assert_string_equal(hear(fd), "hello");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    settle();
    assert_true(guest.fin);
    assert_true(at_eof(fd));
    assert_true(relays_idle(relays));
    (void)close(fd);
}

static void the_guest_may_finish_first(void **state UNUSED)
{
    int fd = client(RELAY_PTY);

    say(fd, "x");
    assert_int_equal(guest.port, PORT_PTY);
    stream_finish(guest.stream);
    settle();
    assert_string_equal(hear(fd), "x");
    assert_true(at_eof(fd));
    guest.silent = true;
    say(fd, "still open");
    assert_int_equal(guest.got, 1 + strlen("still open"));
    (void)close(fd);
    settle();
    assert_true(relays_idle(relays));
}

/* 8 MiB to a guest that echoes: both directions fill up on the way. */
static void much_passes_unchanged(void **state UNUSED)
{
    static uint8_t out[32768], in[65536];
    size_t total = (size_t)8 << 20, sent = 0, got = 0;
    int fd = client(RELAY_EXEC);

    while (got < total) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;

        for (size_t i = 0; i < sizeof(out); i++)
            out[i] = (uint8_t)((sent + i) * 31 >> 3);
        /* The echo holds what it gets in its own window: never more than half of one. */
        if (sent < total && sent - got < CHANNEL_WINDOW / 2) {
            n = send(fd, out, sizeof(out), MSG_DONTWAIT);
            sent += n > 0 ? (size_t)n : 0;
        }
        turn();
        while (poll(&p, 1, 0) > 0 && (n = recv(fd, in, sizeof(in), MSG_DONTWAIT)) > 0)
            for (ssize_t i = 0; i < n; i++, got++)
                assert_int_equal(in[i], (uint8_t)(got * 31 >> 3));
    }
    (void)close(fd);
    settle();
    assert_true(relays_idle(relays));
}

static void a_guest_that_does_not_read_stops_the_client(void **state UNUSED)
{
    static char chunk[65536];
    int fd = client(RELAY_EXEC);
    size_t sent = 0;

    guest.silent = true;
    for (int i = 0; i < 200; i++) {
        ssize_t n = send(fd, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        settle();
    }
    assert_int_equal(guest.got, CHANNEL_WINDOW);
    assert_true(sent < CHANNEL_WINDOW + (1 << 20)); /* the rest waits in the kernel */
    (void)close(fd);                                /* a vanished client frees everything */
    settle();
    assert_true(relays_idle(relays));
    assert_null(guest.stream);
}

static void a_client_that_does_not_read_stops_the_guest(void **state UNUSED)
{
    static char chunk[65536];
    int fd = client(RELAY_EXEC);
    size_t sent = 0;

    guest.silent = true;
    settle();
    for (int i = 0; i < 200; i++) {
        sent += stream_send(guest.stream, chunk, sizeof(chunk));
        settle();
    }
    assert_true(sent < 2 * CHANNEL_WINDOW + (1 << 20));
    assert_true(sent >= CHANNEL_WINDOW);
    (void)close(fd);
    settle();
    assert_true(relays_idle(relays));
}

static void a_reset_closes_the_client(void **state UNUSED)
{
    int fd = client(RELAY_EXEC);

    settle();
    stream_reset(guest.stream, RESET_ERROR);
    guest.stream = NULL;
    assert_true(at_eof(fd));
    assert_true(relays_idle(relays));
    (void)close(fd);
}

static void connect_reaches_a_port(void **state UNUSED)
{
    int fd = client(RELAY_VSOCK);

    say(fd, "CONN");
    assert_string_equal(hear(fd), "");
    say(fd, "ECT 1024\nearly");
    assert_int_equal(guest.port, 1024);
    assert_string_equal(hear(fd), "OK 1\nearly");
    say(fd, "more");
    assert_string_equal(hear(fd), "more");
    (void)close(fd);
    settle();
    assert_true(relays_idle(relays));
}

static void no_ok_where_nobody_listens(void **state UNUSED)
{
    int fd = client(RELAY_VSOCK);

    guest.refuse = true;
    say(fd, "CONNECT 77\n");
    assert_int_equal(guest.port, 77);
    assert_true(at_eof(fd));
    assert_true(relays_idle(relays));
    (void)close(fd);
}

static void bad_connects_are_dropped(void **state UNUSED)
{
    static const char *const lines[] = {
        "GET / HTTP/1.0\r\n",   "CONNECT 0\n",
        "CONNECT 4294967295\n", "CONNECT -1\n",
        "CONNECT 4294967296\n", "CONNECT 12 \n",
        "CONNECT \n",           "CONNECT 4088\n",
        "CONNECT 4094\n",       "CONNECT\n",
        "connect 1\n",          "CONNECT 000000000000000000000000000000000000001",
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        int fd = client(RELAY_VSOCK);

        say(fd, lines[i]);
        if (!at_eof(fd))
            fail_msg("not dropped: %s", lines[i]);
        (void)close(fd);
        assert_int_equal(guest.port, 0);
    }
    settle();
    assert_true(relays_idle(relays));
}

static void a_client_may_leave_early(void **state UNUSED)
{
    int fd = client(RELAY_VSOCK);

    say(fd, "CONNECT 10");
    (void)close(fd);
    settle();
    assert_true(relays_idle(relays));
}

/* A signal that exec passes on before it ends, while the command's output waits for a reader: the
 * shim finds out by a write that fails, with the signal unread. */
static void what_a_client_said_before_it_left_arrives(void **state UNUSED)
{
    static char chunk[65536];
    static const char signal[] = "MSG_SIGNAL";
    int fd = client(RELAY_EXEC);
    size_t sent = 0;

    guest.silent = true;
    settle();
    for (int i = 0; i < 100; i++) {
        sent += stream_send(guest.stream, chunk, sizeof(chunk));
        settle();
    }
    assert_true(sent >= CHANNEL_WINDOW); /* more than the client's socket holds */
    assert_int_equal(send(fd, signal, sizeof(signal), MSG_NOSIGNAL), sizeof(signal));
    (void)close(fd);
    settle();
    assert_int_equal(guest.got, sizeof(signal));
    assert_null(guest.stream);
    assert_true(relays_idle(relays));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(bytes_and_half_closes_pass),
        CASE(the_guest_may_finish_first),
        CASE(much_passes_unchanged),
        CASE(a_guest_that_does_not_read_stops_the_client),
        CASE(a_client_that_does_not_read_stops_the_guest),
        CASE(a_reset_closes_the_client),
        CASE(connect_reaches_a_port),
        CASE(no_ok_where_nobody_listens),
        CASE(bad_connects_are_dropped),
        CASE(what_a_client_said_before_it_left_arrives),
        CASE(a_client_may_leave_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
