#include "vmm/qemu/qmp.h"

#include "util/own.h"

#include "unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One client and the other end of its socket, where the test plays QEMU. */
struct fixture {
    struct loop *loop;
    struct qmp *q;
    struct qmp_handler handler;
    int peer;
    int events, closed, answered, failed;
    char event[64], text[512];
    bool free_in_event, free_in_answer;
};

struct call {
    struct qmp_call call;
    struct fixture *f;
    int answered;
    bool failed;
    json_int_t number;
};

static void on_event(struct qmp_handler *h, const char *name, json_t *data UNUSED)
{
    struct fixture *f = CONTAINER_OF(h, struct fixture, handler);

    f->events++;
    (void)snprintf(f->event, sizeof(f->event), "%s", name);
    if (f->free_in_event) {
        qmp_free(f->q);
        f->q = NULL;
    }
}

static void on_closed(struct qmp_handler *h, const struct err *why)
{
    struct fixture *f = CONTAINER_OF(h, struct fixture, handler);

    f->closed++;
    (void)snprintf(f->text, sizeof(f->text), "%s", why->text);
}

static void on_done(struct qmp_call *qc, json_t *data, const struct err *failure)
{
    struct call *c = CONTAINER_OF(qc, struct call, call);

    c->answered++;
    c->failed = failure != NULL;
    c->number = json_integer_value(json_object_get(data, "n"));
    if (failure)
        (void)snprintf(c->f->text, sizeof(c->f->text), "%s", failure->text);
    if (c->f->free_in_answer) {
        qmp_free(c->f->q);
        c->f->q = NULL;
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct err e;
    int pair[2];

    assert_non_null(f);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(loop_new(&f->loop, &e), 0);
    f->handler = (struct qmp_handler){ .event = on_event, .closed = on_closed };
    assert_int_equal(qmp_new(f->loop, pair[0], &f->handler, &f->q, &e), 0);
    f->peer = pair[1];
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    qmp_free(f->q);
    loop_free(f->loop);
    close_fd(&f->peer);
    free(f);
    return 0;
}

static void say(struct fixture *f, const char *text)
{
    struct err e;

    assert_int_equal(fd_write_all(f->peer, text, strlen(text), &e), 0);
    assert_true(loop_turn(f->loop, 1000, &e) >= 0);
}

/* What the client has sent so far. */
static const char *heard(struct fixture *f, char *buf, size_t size)
{
    ssize_t n = recv(f->peer, buf, size - 1, MSG_DONTWAIT);

    buf[n > 0 ? n : 0] = '\0';
    return buf;
}

static struct call *ask(struct fixture *f, struct call *c, const char *command)
{
    *c = (struct call){ .call = { .done = on_done }, .f = f };
    qmp_call(f->q, command, NULL, -1, &c->call);
    return c;
}

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n"

static void negotiation_goes_first(void **state)
{
    struct fixture *f = *state;
    char buf[1024];
    struct call c;

    (void)ask(f, &c, "stop");
    assert_string_equal(heard(f, buf, sizeof(buf)),
                        "{\"execute\":\"qmp_capabilities\",\"id\":0}\n"
                        "{\"execute\":\"stop\",\"id\":1}\n");
    say(f, GREETING "{\"return\": {}, \"id\": 0}\r\n");
    assert_int_equal(c.answered, 0);
    say(f, "{\"return\": {\"n\": 42}, \"id\": 1}\r\n");
    assert_int_equal(c.answered, 1);
    assert_false(c.failed);
    assert_int_equal(c.number, 42);
}

static void answers_find_their_calls(void **state)
{
    struct fixture *f = *state;
    struct call a, b;

    (void)ask(f, &a, "one");
    (void)ask(f, &b, "two");
    say(f, "{\"return\": {\"n\": 2}, \"id\": 2}\n{\"error\": {\"class\": \"X\", \"desc\": \"no "
           "such\"}, \"id\": 1}\n");
    assert_int_equal(b.number, 2);
    assert_true(a.failed);
    assert_string_equal(f->text, "QEMU: no such");
}

static void lines_come_in_pieces(void **state)
{
    struct fixture *f = *state;

    say(f, "{\"event\": \"SHUT");
    assert_int_equal(f->events, 0);
    say(f, "DOWN\", \"data\": {}}\n{\"event\":");
    assert_int_equal(f->events, 1);
    assert_string_equal(f->event, "SHUTDOWN");
    say(f, " \"STOP\"}\n");
    assert_string_equal(f->event, "STOP");
}

static void nonsense_ends_it(void **state)
{
    struct fixture *f = *state;
    struct call c;

    (void)ask(f, &c, "one");
    say(f, "{\"return\": {}, \"return\": {}, \"id\": 1}\n");
    assert_int_equal(f->closed, 1);
    assert_true(c.failed);
    (void)ask(f, &c, "two"); /* answered at once */
    assert_int_equal(c.answered, 1);
    assert_true(c.failed);
}

static void long_lines_end_it(void **state)
{
    static char block[65536];
    struct fixture *f = *state;
    struct err e;

    memset(block, ' ', sizeof(block));
    for (size_t sent = 0; sent <= QMP_LINE_MAX && !f->closed;) {
        ssize_t n = send(f->peer, block, sizeof(block), MSG_DONTWAIT);

        assert_true(loop_turn(f->loop, 1000, &e) >= 0);
        sent += n > 0 ? (size_t)n : 0;
    }
    while (!f->closed)
        assert_true(loop_turn(f->loop, 1000, &e) > 0);
    assert_non_null(strstr(f->text, "line of more than"));
}

static void end_of_file_answers_all(void **state)
{
    struct fixture *f = *state;
    struct call a, b;
    struct err e;

    (void)ask(f, &a, "one");
    (void)ask(f, &b, "two");
    close_fd(&f->peer);
    while (!f->closed)
        assert_true(loop_turn(f->loop, 1000, &e) > 0);
    assert_true(a.failed && a.answered == 1);
    assert_true(b.failed && b.answered == 1);
    assert_int_equal(f->closed, 1);
}

static void handlers_may_free(void **state)
{
    struct fixture *f = *state;
    struct call a, b;

    (void)ask(f, &a, "one");
    (void)ask(f, &b, "two");
    f->free_in_event = true;
    say(f, "{\"event\": \"A\"}\n{\"event\": \"B\"}\n");
    assert_int_equal(f->events, 1);
    assert_int_equal(a.answered, 1); /* by qmp_free() */
    assert_int_equal(b.answered, 1);
    assert_int_equal(f->closed, 0);
}

static void answers_may_free(void **state)
{
    struct fixture *f = *state;
    struct call a;

    (void)ask(f, &a, "one");
    f->free_in_answer = true;
    say(f, "{\"return\": {}, \"id\": 1}\n{\"event\": \"B\"}\n");
    assert_int_equal(a.answered, 1);
    assert_int_equal(f->events, 0);
}

static void descriptors_travel(void **state)
{
    struct fixture *f = *state;
    char buf[512], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) - 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof(control) };
    struct call c = { .call = { .done = on_done }, .f = f };
    autofd int got = -1;
    int pipefd[2];
    ssize_t n;

    (void)heard(f, buf, sizeof(buf));
    assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
    qmp_call(f->q, "add-fd", json_pack("{si}", "fdset-id", 9), pipefd[1], &c.call);
    close_fd(&pipefd[1]);
    n = recvmsg(f->peer, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    assert_true(n > 0);
    buf[n] = '\0';
    assert_string_equal(buf,
                        "{\"execute\":\"add-fd\",\"arguments\":{\"fdset-id\":9},\"id\":1}\n");
    assert_non_null(CMSG_FIRSTHDR(&msg));
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(got));
    assert_int_equal(write(got, "x", 1), 1);
    assert_int_equal(read(pipefd[0], buf, 1), 1);
    close_fd(&pipefd[0]);
    say(f, "{\"return\": {}, \"id\": 1}\n");
    assert_int_equal(c.answered, 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(negotiation_goes_first), T(answers_find_their_calls), T(lines_come_in_pieces),
        T(nonsense_ends_it),       T(long_lines_end_it),        T(end_of_file_answers_all),
        T(handlers_may_free),      T(answers_may_free),         T(descriptors_travel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
