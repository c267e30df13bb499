/* The log driver syslog against receivers made here: udp, tcp, unix; slow, broken and absent
 * ones. */
#include "shim/syslog.h"

#include "util/fs.h"
#include "util/time.h"

#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define WAIT_MS 20000 /* for what comes at once on an idle machine */

static char dir[] = "/tmp/a3s-unit-syslog-XXXXXX";
static struct loop *loop;
static struct syslog sys;
static struct log_config config;
static int failures;
static char failure[ERR_TEXT_MAX];

/* ---- fixture ---- */

static int set_up(void **state UNUSED)
{
    struct err e;

    (void)snprintf(dir, sizeof(dir), "/tmp/a3s-unit-syslog-XXXXXX");
    failures = 0;
    config =
        (struct log_config){ .kind = LOG_KIND_SYSLOG, .facility = 3, .buffer_bytes = 1 << 20 };
    config.tag = strdup("my tag");
    return mkdtemp(dir) && loop_new(&loop, &e) == 0 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    struct err e;

    syslog_close(&sys);
    loop_free(loop);
    log_config_done(&config);
    return fs_remove_tree(AT_FDCWD, dir, &e);
}

static void on_failed(struct syslog *s UNUSED, const struct err *why)
{
    failures++;
    (void)snprintf(failure, sizeof(failure), "%s", why->text);
}

static void open_at(enum syslog_transport transport, const char *host, int port)
{
    struct err e;

    config.transport = transport;
    config.host = strdup(host);
    config.port = port ? str_format("%d", port) : NULL;
    syslog_init(&sys);
    sys.failed = on_failed;
    if (syslog_open(&sys, loop, getenv("LOG_HELPER"), &config, &e) < 0)
        fail_msg("%s", e.text);
}

static void add(const char *text)
{
    syslog_add(&sys, SYSLOG_STDOUT, text, strlen(text));
}

static void turn(int timeout_ms)
{
    struct err e;

    assert_true(loop_turn(loop, timeout_ms, &e) >= 0);
}

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

/* Let the driver work until something can be read from `fd`. */
static void wait_readable(int fd)
{
    uint64_t end = time_mono_ns() + WAIT_MS * NS_PER_MS;

    while (!readable(fd)) {
        assert_true(time_mono_ns() < end);
        turn(20); /* the receiver is not on the loop */
    }
}

static int listen_inet(int type, int port, int *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), on = 1;

    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static int listen_path(int type, const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && strlen(path) < sizeof(at.sun_path));
    memcpy(at.sun_path, path, strlen(path) + 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static int take(int listener)
{
    int fd;

    wait_readable(listener);
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* One datagram, or what came of a stream. */
static char *get(int fd)
{
    static char text[20000];
    ssize_t n;

    wait_readable(fd);
    n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

/* Read a stream until it has `lines` newlines, while the driver works. */
static void get_lines(int fd, struct str *to, unsigned lines)
{
    for (;;) {
        unsigned n = 0;

        for (size_t i = 0; i < to->len; i++)
            n += to->p[i] == '\n';
        if (n >= lines)
            return;
        assert_true(str_adds(to, get(fd)));
    }
}

/* ---- what a message looks like ---- */

static void formats(void **state UNUSED)
{
    static const struct {
        enum syslog_format format;
        int stream;
        const char *want;
    } rows[] = {
        { SYSLOG_RFC5424_MICRO, SYSLOG_STDOUT,
          "<30>1 2026-11-22T13:33:16.123456Z h_st my_tag 77 my_tag - text" },
        { SYSLOG_RFC5424, SYSLOG_STDERR,
          "<27>1 2026-11-22T13:33:16Z h_st my_tag 77 my_tag - text" },
        { SYSLOG_RFC3164, SYSLOG_STDOUT, "<30>Nov 22 13:33:16 h_st my_tag[77]: text" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct syslog_text t = { rows[i].stream, INT64_C(1795354396123456789), "text", 4 };
        autostr to = STR_INIT(0);

        config.format = rows[i].format;
        assert_true(syslog_format(&config, "h\xc3st", 77, &t, &to));
        assert_string_equal(to.p, rows[i].want);
    }
    config.format = SYSLOG_RFC5424;
    free(config.tag);
    config.tag = strdup("0123456789012345678901234567890123456789012345678901234567890");
    {
        const struct syslog_text t = { SYSLOG_STDOUT, 0, "", 0 };
        autostr to = STR_INIT(0);

        assert_true(syslog_format(&config, "", 1, &t, &to));
        assert_string_equal(to.p, "<30>1 1970-01-01T00:00:00Z - "
                                  "012345678901234567890123456789012345678901234567 1 "
                                  "01234567890123456789012345678901 - ");
    }
}

/* ---- ways ---- */

static void udp(void **state UNUSED)
{
    autofd int fd = -1;
    int port;

    fd = listen_inet(SOCK_DGRAM, 0, &port);
    open_at(SYSLOG_UDP, "127.0.0.1", port);
    add("one\r\ntw");
    syslog_add(&sys, SYSLOG_STDERR, "bad\n", 4);
    add("o\n\n");
    assert_non_null(strstr(get(fd), " my_tag - one"));
    assert_int_equal(strncmp(get(fd), "<27>1 20", 8), 0); /* stderr */
    assert_non_null(strstr(get(fd), " - two"));
    add("the rest");
    syslog_end(&sys);
    assert_non_null(strstr(get(fd), " - the rest"));
    assert_true(syslog_idle(&sys));
    assert_false(readable(fd));
    assert_int_equal(sys.lost, 0);
}

static void unix_datagrams_and_streams(void **state UNUSED)
{
    autofree char *path = str_format("%s/log", dir);
    autofd int fd = -1, conn = -1;

    fd = listen_path(SOCK_DGRAM, path);
    open_at(SYSLOG_UNIX, path, 0);
    add("a datagram\n");
    assert_non_null(strstr(get(fd), " - a datagram"));
    syslog_close(&sys);

    close_fd(&fd);
    assert_int_equal(unlink(path), 0);
    fd = listen_path(SOCK_STREAM, path);
    free(config.host);
    open_at(SYSLOG_UNIX, path, 0);
    add("a\nstream\n");
    conn = take(fd);
    {
        autostr text = STR_INIT(0);

        get_lines(conn, &text, 2);
        assert_non_null(strstr(text.p, " - a\n<30>1 "));
        assert_non_null(strstr(text.p, " - stream\n"));
    }
}

static void long_lines_are_cut(void **state UNUSED)
{
    autofd int fd = -1, conn = -1;
    autofree char *big = malloc(40001);
    autostr text = STR_INIT(0);
    int port;

    memset(big, 'x', 40000);
    big[40000] = '\n';
    fd = listen_inet(SOCK_STREAM, 0, &port);
    open_at(SYSLOG_TCP, "localhost", port);
    syslog_add(&sys, SYSLOG_STDOUT, big, 40001);
    conn = take(fd);
    get_lines(conn, &text, 3);
    assert_int_equal(text.len - 40000, 3 * (strchr(text.p, 'x') - text.p + 1));
}

/* ---- trouble ---- */

static void nobody_listens(void **state UNUSED)
{
    autofree char *path = str_format("%s/nothing", dir);
    uint64_t end = time_mono_ns() + WAIT_MS * NS_PER_MS;

    open_at(SYSLOG_UNIX, path, 0);
    while (!failures) {
        assert_true(time_mono_ns() < end);
        turn(1000);
    }
    assert_non_null(strstr(failure, "failed to initialize logging driver: dial unix "));
    assert_non_null(strstr(failure, "No such file or directory"));
    turn(300);
    assert_int_equal(sys.dial.pid, 0); /* without a line nobody is bothered */
    assert_false(sys.retry.armed);
}

static unsigned long rss_kib(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (unsigned long)usage.ru_maxrss;
}

/* A receiver that does not read: the workload is to wait, what was accepted stays, and comes. */
static void blocking(void **state UNUSED)
{
    autofd int fd = -1, conn = -1;
    autostr text = STR_INIT(64 << 20);
    unsigned n = 0, lines = 0;
    int port;

    fd = listen_inet(SOCK_STREAM, 0, &port);
    open_at(SYSLOG_TCP, "127.0.0.1", port);
    add("first\n");
    conn = take(fd);
    while (syslog_keeps_up(&sys)) { /* fills the sockets' buffers first */
        char line[1000];

        (void)snprintf(line, sizeof(line), "line %d %0900d\n", n++, 0);
        add(line);
        turn(0);
        assert_true(n < 100000);
    }
    for (unsigned more = 0; more < 200000; more++, n++) /* a window that is on its way */
        add("x\n");
    assert_true(sys.queue.len - sys.head < 32 << 20);
    assert_false(syslog_keeps_up(&sys));
    while (lines < n + 1) {
        const char *p;

        str_clear(&text);
        assert_true(str_adds(&text, get(conn)));
        for (p = text.p; (p = strchr(p, '\n')); p++)
            lines++;
    }
    assert_true(syslog_keeps_up(&sys));
    assert_true(syslog_idle(&sys));
    assert_int_equal(sys.lost, 0);
}

/* The same with mode=non-blocking: what is too much is dropped, memory is bounded. */
static void non_blocking(void **state UNUSED)
{
    autofd int fd = -1, conn = -1;
    unsigned long before;
    int port;

    config.non_blocking = true;
    config.buffer_bytes = 1 << 20;
    fd = listen_inet(SOCK_STREAM, 0, &port);
    open_at(SYSLOG_TCP, "127.0.0.1", port);
    add("first\n");
    conn = take(fd);
    before = rss_kib();
    for (unsigned i = 0; i < 50000; i++) {
        char line[1000];

        (void)snprintf(line, sizeof(line), "line %d %0900d\n", i, 0);
        add(line);
        if (i % 100 == 0)
            turn(0);
        assert_true(syslog_keeps_up(&sys));
    }
    assert_true(sys.lost > 10000);
    assert_int_equal(sys.lost_os, ENOBUFS);
    assert_true(sys.queue.cap <= 4 << 20);
    assert_true(rss_kib() - before < 30 << 10); /* 45 MB went in; a sanitizer keeps some */
}

/* The receiver is restarted in the middle of a message: that comes again as a whole. */
static void reconnects(void **state UNUSED)
{
    autofd int fd = -1, conn = -1;
    autostr text = STR_INIT(64 << 20);
    unsigned n = 0;
    int port, small = 4096;
    char *last;

    fd = listen_inet(SOCK_STREAM, 0, &port);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    open_at(SYSLOG_TCP, "127.0.0.1", port);
    add("first\n");
    conn = take(fd);
    while (syslog_keeps_up(&sys)) {
        char line[100];

        (void)snprintf(line, sizeof(line), "line %08d\n", n++);
        add(line);
        turn(0);
    }
    (void)get(conn); /* what is in its buffers is gone with it: TCP does not tell */
    close_fd(&conn);
    conn = take(fd);
    while (!(last = strstr(text.p ? text.p : "", "the end\n"))) {
        if (text.len && syslog_keeps_up(&sys) && n)
            add("the end\n"), n = 0;
        assert_true(str_adds(&text, get(conn)));
    }
    assert_int_equal(strncmp(text.p, "<30>1 ", 6), 0); /* it begins with a whole message */
    for (const char *p = text.p; p < last; p = strchr(p, '\n') + 1)
        assert_int_equal(strncmp(p, "<30>1 ", 6), 0);
}

/* When the workload has ended a receiver that hangs is not waited for for ever. */
static void gives_up(void **state UNUSED)
{
    autofd int fd = -1, conn = -1;
    int port;

    fd = listen_inet(SOCK_STREAM, 0, &port);
    open_at(SYSLOG_TCP, "127.0.0.1", port);
    add("first\n");
    conn = take(fd);
    for (int i = 0; i < 20000; i++) { /* more than the sockets' buffers take */
        char line[1000];

        (void)snprintf(line, sizeof(line), "%0900d\n", 0);
        add(line);
        if (i % 100 == 0)
            turn(0);
    }
    syslog_end(&sys);
    assert_false(syslog_idle(&sys));
    assert_true(sys.drain.armed);
    loop_timer(loop, &sys.drain, 0); /* instead of 10 s */
    for (int i = 0; i < 10 && !syslog_idle(&sys); i++)
        turn(1000);
    assert_true(syslog_idle(&sys));
    assert_true(sys.lost > 200);
    assert_int_equal(sys.lost_os, ETIMEDOUT);
}

/* udp tells of nobody late, and never holds anything up. */
static void udp_without_a_receiver(void **state UNUSED)
{
    uint64_t end = time_mono_ns() + WAIT_MS * NS_PER_MS;
    autofd int fd = -1;
    int port;

    fd = listen_inet(SOCK_DGRAM, 0, &port);
    close_fd(&fd);
    open_at(SYSLOG_UDP, "127.0.0.1", port);
    for (int i = 0; i < 100; i++)
        add("into the void\n");
    syslog_end(&sys);
    while (!syslog_idle(&sys)) {
        assert_true(time_mono_ns() < end);
        turn(100);
    }
    assert_true(sys.lost <= 100);
    assert_int_equal(failures, 0);
}

#define with(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with(formats),
        with(udp),
        with(unix_datagrams_and_streams),
        with(long_lines_are_cut),
        with(nobody_listens),
        with(blocking),
        with(non_blocking),
        with(reconnects),
        with(gives_up),
        with(udp_without_a_receiver),
    };

    (void)setenv("TZ", "UTC", 1);
    (void)setenv("A3S_LOG", "error", 1);
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
