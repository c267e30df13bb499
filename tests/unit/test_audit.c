/* The audit log: records, rotation, what a crash or a full disk leaves. */
#include "box/audit.h"
#include "util/fs.h"

#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char home[64];

static int make_home(void **state UNUSED)
{
    (void)snprintf(home, sizeof(home), "/tmp/a3s-unit-audit-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static int remove_home(void **state UNUSED)
{
    struct err e;

    return fs_remove_tree(AT_FDCWD, home, &e);
}

static int append(const char *action, const struct audit_limits *limits, struct err *e)
{
    const struct audit_meta meta[] = { { "target", "we\"b\n\xff" }, { "user", NULL } };
    const struct audit_record record = {
        .action = action, .box_id = "0123", .metadata = meta, .metadata_n = ARRAY_LEN(meta)
    };
    int fd = -1, r = audit_append(home, &record, limits, &fd, e);

    if (r == 0)
        assert_int_equal(fdatasync(fd), 0);
    close_fd(&fd);
    return r;
}

/* The file's text; "" when it is not there. */
static char *slurp(const char *name)
{
    char path[128];
    struct str text = STR_INIT(0);
    struct err e;

    (void)snprintf(path, sizeof(path), "%s/audit/%s", home, name);
    if (access(path, F_OK) == 0)
        assert_int_equal(fs_read_file(AT_FDCWD, path, &text, &e), 0);
    return str_take(&text);
}

static size_t lines(const char *name)
{
    autofree char *all = slurp(name);
    size_t n = 0;

    for (char *p = all, *end; *p; p = end + 1, n++) {
        json_t *o;

        end = strchr(p, '\n');
        assert_non_null(end);
        o = json_loadb(p, (size_t)(end - p), 0, NULL);
        assert_true(json_is_object(o));
        json_decref(o);
    }
    return n;
}

static void a_record_says_what_it_was_told(void **state UNUSED)
{
    autofree char *all = NULL;
    struct err e;
    json_t *o;

    assert_int_equal(append("box_create", NULL, &e), 0);
    assert_int_equal(append("box_start", NULL, &e), 0);
    assert_int_equal(lines("audit.jsonl"), 2);
    all = slurp("audit.jsonl");
    o = json_loadb(all, (size_t)(strchr(all, '\n') - all), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "action")), "box_create");
    assert_string_equal(json_string_value(json_object_get(o, "actor")), "cli");
    assert_string_equal(json_string_value(json_object_get(o, "outcome")), "success");
    assert_string_equal(json_string_value(json_object_get(o, "box_id")), "0123");
    assert_null(json_object_get(o, "message"));
    o = (json_decref(o), NULL);
    assert_non_null(strstr(all, "\"metadata\":{\"target\":\"we\\\"b\\u000a\xef\xbf\xbd\"}}"));
}

static void files_rotate(void **state UNUSED)
{
    const struct audit_limits limits = { .bytes_max = 600, .files_max = 2 };
    char path[128];
    struct stat st;
    struct err e;

    for (int i = 0; i < 30; i++)
        assert_int_equal(append("box_create", &limits, &e), 0);
    assert_true(lines("audit.jsonl") >= 1);
    assert_true(lines("audit.jsonl.1") >= 2);
    assert_int_equal(lines("audit.jsonl.2"), lines("audit.jsonl.1"));
    assert_int_equal(lines("audit.jsonl.3"), 0);
    (void)snprintf(path, sizeof(path), "%s/audit/audit.jsonl.1", home);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= 600);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void half_a_line_harms_no_other(void **state UNUSED)
{
    autofree char *all = NULL;
    char path[128];
    struct err e;
    int fd;

    assert_int_equal(append("box_create", NULL, &e), 0);
    (void)snprintf(path, sizeof(path), "%s/audit/audit.jsonl", home);
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(fd_write_all(fd, "{\"id\":\"aud", 10, &e), 0);
    close_fd(&fd);
    assert_int_equal(append("box_start", NULL, &e), 0);
    all = slurp("audit.jsonl");
    assert_non_null(strstr(all, "\n{\"id\":\"aud\n{\"id\":\"audit-"));
}

static void a_full_disk_leaves_no_half_line(void **state UNUSED)
{
    struct rlimit old, small;
    struct err e;
    int r;

    assert_int_equal(append("box_create", NULL, &e), 0);
    assert_int_equal(append("box_create", NULL, &e), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){ .rlim_cur = 500, .rlim_max = old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    r = append("box_start", NULL, &e);
    if (r == 0)
        r = append("box_start", NULL, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(r < 0);
    assert_true(lines("audit.jsonl") >= 2); /* and each is whole */
    assert_int_equal(append("box_stop", NULL, &e), 0);
}

static void writers_take_turns(void **state UNUSED)
{
    const struct audit_limits limits = { .bytes_max = 4000, .files_max = 10 };
    size_t n = 0;
    int status;
    char name[32];
    struct err e;

    for (int i = 0; i < 4; i++) {
        if (fork() != 0)
            continue;
        for (int k = 0; k < 25; k++)
            if (append("box_create", &limits, &e) < 0)
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i <= 10; i++) {
        (void)snprintf(name, sizeof(name), i ? "audit.jsonl.%d" : "audit.jsonl", i);
        n += lines(name);
    }
    assert_int_equal(n, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_says_what_it_was_told, make_home, remove_home),
        cmocka_unit_test_setup_teardown(files_rotate, make_home, remove_home),
        cmocka_unit_test_setup_teardown(half_a_line_harms_no_other, make_home, remove_home),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_no_half_line, make_home, remove_home),
        cmocka_unit_test_setup_teardown(writers_take_turns, make_home, remove_home),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
