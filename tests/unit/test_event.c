/* The table of events: attributes, order, the limit. */
#include "box/event.h"
#include "util/fs.h"

#include "unit.h"

#include <fcntl.h>
#include <string.h>

static char home[] = "/tmp/a3s-unit-event-XXXXXX";

static int open_home(void **state)
{
    struct db *db = NULL;
    struct err e;

    if (!mkdtemp(home) || db_open(home, &db, &e) < 0)
        return -1;
    *state = db;
    return 0;
}

static int remove_home(void **state)
{
    struct err e;

    db_free(*state);
    return fs_remove_tree(AT_FDCWD, home, &e);
}

static char *text(struct db *db, const char *sql)
{
    autostmt st = { 0 };
    struct err e;

    assert_int_equal(stmt_open(db, &st, &e, sql, ""), 0);
    assert_int_equal(stmt_step(&st, &e), 1);
    return strdup(stmt_text(&st, 0));
}

static void expect(struct db *db, const char *sql, const char *want)
{
    autofree char *is = text(db, sql);

    assert_string_equal(is, want);
}

static void attributes_are_a_json_object(void **state)
{
    static const struct event_attr attrs[] = {
        { "a\"b", "x\\y\n" },
        { "bytes", "\xc3\xa4 \xff\xfe \xed\xa0\x80" },
        { "none", NULL },
    };
    const struct event ev = { "image", "tag", "local/x:1", attrs, ARRAY_LEN(attrs), 42 };
    struct err e;

    assert_int_equal(event_add(*state, &ev, &e), 0);
    expect(*state, "SELECT attributes FROM events ORDER BY seq DESC",
           "{\"a\\\"b\":\"x\\\\y\\u000a\",\"bytes\":\"\xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd "
           "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"none\":\"\"}");
    expect(*state, "SELECT json_valid(attributes) || time_ns FROM events ORDER BY seq DESC",
           "142");
}

static void what_is_too_long_is_left_out(void **state)
{
    autofree char *long_text = calloc(1, EVENT_ATTRIBUTES_MAX + 1);
    struct event_attr attrs[] = { { "name", "web" }, { "big", long_text }, { "k", "v" } };
    const struct event ev = { "container", "start", "id", attrs, ARRAY_LEN(attrs), 0 };
    struct err e;

    assert_non_null(long_text);
    memset(long_text, 'x', EVENT_ATTRIBUTES_MAX);
    assert_int_equal(event_add(*state, &ev, &e), 0);
    expect(*state, "SELECT attributes FROM events ORDER BY seq DESC",
           "{\"name\":\"web\",\"k\":\"v\"}");
    memset(long_text, 1, EVENT_ATTRIBUTES_MAX - 10); /* six bytes each */
    assert_int_equal(event_add(*state, &ev, &e), 0);
    expect(*state, "SELECT attributes FROM events ORDER BY seq DESC",
           "{\"name\":\"web\",\"k\":\"v\"}");
}

static void a_label_cannot_pose_as_the_name(void **state)
{
    char name[] = "web", image[] = "local/x:1";
    struct box box = { .id = "0123", .name = name, .spec = { .image = image } };
    const struct event_attr exit_code = { "exitCode", "3" };
    struct err e;

    box.spec.labels = json_pack("{s:s, s:s, s:s}", "name", "other", "exitCode", "0", "a", "1");
    assert_int_equal(box_event(*state, &box, "die", &exit_code, 1, &e), 0);
    json_decref(box.spec.labels);
    expect(*state,
           "SELECT type || ' ' || action || ' ' || actor_id || ' ' || attributes"
           " FROM events ORDER BY seq DESC",
           "container die 0123 "
           "{\"image\":\"local/x:1\",\"name\":\"web\",\"exitCode\":\"3\",\"a\":\"1\"}");
}

static int add_then_fail(struct db *db, void *user UNUSED, struct err *e)
{
    const struct event ev = { .type = "image", .action = "never", .actor_id = "x" };

    return event_add(db, &ev, e) < 0 ? -1 : err_set(e, ERR_INVALID, "no");
}

static void an_event_of_nothing_is_not_there(void **state)
{
    struct err e;

    assert_true(db_transaction(*state, add_then_fail, NULL, &e) < 0);
    expect(*state, "SELECT count(*) FROM events WHERE action = 'never'", "0");
}

static int add_many(struct db *db, void *user, struct err *e)
{
    const struct event ev = { .type = "image", .action = "pull", .actor_id = "x" };
    int r = 0;

    for (int i = 0; r == 0 && i < *(int *)user; i++)
        r = event_add(db, &ev, e);
    return r;
}

static void the_oldest_go_and_numbers_only_grow(void **state)
{
    int n = EVENT_KEEP + 3 * EVENT_PRUNE_EVERY;
    char grown[64];
    struct err e;

    (void)snprintf(grown, sizeof(grown), "SELECT max(seq) - %d = 4 FROM events", n);
    assert_int_equal(db_transaction(*state, add_many, &n, &e), 0);
    expect(*state, grown, "1"); /* four came before */
    expect(*state, "SELECT count(*) BETWEEN 10000 AND 10000 + 256 FROM events", "1");
    expect(*state, "SELECT max(seq) - min(seq) + 1 = count(*) FROM events", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_are_a_json_object),
        cmocka_unit_test(what_is_too_long_is_left_out),
        cmocka_unit_test(a_label_cannot_pose_as_the_name),
        cmocka_unit_test(an_event_of_nothing_is_not_there),
        cmocka_unit_test(the_oldest_go_and_numbers_only_grow),
    };

    return cmocka_run_group_tests(tests, open_home, remove_home);
}
