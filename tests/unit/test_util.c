#include "util/err.h"
#include "util/fs.h"
#include "util/parse.h"
#include "util/spawn.h"
#include "util/str.h"
#include "util/time.h"

#include "unit.h"

#include <fcntl.h>
#include <sys/stat.h>

static void str_stops_at_its_limit(void **state UNUSED)
{
    autostr s = STR_INIT(4);

    assert_true(str_adds(&s, "abcd"));
    assert_false(str_addc(&s, 'e'));
    assert_string_equal(s.p, "abcd");
    assert_false(str_adds(&s, ""));
    str_clear(&s);
    assert_true(str_adds(&s, "x"));
}

static void sizes_are_exact_or_refused(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint64_t want; /* 0: refused */
    } rows[] = {
        { "1", 1 << 20 },
        { "512m", 512 << 20 },
        { "2G", UINT64_C(2) << 30 },
        { "1kb", 1024 },
        { "7b", 7 },
        { "", 0 },
        { "m", 0 },
        { "-1", 0 },
        { "1x", 0 },
        { "1bb", 0 },
        { "1.5g", 0 },
        { "99999999999999999999", 0 },
        { "18446744073709551615k", 0 },
    };
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t got = 0;
        int r = parse_size(rows[i].text, 1 << 20, 1, UINT64_MAX, &got, &e);

        assert_int_equal(r < 0 ? 0 : got, rows[i].want);
    }
}

static void durations_follow_go(void **state UNUSED)
{
    struct err e;
    uint64_t ns;

    assert_int_equal(parse_duration("1m30s", &ns, &e), 0);
    assert_int_equal(ns, 90 * NS_PER_S);
    assert_int_equal(parse_duration("1.5h", &ns, &e), 0);
    assert_int_equal(ns, 5400 * NS_PER_S);
    assert_int_equal(parse_duration("500ms", &ns, &e), 0);
    assert_int_equal(ns, 500 * NS_PER_MS);
    assert_int_equal(parse_duration("10", &ns, &e), 0);
    assert_int_equal(ns, 10 * NS_PER_S);
    assert_true(parse_duration("", &ns, &e) < 0);
    assert_true(parse_duration("1y", &ns, &e) < 0);
    assert_true(parse_duration("99999999999h", &ns, &e) < 0);
}

static void signals_have_names_and_numbers(void **state UNUSED)
{
    struct err e;
    int sig = 0;

    assert_int_equal(parse_signal("SIGTERM", &sig, &e), 0);
    assert_int_equal(sig, 15);
    assert_int_equal(parse_signal("kill", &sig, &e), 0);
    assert_int_equal(sig, 9);
    assert_int_equal(parse_signal("10", &sig, &e), 0);
    assert_int_equal(sig, 10);
    assert_true(parse_signal("0", &sig, &e) < 0);
    assert_true(parse_signal("65", &sig, &e) < 0);
    assert_true(parse_signal("FOO", &sig, &e) < 0);
    assert_string_equal(e.text, "Unknown signal: FOO");
}

static void err_context_keeps_both_ends(void **state UNUSED)
{
    struct err e;
    char big[700];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)err_set(&e, ERR_INVALID, "%.400s: root cause", big);
    (void)err_ctx(&e, "asked for %.300s", big);
    assert_non_null(strstr(e.text, "asked for"));
    assert_non_null(strstr(e.text, "root cause"));
    assert_int_equal(e.kind, ERR_INVALID);
}

static void spawn_gives_only_the_listed_descriptors(void **state UNUSED)
{
    static const char *const argv[] = { "/bin/ls", "/proc/self/fd", NULL };
    autofd int r = -1, w = -1;
    autostr out = STR_INIT(4096);
    int p[2], status = -1;
    struct err e;
    pid_t pid;

    assert_int_equal(pipe(p), 0); /* not CLOEXEC, on purpose: it must not leak all the same */
    r = p[0];
    w = p[1];
    struct spawn s = { .argv = argv, .fds = &(struct spawn_fd){ w, 1 }, .fds_n = 1 };
    assert_int_equal(spawn_start(&s, &pid, NULL, &e), 0);
    close_fd(&w);
    assert_int_equal(fd_read_all(r, &out, &e), 0);
    assert_int_equal(spawn_wait(pid, &status, &e), 0);
    assert_int_equal(status, 0);
    assert_string_equal(str_c(&out), "0\n1\n2\n3\n"); /* 3 is ls's own, on the directory */
}

static void spawn_reports_why_it_failed(void **state UNUSED)
{
    static const char *const argv[] = { "/no/such/program", NULL };
    struct spawn s = { .argv = argv };
    struct err e;
    pid_t pid;

    assert_int_equal(spawn_start(&s, &pid, NULL, &e), -ERR_NOT_FOUND);
    assert_int_equal(e.os, ENOENT);
}

static void a_reused_pid_is_another_process(void **state UNUSED)
{
    uint64_t ticks = 0;
    struct err e;
    int fd = -1;

    assert_int_equal(proc_start_time(getpid(), &ticks, &e), 0);
    assert_int_equal(proc_open(getpid(), ticks, &fd, &e), 0);
    (void)close(fd);
    assert_int_equal(proc_open(getpid(), ticks + 1, &fd, &e), -ERR_NOT_FOUND);
}

static void trees_are_removed_but_links_not_followed(void **state UNUSED)
{
    char dir[] = "/tmp/a3s-unit-XXXXXX";
    autofd int fd = -1;
    struct err e;
    struct stat st;

    assert_non_null(mkdtemp(dir));
    fd = fs_open_dir(AT_FDCWD, dir, &e);
    assert_true(fd >= 0);
    assert_int_equal(mkdirat(fd, "keep", 0700), 0);
    assert_int_equal(fs_write_file(fd, "keep/file", "x", 1, 0600, &e), 0);
    assert_int_equal(mkdirat(fd, "tree", 0700), 0);
    assert_int_equal(mkdirat(fd, "tree/deep", 0700), 0);
    assert_int_equal(symlinkat("../../keep", fd, "tree/deep/link"), 0);
    assert_int_equal(fs_remove_tree(fd, "tree", &e), 0);
    assert_int_equal(fstatat(fd, "keep/file", &st, 0), 0);
    assert_int_equal(fs_remove_tree(fd, "missing", &e), 0);
    assert_int_equal(fs_remove_tree(AT_FDCWD, dir, &e), 0);
}

static void rfc3339_has_nanoseconds(void **state UNUSED)
{
    char text[TIME_RFC3339_LEN];

    time_rfc3339(INT64_C(1795440796120000001), text);
    assert_string_equal(text, "2026-11-23T13:33:16.120000001Z");
    time_rfc3339(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(str_stops_at_its_limit),
        cmocka_unit_test(sizes_are_exact_or_refused),
        cmocka_unit_test(durations_follow_go),
        cmocka_unit_test(signals_have_names_and_numbers),
        cmocka_unit_test(err_context_keeps_both_ends),
        cmocka_unit_test(spawn_gives_only_the_listed_descriptors),
        cmocka_unit_test(spawn_reports_why_it_failed),
        cmocka_unit_test(a_reused_pid_is_another_process),
        cmocka_unit_test(trees_are_removed_but_links_not_followed),
        cmocka_unit_test(rfc3339_has_nanoseconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
