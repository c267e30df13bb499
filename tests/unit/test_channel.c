#include "proto/channel.h"
#include "util/cur.h"

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

/* Two ends in one loop. The guest end echoes what it gets on every stream. */
struct end {
    struct channel *ch;
    struct stream *stream;
    struct str got;
    bool hello, fin, closed, failed, hold, finish_when_sent;
    enum reset_reason why;
    size_t to_send, sent;
    struct err error;
};

static struct loop *loop;
static struct end host, guest;

static void pump(struct end *end)
{
    static char block[CHANNEL_WINDOW];

    while (end->sent < end->to_send) {
        size_t n = end->to_send - end->sent;

        n = stream_send(end->stream, block, n < sizeof(block) ? n : sizeof(block));
        if (!n)
            return;
        end->sent += n;
    }
    if (end->finish_when_sent)
        stream_finish(end->stream);
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct end *end = stream_user(s);

    if (end->got.len < 1000)
        (void)str_add(&end->got, data, len < 1000 ? len : 1000);
    end->to_send += end == &guest ? len : 0;
    if (!end->hold)
        stream_consumed(s, len);
}

static void on_fin(struct stream *s)
{
    ((struct end *)stream_user(s))->fin = true;
}

static void on_writable(struct stream *s)
{
    pump(stream_user(s));
}

static void on_closed(struct stream *s, enum reset_reason why)
{
    struct end *end = stream_user(s);

    end->closed = true;
    end->why = why;
    end->stream = NULL;
}

static const struct stream_ops stream_ops = { on_data, on_fin, on_writable, on_closed };

static void on_hello(struct channel *ch, const struct channel_hello *peer)
{
    ((struct end *)channel_user(ch))->hello = peer->version == CHANNEL_VERSION;
}

static int on_open(struct channel *ch, struct stream *s, uint32_t port)
{
    struct end *end = channel_user(ch);

    if (port != PORT_EXEC)
        return RESET_REFUSED;
    end->stream = s;
    stream_accept(s, &stream_ops, end);
    return 0;
}

static void on_failed(struct channel *ch, const struct err *why)
{
    struct end *end = channel_user(ch);

    end->failed = true;
    end->error = *why;
}

static const struct channel_ops channel_ops = { on_hello, on_open, on_failed };

static int setup(void **state)
{
    static int fds[2];
    struct err e;
    struct channel_hello hello = { .version = CHANNEL_VERSION };

    (void)signal(SIGPIPE, SIG_IGN); /* as every program that has a channel */
    host = guest = (struct end){ .got = STR_INIT(4096) };
    *state = fds;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 || loop_new(&loop, &e) < 0 ||
        channel_new(loop, fds[0], CHANNEL_HOST, &channel_ops, &host, &host.ch, &e) < 0 ||
        channel_new(loop, fds[1], CHANNEL_GUEST, &channel_ops, &guest, &guest.ch, &e) < 0 ||
        channel_send_hello(host.ch, &hello, &e) < 0 ||
        channel_send_hello(guest.ch, &hello, &e) < 0)
        return -1;
    while (!host.hello || !guest.hello)
        if (loop_turn(loop, 1000, &e) <= 0)
            return -1;
    return 0;
}

static int teardown(void **state)
{
    int *fds = *state;

    channel_free(host.ch);
    channel_free(guest.ch);
    loop_free(loop);
    str_done(&host.got);
    str_done(&guest.got);
    return close(fds[0]) + close(fds[1]);
}

static void open_exec(void)
{
    struct err e;

    assert_int_equal(stream_open(host.ch, PORT_EXEC, &stream_ops, &host, &host.stream, &e), 0);
}

static void turn(void)
{
    struct err e;

    assert_true(loop_turn(loop, 1000, &e) > 0);
}

static void bulk_data_flows_and_finishes(void **state UNUSED)
{
    const size_t total = 20 << 20;

    open_exec();
    host.to_send = total;
    host.finish_when_sent = true;
    pump(&host);
    while (guest.to_send < total || !guest.fin)
        turn();
    assert_int_equal(guest.to_send, total);
    stream_finish(guest.stream);
    while (!host.closed)
        turn();
    assert_true(guest.closed);
    assert_int_equal(host.why, 0);
}

static void a_slow_reader_holds_one_window_only(void **state UNUSED)
{
    struct err e;

    open_exec();
    guest.hold = true;
    host.to_send = 10 << 20;
    pump(&host);
    while (loop_turn(loop, 20, &e) > 0)
        ;
    assert_int_equal(host.sent, CHANNEL_WINDOW);
    assert_int_equal(channel_unsent(host.ch), 0);
    guest.hold = false;
    stream_consumed(guest.stream, CHANNEL_WINDOW);
    while (host.sent < host.to_send)
        turn();
}

static void bytes_can_be_put_in_place(void **state UNUSED)
{
    char *at;

    open_exec();
    at = stream_reserve(host.stream, 100);
    assert_non_null(at);
    at = stream_reserve(host.stream, 200); /* what was not committed is not sent */
    assert_non_null(at);
    memcpy(at, "hello, world", 12);
    stream_commit(host.stream, 5);
    assert_int_equal(stream_room(host.stream), CHANNEL_WINDOW - 5);
    assert_null(stream_reserve(host.stream, CHANNEL_DATA_MAX + 1));
    while (guest.got.len < 5)
        turn();
    assert_string_equal(str_c(&guest.got), "hello");
    guest.hold = true;
    while (stream_room(host.stream) >= CHANNEL_DATA_MAX) {
        assert_non_null(stream_reserve(host.stream, CHANNEL_DATA_MAX));
        stream_commit(host.stream, CHANNEL_DATA_MAX);
    }
    assert_null(stream_reserve(host.stream, CHANNEL_DATA_MAX));
}

static void an_unknown_port_is_refused(void **state UNUSED)
{
    struct err e;

    assert_int_equal(stream_open(host.ch, 9, &stream_ops, &host, &host.stream, &e), 0);
    while (!host.closed)
        turn();
    assert_int_equal(host.why, RESET_REFUSED);
}

static void reset_reaches_the_other_side(void **state UNUSED)
{
    open_exec();
    while (!guest.stream)
        turn();
    stream_reset(host.stream, RESET_CANCELED);
    while (!guest.closed)
        turn();
    assert_int_equal(guest.why, RESET_CANCELED);
    assert_false(host.closed);
}

static void violations_end_the_channel_and_say_why(void **state UNUSED)
{
    static const struct {
        const char *name;
        uint8_t bytes[CHANNEL_HEADER + 4];
    } rows[] = {
        { "unknown frame type", { 99, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0 } },
        { "reserved bits", { FRAME_FIN, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0 } },
        { "frame length", { FRAME_DATA, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff } },
        { "frame length", { FRAME_CREDIT, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 5 } },
        { "bad stream number", { FRAME_OPEN, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1 } },
        { "bad stream number", { FRAME_OPEN, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1 } },
        { "CREDIT beyond",
          { FRAME_CREDIT, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff } },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = rows[i].bytes[0] == FRAME_OPEN || rows[i].bytes[0] == FRAME_CREDIT ? 16 : 12;

        open_exec();
        while (!guest.stream)
            turn();
        /* byte by byte: every cut of a header must work */
        for (size_t at = 0; at < len; at++)
            channel_input(guest.ch, rows[i].bytes + at, 1);
        assert_true(guest.failed && guest.closed);
        assert_non_null(strstr(guest.error.text, rows[i].name));
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

static void data_beyond_the_credit_is_refused(void **state UNUSED)
{
    uint8_t head[CHANNEL_HEADER] = { FRAME_DATA };
    static uint8_t block[CHANNEL_DATA_MAX];

    open_exec();
    guest.hold = true;
    while (!guest.stream)
        turn();
    put_u32be(head + 4, 1);
    put_u32be(head + 8, sizeof(block));
    for (size_t sent = 0; sent < CHANNEL_WINDOW; sent += sizeof(block)) {
        channel_input(guest.ch, head, sizeof(head));
        channel_input(guest.ch, block, sizeof(block));
        assert_false(guest.failed);
    }
    channel_input(guest.ch, head, sizeof(head));
    assert_true(guest.failed);
}

static void a_closed_descriptor_closes_the_streams(void **state)
{
    int *fds = *state;

    open_exec();
    while (!guest.stream)
        turn();
    assert_int_equal(shutdown(fds[1], SHUT_RDWR), 0);
    while (!host.failed || !guest.failed)
        turn();
    assert_true(host.closed && guest.closed);
    assert_int_equal(host.why, RESET_GONE);
}

/* A machine that ends has often said why just before, while we still had words for it. */
static void last_words_are_heard_though_ours_cannot_be_sent(void **state)
{
    int *fds = *state;
    struct err e;

    open_exec();
    while (!guest.stream)
        turn();
    assert_int_equal(stream_send(guest.stream, "last words", 10), 10);
    assert_int_equal(channel_flush(guest.ch, 1000, &e), 0);
    assert_int_equal(stream_send(host.stream, "unheard", 7), 7);
    channel_free(take_ptr(guest.ch)); /* a dead peer reads nothing */
    close_fd(&fds[1]);
    while (!host.failed)
        turn();
    assert_string_equal(str_c(&host.got), "last words");
    fds[1] = fd_dup(fds[0], &e); /* for teardown() */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bulk_data_flows_and_finishes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_reader_holds_one_window_only, setup, teardown),
        cmocka_unit_test_setup_teardown(bytes_can_be_put_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_port_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(reset_reaches_the_other_side, setup, teardown),
        cmocka_unit_test_setup_teardown(violations_end_the_channel_and_say_why, setup, teardown),
        cmocka_unit_test_setup_teardown(data_beyond_the_credit_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_descriptor_closes_the_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(last_words_are_heard_though_ours_cannot_be_sent, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
