/* Reading, cutting and following a log in docker's json-file format; moments. */
#include "cli/log_view.h"

#include "box/log_config.h"
#include "util/fs.h"
#include "util/own.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "unit.h"

#define T0 INT64_C(1795354396000000000) /* 2026-11-22T13:33:16Z */

static char path[] = "/tmp/a3s-unit-logs-XXXXXX";
static int dir = -1;

static int make_dir(void **state UNUSED)
{
    (void)snprintf(path, sizeof(path), "/tmp/a3s-unit-logs-XXXXXX");
    if (!mkdtemp(path))
        return -1;
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0;
}

static int remove_dir(void **state UNUSED)
{
    struct err e;

    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &e);
}

static int append_fd(const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

static int log_fd(void)
{
    return append_fd(LOG_FILE);
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

#define ALL .tail = -1, .since_ns = INT64_MIN, .until_ns = INT64_MAX

static const struct log_range all = { ALL };
static const struct log_range follow_all = { .follow = true, ALL };

/* What comes out of the first `n` entries: stdout, then "|", then stderr. */
static void expect(const struct log_range *range, const char *want)
{
    char *out = NULL, *err = NULL, got[4096];
    size_t out_len = 0, err_len = 0;
    struct cli cli = { .out = open_memstream(&out, &out_len),
                       .err = open_memstream(&err, &err_len),
                       .program = getenv("LOG_HELPER") };
    struct err e;

    assert_int_equal(log_view(&cli, dir, -1, range, &e), 0);
    assert_int_equal(fclose(cli.out) | fclose(cli.err), 0);
    (void)snprintf(got, sizeof(got), "%s|%s", out, err);
    free(out);
    free(err);
    assert_string_equal(got, want);
}

static void test_streams(void **state UNUSED)
{
    autofd int fd = log_fd();

    expect(&all, "|");
    put_entry(fd, 1, "stdout");
    put_entry(fd, 2, "stderr");
    put(fd, "torn {\n");
    put_entry(fd, 3, "stdout");
    put(fd,
        "{\"log\":\"a\\u0000b\",\"stream\":\"stdout\",\"time\":\"x\"}\n{\"log\":\"unfinished");
    expect(&all, "line 1\nline 3\na|line 2\n"); /* %s ends at the NUL byte */
}

static void test_details(void **state UNUSED)
{
    autofd int fd = log_fd();
    struct log_range r = all;

    r.details = true;
    put(fd,
        "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"1 2\",\"b\":\"\xc3\xa4,=\"},"
        "\"time\":\"2026-11-22T13:33:16Z\"}\n");
    put_entry(fd, 1, "stdout");
    expect(&r, "a=1+2,b=%C3%A4%2C%3D x\n line 1\n|");
}

static void test_range(void **state UNUSED)
{
    autofd int fd = log_fd();
    struct log_range r = all;

    for (int i = 0; i < 5; i++)
        put_entry(fd, i, "stdout");
    r.tail = 2;
    expect(&r, "line 3\nline 4\n|");
    r.tail = 0;
    expect(&r, "|");
    r.tail = 5;
    expect(&r, "line 0\nline 1\nline 2\nline 3\nline 4\n|");
    r.tail = 500;
    expect(&r, "line 0\nline 1\nline 2\nline 3\nline 4\n|");
    r = all;
    r.since_ns = T0 + 3 * (int64_t)NS_PER_S;
    expect(&r, "line 3\nline 4\n|");
    r.until_ns = r.since_ns;
    expect(&r, "line 3\n|");
    r.since_ns = INT64_MIN;
    r.until_ns = T0;
    r.timestamps = true;
    expect(&r, "2026-11-22T13:33:16.000000000Z line 0\n|");
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
    expect(&r, "line 2000\nline 2001\n|");
}

/* Somebody who follows the log of a process. */
struct follower {
    struct log_range range;
    int pidfd, lines, their_lines; /* what comes is read from `lines` */
    int hold;                      /* the process lives while this is open */
    pid_t pid;
    pthread_t thread;
    int result;
};

static void *follow(void *arg)
{
    struct follower *f = arg;
    struct cli cli = { .out = fdopen(f->their_lines, "w"),
                       .err = stderr,
                       .program = getenv("LOG_HELPER") };
    struct err e;

    f->result = log_view(&cli, dir, f->pidfd, &f->range, &e);
    (void)fclose(cli.out);
    return NULL;
}

static void follower_start(struct follower *f, const struct log_range *range)
{
    int lines[2], hold[2];
    char byte;

    assert_int_equal(pipe2(lines, O_CLOEXEC) | pipe2(hold, O_CLOEXEC), 0);
    *f = (struct follower){
        .range = *range, .lines = lines[0], .their_lines = lines[1], .hold = hold[1]
    };
    f->pid = fork();
    if (f->pid == 0) {
        (void)close(hold[1]);
        _exit(read(hold[0], &byte, 1) != 0); /* until the test lets go */
    }
    (void)close(hold[0]);
    f->pidfd = (int)syscall(SYS_pidfd_open, f->pid, 0);
    assert_true(f->pidfd >= 0);
    assert_int_equal(pthread_create(&f->thread, NULL, follow, f), 0);
}

static void read_line(const struct follower *f, const char *want)
{
    char got[100];
    size_t n = 0;

    while (n + 1 < sizeof(got) && read(f->lines, got + n, 1) == 1 && got[n++] != '\n')
        ;
    got[n] = '\0';
    assert_string_equal(got, want);
}

/* Entries `from` to `to` - 1. */
static void read_lines(const struct follower *f, int from, int to)
{
    char want[40];

    for (int i = from; i < to; i++) {
        (void)snprintf(want, sizeof(want), "line %d\n", i);
        read_line(f, want);
    }
}

/* All has been read, and the process was let go. */
static void follower_end(struct follower *f)
{
    int status;

    read_line(f, "");
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    assert_int_equal(f->result, 0);
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    (void)close(f->pidfd);
    (void)close(f->lines);
}

/* New entries come as they are written; the end of the process ends it, after its last words. */
static void test_follow(void **state UNUSED)
{
    struct log_range r = follow_all;
    autofd int fd = log_fd();
    struct follower f;

    put_entry(fd, 0, "stdout");
    put_entry(fd, 1, "stdout");
    r.tail = 1;
    follower_start(&f, &r);
    read_line(&f, "line 1\n");
    put_entry(fd, 2, "stdout");
    read_line(&f, "line 2\n");
    put(fd, "{\"log\":\"half");
    put(fd, " line\\n\",\"stream\":\"stdout\"}\n");
    read_line(&f, "half line\n");
    put_entry(fd, 3, "stdout");
    (void)close(f.hold);
    read_line(&f, "line 3\n");
    follower_end(&f);
}

/* --until in the future ends following at that moment. */
static void test_follow_until(void **state UNUSED)
{
    struct log_range r = follow_all;
    autofd int fd = log_fd();
    autofd int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct cli cli = { .out = stdout, .err = stderr, .program = "/x/y" };
    struct err e;

    r.until_ns = time_real_ns() + 50 * 1000000;
    assert_true(fd >= 0 && pidfd >= 0);
    assert_int_equal(log_view(&cli, dir, pidfd, &r, &e), 0);
    assert_true(time_real_ns() >= r.until_ns);
}

/* ---- rotated files ---- */

static void put_file(const char *name, int from, int to)
{
    autofd int fd = append_fd(name);

    for (int i = from; i < to; i++)
        put_entry(fd, i, "stdout");
}

/* container.json.N becomes .gz, as the shim has it done. */
static void compress(uint64_t number)
{
    char plain[LOG_NAME_LEN], gz[LOG_NAME_LEN];
    autofd int in = -1, out = -1;
    const char *const argv[] = { getenv("LOG_HELPER"), "gzip", NULL };
    struct spawn_fd fds[2];
    const struct spawn s = { .argv = argv, .fds = fds, .fds_n = 2 };
    struct err e;
    pid_t pid;
    int status;

    log_file_name(number, false, plain);
    log_file_name(number, true, gz);
    in = openat(dir, plain, O_RDONLY | O_CLOEXEC);
    out = openat(dir, gz, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    fds[0] = (struct spawn_fd){ in, 0 };
    fds[1] = (struct spawn_fd){ out, 1 };
    assert_int_equal(spawn_start(&s, &pid, NULL, &e), 0);
    assert_int_equal(spawn_wait(pid, &status, &e), 0);
    assert_int_equal(status, 0);
    assert_int_equal(unlinkat(dir, plain, 0), 0);
}

/* 7 is compressed, 8 has been lost, 9 is plain, 10 is written. */
static void put_files(void)
{
    put_file(LOG_FILE ".7", 0, 3);
    compress(7);
    put_file(LOG_FILE ".9", 3, 5);
    put_file(LOG_FILE, 5, 7);
    put_file(LOG_FILE ".x", 100, 101);
    put_file(LOG_FILE ".tmp", 100, 101);
}

static void test_old_files(void **state UNUSED)
{
    struct log_range r = all;

    put_files();
    expect(&r, "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\nline 6\n|");
    r.since_ns = T0 + 2 * (int64_t)NS_PER_S;
    r.until_ns = T0 + 5 * (int64_t)NS_PER_S;
    expect(&r, "line 2\nline 3\nline 4\nline 5\n|");
    r.until_ns = T0 + 2 * (int64_t)NS_PER_S;
    expect(&r, "line 2\n|");
}

static void test_tail_over_files(void **state UNUSED)
{
    static const char *const lines[] = {
        "line 0\n", "line 1\n", "line 2\n", "line 3\n", "line 4\n", "line 5\n", "line 6\n", "|",
    };
    struct log_range r = all;

    put_files();
    for (int n = 0; n <= 9; n++) {
        autostr want = STR_INIT(200);

        for (int i = n < 7 ? 7 - n : 0; i < 8; i++)
            assert_true(str_adds(&want, lines[i]));
        r.tail = n;
        expect(&r, want.p);
    }
}

static void test_damaged(void **state UNUSED)
{
    struct cli cli = { .out = stderr, .err = stderr, .program = getenv("LOG_HELPER") };
    struct err e;

    put_file(LOG_FILE ".3.gz", 0, 1);
    put_file(LOG_FILE, 1, 2);
    assert_int_equal(log_view(&cli, dir, -1, &all, &e), -ERR_CORRUPT);
    assert_non_null(strstr(e.text, "container.json.3.gz"));
}

/* As the shim rotates: shim/log_files.c. */
static void rotate(uint64_t number)
{
    char name[LOG_NAME_LEN];
    int fd = append_fd(LOG_FILE_NEW);

    (void)close(fd);
    log_file_name(number, false, name);
    assert_int_equal(linkat(dir, LOG_FILE, dir, name, 0), 0);
    assert_int_equal(renameat(dir, LOG_FILE_NEW, dir, LOG_FILE), 0);
}

/* Every entry once and in order, whatever becomes of the files meanwhile. */
static void test_follow_rotation(void **state UNUSED)
{
    int next = 1, seen = 0;
    struct follower f;

    put_file(LOG_FILE, 0, 1);
    follower_start(&f, &follow_all);
    for (uint64_t n = 1; n <= 40; n++) {
        put_file(LOG_FILE, next, next + 3);
        next += 3;
        rotate(n);
        if (n % 2 == 0)
            compress(n);
        if (n % 8 == 0) { /* sometimes it keeps up, sometimes it is files behind */
            read_lines(&f, seen, next);
            seen = next;
        }
    }
    put_file(LOG_FILE, next, next + 1);
    (void)close(f.hold);
    read_lines(&f, seen, next + 1);
    follower_end(&f);
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

#define in_dir(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_dir(test_streams),
        in_dir(test_details),
        in_dir(test_range),
        in_dir(test_long_tail),
        in_dir(test_follow),
        in_dir(test_follow_until),
        in_dir(test_old_files),
        in_dir(test_tail_over_files),
        in_dir(test_damaged),
        in_dir(test_follow_rotation),
        cmocka_unit_test(test_moments),
    };

    (void)setenv("TZ", "UTC", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
