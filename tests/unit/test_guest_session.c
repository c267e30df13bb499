/* Exec sessions without a container: what the client sees, and how stdin waits for its reader. */
#include "guest/session.h"
#include "guest/stdio.h"
#include "util/own.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "unit.h"

struct fixture {
    struct guest guest;
    struct channel *host;
    struct stream *stream;
    struct msg_reader reader;
    uint8_t types[16];
    size_t types_n;
    struct error_info error;
    bool closed;
    int pair[2];
};

static int on_msg(void *user, const struct msg *m, struct err *e)
{
    struct fixture *f = user;

    assert_true(f->types_n < ARRAY_LEN(f->types));
    f->types[f->types_n++] = m->type;
    if (m->type == MSG_ERROR)
        return config_decode(error_info, cur_of(m->data, m->len), &f->error, e);
    return 0;
}

static void on_data(struct stream *s, const void *data, size_t len)
{
    struct fixture *f = stream_user(s);
    struct err e;

    stream_consumed(s, len);
    assert_int_equal(msg_read(&f->reader, data, len, on_msg, f, &e), 0);
}

static void on_fin(struct stream *s UNUSED)
{
}

static void on_writable(struct stream *s UNUSED)
{
}

static void on_closed(struct stream *s, enum reset_reason why UNUSED)
{
    struct fixture *f = stream_user(s);

    f->closed = true;
    f->stream = NULL;
}

static const struct stream_ops ops = { on_data, on_fin, on_writable, on_closed };

static void on_hello(struct channel *ch UNUSED, const struct channel_hello *peer UNUSED)
{
}

static int guest_open(struct channel *ch, struct stream *s, uint32_t port UNUSED)
{
    return session_open(channel_user(ch), s);
}

static void on_failed(struct channel *ch UNUSED, const struct err *why UNUSED)
{
}

static const struct channel_ops channel_calls = { on_hello, guest_open, on_failed };

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct channel_hello hello = { .version = CHANNEL_VERSION };
    struct err e;

    *state = f;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->pair), 0);
    assert_int_equal(loop_new(&f->guest.loop, &e), 0);
    assert_int_equal(
        channel_new(f->guest.loop, f->pair[0], CHANNEL_HOST, &channel_calls, f, &f->host, &e), 0);
    assert_int_equal(channel_new(f->guest.loop, f->pair[1], CHANNEL_GUEST, &channel_calls,
                                 &f->guest, &f->guest.channel, &e),
                     0);
    assert_int_equal(channel_send_hello(f->host, &hello, &e), 0);
    assert_int_equal(channel_send_hello(f->guest.channel, &hello, &e), 0);
    assert_int_equal(stream_open(f->host, PORT_EXEC, &ops, f, &f->stream, &e), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    channel_free(f->host);
    channel_free(f->guest.channel);
    sessions_sweep(&f->guest);
    assert_null(f->guest.sessions);
    loop_free(f->guest.loop);
    msg_reader_done(&f->reader);
    config_done(error_info, &f->error);
    close_fd(&f->pair[0]);
    close_fd(&f->pair[1]);
    free(f);
    return 0;
}

static void turn(struct fixture *f)
{
    struct err e;

    for (int i = 0; i < 20; i++) {
        assert_true(loop_turn(f->guest.loop, 0, &e) >= 0);
        sessions_sweep(&f->guest);
    }
}

static void send_msg(struct fixture *f, enum msg_type type, const void *data, size_t len)
{
    autostr raw = STR_INIT(MSG_MAX + 16);

    assert_true(msg_put(&raw, type, data, len));
    assert_int_equal(stream_send(f->stream, str_c(&raw), raw.len), raw.len);
}

static void start(struct fixture *f, const struct exec_request *q)
{
    autostr raw = STR_INIT(MSG_MAX);
    struct err e;

    assert_int_equal(config_encode(exec_request, q, &raw, &e), 0);
    send_msg(f, MSG_START, str_c(&raw), raw.len);
}

static void ping_is_answered(void **state)
{
    struct fixture *f = *state;

    send_msg(f, MSG_PING, NULL, 0);
    turn(f);
    assert_int_equal(f->types_n, 1);
    assert_int_equal(f->types[0], MSG_PONG);
}

static void unknown_container_is_an_error_and_the_end(void **state)
{
    struct fixture *f = *state;

    start(f, &(struct exec_request){ .container = (char *)"nosuch" });
    turn(f);
    assert_int_equal(f->types_n, 1);
    assert_int_equal(f->types[0], MSG_ERROR);
    assert_string_equal(f->error.text, "No such container: nosuch");
    assert_int_equal(f->error.status, 125);
    start(f, &(struct exec_request){ .container = (char *)"again" });
    turn(f);
    assert_int_equal(f->types_n, 1);
    stream_finish(f->stream);
    turn(f);
    assert_true(f->closed);
    assert_null(f->guest.sessions);
}

static void garbage_is_an_error(void **state)
{
    struct fixture *f = *state;

    send_msg(f, MSG_START, "\0\1\0\0", 4);
    turn(f);
    assert_int_equal(f->types[0], MSG_ERROR);
}

static void too_long_a_message_resets_the_stream(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(stream_send(f->stream, "\1\xff\xff\xff\xff", 5), 5);
    turn(f);
    assert_true(f->closed);
    assert_null(f->guest.sessions);
}

/* stdin of a session that has no process is dropped, not kept, and the credit comes back. */
static void stdin_without_a_process_is_dropped(void **state)
{
    struct fixture *f = *state;
    static const char data[MSG_DATA_MAX];

    for (int i = 0; i < 100; i++) {
        send_msg(f, MSG_STDIN, data, sizeof(data));
        turn(f);
    }
    assert_true(stream_room(f->stream) >= CHANNEL_WINDOW / 2);
}

/* ---- the sink -------------------------------------------------------- */

struct sink_fixture {
    struct sink sink;
    size_t taken;
};

static void count_taken(struct sink *k, size_t len)
{
    CONTAINER_OF(k, struct sink_fixture, sink)->taken += len;
}

static struct loop *sink_loop(void)
{
    struct loop *loop;
    struct err e;

    assert_int_equal(loop_new(&loop, &e), 0);
    return loop;
}

static void sink_waits_for_its_reader(void **state UNUSED)
{
    struct sink_fixture f = { .sink = { .w = { .what = "sink" }, .taken = count_taken } };
    struct loop *loop = sink_loop();
    static char data[300000], back[300000];
    size_t got = 0;
    int fds[2];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 >> 3);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    f.sink.w.fd = fds[1];
    for (size_t at = 0; at < sizeof(data); at += 30000)
        sink_write(&f.sink, loop, data + at, 30000);
    sink_finish(&f.sink, loop);
    assert_true(f.taken < sizeof(data));
    for (ssize_t n; got < sizeof(back); got += (size_t)n) {
        n = read(fds[0], back + got, 10000);
        assert_true(n > 0);
        sink_flush(&f.sink, loop);
    }
    assert_memory_equal(data, back, sizeof(data));
    assert_int_equal(f.taken, sizeof(data));
    assert_int_equal(read(fds[0], back, 1), 0);
    assert_int_equal(f.sink.w.fd, -1);
    (void)close(fds[0]);
    loop_free(loop);
}

static void sink_whose_reader_goes_takes_everything(void **state UNUSED)
{
    struct sink_fixture f = { .sink = { .w = { .what = "sink" }, .taken = count_taken } };
    struct loop *loop = sink_loop();
    static char data[200000];
    int fds[2];

    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    f.sink.w.fd = fds[1];
    sink_write(&f.sink, loop, data, sizeof(data));
    (void)close(fds[0]);
    sink_flush(&f.sink, loop);
    assert_int_equal(f.sink.w.fd, -1);
    assert_int_equal(f.taken, sizeof(data));
    sink_write(&f.sink, loop, data, 5);
    assert_int_equal(f.taken, sizeof(data) + 5);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ping_is_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_container_is_an_error_and_the_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(garbage_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(too_long_a_message_resets_the_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(stdin_without_a_process_is_dropped, setup, teardown),
        cmocka_unit_test(sink_waits_for_its_reader),
        cmocka_unit_test(sink_whose_reader_goes_takes_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
