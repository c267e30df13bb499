#include "monitor/metrics.h"
#include "monitor/monitor.h"
#include "monitor/restart.h"
#include "monitor/web.h"
#include "util/fs.h"
#include "util/time.h"

#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- addresses --------------------------------------------------------- */

static void addresses_without_a_host_are_loopback(void **state UNUSED)
{
    static const struct {
        const char *text, *means;
    } good[] = {
        { "9090", "127.0.0.1:9090" },     { ":9090", "127.0.0.1:9090" },
        { "0.0.0.0:80", "0.0.0.0:80" },   { "localhost:1", "127.0.0.1:1" },
        { "[::1]:9090", "[::1]:9090" },   { "[::]:65535", "[::]:65535" },
        { "127.0.0.1:0", "127.0.0.1:0" },
    };
    static const char *const bad[] = {
        "",        ":",    "127.0.0.1", "127.0.0.1:",  ":65536",         ":-1",  "::1:80",
        "[::1]80", "[::1", "[::1]:",    "[1.2.3.4]:5", "example.org:80", ":80 ", "1.2.3.4.5:6"
    };
    struct sockaddr_storage addr;
    char text[WEB_ADDR_TEXT];
    socklen_t len;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        memset(&addr, 0, sizeof(addr));
        assert_int_equal(web_addr_parse(good[i].text, &addr, &len, &e), 0);
        web_addr_text(&addr, text);
        assert_string_equal(text, good[i].means);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(web_addr_parse(bad[i], &addr, &len, &e), -ERR_INVALID);
}

/* ---- requests ---------------------------------------------------------- */

static int parse(const char *text, struct web_request *ret)
{
    return web_request_parse(text, strlen(text), ret);
}

static void requests_are_read_or_refused(void **state UNUSED)
{
    static const struct {
        const char *text;
        int result;
    } refused[] = {
        { "", 0 },
        { "GET /metrics HTTP/1.1\r\nHost: x\r\n", 0 },
        { "POST /metrics HTTP/1.1\r\n\r\n", -405 },
        { "get /metrics HTTP/1.1\r\n\r\n", -400 },
        { "GET /metrics\r\n\r\n", -400 },
        { "GET metrics HTTP/1.1\r\n\r\n", -400 },
        { "GET  / HTTP/1.1\r\n\r\n", -400 },
        { "GET /\x01 HTTP/1.1\r\n\r\n", -400 },
        { "GET / HTTP/2.0\r\n\r\n", -505 },
        { "GET / HTTP/1.10\r\n\r\n", -400 },
        { "GET\r\n\r\n", -400 },
    };
    struct web_request q;

    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_int_equal(parse(refused[i].text, &q), refused[i].result);
    assert_int_equal(parse("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n", &q), 1);
    assert_string_equal(q.path, "/metrics");
    assert_false(q.head);
    assert_int_equal(parse("HEAD /healthz HTTP/1.0\n\n", &q), 1);
    assert_string_equal(q.path, "/healthz");
    assert_true(q.head);
}

static void requests_have_limits(void **state UNUSED)
{
    autostr text = STR_INIT(0);
    struct web_request q;

    (void)str_adds(&text, "GET /");
    for (int i = 0; i < 300; i++)
        (void)str_addc(&text, 'a');
    (void)str_adds(&text, " HTTP/1.1\r\n\r\n");
    assert_int_equal(parse(text.p, &q), -414);
    str_clear(&text);
    (void)str_adds(&text, "GET / HTTP/1.1\r\n");
    while (text.len < WEB_REQUEST_MAX)
        (void)str_adds(&text, "X: y\r\n");
    assert_int_equal(parse(text.p, &q), -431);
}

/* ---- a server ---------------------------------------------------------- */

static void hello(void *ctx, const struct web_request *q, struct web_answer *ret)
{
    (*(int *)ctx)++;
    if (strcmp(q->path, "/hello") == 0)
        (void)str_adds(ret->body, "hello\n");
    else
        ret->status = 404;
}

static int connect_to(const struct sockaddr_storage *addr)
{
    union {
        const struct sockaddr_storage *storage;
        const struct sockaddr *any;
    } a = { .storage = addr };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, a.any, sizeof(struct sockaddr_in)), 0);
    return fd;
}

static void ask(struct loop *loop, const struct sockaddr_storage *addr, const char *request,
                struct str *ret)
{
    int fd = connect_to(addr);
    struct err e;
    char buf[512];
    ssize_t n = -1;

    for (size_t i = 0; i < strlen(request); i++) /* a byte at a time */
        assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
    while (n != 0) {
        assert_true(loop_turn(loop, 10, &e) >= 0);
        n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n > 0)
            (void)str_add(ret, buf, (size_t)n);
    }
    (void)close(fd);
}

static void answers_are_http(void **state UNUSED)
{
    autostr got = STR_INIT(0), head = STR_INIT(0), lost = STR_INIT(0), bad = STR_INIT(0);
    struct sockaddr_storage addr;
    struct loop *loop = NULL;
    struct web *web = NULL;
    int asked = 0, idle[WEB_CLIENTS_MAX];
    struct err e;

    assert_int_equal(loop_new(&loop, &e), 0);
    assert_int_equal(web_new(loop, ":0", hello, &asked, &web, &addr, &e), 0);
    /* all places but one are taken by clients that say nothing */
    for (int i = 0; i < WEB_CLIENTS_MAX - 1; i++)
        idle[i] = connect_to(&addr);
    ask(loop, &addr, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", &got);
    assert_non_null(strstr(str_c(&got), "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(str_c(&got), "\r\nContent-Length: 6\r\n"));
    assert_non_null(strstr(str_c(&got), "\r\n\r\nhello\n"));
    ask(loop, &addr, "HEAD /hello HTTP/1.1\r\n\r\n", &head);
    assert_non_null(strstr(str_c(&head), "\r\nContent-Length: 6\r\n"));
    assert_string_equal(head.p + head.len - 4, "\r\n\r\n");
    ask(loop, &addr, "GET /other HTTP/1.1\r\n\r\n", &lost);
    assert_non_null(strstr(str_c(&lost), "HTTP/1.1 404 "));
    assert_int_equal(asked, 3);
    ask(loop, &addr, "DELETE /hello HTTP/1.1\r\n\r\n", &bad);
    assert_non_null(strstr(str_c(&bad), "HTTP/1.1 405 "));
    assert_non_null(strstr(str_c(&bad), "\r\nAllow: GET, HEAD\r\n"));
    assert_int_equal(asked, 3);
    for (int i = 0; i < WEB_CLIENTS_MAX - 1; i++)
        (void)close(idle[i]);
    web_free(web);
    loop_free(loop);
}

/* ---- restarts ---------------------------------------------------------- */

struct scene {
    char dir[32], name[4];
    char *program;
    struct loop *loop;
    struct restarts *restarts;
    struct box_overview_row rows[8];
    struct box_overview boxes;
    FILE *out;
    unsigned done;
};

static void on_done(void *ctx)
{
    ((struct scene *)ctx)->done++;
}

/* A program that notes how it was called, and then ends as it is told. */
static void scene_open(struct scene *s, const char *script)
{
    struct restarts_options o = { .done = on_done, .ctx = s };
    autofree char *text = NULL;
    struct err e;

    *s = (struct scene){ .dir = "/tmp/a3s-monitor-XXXXXX", .name = "web", .out = tmpfile() };
    assert_non_null(s->out);
    assert_non_null(mkdtemp(s->dir));
    s->program = str_format("%s/a3s-box", s->dir);
    text = str_format("#!/bin/sh\necho \"$@\" >>%s/calls\n%s\n", s->dir, script);
    assert_int_equal(fs_write_file(AT_FDCWD, s->program, text, strlen(text), 0700, &e), 0);
    assert_int_equal(loop_new(&s->loop, &e), 0);
    o.loop = s->loop;
    o.program = s->program;
    o.out = s->out;
    assert_int_equal(restarts_new(&o, &s->restarts, &e), 0);
    s->boxes.v = s->rows;
}

static void scene_add(struct scene *s, char id, enum box_state state, bool missing)
{
    struct box_overview_row *row = &s->rows[s->boxes.n++];

    memset(row->id, id, ID_LEN - 1);
    row->name = s->name;
    row->state = state;
    row->missing = missing;
}

/* Look, and until all that was started has ended. */
static uint64_t scene_look(struct scene *s, uint64_t now_ns)
{
    uint64_t next = restarts_look(s->restarts, &s->boxes, now_ns);
    struct err e;

    while (restarts_busy(s->restarts))
        assert_true(loop_turn(s->loop, 1000, &e) >= 0);
    return next;
}

static void scene_close(struct scene *s)
{
    struct err e;

    restarts_free(s->restarts);
    loop_free(s->loop);
    assert_int_equal(fs_remove_tree(AT_FDCWD, s->dir, &e), 0);
    (void)fclose(s->out);
    free(s->program);
}

static unsigned calls(struct scene *s)
{
    autofree char *path = str_format("%s/calls", s->dir);
    autostr text = STR_INIT(0);
    struct err e;
    unsigned n = 0;

    if (fs_read_file(AT_FDCWD, path, &text, &e) < 0)
        return 0;
    for (const char *p = str_c(&text); *p; p++)
        n += *p == '\n';
    return n;
}

#define S NS_PER_S

static void attempts_are_spaced(void **state UNUSED)
{
    struct scene s;

    scene_open(&s, "echo no luck >&2; exit 1");
    scene_add(&s, 'a', BOX_DEAD, true);
    (void)scene_look(&s, 100 * S); /* at once */
    assert_int_equal(calls(&s), 1);
    assert_int_equal(s.done, 1);
    assert_int_equal(scene_look(&s, 100 * S + 1), 101 * S); /* then 1 s ... */
    assert_int_equal(calls(&s), 1);
    (void)scene_look(&s, 101 * S);
    assert_int_equal(calls(&s), 2);
    assert_int_equal(scene_look(&s, 102 * S), 103 * S); /* ... 2 s ... */
    for (int i = 0; i < 8; i++)
        (void)scene_look(&s, (uint64_t)(1000 + 100 * i) * S);
    assert_int_equal(calls(&s), 10);
    assert_int_equal(scene_look(&s, 1701 * S), 1760 * S); /* ... up to a minute */
    scene_close(&s);
}

static void a_long_run_forgets_the_past(void **state UNUSED)
{
    struct scene s;

    scene_open(&s, "exit 0");
    scene_add(&s, 'a', BOX_DEAD, true);
    (void)scene_look(&s, 100 * S);
    s.rows[0].state = BOX_RUNNING;
    s.rows[0].missing = false;
    (void)scene_look(&s, 105 * S);
    s.rows[0].state = BOX_DEAD;
    s.rows[0].missing = true;
    (void)scene_look(&s, 110 * S); /* a short run: the second attempt, and the next in 2 s */
    assert_int_equal(calls(&s), 2);
    assert_int_equal(scene_look(&s, 111 * S), 112 * S);
    s.rows[0].state = BOX_RUNNING;
    s.rows[0].missing = false;
    (void)scene_look(&s, 200 * S);
    (void)scene_look(&s, 230 * S);
    s.rows[0].state = BOX_DEAD;
    s.rows[0].missing = true;
    (void)scene_look(&s, 231 * S);
    assert_int_equal(calls(&s), 3);
    assert_int_equal(scene_look(&s, 231 * S + 1), 232 * S);
    scene_close(&s);
}

static void only_missing_boxes_are_started_a_few_at_a_time(void **state UNUSED)
{
    struct scene s;
    struct err e;

    scene_open(&s, "exit 0");
    for (char id = '0'; id < '6'; id++)
        scene_add(&s, id, BOX_DEAD, true);
    scene_add(&s, 'a', BOX_STOPPED, false);
    scene_add(&s, 'b', BOX_RUNNING, false);
    assert_int_equal(restarts_look(s.restarts, &s.boxes, 100 * S), 0);
    assert_int_equal(restarts_busy(s.restarts), RESTARTS_AT_ONCE);
    while (restarts_busy(s.restarts))
        assert_true(loop_turn(s.loop, 1000, &e) >= 0);
    assert_int_equal(calls(&s), RESTARTS_AT_ONCE);
    (void)scene_look(&s, 100 * S);
    assert_int_equal(calls(&s), 6);
    scene_close(&s);
}

/* ---- metrics ----------------------------------------------------------- */

static void metrics_count_boxes_and_buckets(void **state UNUSED)
{
    struct box_overview_row rows[] = {
        { .id = "a", .state = BOX_RUNNING, .vm_pid = 1, .health = "healthy" },
        { .id = "b", .state = BOX_STOPPED, .health = "unhealthy" },
        { .id = "c", .state = BOX_DEAD },
    };
    struct box_overview boxes = { rows, ARRAY_LEN(rows) };
    struct vm_use use = { .box_id = "a", .cpu_percent = 12.345, .memory_bytes = 4096 };
    struct vm_uses vms = { &use, 1 };
    struct counters counters = { .value[COUNTER_EXEC] = 7 };
    const struct metrics m = { &boxes, &vms, &counters, 1500 * NS_PER_MS };
    static const char *const lines[] = {
        "\na3s_box_total 3\n",
        "\na3s_box_state{status=\"running\"} 1\n",
        "\na3s_box_state{status=\"dead\"} 1\n",
        "\na3s_box_state{status=\"other\"} 1\n",
        "\na3s_box_health{status=\"healthy\"} 1\n",
        "\na3s_box_health{status=\"unhealthy\"} 0\n", /* it does not run */
        "\na3s_box_vm_cpu_percent{box_id=\"a\"} 12.35\n",
        "\na3s_box_vm_memory_bytes{box_id=\"a\"} 4096\n",
        "\na3s_box_exec_total 7\n",
        "\na3s_box_vm_boot_duration_seconds_bucket{le=\"0.05\"} 0\n",
        "\na3s_box_vm_boot_duration_seconds_bucket{le=\"0.1\"} 2\n",
        "\na3s_box_vm_boot_duration_seconds_bucket{le=\"10\"} 2\n",
        "\na3s_box_vm_boot_duration_seconds_bucket{le=\"+Inf\"} 3\n",
        "\na3s_box_vm_boot_duration_seconds_sum 12.000000001\n",
        "\na3s_box_vm_boot_duration_seconds_count 3\n",
        "\na3s_box_monitor_up 1\n",
        "\na3s_box_monitor_seconds_since_last_poll 1.500000000\n",
    };
    autostr out = STR_INIT(0);

    counters.histogram[HISTOGRAM_BOOT].bucket[1] = 2;
    counters.histogram[HISTOGRAM_BOOT].bucket[HISTOGRAM_BUCKETS_MAX] = 1;
    counters.histogram[HISTOGRAM_BOOT].sum_ns = 12 * NS_PER_S + 1;
    metrics_print(&m, &out);
    assert_false(out.failed);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(out.p, lines[i]))
            fail_msg("%s is not in %s", lines[i], out.p);
}

/* ---- the unit ---------------------------------------------------------- */

static void a_unit_quotes_what_it_is_given(void **state UNUSED)
{
    struct monitor_options o = { .home = "/home/a b/%h$x",
                                 .program = "/opt/a3s \"box\"/a3s-box$",
                                 .interval_ns = 5 * NS_PER_S,
                                 .metrics_addr = ":9090" };
    autofree char *text = NULL, *none = NULL;
    struct err e;

    assert_int_equal(monitor_unit_text(&o, &text, &e), 0);
    assert_non_null(strstr(text, "\nEnvironment=\"A3S_HOME=/home/a b/%%h$x\"\n"));
    assert_non_null(strstr(text, "\nExecStart=\"/opt/a3s \\\"box\\\"/a3s-box$$\" monitor "
                                 "--interval 5000ms --metrics-addr \":9090\"\n"));
    assert_non_null(strstr(text, "\nKillMode=process\n"));
    o.home = "/a\nExecStart=/bin/sh";
    assert_int_equal(monitor_unit_text(&o, &none, &e), -ERR_INVALID);
    assert_int_equal(monitor_stale_ns(5 * NS_PER_S), 30 * NS_PER_S);
    assert_int_equal(monitor_stale_ns(60 * NS_PER_S), 180 * NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_without_a_host_are_loopback),
        cmocka_unit_test(requests_are_read_or_refused),
        cmocka_unit_test(requests_have_limits),
        cmocka_unit_test(answers_are_http),
        cmocka_unit_test(attempts_are_spaced),
        cmocka_unit_test(a_long_run_forgets_the_past),
        cmocka_unit_test(only_missing_boxes_are_started_a_few_at_a_time),
        cmocka_unit_test(metrics_count_boxes_and_buckets),
        cmocka_unit_test(a_unit_quotes_what_it_is_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
