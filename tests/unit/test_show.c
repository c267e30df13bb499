/* Tables, sizes, durations, filters. */
#include "show/filter.h"
#include "show/human.h"
#include "show/table.h"

#include <locale.h>

#include "unit.h"

static void same(struct str *got, const char *want)
{
    assert_string_equal(str_c(got), want);
    str_done(got);
}

static void test_sizes(void **state UNUSED)
{
    static const struct {
        uint64_t n;
        const char *thousand, *kibi;
    } rows[] = {
        { 0, "0B", "0B" },
        { 999, "999B", "999B" },
        { 1000, "1kB", "1000B" },
        { 1024, "1.024kB", "1KiB" },
        { 1090, "1.09kB", "1.064KiB" },
        { 48100000, "48.1MB", "45.87MiB" },
        { 19922944, "19.92MB", "19MiB" },
        { 1610612736, "1.611GB", "1.5GiB" },
        { UINT64_MAX, "18.45EB", "16EiB" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str a = STR_INIT(64), b = STR_INIT(64);

        human_size(rows[i].n, &a);
        same(&a, rows[i].thousand);
        human_bytes(rows[i].n, &b);
        same(&b, rows[i].kibi);
    }
}

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

static void test_durations(void **state UNUSED)
{
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        { -5 * SECOND, "Less than a second" },
        { SECOND - 1, "Less than a second" },
        { SECOND, "1 second" },
        { 59 * SECOND, "59 seconds" },
        { 60 * SECOND, "About a minute" },
        { 119 * SECOND, "About a minute" },
        { 120 * SECOND, "2 minutes" },
        { HOUR, "About an hour" },
        { HOUR + 29 * 60 * SECOND, "About an hour" },
        { HOUR + 31 * 60 * SECOND, "2 hours" },
        { 47 * HOUR, "47 hours" },
        { 48 * HOUR, "2 days" },
        { 13 * DAY, "13 days" },
        { 14 * DAY, "2 weeks" },
        { 59 * DAY, "8 weeks" },
        { 60 * DAY, "2 months" },
        { 729 * DAY, "24 months" },
        { 730 * DAY, "2 years" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str s = STR_INIT(64);

        human_duration(rows[i].ns, &s);
        same(&s, rows[i].text);
    }
}

static void test_ellipsis(void **state UNUSED)
{
    static const struct {
        const char *in;
        size_t width;
        const char *out;
    } rows[] = {
        { "short", 5, "short" },
        { "longer", 5, "long\xe2\x80\xa6" },
        { "", 0, "" },
        { "x", 0, "" },
        { "xy", 1, "\xe2\x80\xa6" },
        { "h\xc3\xa9llo", 5, "h\xc3\xa9llo" },
        { "\xe4\xbd\xa0\xe5\xa5\xbd\xe5\x90\x97", 5, "\xe4\xbd\xa0\xe5\xa5\xbd\xe2\x80\xa6" },
        { "\xff\xff\xff", 2, "\xff\xe2\x80\xa6" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str s = STR_INIT(64);

        human_ellipsis(rows[i].in, rows[i].width, &s);
        same(&s, rows[i].out);
    }
    assert_int_equal(human_width("\xe4\xbd\xa0", 3), 2);
    assert_int_equal(human_width("e\xcc\x81", 3), 1);
}

static void test_align(void **state UNUSED)
{
    struct str s = STR_INIT(0);

    show_align("A\tB\tC\nlong one here\tx\ty\n", 10, &s);
    same(&s, "A               B         C\nlong one here   x         y\n");
    /* A line without such a cell ends a column, as in Go. */
    show_align("a\tb\nno tabs\nlonger than ten\tb\n", 10, &s);
    same(&s, "a         b\nno tabs\nlonger than ten   b\n");
    show_align("", 10, &s);
    same(&s, "");
    show_align("\t\tx\n", 10, &s);
    same(&s, "                    x\n");
    show_align("\xe4\xbd\xa0\tx\nab\tx\n", 4, &s);
    same(&s, "\xe4\xbd\xa0   x\nab   x\n");
}

static int label(const json_t *self, const char *const *args, struct str *ret,
                 struct err *e UNUSED)
{
    str_addf(ret, "%s/%s", json_string_value(json_object_get(self, "Names")), args[0]);
    return 0;
}

static const struct show_method methods[] = { { "Label", 1, label }, { NULL, 0, NULL } };
static const struct show_type row_type = {
    .name = "*row", .form = SHOW_STRUCT, .escape_html = true, .methods = methods
};
static const struct show_column columns[] = { { "ID", "CONTAINER ID" },
                                              { "Names", "NAMES" },
                                              { NULL, NULL } };
static const struct show_table table = { "table {{.ID}}\t{{.Names}}", columns, &row_type };

/* Two rows in this format, or the error's text. */
static void expect(const char *format, const char *want)
{
    json_t *rows = json_pack("[{s:s, s:s}, {s:s, s:s}]", "ID", "0123456789ab", "Names", "web",
                             "ID", "b<", "Names", "a&b");
    autoptr(show_list) l = NULL;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct err e;
    int r;

    r = show_list_parse(&table, format, &l, &e);
    if (r >= 0)
        r = show_list_print(l, rows, out, &e);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(r < 0 ? e.text : text, want);
    free(text);
    json_decref(rows);
}

static void test_formats(void **state UNUSED)
{
    const char *plain = "CONTAINER ID   NAMES\n0123456789ab   web\nb<             a&b\n";

    expect(NULL, plain);
    expect("", plain);
    expect("table", plain);
    expect("json", "{\"ID\":\"0123456789ab\",\"Names\":\"web\"}\n"
                   "{\"ID\":\"b\\u003c\",\"Names\":\"a\\u0026b\"}\n");
    expect("{{.Names}}", "web\na&b\n");
    expect("{{.ID}}\\t{{.Names}}\\n", "0123456789ab\tweb\n\nb<\ta&b\n\n");
    expect("{{printf \"%s\\n\" .Names}}", "web\n\na&b\n\n");
    expect("table {{.Names}}\\t{{.ID}}", "NAMES     CONTAINER ID\nweb       0123456789ab\n"
                                         "a&b       b<\n");
    expect("table {{upper .Names}}: {{.ID}}",
           "NAMES: CONTAINER ID\nWEB: 0123456789ab\nA&B: b<\n");
    expect("table {{.Label \"com.docker.my-key_x\"}}",
           "my key x\nweb/com.docker.my-key_x\na&b/com.docker.my-key_x\n");
    expect("{{.Label \"x\"}}", "web/x\na&b/x\n");
    expect("{{json .}}", "{\"ID\":\"0123456789ab\",\"Names\":\"web\"}\n"
                         "{\"ID\":\"b\\u003c\",\"Names\":\"a\\u0026b\"}\n");
}

static void test_format_errors(void **state UNUSED)
{
    expect("{{.Nope}}", "template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in "
                        "type *row");
    expect("{{.ID", "template parsing error: template: :1: unclosed action");
    expect("{{.Label}}", "template: :1:2: executing \"\" at <.Label>: wrong number of args for "
                         "Label: want 1 got 0");
}

static bool is_a(const char *value, const void *arg UNUSED)
{
    return *value == 'a';
}

static void test_filters(void **state UNUSED)
{
    static const char *const keys[] = { "name", "label", NULL };
    struct show_filters f;
    struct err e;

    assert_int_equal(
        show_filters_parse((const char *[]){ "name=b", "name=a", "label=a" }, 3, keys, &f, &e),
        0);
    assert_true(show_filters_any(&f, "name", is_a, NULL));
    assert_false(show_filters_all(&f, "name", is_a, NULL));
    assert_true(show_filters_all(&f, "label", is_a, NULL));
    assert_true(show_filters_any(&f, "id", is_a, NULL));
    assert_true(show_filters_has(&f, "label"));
    assert_false(show_filters_has(&f, "lab"));
    assert_int_equal(show_filters_parse((const char *[]){ "name" }, 1, keys, &f, &e), -ERR_USAGE);
    assert_int_equal(show_filters_parse((const char *[]){ "foo=1" }, 1, keys, &f, &e),
                     -ERR_INVALID);
    assert_string_equal(e.text, "invalid filter 'foo'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_durations),
        cmocka_unit_test(test_ellipsis), cmocka_unit_test(test_align),
        cmocka_unit_test(test_formats),  cmocka_unit_test(test_format_errors),
        cmocka_unit_test(test_filters),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
