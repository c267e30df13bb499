#include "cli/detach_keys.h"
#include "cli/session.h"
#include "proto/config.h"
#include "proto/msg.h"
#include "util/fs.h"

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* ---- detach keys -------------------------------------------------------- */

static struct detach_keys keys(const char *text)
{
    struct detach_keys d = { 0 };
    struct err e = { 0 };

    if (detach_keys_parse(text, &d, &e) < 0)
        fail_msg("%s", e.text);
    return d;
}

static void keys_are_parsed(void **state UNUSED)
{
    static const char *const bad[] = {
        "ctrl-", "ctrl-1", "ab", "ctrl-p,", "ctrl-P,x y", "alt-x"
    };
    struct detach_keys d = keys(NULL);
    struct err e;

    assert_int_equal(d.n, 2);
    assert_memory_equal(d.keys, "\x10\x11", 2);
    d = keys("a,ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,ctrl-z");
    assert_int_equal(d.n, 8);
    assert_memory_equal(d.keys, "a\x00\x1b\x1c\x1d\x1e\x1f\x1a", 8);
    assert_int_equal(keys("").n, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (strcmp(bad[i], "ctrl-p,") != 0)
            assert_int_equal(detach_keys_parse(bad[i], &d, &e), -ERR_INVALID);
}

/* Feed a text byte by byte and at once: the same must come out. */
static void check_filter(const char *sequence, const char *in, const char *out, bool detaches)
{
    uint8_t buf[256], all[256];
    size_t n = 0, len = 0;
    bool end = false;
    struct detach_keys d = keys(sequence);

    for (const char *p = in; *p && !end; p++) {
        end = detach_keys_filter(&d, (const uint8_t *)p, 1, buf, &len);
        memcpy(all + n, buf, len);
        n += len;
    }
    assert_int_equal(end, detaches);
    assert_int_equal(n, strlen(out));
    assert_memory_equal(all, out, n);
    d = keys(sequence);
    assert_int_equal(detach_keys_filter(&d, (const uint8_t *)in, strlen(in), buf, &len),
                     detaches);
    assert_int_equal(len, strlen(out));
    assert_memory_equal(buf, out, len);
}

static void half_a_sequence_is_passed_on(void **state UNUSED)
{
    check_filter(NULL, "ls\x10\x11", "ls", true);
    check_filter(NULL, "\x10x\x11", "\x10x\x11", false);
    check_filter(NULL, "\x10\x10\x11", "\x10", true);
    check_filter(NULL, "\x11\x10", "\x11", false); /* the second is held back */
    check_filter("", "\x10\x11", "\x10\x11", false);
    check_filter("a", "xa", "x", true);
    check_filter("a,a,b", "aab", "", true);
    check_filter("a,a,b", "acb", "acb", false);
}

/* ---- sessions ----------------------------------------------------------- */

/* The child has the streams of a CLI; we play the shim. */
struct stage {
    pid_t pid;
    int sock, in, out, err;
};

static struct stage begin(const struct session *session)
{
    int sock[2], in[2], out[2], err[2];
    struct stage st;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock), 0);
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    st = (struct stage){ .sock = sock[0], .in = in[1], .out = out[0], .err = err[0] };
    st.pid = fork();
    if (st.pid == 0) {
        struct session s = *session;
        struct session_result result = { 0 };
        struct err e = { 0 };

        (void)signal(SIGPIPE, SIG_IGN);
        s.fd = sock[1];
        if (dup2(in[0], 0) < 0 || dup2(out[1], 1) < 0 || dup2(err[1], 2) < 0)
            _exit(250);
        (void)close(sock[0]);
        (void)close(in[0]);
        (void)close(in[1]);
        (void)close(out[0]);
        (void)close(out[1]);
        (void)close(err[0]);
        (void)close(err[1]);
        if (session_run(&s, &result, &e) < 0)
            _exit(240);
        _exit(result.end == SESSION_EXITED ? result.status : 200 + (int)result.end);
    }
    (void)close(sock[1]);
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    return st;
}

static int end(struct stage *st)
{
    int status;

    assert_int_equal(waitpid(st->pid, &status, 0), st->pid);
    close_fd(&st->sock);
    close_fd(&st->in);
    close_fd(&st->out);
    close_fd(&st->err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void say(struct stage *st, enum msg_type type, const void *data, size_t len)
{
    struct err e = { 0 };

    if (msg_send(st->sock, type, data, len, &e) < 0)
        fail_msg("%s", e.text);
}

static void say_exit(struct stage *st, uint64_t status)
{
    struct exit_info info = { .status = status };
    autostr body = STR_INIT(0);
    struct err e;

    assert_int_equal(config_encode(exit_info, &info, &body, &e), 0);
    say(st, MSG_EXIT, body.p, body.len);
}

/* The next message must be of this type and content. */
static void hear(struct stage *st, enum msg_type type, const void *data, size_t len)
{
    autostr buf = STR_INIT(0);
    struct msg m;
    struct err e = { 0 };

    assert_int_equal(msg_recv(st->sock, &buf, &m, &e), 1);
    assert_int_equal(m.type, type);
    assert_int_equal(m.len, len);
    if (len)
        assert_memory_equal(m.data, data, len);
}

static const struct session plain = { .in = true, .out = true, .err = true, .sig_proxy = true };

static void streams_are_pumped(void **state UNUSED)
{
    struct stage st = begin(&plain);
    char buf[16];

    say(&st, MSG_STARTED, NULL, 0);
    say(&st, MSG_STDOUT, "out\0!", 5);
    say(&st, MSG_STDERR, "err", 3);
    assert_int_equal(read(st.out, buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "out\0!", 5);
    assert_int_equal(read(st.err, buf, sizeof(buf)), 3);
    assert_int_equal(write(st.in, "a\0b", 3), 3);
    hear(&st, MSG_STDIN, "a\0b", 3);
    close_fd(&st.in);
    hear(&st, MSG_STDIN_EOF, NULL, 0);
    say(&st, 0xee, "of a newer version", 18);
    say_exit(&st, 42);
    assert_int_equal(end(&st), 42);
}

static void signals_become_messages(void **state UNUSED)
{
    static const int signals[] = { SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM };
    struct stage st = begin(&plain);

    say(&st, MSG_STDOUT, "x", 1);
    assert_int_equal(read(st.out, &(char){ 0 }, 1), 1); /* it runs: signals are caught */
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        uint8_t body[4];

        put_u32be(body, (uint32_t)signals[i]);
        assert_int_equal(kill(st.pid, signals[i]), 0);
        hear(&st, MSG_SIGNAL, body, sizeof(body));
    }
    say_exit(&st, 0);
    assert_int_equal(end(&st), 0);
}

static void a_stuck_reader_does_not_stop_signals(void **state UNUSED)
{
    static const char block[32768];
    struct stage st = begin(&plain);
    autostr buf = STR_INIT(0);
    uint8_t body[4];
    struct err e;

    assert_int_equal(fcntl(st.out, F_SETPIPE_SZ, 4096), 4096);
    say(&st, MSG_STDOUT, block, sizeof(block)); /* more than the pipe holds */
    assert_int_equal(read(st.out, &(char){ 0 }, 1), 1);
    assert_int_equal(kill(st.pid, SIGTERM), 0);
    put_u32be(body, SIGTERM);
    hear(&st, MSG_SIGNAL, body, sizeof(body));
    say_exit(&st, 143);
    assert_int_equal(fd_read_all(st.out, &buf, &e), 0); /* all of it still comes */
    assert_int_equal(buf.len, sizeof(block) - 1);
    assert_int_equal(end(&st), 143);
}

static void a_reader_that_left_ends_it(void **state UNUSED)
{
    struct session s = plain;
    uint8_t body[4];
    struct stage st;

    s.exec = true;
    st = begin(&s);
    close_fd(&st.out);
    say(&st, MSG_STDOUT, "x", 1);
    put_u32be(body, SIGPIPE);
    hear(&st, MSG_SIGNAL, body, sizeof(body));
    assert_int_equal(end(&st), 200 + SESSION_NO_READER);
}

static void hanging_up_and_nonsense_are_noticed(void **state UNUSED)
{
    struct stage st = begin(&plain);

    close_fd(&st.sock);
    assert_int_equal(end(&st), 200 + SESSION_LOST);

    st = begin(&plain);
    say(&st, MSG_EXIT, "nonsense", 8);
    assert_int_equal(end(&st), 240);

    st = begin(&plain);
    assert_int_equal(write(st.sock, "\x84\x7f\xff\xff\xff", 5), 5); /* 2 GiB of exit status */
    assert_int_equal(end(&st), 240);
}

static void the_third_interrupt_ends_it(void **state UNUSED)
{
    struct stage st = begin(&plain);
    uint8_t body[4];

    say(&st, MSG_STDOUT, "x", 1);
    assert_int_equal(read(st.out, &(char){ 0 }, 1), 1);
    put_u32be(body, SIGINT);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kill(st.pid, SIGINT), 0);
        hear(&st, MSG_SIGNAL, body, sizeof(body));
    }
    assert_int_equal(kill(st.pid, SIGINT), 0);
    assert_int_equal(end(&st), 200 + SESSION_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_parsed),
        cmocka_unit_test(half_a_sequence_is_passed_on),
        cmocka_unit_test(streams_are_pumped),
        cmocka_unit_test(signals_become_messages),
        cmocka_unit_test(a_stuck_reader_does_not_stop_signals),
        cmocka_unit_test(a_reader_that_left_ends_it),
        cmocka_unit_test(hanging_up_and_nonsense_are_noticed),
        cmocka_unit_test(the_third_interrupt_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
