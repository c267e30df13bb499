#include "otlp/config.h"
#include "trace/trace.h"
#include "util/str.h"
#include "util/time.h"

#include "unit.h"

#include <jansson.h>
#include <stdlib.h>

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void clean(void)
{
    static const char *const names[] = { "OTEL_EXPORTER_OTLP_ENDPOINT",
                                         "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                                         "OTEL_SDK_DISABLED",
                                         "OTEL_TRACES_EXPORTER",
                                         "OTEL_SERVICE_NAME",
                                         "OTEL_RESOURCE_ATTRIBUTES",
                                         "TRACEPARENT" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unsetenv(names[i]);
}

static void traces_are_off_unless_asked_for(void **state UNUSED)
{
    struct trace t;

    clean();
    assert_false(trace_wanted());
    trace_begin(&t);
    assert_int_equal(trace_add(&t, "x", -1, 1, 2), -1);
    trace_text(&t, -1, "a", "b");
    assert_int_equal(trace_send(&t, "/nonexistent", "/nonexistent", NULL), 0);
    (void)setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "", 1);
    assert_false(trace_wanted());
    (void)setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", 1);
    assert_true(trace_wanted());
    (void)setenv("OTEL_SDK_DISABLED", "True", 1);
    assert_false(trace_wanted());
    (void)unsetenv("OTEL_SDK_DISABLED");
    (void)setenv("OTEL_TRACES_EXPORTER", "none", 1);
    assert_false(trace_wanted());
    (void)setenv("OTEL_TRACES_EXPORTER", "console,otlp", 1);
    assert_true(trace_wanted());
    (void)setenv("TRACEPARENT", "00-" TRACE "-" PARENT "-00", 1); /* not sampled */
    trace_begin(&t);
    assert_false(t.on);
}

static void parents_are_well_formed_or_ignored(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "00-" TRACE "-" PARENT "-1",
        "00-" TRACE "-" PARENT "-01-x",
        "ff-" TRACE "-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00_" TRACE "-" PARENT "-01",
        "01-" TRACE "-" PARENT "-01x",
    };
    char trace[33] = "", span[17] = "";
    bool sampled = false;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(trace_parent_parse(bad[i], trace, span, &sampled));
    assert_true(trace_parent_parse("00-" TRACE "-" PARENT "-01", trace, span, &sampled));
    assert_string_equal(trace, TRACE);
    assert_string_equal(span, PARENT);
    assert_true(sampled);
    assert_true(trace_parent_parse("cc-" TRACE "-" PARENT "-02-more", trace, span, &sampled));
    assert_false(sampled);
}

static const char *at(json_t *span, const char *key)
{
    return json_string_value(json_object_get(span, key));
}

static void spans_become_otlp(void **state UNUSED)
{
    struct trace t;
    autofree char *text = NULL;
    json_t *j, *spans, *root, *child, *attributes;
    char number[24];
    int boot, vm;

    clean();
    (void)setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", 1);
    (void)setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine, a=b%2Cc,bad,d=%FF", 1);
    (void)setenv("TRACEPARENT", "00-" TRACE "-" PARENT "-01", 1);
    trace_begin(&t);
    boot = trace_add(&t, "vm_boot", -1, t.mono_ns, t.mono_ns + 5);
    vm = trace_add(&t, "vm_start", boot, t.mono_ns + 1, t.mono_ns + 3);
    trace_text(&t, boot, "box_id", "abc");
    trace_text(&t, boot, "bad", "\xff");
    trace_number(&t, boot, "exit_code", INT64_C(9007199254740993));
    trace_flag(&t, boot, "oom_killed", true);
    trace_failed(&t, vm, "no luck");
    text = trace_json(&t);
    assert_non_null(text);
    j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    attributes = json_object_get(
        json_object_get(json_array_get(json_object_get(j, "resourceSpans"), 0), "resource"),
        "attributes");
    assert_string_equal(at(json_array_get(attributes, 0), "key"), "service.name");
    assert_string_equal(
        at(json_object_get(json_array_get(attributes, 1), "value"), "stringValue"), "b,c");
    assert_string_equal(at(json_array_get(attributes, 2), "key"), "service.version");
    spans = json_object_get(
        json_array_get(
            json_object_get(json_array_get(json_object_get(j, "resourceSpans"), 0), "scopeSpans"),
            0),
        "spans");
    assert_int_equal(json_array_size(spans), 2);
    root = json_array_get(spans, 0);
    child = json_array_get(spans, 1);
    assert_string_equal(at(root, "traceId"), TRACE);
    assert_string_equal(at(root, "parentSpanId"), PARENT);
    assert_string_equal(at(child, "parentSpanId"), at(root, "spanId"));
    assert_string_not_equal(at(child, "spanId"), at(root, "spanId"));
    assert_null(json_object_get(root, "status"));
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(child, "status"), "code")), 2);
    (void)snprintf(number, sizeof(number), "%lld", (long long)t.real_ns);
    assert_string_equal(at(root, "startTimeUnixNano"), number);
    (void)snprintf(number, sizeof(number), "%lld", (long long)t.real_ns + 5);
    assert_string_equal(at(root, "endTimeUnixNano"), number);
    attributes = json_object_get(root, "attributes");
    assert_int_equal(json_array_size(attributes), 3);
    assert_string_equal(at(json_object_get(json_array_get(attributes, 1), "value"), "intValue"),
                        "9007199254740993");
    json_decref(j);
    trace_done(&t);
}

static void no_more_spans_than_there_is_room_for(void **state UNUSED)
{
    struct trace t;

    clean();
    (void)setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318", 1);
    trace_begin(&t);
    for (int i = 0; i < TRACE_SPANS_MAX; i++)
        assert_int_equal(trace_add(&t, "x", -1, 1, 2), i);
    assert_int_equal(trace_add(&t, "x", -1, 1, 2), -1);
    trace_done(&t);
}

/* ---- the sender's configuration ---------------------------------------- */

static const char *const (*the_env)[2];

static char *get(const char *name)
{
    union {
        const char *c;
        char *v;
    } value = { .c = NULL };

    for (size_t i = 0; the_env[i][0]; i++)
        if (strcmp(the_env[i][0], name) == 0)
            value.c = the_env[i][1];
    return value.v;
}

static void endpoints_headers_and_limits(void **state UNUSED)
{
    static const char *const all[][2] = {
        { "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/x" },
        { "OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a%3Db, x = y ,empty=,," },
        { "OTEL_EXPORTER_OTLP_TIMEOUT", "1500" },
        { "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf" },
        { NULL, NULL },
    };
    static const char *const traces[][2] = {
        { "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/" },
        { "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://t/spans" },
        { "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "" },
        { NULL, NULL },
    };
    struct otlp_config c;
    struct err e;

    the_env = all;
    assert_int_equal(otlp_config_read(&c, get, &e), 0);
    assert_string_equal(c.url, "http://c:4318/x/v1/traces");
    assert_int_equal(c.headers.n, 3);
    assert_string_equal(c.headers.v[0], "authorization: Bearer a=b");
    assert_string_equal(c.headers.v[1], "x: y");
    assert_string_equal(c.headers.v[2], "empty;");
    assert_int_equal(c.timeout_ms, 1500);
    otlp_config_done(&c);
    the_env = traces;
    assert_int_equal(otlp_config_read(&c, get, &e), 0);
    assert_string_equal(c.url, "https://t/spans");
    assert_int_equal(c.timeout_ms, OTLP_TIMEOUT_MS);
    otlp_config_done(&c);
}

static void a_bad_configuration_is_named(void **state UNUSED)
{
    static const char *const bad[][2] = {
        { "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc" },
        { "OTEL_EXPORTER_OTLP_TIMEOUT", "soon" },
        { "OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0aHost: evil" },
        { "OTEL_EXPORTER_OTLP_HEADERS", "novalue" },
        { "OTEL_EXPORTER_OTLP_HEADERS", "a%3a=b" },
        { "OTEL_EXPORTER_OTLP_ENDPOINT", "file:///etc/passwd" },
        { "OTEL_EXPORTER_OTLP_ENDPOINT", "" },
    };
    struct otlp_config c;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const char *const list[][2] = { { "OTEL_EXPORTER_OTLP_ENDPOINT", "http://c" },
                                        { bad[i][0], bad[i][1] },
                                        { NULL, NULL } };

        the_env = list;
        assert_true(otlp_config_read(&c, get, &e) < 0);
        assert_non_null(strstr(e.text, bad[i][0]));
    }
    the_env = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traces_are_off_unless_asked_for),
        cmocka_unit_test(parents_are_well_formed_or_ignored),
        cmocka_unit_test(spans_become_otlp),
        cmocka_unit_test(no_more_spans_than_there_is_room_for),
        cmocka_unit_test(endpoints_headers_and_limits),
        cmocka_unit_test(a_bad_configuration_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
