/* --log-driver and --log-opt, and the names of log files. */
#include "box/log_config.h"

#include "unit.h"

static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* A spec with these options: "K=V" each, NULL ends them. */
static struct box_spec make(const char *driver, const char *const *opts)
{
    struct box_spec s = { 0 };

    s.log_driver = driver ? strdup(driver) : NULL;
    s.log_opts = json_object();
    s.image = strdup("local/busybox");
    s.image_id = strdup("sha256:fedcba9876543210");
    s.labels = json_pack("{s:s, s:s, s:s}", "tier", "db", "a.b", "\"quoted\"", "zone", "x");
    assert_true(strv_add(&s.env, "PATH=/bin") && strv_add(&s.env, "LEVEL=info") &&
                strv_add(&s.env, "BYTES=\xff"));
    for (; opts && *opts; opts++) {
        const char *eq = strchr(*opts, '=');
        autofree char *key = strndup(*opts, (size_t)(eq - *opts));

        assert_int_equal(json_object_set_new(s.log_opts, key, json_string(eq + 1)), 0);
    }
    return s;
}

static void read_good(const char *driver, const char *const *opts, struct log_config *ret)
{
    struct box_spec s = make(driver, opts);
    struct err e;

    if (log_config_read(&s, id, "web", ret, &e) < 0)
        fail_msg("%s", e.text);
    box_spec_done(&s);
}

#define GOOD(driver, ret, ...) read_good(driver, (const char *const[]){ __VA_ARGS__, NULL }, ret)

static void defaults(void **state UNUSED)
{
    struct log_config c;

    read_good(NULL, NULL, &c);
    assert_int_equal(c.kind, LOG_KIND_JSON_FILE);
    assert_int_equal(c.max_bytes, 0);
    assert_false(c.compress);
    assert_null(c.attrs);
    log_config_done(&c);
    read_good("none", NULL, &c);
    assert_int_equal(c.kind, LOG_KIND_NONE);
    log_config_done(&c);
    read_good("syslog", NULL, &c);
    assert_int_equal(c.transport, SYSLOG_UNIX);
    assert_int_equal(c.facility, 3);
    assert_int_equal(c.format, SYSLOG_RFC5424_MICRO);
    assert_null(c.host);
    assert_string_equal(c.tag, "0123456789ab");
    assert_false(c.non_blocking);
    log_config_done(&c);
}

static void json_file(void **state UNUSED)
{
    struct log_config c;

    GOOD("json-file", &c, "max-size=10m");
    assert_int_equal(c.max_bytes, 10 << 20);
    assert_int_equal(c.max_files, 3);
    assert_true(c.compress);
    log_config_done(&c);
    GOOD("json-file", &c, "max-size=1k", "max-file=5", "compress=false", "mode=non-blocking",
         "max-buffer-size=4m");
    assert_int_equal(c.max_bytes, 1024);
    assert_int_equal(c.max_files, 5);
    assert_false(c.compress);
    assert_true(c.non_blocking);
    assert_int_equal(c.buffer_bytes, 4 << 20);
    log_config_done(&c);
    GOOD("json-file", &c, "labels=zone,none,a.b", "env-regex=^(LEV|BYT)",
         "tag={{.Name}}/{{ .ID }}", "env=PATH");
    assert_string_equal(c.attrs,
                        "{\"LEVEL\":\"info\",\"PATH\":\"/bin\",\"a.b\":\"\\\"quoted\\\"\","
                        "\"tag\":\"web/0123456789ab\",\"zone\":\"x\"}");
    log_config_done(&c);
    GOOD("json-file", &c, "labels-regex=^t");
    assert_string_equal(c.attrs, "{\"tier\":\"db\"}");
    log_config_done(&c);
}

static void addresses(void **state UNUSED)
{
    static const struct {
        const char *text, *host, *port;
        enum syslog_transport transport;
    } rows[] = {
        { "syslog-address=udp://localhost", "localhost", "514", SYSLOG_UDP },
        { "syslog-address=udp://10.0.0.1:5514/", "10.0.0.1", "5514", SYSLOG_UDP },
        { "syslog-address=tcp://log.example.org:601", "log.example.org", "601", SYSLOG_TCP },
        { "syslog-address=tcp://[::1]:601", "::1", "601", SYSLOG_TCP },
        { "syslog-address=tcp://[fe80::1]", "fe80::1", "514", SYSLOG_TCP },
        { "syslog-address=unix:///dev/log", "/dev/log", NULL, SYSLOG_UNIX },
        { "syslog-address=unixgram:///run/x y", "/run/x y", NULL, SYSLOG_UNIXGRAM },
    };
    struct log_config c;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        GOOD("syslog", &c, rows[i].text);
        assert_int_equal(c.transport, rows[i].transport);
        assert_string_equal(c.host, rows[i].host);
        if (rows[i].port)
            assert_string_equal(c.port, rows[i].port);
        else
            assert_null(c.port);
        log_config_done(&c);
    }
    GOOD("syslog", &c, "syslog-facility=local7", "syslog-format=rfc3164",
         "tag={{.ImageName}} {{.ImageID}} {{.FullID}} {{.DaemonName}}");
    assert_int_equal(c.facility, 23);
    assert_int_equal(c.format, SYSLOG_RFC3164);
    assert_non_null(strstr(c.tag, "local/busybox fedcba987654 0123456789abcdef0123"));
    log_config_done(&c);
    GOOD("syslog", &c, "syslog-facility=10", "syslog-format=rfc5424");
    assert_int_equal(c.facility, 10);
    log_config_done(&c);
}

static void bad(const char *driver, const char *opt, const char *want)
{
    struct box_spec s = make(driver, (const char *const[]){ opt, NULL });
    struct log_config c;
    struct err e = { 0 };

    assert_true(log_config_read(&s, id, "web", &c, &e) < 0);
    if (!strstr(e.text, want))
        fail_msg("'%s' is not in '%s'", want, e.text);
    log_config_done(&c);
    box_spec_done(&s);
}

static void what_is_refused(void **state UNUSED)
{
    bad("journald", NULL, "logger: no log driver named 'journald' is registered");
    bad("none", "max-size=1m", "invalid logging opts for driver none");
    bad("json-file", "size=1", "unknown log opt 'size' for json-file log driver");
    bad("json-file", "syslog-address=udp://x", "unknown log opt 'syslog-address'");
    bad("json-file", "max-size=0", "max-size");
    bad("json-file", "max-size=-1", "max-size");
    bad("json-file", "max-size=lots", "lots");
    bad("json-file", "max-file=0", "max-file cannot be less than 1");
    bad("json-file", "max-file=1001", "max-file");
    bad("json-file", "compress=perhaps", "compress=perhaps");
    bad("json-file", "compress=true", "compress cannot be true when");
    bad("json-file", "mode=maybe", "logger: logging mode not supported: maybe");
    bad("json-file", "max-buffer-size=1m", "only supported with 'mode=non-blocking'");
    bad("json-file", "env-regex=(", "env-regex");
    bad("json-file", "tag={{.Nope}}", "{{.Nope}} is not known");
    bad("json-file", "tag={{.Name", "has no '}}'");
    bad("syslog", "max-size=1m", "unknown log opt 'max-size' for syslog log driver");
    bad("syslog", "labels=a", "labels is not supported");
    bad("syslog", "syslog-facility=disco", "invalid syslog facility");
    bad("syslog", "syslog-facility=24", "invalid syslog facility");
    bad("syslog", "syslog-format=xml", "Invalid syslog format");
    bad("syslog", "syslog-address=localhost:514",
        "syslog-address should be in form proto://address, got localhost:514");
    bad("syslog", "syslog-address=tcp+tls://x", "TLS is not supported");
    bad("syslog", "syslog-address=unix://relative", "no absolute path");
    bad("syslog", "syslog-address=udp://", "no host and port");
    bad("syslog", "syslog-address=udp://:514", "no host and port");
    bad("syslog", "syslog-address=udp://x:0", "no host and port");
    bad("syslog", "syslog-address=udp://x:65536", "no host and port");
    bad("syslog", "syslog-address=udp://x:1:2", "no host and port");
    bad("syslog", "syslog-address=udp://x/y", "no host and port");
    bad("syslog", "syslog-address=udp://u@x", "no host and port");
    bad("syslog", "syslog-address=tcp://[::1", "no host and port");
    bad("syslog", "syslog-address=tcp://[::1]x", "no host and port");
    bad("syslog", "syslog-address=tcp://[::1]1:2", "no host and port");
}

static void too_many_attributes(void **state UNUSED)
{
    autostr text = STR_INIT(1 << 20);

    (void)str_adds(&text, "tag=");
    for (int i = 0; i < 70000; i++)
        (void)str_addc(&text, 'x');
    bad("json-file", text.p, "too long");
}

static void file_names(void **state UNUSED)
{
    static const char *const none[] = {
        "container.json",
        "container.json.",
        "container.json.0",
        "container.json.01",
        "container.json.1.gz.tmp",
        "container.json.new",
        "container.json.1x",
        "container.json.-1",
        "container.json.9999999999999999999",
        "console.log",
        "",
    };
    char name[LOG_NAME_LEN];
    uint64_t n = 0;
    bool gz;

    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_false(log_file_parse(none[i], &n, &gz));
    for (uint64_t i = 1; i < UINT64_C(1000000000000000000); i = i * 7 + 3) {
        for (int z = 0; z < 2; z++) {
            log_file_name(i, z, name);
            assert_true(log_file_parse(name, &n, &gz));
            assert_true(n == i && gz == z);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(json_file),
        cmocka_unit_test(addresses),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(too_many_attributes),
        cmocka_unit_test(file_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
