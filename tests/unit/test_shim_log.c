#include "shim/json_log.h"

#include "util/fs.h"

#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>

static char dir[] = "/tmp/a3s-unit-log-XXXXXX";

static int open_dir(void **state UNUSED)
{
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state UNUSED)
{
    struct err e;

    return fs_remove_tree(AT_FDCWD, dir, &e);
}

static void log_start(struct json_log *log)
{
    struct err e;
    autofree char *path = str_format("%s/log", dir);

    (void)unlink(path);
    assert_int_equal(json_log_open(log, AT_FDCWD, path, &e), 0);
}

/* The file so far, "" at first. */
static char *content(void)
{
    autofree char *path = str_format("%s/log", dir);
    autostr text = STR_INIT(64 << 20);
    struct err e;

    assert_int_equal(fs_read_file(AT_FDCWD, path, &text, &e), 0);
    return strdup(str_c(&text));
}

/* Member `key` of line `number`. */
static char *entry(unsigned number, const char *key)
{
    autofree char *text = content();
    char *line = text;
    json_t *json;
    char *value;

    while (number-- && line)
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    assert_non_null(line);
    json = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(json);
    assert_non_null(json_object_get(json, key));
    value = strdup(json_string_value(json_object_get(json, key)));
    json_decref(json);
    return value;
}

static unsigned lines(void)
{
    autofree char *text = content();
    unsigned n = 0;

    for (const char *p = text; (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

static void add(struct json_log *log, enum json_log_stream stream, const char *text)
{
    json_log_add(log, stream, text, strlen(text));
}

static void assert_entry(unsigned number, const char *key, const char *want)
{
    autofree char *got = entry(number, key);

    assert_string_equal(got, want);
}

static void lines_are_entries_whatever_the_pieces(void **state UNUSED)
{
    struct json_log log;
    struct err e;

    log_start(&log);
    add(&log, JSON_LOG_STDOUT, "one\ntw");
    add(&log, JSON_LOG_STDERR, "other\n");
    add(&log, JSON_LOG_STDOUT, "o\n\nrest");
    assert_int_equal(json_log_flush(&log, &e), 0);
    assert_int_equal(lines(), 4);
    json_log_end(&log);
    assert_int_equal(json_log_flush(&log, &e), 0);
    json_log_close(&log);

    assert_int_equal(lines(), 5);
    assert_entry(0, "log", "one\n");
    assert_entry(0, "stream", "stdout");
    assert_entry(1, "log", "other\n");
    assert_entry(1, "stream", "stderr");
    assert_entry(2, "log", "two\n");
    assert_entry(3, "log", "\n");
    assert_entry(4, "log", "rest");
}

static void bytes_are_escaped_as_docker_does(void **state UNUSED)
{
    static const char raw[] =
        "a\"b\\c<d>&\t\r\x01\xe4\xbd\xa0\xff\xc3(\xe2\x80\xa8\xed\xa0\x80\n";
    autofree char *text = NULL;
    struct json_log log;
    struct err e;

    log_start(&log);
    json_log_add(&log, JSON_LOG_STDOUT, raw, sizeof(raw) - 1);
    json_log_add(&log, JSON_LOG_STDOUT, "nul\0in\n", 7);
    assert_int_equal(json_log_flush(&log, &e), 0);
    json_log_close(&log);
    text = content();
    assert_ptr_equal(strstr(text, "{\"log\":\"a\\\"b\\\\c\\u003cd\\u003e\\u0026\\u0009\\r\\u0001"
                                  "\xe4\xbd\xa0\\ufffd\\ufffd(\\u2028\\ufffd\\ufffd\\ufffd\\n\","
                                  "\"stream\":\"stdout\",\"time\":\"2"),
                     text);
    assert_non_null(strstr(text, "\n{\"log\":\"nul\\u0000in\\n\""));
}

static void long_lines_are_cut_at_16k(void **state UNUSED)
{
    char *big = malloc(40001);
    autofree char *last = NULL, *first = NULL;
    struct json_log log;
    struct err e;

    memset(big, 'x', 40000);
    big[40000] = '\n';
    log_start(&log);
    json_log_add(&log, JSON_LOG_STDOUT, big, 30000);
    json_log_add(&log, JSON_LOG_STDOUT, big + 30000, 10001);
    json_log_add(&log, JSON_LOG_STDOUT, big, JSON_LOG_LINE);
    json_log_add(&log, JSON_LOG_STDOUT, "\n", 1);
    assert_int_equal(json_log_flush(&log, &e), 0);
    json_log_close(&log);
    free(big);
    assert_int_equal(lines(), 5);
    first = entry(0, "log");
    assert_int_equal(strlen(first), JSON_LOG_LINE);
    last = entry(2, "log");
    assert_int_equal(strlen(last), 40000 - 2 * JSON_LOG_LINE + 1);
    assert_entry(4, "log", "\n");
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = { 0 };

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_loses_entries_and_counts_them(void **state UNUSED)
{
    struct json_log log;
    struct err e = { 0 };

    (void)signal(SIGXFSZ, SIG_IGN);
    log_start(&log);
    add(&log, JSON_LOG_STDOUT, "kept\n");
    assert_int_equal(json_log_flush(&log, &e), 0);

    limit_file_size(100);
    add(&log, JSON_LOG_STDOUT, "lost\n");
    assert_true(json_log_flush(&log, &e) < 0);
    add(&log, JSON_LOG_STDOUT, "lost too\nand this\n");
    assert_int_equal(json_log_flush(&log, &e), 0); /* said once */
    assert_int_equal(lines(), 1);                  /* nothing is cut off */

    limit_file_size(RLIM_INFINITY);
    add(&log, JSON_LOG_STDOUT, "again\n");
    assert_int_equal(json_log_flush(&log, &e), 0);
    json_log_close(&log);
    assert_int_equal(lines(), 3);
    assert_entry(1, "log", "[a3s-box: 3 log entries were lost here: File too large]\n");
    assert_entry(2, "log", "again\n");
}

static void much_is_written_in_batches(void **state UNUSED)
{
    struct json_log log;
    struct err e;

    log_start(&log);
    for (int i = 0; i < 20000; i++)
        add(&log, JSON_LOG_STDOUT,
            "\x01\x02\x03 a line of some length, as programs print them\n");
    assert_true(log.out.len < (1 << 20));
    assert_int_equal(json_log_flush(&log, &e), 0);
    json_log_close(&log);
    assert_int_equal(lines(), 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_entries_whatever_the_pieces),
        cmocka_unit_test(bytes_are_escaped_as_docker_does),
        cmocka_unit_test(long_lines_are_cut_at_16k),
        cmocka_unit_test(a_full_disk_loses_entries_and_counts_them),
        cmocka_unit_test(much_is_written_in_batches),
    };

    return cmocka_run_group_tests(tests, open_dir, remove_dir);
}
