/* Reading, cutting and following a log in docker's json-file format; moments. */
#include "cli/log_view.h"

#include "util/own.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "unit.h"

#define T0 INT64_C(1795354396000000000) /* 2026-11-22T13:33:16Z */

static int log_fd(void)
{
    char path[] = "/tmp/a3s-log-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    return fd;
}

/* The same file, opened as the shim opens it. */
static int append_fd(int fd)
{
    char path[64];
    int to;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    to = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(to >= 0);
    return to;
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Entry number n, one second after the one before. */
static void put_entry(int fd, int n, const char *stream)
{
    char line[200], when[TIME_RFC3339_LEN];

    time_rfc3339(T0 + n * (int64_t)NS_PER_S, when);
    (void)snprintf(line, sizeof(line),
                   "{\"log\":\"line %d\\n\",\"stream\":\"%s\",\"time\":\"%s\"}\n", n, stream,
                   when);
    put(fd, line);
}

static const struct log_range all = { .tail = -1, .since_ns = INT64_MIN, .until_ns = INT64_MAX };

/* What comes out of the first `n` entries: stdout, then "|", then stderr. */
static void expect(int fd, const struct log_range *range, const char *want)
{
    char *out = NULL, *err = NULL, got[4096];
    size_t out_len = 0, err_len = 0;
    struct cli cli = { .out = open_memstream(&out, &out_len),
                       .err = open_memstream(&err, &err_len) };
    struct err e;

    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(log_view(&cli, fd, -1, range, &e), 0);
    assert_int_equal(fclose(cli.out) | fclose(cli.err), 0);
    (void)snprintf(got, sizeof(got), "%s|%s", out, err);
    free(out);
    free(err);
    assert_string_equal(got, want);
}

static void test_streams(void **state UNUSED)
{
    autofd int fd = log_fd();

    expect(fd, &all, "|");
    put_entry(fd, 1, "stdout");
    put_entry(fd, 2, "stderr");
    put(fd, "torn {\n");
    put_entry(fd, 3, "stdout");
    put(fd,
        "{\"log\":\"a\\u0000b\",\"stream\":\"stdout\",\"time\":\"x\"}\n{\"log\":\"unfinished");
    expect(fd, &all, "line 1\nline 3\na|line 2\n"); /* %s ends at the NUL byte */
}

static void test_range(void **state UNUSED)
{
    autofd int fd = log_fd();
    struct log_range r = all;

    for (int i = 0; i < 5; i++)
        put_entry(fd, i, "stdout");
    r.tail = 2;
    expect(fd, &r, "line 3\nline 4\n|");
    r.tail = 0;
    expect(fd, &r, "|");
    r.tail = 5;
    expect(fd, &r, "line 0\nline 1\nline 2\nline 3\nline 4\n|");
    r.tail = 500;
    expect(fd, &r, "line 0\nline 1\nline 2\nline 3\nline 4\n|");
    r = all;
    r.since_ns = T0 + 3 * (int64_t)NS_PER_S;
    expect(fd, &r, "line 3\nline 4\n|");
    r.until_ns = r.since_ns;
    expect(fd, &r, "line 3\n|");
    r.since_ns = INT64_MIN;
    r.until_ns = T0;
    r.timestamps = true;
    expect(fd, &r, "2026-11-22T13:33:16.000000000Z line 0\n|");
}

/* The last entries when they are far more than one block. */
static void test_long_tail(void **state UNUSED)
{
    autofd int fd = log_fd();
    struct log_range r = all;

    for (int i = 0; i < 5000; i++)
        put_entry(fd, i, "stdout");
    r.tail = 3000;
    r.until_ns = T0 + 2001 * (int64_t)NS_PER_S;
    expect(fd, &r, "line 2000\nline 2001\n|");
}

struct follower {
    int fd, pidfd, out;
    const struct log_range *range;
    int result;
};

static void *follow(void *arg)
{
    struct follower *f = arg;
    struct cli cli = { .out = fdopen(f->out, "w"), .err = stderr };
    struct err e;

    f->result = log_view(&cli, f->fd, f->pidfd, f->range, &e);
    (void)fclose(cli.out);
    return NULL;
}

static void read_line(int fd, const char *want)
{
    char got[100];
    size_t n = 0;

    while (n + 1 < sizeof(got) && read(fd, got + n, 1) == 1 && got[n++] != '\n')
        ;
    got[n] = '\0';
    assert_string_equal(got, want);
}

/* New entries come as they are written; the end of the process ends it, after its last words. */
static void test_follow(void **state UNUSED)
{
    struct log_range r = {
        .follow = true, .tail = 1, .since_ns = INT64_MIN, .until_ns = INT64_MAX
    };
    autofd int fd = log_fd();
    autofd int writer = -1;
    int out[2], hold[2], status;
    struct follower f = { .fd = fd, .range = &r };
    pthread_t thread;
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(out, O_CLOEXEC) | pipe2(hold, O_CLOEXEC), 0);
    put_entry(fd, 0, "stdout");
    put_entry(fd, 1, "stdout");
    pid = fork();
    if (pid == 0) {
        (void)close(hold[1]);
        _exit(read(hold[0], &byte, 1) != 0); /* until the test lets go */
    }
    f.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    f.out = out[1];
    assert_true(f.pidfd >= 0);
    writer = append_fd(fd);
    assert_int_equal(pthread_create(&thread, NULL, follow, &f), 0);
    read_line(out[0], "line 1\n");
    put_entry(writer, 2, "stdout");
    read_line(out[0], "line 2\n");
    put(writer, "{\"log\":\"half");
    put(writer, " line\\n\",\"stream\":\"stdout\"}\n");
    read_line(out[0], "half line\n");
    put_entry(writer, 3, "stdout");
    (void)close(hold[0]);
    (void)close(hold[1]);
    read_line(out[0], "line 3\n");
    read_line(out[0], ""); /* its end */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(f.result, 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(f.pidfd);
    (void)close(out[0]);
}

/* --until in the future ends following at that moment. */
static void test_follow_until(void **state UNUSED)
{
    struct log_range r = { .follow = true,
                           .tail = -1,
                           .since_ns = INT64_MIN,
                           .until_ns = time_real_ns() + 50 * 1000000 };
    autofd int fd = log_fd();
    autofd int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct cli cli = { .out = stdout, .err = stderr };
    struct err e;

    assert_true(pidfd >= 0);
    assert_int_equal(log_view(&cli, fd, pidfd, &r, &e), 0);
    assert_true(time_real_ns() >= r.until_ns);
}

static void test_moments(void **state UNUSED)
{
    static const struct {
        const char *text;
        int64_t ns;
    } rows[] = {
        { "2026-11-22T13:33:16Z", T0 },
        { "2026-11-22T13:33:16.120000000Z", T0 + 120000000 },
        { "2026-11-22T15:33:16+02:00", T0 },
        { "2026-11-22T13:33:16", T0 },
        { "2026-11-22T13:33", T0 - 16 * (int64_t)NS_PER_S },
        { "2026-11-22", T0 - (13 * 3600 + 33 * 60 + 16) * (int64_t)NS_PER_S },
        { "1795354396", T0 },
        { "1795354396.5", T0 + 500000000 },
        { "10m", T0 - 600 * (int64_t)NS_PER_S },
        { "1h30m", T0 - 5400 * (int64_t)NS_PER_S },
    };
    static const char *const bad[] = { "",
                                       "yesterday",
                                       "2026-11-22T13:33:16Zx",
                                       "10y",
                                       "-5",
                                       "2026-11-22T13:33:16+2",
                                       "1.x",
                                       "99999999999999999999" };
    struct err e;
    int64_t ns;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(log_moment(rows[i].text, T0, &ns, &e), 0);
        assert_int_equal(ns, rows[i].ns);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(log_moment(bad[i], T0, &ns, &e), -ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),      cmocka_unit_test(test_range),
        cmocka_unit_test(test_long_tail),    cmocka_unit_test(test_follow),
        cmocka_unit_test(test_follow_until), cmocka_unit_test(test_moments),
    };

    (void)setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
