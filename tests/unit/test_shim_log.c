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
    (void)snprintf(dir, sizeof(dir), "/tmp/a3s-unit-log-XXXXXX");
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

/* ---- rotation ---- */

struct files {
    struct json_log log;
    struct log_files files;
    struct loop *loop;
};

static void files_start(struct files *f, const struct log_config *c)
{
    struct err e;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(loop_new(&f->loop, &e), 0);
    assert_int_equal(json_log_open(&f->log, fd, LOG_FILE, &e), 0);
    assert_int_equal(log_files_open(&f->files, fd, c, &e), 0);
    f->log.files = &f->files;
    log_files_compress(&f->files, f->loop, getenv("LOG_HELPER"));
}

static void files_end(struct files *f)
{
    json_log_close(&f->log);
    log_files_close(&f->files);
    loop_free(f->loop);
}

/* Line number n of `len` bytes with the newline. */
static void add_number(struct files *f, int n, int len)
{
    char text[200];
    struct err e;

    (void)snprintf(text, sizeof(text), "%0*d\n", len - 1, n);
    add(&f->log, JSON_LOG_STDOUT, text);
    if (n % 3 == 0)
        assert_int_equal(json_log_flush(&f->log, &e), 0);
}

/* Which numbers there are, "1.gz 2.gz 3": in order. */
static char *numbers(void)
{
    autostr text = STR_INIT(0);

    for (uint64_t n = 1; n < 1000; n++) {
        for (int gz = 0; gz < 2; gz++) {
            char name[LOG_NAME_LEN];
            autofree char *path = NULL;

            log_file_name(n, gz, name);
            path = str_format("%s/%s", dir, name);
            if (access(path, F_OK) == 0)
                assert_true(
                    str_addf(&text, "%s%d%s", text.len ? " " : "", (int)n, gz ? ".gz" : ""));
        }
    }
    return str_take(&text);
}

static void assert_numbers(const char *want)
{
    autofree char *have = numbers();

    assert_string_equal(have, want);
}

static struct str read_log(uint64_t number)
{
    char name[LOG_NAME_LEN] = LOG_FILE;
    autofree char *path = NULL;
    struct str text = STR_INIT(64 << 20);
    struct err e;

    if (number)
        log_file_name(number, false, name);
    path = str_format("%s/%s", dir, name);
    assert_int_equal(fs_read_file(AT_FDCWD, path, &text, &e), 0);
    return text;
}

static void wait_job(struct files *f)
{
    struct err e;

    while (f->files.job.pid)
        assert_true(loop_turn(f->loop, 20000, &e) > 0);
}

/* Every line is in one file, in order; no file is longer than it may be. */
static void full_files_are_rotated(void **state UNUSED)
{
    const struct log_config c = { .max_bytes = 1000, .max_files = 100 };
    struct files f;
    int next = 0;
    struct err e;

    files_start(&f, &c);
    for (int n = 0; n < 200; n++)
        add_number(&f, n, 20);
    assert_int_equal(json_log_flush(&f.log, &e), 0);
    files_end(&f);
    for (uint64_t i = 1; i <= f.files.number; i++) {
        struct str text = read_log(i == f.files.number ? 0 : i);
        char want[100];

        assert_true(text.len <= 1000 && text.len > (i == f.files.number ? 0U : 800U));
        for (const char *p = text.p; *p; p = strchr(p, '\n') + 1, next++) {
            (void)snprintf(want, sizeof(want), "{\"log\":\"%019d\\n\",\"stream\":\"stdout\",",
                           next);
            assert_int_equal(strncmp(p, want, strlen(want)), 0);
        }
        str_done(&text);
    }
    assert_int_equal(next, 200);
    assert_true(f.files.number > 10);
}

static void old_files_are_dropped_and_compressed(void **state UNUSED)
{
    const struct log_config c = { .max_bytes = 1000, .max_files = 4, .compress = true };
    const struct log_config fewer = { .max_bytes = 1000, .max_files = 2, .compress = true };
    struct files f;
    struct err e;
    autofree char *path = NULL, *tmp = NULL;

    files_start(&f, &c);
    for (int n = 0; f.files.number < 6; n++) {
        add_number(&f, n, 20);
        wait_job(&f);
    }
    assert_numbers("3.gz 4.gz 5.gz");
    files_end(&f);

    /* A process that was killed leaves a half file, and both names of one. */
    path = str_format("%s/" LOG_FILE ".4", dir);
    tmp = str_format("%s/" LOG_FILE_TMP, dir);
    assert_int_equal(fs_write_file(AT_FDCWD, path, "x\n", 2, 0600, &e), 0);
    assert_int_equal(fs_write_file(AT_FDCWD, tmp, "x", 1, 0600, &e), 0);
    files_start(&f, &c);
    assert_int_equal(f.files.number, 6);
    assert_numbers("3.gz 4.gz 5.gz");
    assert_int_equal(access(tmp, F_OK), -1);
    files_end(&f);
    files_start(&f, &fewer);
    assert_numbers("5.gz");
    files_end(&f);
}

/* Nobody waits for the compressor; what it has not done when the box ends the next run does. */
static void the_compressor_may_be_slow(void **state UNUSED)
{
    const struct log_config c = { .max_bytes = 1000, .max_files = 3, .compress = true };
    struct files f;

    files_start(&f, &c);
    for (int n = 0; f.files.number < 50; n++)
        add_number(&f, n, 20); /* the loop does not turn */
    assert_numbers("48 49");
    files_end(&f);
    assert_numbers("48 49");
    files_start(&f, &c);
    wait_job(&f);
    assert_numbers("48.gz 49.gz");
    files_end(&f);
}

static void one_file_starts_afresh(void **state UNUSED)
{
    const struct log_config c = { .max_bytes = 1000, .max_files = 1 };
    struct files f;
    struct str text;

    files_start(&f, &c);
    for (int n = 0; n < 99; n++)
        add_number(&f, n, 20);
    files_end(&f);
    assert_numbers("");
    text = read_log(0);
    assert_true(text.len <= 1000);
    assert_non_null(strstr(text.p, "0096\\n"));
    str_done(&text);
}

static void attributes_are_in_every_entry(void **state UNUSED)
{
    struct json_log log;
    struct err e;
    autofree char *text = NULL;

    log_start(&log);
    log.attrs = "{\"tag\":\"web\"}";
    add(&log, JSON_LOG_STDERR, "a\nb");
    json_log_end(&log);
    assert_int_equal(json_log_flush(&log, &e), 0);
    json_log_close(&log);
    text = content();
    assert_int_equal(strncmp(text,
                             "{\"log\":\"a\\n\",\"stream\":\"stderr\",\"attrs\":{\"tag\":"
                             "\"web\"},\"time\":\"20",
                             63),
                     0);
    assert_int_equal(lines(), 2);
    assert_entry(1, "log", "b");
}

#define in_dir(fn) cmocka_unit_test_setup_teardown(fn, open_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_dir(lines_are_entries_whatever_the_pieces),
        in_dir(bytes_are_escaped_as_docker_does),
        in_dir(long_lines_are_cut_at_16k),
        in_dir(a_full_disk_loses_entries_and_counts_them),
        in_dir(much_is_written_in_batches),
        in_dir(full_files_are_rotated),
        in_dir(old_files_are_dropped_and_compressed),
        in_dir(the_compressor_may_be_slow),
        in_dir(one_file_starts_afresh),
        in_dir(attributes_are_in_every_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
