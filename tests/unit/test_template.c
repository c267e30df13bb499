/* The template engine: what Go's own engine cannot be asked, because it knows nothing of our
 * types and limits, and the core of the language. tests/interop/gotemplate compares the rest. */
#include "show/template.h"

#include <locale.h>

#include "unit.h"

static const char object[] =
    "{\"Name\":\"/web\",\"n\":42,\"f\":1.5,\"t\":true,\"nul\":null,\"s\":\"h\\u00e9llo\","
    "\"q\":\"a<b>&c\\u2028\",\"list\":[\"a\",\"b\"],\"map\":{\"k\":\"v\",\"a.b\":\"<x>\"},"
    "\"State\":{\"Status\":\"up\",\"Pid\":7,\"Health\":null},\"Binds\":null,\"Labels\":null,"
    "\"Ulimits\":[{\"Name\":\"nofile\",\"Soft\":512,\"Hard\":1024}],"
    "\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"data\"}],\"\\u0001hidden\":\"secret\"}";

static int shout(const json_t *self UNUSED, const char *const *args, struct str *ret,
                 struct err *e)
{
    if (!*args[0])
        return err_set(e, ERR_INVALID, "nothing to shout");
    str_addf(ret, "%s!%s", args[0], args[1]);
    return 0;
}

static void ulimit_text(const json_t *v, struct str *out)
{
    str_addf(out, "%s=%lld", json_string_value(json_object_get(v, "Name")),
             json_integer_value(json_object_get(v, "Soft")));
}

static const struct show_type state_type = { .name = "*State", .form = SHOW_PTR };
static const struct show_type slice = { .name = "[]string", .form = SHOW_SLICE };
static const struct show_type map = { .form = SHOW_MAP };
static const struct show_type ulimit = { .form = SHOW_PTR, .string = ulimit_text };
static const struct show_type ulimits = { .form = SHOW_SLICE, .elem = &ulimit };
static const struct show_type mount = { .name = "Mount", .form = SHOW_STRUCT };
static const struct show_type mounts = { .form = SHOW_SLICE, .elem = &mount };
static const struct show_field fields[] = {
    { "State", &state_type }, { "Binds", &slice },   { "Labels", &map },
    { "Ulimits", &ulimits },  { "Mounts", &mounts }, { NULL, NULL },
};
static const struct show_method methods[] = { { "Shout", 2, shout }, { NULL, 0, NULL } };
static const struct show_type root_type = {
    .name = "*Root", .form = SHOW_PTR, .fields = fields, .methods = methods
};

/* The output, or, when it fails, "output|error". */
static void expect(const char *template, const struct show_exec *how, const char *want)
{
    json_t *data = json_loads(object, JSON_ALLOW_NUL, NULL);
    autoptr(show_template) t = NULL;
    autostr out = STR_INIT(1 << 20);
    struct show_exec x = *how;
    struct err e;
    int r;

    assert_non_null(data);
    x.data = data;
    r = show_template_parse(template, &t, &e);
    if (r >= 0)
        r = show_template_exec(t, &x, &out, &e);
    if (r < 0)
        str_addf(&out, "|%s", e.text);
    assert_string_equal(str_c(&out), want);
    json_decref(data);
}

struct row {
    const char *template, *want;
};

static void test_language(void **state UNUSED)
{
    static const struct row rows[] = {
        { "plain", "plain" },
        { "", "" },
        { "{{.Name}}", "/web" },
        { "{{.n}} {{.f}} {{.t}} {{.nul}} {{.none}}", "42 1.5 true <no value> <no value>" },
        { "{{.list}} {{.map}}", "[a b] map[a.b:<x> k:v]" },
        { "{{range $i, $e := .list}}{{$i}}{{$e}} {{end}}", "0a 1b " },
        { "{{range .list}}{{if eq . \"a\"}}{{continue}}{{end}}{{.}}{{end}}", "b" },
        { "{{range .nul}}x{{else}}none{{end}}", "none" },
        { "{{with .State}}{{.Pid}}{{end}}{{with .nul}}x{{else}}y{{end}}", "7y" },
        { "{{if and .t (gt .n 41)}}yes{{else if .f}}f{{else}}no{{end}}", "yes" },
        { "{{$x := 1}}{{if .t}}{{$x = 2}}{{end}}{{$x}}", "2" },
        { "{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .n}}", "<42>" },
        { "{{block \"b\" .State}}{{.Status}}{{end}}", "up" },
        { "a {{- .n -}} b{{/* c */}}", "a42b" },
        { "{{index .map \"a.b\"}} {{index .list 1}} {{len .s}} {{slice .Name 1}}",
          "<x> b 6 web" },
        { "{{printf \"%-5s|%03d|%q\" \"x\" 7 .Name}}", "x    |007|\"/web\"" },
        { "{{join .list \",\"}} {{upper .s}} {{json .map}}",
          "a,b H\xc3\x89LLO {\"a.b\":\"<x>\",\"k\":\"v\"}" },
        { "{{split \"a/b\" \"/\"}} {{title \"hello\"}} {{pad \"x\" 1 2}}| {{truncate \"abc\" 2}}",
          "[a b] Hello  x  | ab" },
        { "{{html .q}}", "a&lt;b&gt;&amp;c\xe2\x80\xa8" },
        { "{{json .q}}", "\"a<b>&c\\u2028\"" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(rows[i].template, &(struct show_exec){ 0 }, rows[i].want);
}

static void test_errors(void **state UNUSED)
{
    static const struct row rows[] = {
        { "{{.n", "|template: :1: unclosed action" },
        { "\n{{end}}", "|template: :2: unexpected {{end}}" },
        { "{{if .n}}", "|template: :1: unexpected EOF" },
        { "{{nosuch}}", "|template: :1: function \"nosuch\" not defined" },
        { "{{$x}}", "|template: :1: undefined variable \"$x\"" },
        { "{{\"a}}", "|template: :1: unterminated quoted string" },
        { "a{{.none}}", "a|template: :1:3: executing \"\" at <.none>: map has no entry for key "
                        "\"none\"" },
        { "{{index .list 5}}",
          "|template: :1:2: executing \"\" at <index .list 5>: error calling "
          "index: index out of range: 5" },
        { "{{.n.x}}", "|template: :1:4: executing \"\" at <.n.x>: can't evaluate field x in type "
                      "interface {}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(rows[i].template, &(struct show_exec){ .missing_error = true }, rows[i].want);
}

static void test_types(void **state UNUSED)
{
    static const struct row rows[] = {
        { "{{.State}}", "{up 7 <nil>}" },
        { "{{.Mounts}}", "[{volume data}]" },
        { "{{.Ulimits}}", "[nofile=512]" },
        { "{{.Binds}} {{.Labels}}", "[] map[]" },
        { "{{range .Binds}}x{{else}}none{{end}}", "none" },
        { "{{json .State}} {{json .Binds}}",
          "{\"Status\":\"up\",\"Pid\":7,\"Health\":null} null" },
        { "{{printf \"%+v\" .State}}", "{Status:up Pid:7 Health:<nil>}" },
        { "{{if .State}}yes{{end}}{{if .Binds}}no{{end}}", "yes" },
        { "{{.Shout \"a\" \"b\"}} {{\"b\" | .Shout \"a\"}}", "a!b a!b" },
        { "{{.Shout \"a\"}}", "|template: :1:2: executing \"\" at <.Shout>: wrong number of args "
                              "for Shout: want 2 got 1" },
        { "{{.Shout \"\" \"b\"}}", "|template: :1:2: executing \"\" at <.Shout>: error calling "
                                   "Shout: nothing to shout" },
        { "{{.Shout .n \"b\"}}", "|template: :1:9: executing \"\" at <.n>: wrong type for value; "
                                 "expected string; got int" },
        { "{{.None}}", "|template: :1:2: executing \"\" at <.None>: can't evaluate field None in "
                       "type *Root" },
        { "{{.State.None}}", "|template: :1:8: executing \"\" at <.State.None>: can't evaluate "
                             "field None in type *State" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(rows[i].template, &(struct show_exec){ .type = &root_type }, rows[i].want);
    expect(
        "{{json .}}{{.}}{{range $k, $v := .}}{{$k}}{{end}}", &(struct show_exec){ 0 },
        "{\"Binds\":null,\"Labels\":null,\"Mounts\":[{\"Source\":\"data\",\"Type\":\"volume\"}],"
        "\"Name\":\"/web\",\"State\":{\"Health\":null,\"Pid\":7,\"Status\":\"up\"},"
        "\"Ulimits\":[{\"Hard\":1024,\"Name\":\"nofile\",\"Soft\":512}],\"f\":1.5,"
        "\"list\":[\"a\",\"b\"],\"map\":{\"a.b\":\"<x>\",\"k\":\"v\"},\"n\":42,\"nul\":null,"
        "\"q\":\"a<b>&c\\u2028\",\"s\":\"h\xc3\xa9llo\",\"t\":true}"
        "map[Binds:<nil> Labels:<nil> Mounts:[map[Source:data Type:volume]] Name:/web "
        "State:map[Health:<nil> Pid:7 Status:up] Ulimits:[map[Hard:1024 Name:nofile Soft:512]] "
        "f:1.5 list:[a b] map:map[a.b:<x> k:v] n:42 nul:<nil> q:a<b>&c\xe2\x80\xa8 "
        "s:h\xc3\xa9llo t:true]"
        "BindsLabelsMountsNameStateUlimitsflistmapnnulqst");
}

/* As docker: where its types do not have a field, it looks again into the raw JSON. */
static void test_missing_in_struct(void **state UNUSED)
{
    expect("{{.State.None}}", &(struct show_exec){ .type = &root_type, .missing_error = true },
           "|template: :1:8: executing \"\" at <.State.None>: map has no entry for key \"None\"");
}

static void test_header(void **state UNUSED)
{
    expect("{{upper .Name}} {{json .Name}} {{truncate .Name 1}} {{join .Name \",\"}}{{pad .Name "
           "1 1}}|",
           &(struct show_exec){ .header = true }, "/web /web /web /web /web |");
}

/* ---- limits ---- */

static void test_steps(void **state UNUSED)
{
    autoptr(show_template) t = NULL;
    autostr out = STR_INIT(1 << 20);
    struct err e;

    assert_int_equal(
        show_template_parse("{{range 1000000}}{{range 1000000}}{{end}}{{end}}", &t, &e), 0);
    assert_int_equal(show_template_exec(t, &(struct show_exec){ 0 }, &out, &e), -ERR_INVALID);
    assert_non_null(strstr(e.text, "template runs too long"));
}

static void test_output(void **state UNUSED)
{
    autoptr(show_template) t = NULL;
    autostr out = STR_INIT(1000);
    struct err e;

    assert_int_equal(show_template_parse("{{range 1000}}0123456789{{end}}", &t, &e), 0);
    assert_int_equal(show_template_exec(t, &(struct show_exec){ 0 }, &out, &e), -ERR_INVALID);
    assert_non_null(strstr(e.text, "output is too big"));
}

static void repeat(struct str *s, const char *text, int n)
{
    for (int i = 0; i < n; i++)
        str_adds(s, text);
}

static void test_depth(void **state UNUSED)
{
    static const struct row rows[] = { { "{{if 1}}", "{{end}}" }, { "{{(", ")}}" } };
    struct show_template *t = NULL;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autostr text = STR_INIT(0);

        str_adds(&text, i ? "{{" : "");
        repeat(&text, i ? "(" : rows[i].template, 100000);
        str_adds(&text, "1");
        repeat(&text, i ? ")" : rows[i].want, 100000);
        str_adds(&text, i ? "}}" : "");
        assert_true(show_template_parse(str_c(&text), &t, &e) < 0);
        assert_null(t);
    }
}

/* Neither alone is too deep: a template that calls itself inside of many blocks. */
static void test_depth_together(void **state UNUSED)
{
    autoptr(show_template) t = NULL;
    autostr text = STR_INIT(0), out = STR_INIT(0);
    struct err e;

    str_adds(&text, "{{define \"x\"}}");
    repeat(&text, "{{if 1}}{{with 1}}", 90);
    str_adds(&text, "{{template \"x\"}}");
    repeat(&text, "{{end}}{{end}}", 90);
    str_adds(&text, "{{end}}{{template \"x\"}}");
    assert_int_equal(show_template_parse(str_c(&text), &t, &e), 0);
    assert_int_equal(show_template_exec(t, &(struct show_exec){ 0 }, &out, &e), -ERR_INVALID);
    assert_non_null(strstr(e.text, "template is nested too deeply"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),       cmocka_unit_test(test_errors),
        cmocka_unit_test(test_types),          cmocka_unit_test(test_missing_in_struct),
        cmocka_unit_test(test_header),         cmocka_unit_test(test_steps),
        cmocka_unit_test(test_output),         cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_together),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
