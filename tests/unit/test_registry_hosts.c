/* Where registries are: registries.json, the environment, certs.d. */
#include "registry/hosts.h"

#include "unit.h"
#include "util/fs.h"

#include <fcntl.h>
#include <string.h>

struct place {
    char dir[64];
    int fd;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));
    struct err e = { 0 };

    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/test-hosts-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->fd = fs_open_dir(AT_FDCWD, p->dir, &e);
    *state = p;
    (void)unsetenv("A3S_REGISTRY_MIRRORS");
    (void)unsetenv("A3S_REGISTRY_PROTOCOL");
    return p->fd < 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    struct err e = { 0 };

    (void)close(p->fd);
    assert_int_equal(fs_remove_tree(AT_FDCWD, p->dir, &e), 0);
    free(p);
    (void)unsetenv("A3S_REGISTRY_MIRRORS");
    (void)unsetenv("A3S_REGISTRY_PROTOCOL");
    return 0;
}

static void put(const struct place *p, const char *name, const char *text)
{
    struct err e = { 0 };

    assert_int_equal(fs_write_file(p->fd, name, text, strlen(text), 0600, &e), 0);
}

static struct endpoints ask(const struct place *p, const char *host, bool mirrors)
{
    struct endpoints all = { .n = 0 };
    struct hosts *h = NULL;
    struct err e = { 0 };

    if (hosts_load(p->dir, &h, &e) < 0 || hosts_endpoints(h, host, mirrors, &all, &e) < 0)
        fail_msg("%s", e.text);
    hosts_free(h);
    return all;
}

static void defaults(void **state)
{
    struct endpoints all;

    all = ask(*state, "docker.io", true);
    assert_int_equal(all.n, 1);
    assert_string_equal(all.v[0].authority, "registry-1.docker.io");
    assert_int_equal(all.v[0].protocol, HOST_HTTPS);
    assert_int_equal(ask(*state, "reg.example:5000", true).v[0].protocol, HOST_HTTPS);
    assert_int_equal(ask(*state, "localhost:5000", true).v[0].protocol, HOST_HTTP_OR_HTTPS);
    assert_int_equal(ask(*state, "127.0.0.9", true).v[0].protocol, HOST_HTTP_OR_HTTPS);
    assert_int_equal(ask(*state, "[::1]:5000", true).v[0].protocol, HOST_HTTP_OR_HTTPS);
    assert_int_equal(setenv("A3S_REGISTRY_PROTOCOL", "http", 1), 0);
    assert_int_equal(ask(*state, "reg.example", true).v[0].protocol, HOST_HTTP);
    assert_int_equal(setenv("A3S_REGISTRY_PROTOCOL", "https", 1), 0);
    assert_int_equal(ask(*state, "localhost", true).v[0].protocol, HOST_HTTPS);
}

static void mirrors(void **state)
{
    struct endpoints all;

    put(*state, "registries.json",
        "{\"registries\":{\"docker.io\":{\"mirrors\":[\"m.example/hub/\",\"http://"
        "n.example:81\"]},"
        "\"m.example\":{\"insecure\":true},\"plain.example\":{\"plain_http\":true}}}");
    assert_int_equal(setenv("A3S_REGISTRY_MIRRORS", "x.example=y.example,docker.io=e.example", 1),
                     0);
    all = ask(*state, "docker.io", true);
    assert_int_equal(all.n, 4);
    assert_string_equal(all.v[0].authority, "e.example");
    assert_string_equal(all.v[1].authority, "m.example");
    assert_string_equal(all.v[1].prefix, "hub/");
    assert_int_equal(all.v[1].protocol, HOST_HTTPS_OR_HTTP);
    assert_string_equal(all.v[2].authority, "n.example:81");
    assert_int_equal(all.v[2].protocol, HOST_HTTP);
    assert_false(all.v[3].mirror);
    assert_int_equal(ask(*state, "docker.io", false).n, 1);
    assert_int_equal(ask(*state, "plain.example", true).v[0].protocol, HOST_HTTP);
}

static void refused(const struct place *p, const char *text)
{
    struct hosts *h = NULL;
    struct err e = { 0 };

    put(p, "registries.json", text);
    if (hosts_load(p->dir, &h, &e) == 0)
        fail_msg("taken: %s", text);
    assert_non_null(strstr(e.text, "registries.json"));
}

static void wrong_files(void **state)
{
    refused(*state, "[]");
    refused(*state, "{");
    refused(*state, "{\"registry\":{}}");
    refused(*state, "{\"registries\":[]}");
    refused(*state, "{\"registries\":{\"a\":1}}");
    refused(*state, "{\"registries\":{\"a\":{\"mirrors\":\"x\"}}}");
    refused(*state, "{\"registries\":{\"a\":{\"mirrors\":[1]}}}");
    refused(*state, "{\"registries\":{\"a\":{\"insecure\":\"yes\"}}}");
    refused(*state, "{\"registries\":{\"a\":{\"insecur\":true}}}");
}

static void wrong_environment(void **state)
{
    static const char *const bad[] = { "x", "docker.io=", "=y", "docker.io=u:p@x" };
    struct place *p = *state;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct endpoints all;
        struct hosts *h = NULL;
        struct err e = { 0 };

        assert_int_equal(setenv("A3S_REGISTRY_MIRRORS", bad[i], 1), 0);
        assert_int_equal(hosts_load(p->dir, &h, &e), 0);
        if (hosts_endpoints(h, "docker.io", true, &all, &e) == 0)
            fail_msg("taken: %s", bad[i]);
        hosts_free(h);
    }
}

static void certificates(void **state)
{
    struct place *p = *state;
    struct host_tls tls;
    struct hosts *h = NULL;
    struct err e = { 0 };
    struct origin o;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/certs.d/localhost:5000", p->dir);
    assert_int_equal(fs_mkdirs(path, &e), 0);
    put(p, "certs.d/localhost:5000/a.crt", "AAA");
    put(p, "certs.d/localhost:5000/b.crt", "BBB");
    put(p, "certs.d/localhost:5000/c.cert", "CCC");
    assert_int_equal(hosts_load(p->dir, &h, &e), 0);
    assert_int_equal(url_origin("https://localhost:5000/", &o, &e), 0);
    assert_true(hosts_tls(h, &o, &tls, &e) < 0); /* the key is missing */
    put(p, "certs.d/localhost:5000/c.key", "KKK");
    assert_int_equal(hosts_tls(h, &o, &tls, &e), 0);
    assert_non_null(strstr(str_c(&tls.ca), "AAA"));
    assert_non_null(strstr(str_c(&tls.ca), "BBB"));
    assert_non_null(strstr(tls.key, "c.key"));
    assert_false(tls.insecure);
    host_tls_done(&tls);
    assert_int_equal(url_origin("https://localhost:5001/", &o, &e), 0);
    assert_int_equal(hosts_tls(h, &o, &tls, &e), 0);
    assert_null(tls.cert);
    host_tls_done(&tls);
    hosts_free(h);
    /* Who has certificates for it means https. */
    assert_int_equal(ask(p, "localhost:5000", true).v[0].protocol, HOST_HTTPS);
}

static void limits(void **state UNUSED)
{
    struct registry_limits l;
    struct err e = { 0 };

    assert_int_equal(registry_limits_read(&l, &e), 0);
    assert_int_equal(l.parallel, 4);
    assert_int_equal(setenv("A3S_REGISTRY_PULL_MAX_ATTEMPTS", "0", 1), 0);
    assert_true(registry_limits_read(&l, &e) < 0);
    assert_non_null(strstr(e.text, "A3S_REGISTRY_PULL_MAX_ATTEMPTS"));
    assert_int_equal(setenv("A3S_REGISTRY_PULL_MAX_ATTEMPTS", "7", 1), 0);
    assert_int_equal(registry_limits_read(&l, &e), 0);
    assert_int_equal(l.attempts, 7);
    (void)unsetenv("A3S_REGISTRY_PULL_MAX_ATTEMPTS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(mirrors, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_files, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(certificates, setup, teardown),
        cmocka_unit_test(limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
