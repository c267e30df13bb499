#include "oci/ref.h"

#include "unit.h"

static void good(const char *text, const char *full, const char *familiar)
{
    char got[REF_TEXT_MAX];
    struct err e = { 0 };
    struct ref ref;

    assert_int_equal(ref_parse(text, &ref, &e), 0);
    ref_full(&ref, got);
    assert_string_equal(got, full);
    ref_familiar(&ref, got);
    assert_string_equal(got, familiar);
    assert_string_equal(ref_familiar_name(full), familiar);
    assert_int_equal(ref.path_at, strlen(ref.host) + 1);
}

#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX64

static void references(void **state UNUSED)
{
    good("redis", "docker.io/library/redis:latest", "redis:latest");
    good("redis:7", "docker.io/library/redis:7", "redis:7");
    good("node:18", "docker.io/library/node:18", "node:18");
    good("local/busybox", "docker.io/local/busybox:latest", "local/busybox:latest");
    good("docker.io/redis", "docker.io/library/redis:latest", "redis:latest");
    good("index.docker.io/library/redis:1", "docker.io/library/redis:1", "redis:1");
    good("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest");
    good("localhost/x", "localhost/x:latest", "localhost/x:latest");
    good("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest");
    good("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1");
    good("host.example/x@" DIGEST, "host.example/x@" DIGEST, "host.example/x@" DIGEST);
    good("x:1@" DIGEST, "docker.io/library/x:1@" DIGEST, "x:1@" DIGEST);
    good("[::1]:5000/a/b:t", "[::1]:5000/a/b:t", "[::1]:5000/a/b:t");
    good("[2001:db8::1]:5000/a/b:t@" DIGEST, "[2001:db8::1]:5000/a/b:t@" DIGEST,
         "[2001:db8::1]:5000/a/b:t@" DIGEST);
    good("[::ffff:127.0.0.1]:65535/a", "[::ffff:127.0.0.1]:65535/a:latest",
         "[::ffff:127.0.0.1]:65535/a:latest");
    good("localhost:1/x@" DIGEST, "localhost:1/x@" DIGEST, "localhost:1/x@" DIGEST);
    good("[fe80::1]/a", "[fe80::1]/a:latest", "[fe80::1]/a:latest");
    good("a__b/c-d--e.f:T_1.x-", "docker.io/a__b/c-d--e.f:T_1.x-", "a__b/c-d--e.f:T_1.x-");
    good("docker.io/host.io/x", "docker.io/host.io/x:latest", "docker.io/host.io/x:latest");
    good("Host/x", "Host/x:latest", "Host/x:latest");
    good("docker.io/library/" HEX64 ":1", "docker.io/library/" HEX64 ":1", "library/" HEX64 ":1");
}

static void bad(const char *text, const char *why)
{
    struct ref ref = { .tag = "untouched" };
    struct err e = { 0 };

    assert_int_equal(ref_parse(text, &ref, &e), -ERR_INVALID);
    if (!strstr(e.text, why))
        fail_msg("'%s': '%s' is not in '%s'", text, why, e.text);
    assert_string_equal(ref.tag, "untouched");
}

static void errors_name_the_part(void **state UNUSED)
{
    char longest[600];

    bad("", "empty");
    bad("Redis", "lower-case");
    bad("a/B", "lower-case");
    bad("a//b", "'a//b'");
    bad("/a", "'/a'");
    bad("a/", "'a/'");
    bad("-a", "'-a'");
    bad("a_", "'a_'");
    bad("a___b", "'a___b'");
    bad("a..b", "'a..b'");
    bad("../etc", "host '..'");
    bad("a:", "tag ''");
    bad("a:.x", "tag '.x'");
    bad("a:x y", "tag 'x y'");
    bad("a@sha256:12", "digest 'sha256:12'");
    bad("a@md5:0123", "digest");
    bad("a@" DIGEST "0", "digest");
    bad("a:1@", "digest ''");
    bad("ho_st.x/a", "host 'ho_st.x'");
    bad("host:99999999/a", "port '99999999'");
    bad("host:65536/a", "port '65536'");
    bad("host:0/a", "port '0'");
    bad("host:5k/a:1", "port '5k'");
    bad("host:/a", "port ''");
    bad("[::1]:/a", "port ''");
    bad("[::1]:x/a", "port 'x'");
    bad("[::1]5000/a", "host '[::1]5000'");
    bad("[::1/a", "host '[::1'");
    bad("[zz]/a", "host '[zz]'");
    bad("[::1::2]/a", "IPv6");
    bad("[1:2:3]/a", "IPv6");
    bad("[fe80::1%eth0]/a", "IPv6");
    bad("[]/a", "host '[]'");
    bad("::1/a", "brackets");
    bad("fe80::1:5000/a", "brackets");
    bad("redis:7:8", "repository 'redis:7'");
    bad("host.x/a:1@sha256:", "digest 'sha256:'");
    bad("x@" DIGEST "@" DIGEST, "digest");
    bad(HEX64, "look like an id");
    bad(".x/a", "host");
    bad("host.x/", "repository is missing");
    bad("a b", "repository");
    bad("a\nb", "repository");
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "x:", 2);
    longest[2 + 129] = '\0';
    bad(longest, "longer than 128");
    memset(longest, 'a', sizeof(longest));
    longest[250] = '\0'; /* with docker.io/library/ too long */
    bad(longest, "longer than 255");
    longest[250] = 'a';
    longest[599] = '\0';
    bad(longest, "too long");
}

static void digests(void **state UNUSED)
{
    assert_true(digest_valid(DIGEST));
    assert_false(
        digest_valid("sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"));
    assert_false(
        digest_valid("sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    assert_false(
        digest_valid("sha256:../../../../../../../../../../../../../../../../../../../../etc"));
    assert_false(digest_valid(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references),
        cmocka_unit_test(errors_name_the_part),
        cmocka_unit_test(digests),
    };

    return cmocka_run_group_tests_name("oci_ref", tests, NULL, NULL);
}
