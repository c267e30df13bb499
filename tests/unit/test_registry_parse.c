/* What registries and their users' files say. */
#include "oci/json.h"
#include "registry/auth.h"
#include "registry/challenge.h"
#include "registry/creds_file.h"
#include "registry/reply.h"
#include "registry/url.h"

#include "unit.h"

#include <string.h>

/* ---- challenges ------------------------------------------------------ */

static void bearer(const char *text, const char *realm, const char *service, const char *scope)
{
    struct challenge c = { .basic = false };
    struct err e = { 0 };

    assert_int_equal(challenge_parse(text, &c, &e), 0);
    assert_true(c.bearer);
    assert_string_equal(c.realm ? c.realm : "-", realm);
    assert_string_equal(c.service ? c.service : "-", service);
    assert_string_equal(c.scope ? c.scope : "-", scope);
    challenge_done(&c);
}

static void challenges(void **state UNUSED)
{
    bearer("Bearer realm=\"https://auth.example/token\",service=\"reg.example\","
           "scope=\"repository:a/b:pull,push\"",
           "https://auth.example/token", "reg.example", "repository:a/b:pull,push");
    bearer("bearer REALM=\"r\" , Service = s,scope=x", "r", "s", "x");
    bearer("Basic realm=\"x, y\", Bearer realm=\"z\"", "z", "-", "-");
    bearer("Bearer realm=\"z\", Basic realm=\"x\"", "z", "-", "-");
    bearer("Negotiate YWJj==, Bearer realm=z", "z", "-", "-");
    bearer("Bearer realm=\"a\\\"b\\\\c\"", "a\"b\\c", "-", "-");
    bearer("Bearer realm=a,realm=b", "a", "-", "-");
    bearer("Bearer realm=a, Bearer realm=b,service=c", "a", "-", "-");
    bearer("Bearer", "-", "-", "-");
    bearer(",, ,Bearer realm=\"\",,", "", "-", "-");
}

static void basic(void **state UNUSED)
{
    struct challenge c = { .basic = false };
    struct err e = { 0 };

    assert_int_equal(challenge_parse("Basic realm=\"Registry Realm\", charset=UTF-8", &c, &e), 0);
    assert_true(c.basic);
    assert_false(c.bearer);
    assert_null(c.realm);
    challenge_done(&c);
    assert_int_equal(challenge_parse("Negotiate", &c, &e), 0);
    assert_false(c.basic || c.bearer);
    assert_string_equal(c.other, "Negotiate");
    challenge_done(&c);
    assert_int_equal(challenge_parse("", &c, &e), 0);
    challenge_done(&c);
}

static void bad_challenges(void **state UNUSED)
{
    static const char *const bad[] = {
        "Bearer realm=\"http://x", "=x", "Bearer realm=a,\"b\"", "Bearer/1 realm=x", "\"",
    };
    char big[CHALLENGE_VALUE_MAX + 64];
    struct err e = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct challenge c = { .basic = false };

        assert_int_equal(challenge_parse(bad[i], &c, &e), -ERR_CORRUPT);
        challenge_done(&c);
    }
    (void)snprintf(big, sizeof(big), "Bearer realm=%0*d", CHALLENGE_VALUE_MAX + 1, 0);
    struct challenge c = { .basic = false };

    assert_int_equal(challenge_parse(big, &c, &e), -ERR_LIMIT);
    challenge_done(&c);
}

/* ---- tokens ---------------------------------------------------------- */

static int token(const char *text, char **ret, uint64_t *life)
{
    struct err e = { 0 };

    return token_parse(text, strlen(text), ret, life, &e);
}

static void tokens(void **state UNUSED)
{
    uint64_t life = 0;
    char *got = NULL;

    assert_int_equal(token("{\"token\":\"a.b-c\",\"expires_in\":300}", &got, &life), 0);
    assert_string_equal(got, "a.b-c");
    assert_int_equal(life, 300);
    free(got);
    assert_int_equal(
        token("{\"token\":\"\",\"access_token\":\"x\",\"expires_in\":-1}", &got, &life), 0);
    assert_string_equal(got, "x");
    assert_int_equal(life, 60);
    free(got);
    assert_true(token("{}", &got, &life) < 0);
    assert_true(token("[]", &got, &life) < 0);
    assert_true(token("{\"token\":1}", &got, &life) < 0);
    assert_true(token("{\"token\":\"a\\r\\nX: y\"}", &got, &life) < 0);
    assert_true(token("{\"token\":\"a b\"}", &got, &life) < 0);
    assert_true(token("<html>", &got, &life) < 0);
}

/* ---- URLs ------------------------------------------------------------ */

static bool same(const char *a, const char *b)
{
    struct err e = { 0 };
    struct origin x, y;

    assert_int_equal(url_origin(a, &x, &e), 0);
    assert_int_equal(url_origin(b, &y, &e), 0);
    return origin_equal(&x, &y);
}

static void origins(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "file:///etc/passwd",
        "ftp://x/",
        "http://",
        "https://u:p@x/",
        "https://u@x/",
        "http://x:0/",
        "http://x:99999/",
        "http://x\r\ny/",
        "http://../x",
        "x",
        "//x/y",
    };
    char authority[AUTHORITY_MAX];
    struct err e = { 0 };
    struct origin o;

    assert_true(same("https://A.example/x", "https://a.example:443/y?z"));
    assert_false(same("https://a.example/", "http://a.example:443/"));
    assert_false(same("https://a.example/", "https://a.example:8443/"));
    assert_false(same("https://a.example/", "https://b.a.example/"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (url_origin(bad[i], &o, &e) == 0)
            fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(url_origin("http://[::1]:5000/v2/", &o, &e), 0);
    assert_true(origin_is_loopback(&o));
    origin_authority(&o, authority);
    assert_string_equal(authority, "[::1]:5000");
    assert_int_equal(url_origin("https://127.8.9.1/", &o, &e), 0);
    assert_true(origin_is_loopback(&o));
    origin_authority(&o, authority);
    assert_string_equal(authority, "127.8.9.1");
    assert_int_equal(url_origin("https://127.example/", &o, &e), 0);
    assert_false(origin_is_loopback(&o));
}

static void resolves(const char *base, const char *location, const char *want)
{
    struct err e = { 0 };
    char *got = NULL;

    assert_int_equal(url_resolve(base, location, &got, &e), 0);
    assert_string_equal(got, want);
    free(got);
}

static void locations(void **state UNUSED)
{
    static const char *const bad[] = {
        "", "file:///etc/passwd", "gopher://x/", "javascript:1", "http://u:p@x/", "/a\nb"
    };
    struct err e = { 0 };
    char *got = NULL;

    resolves("https://r.example/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/1?x=y",
             "https://r.example/v2/a/blobs/uploads/1?x=y");
    resolves("https://r.example/v2/a/blobs/uploads/", "1",
             "https://r.example/v2/a/blobs/uploads/1");
    resolves("https://r.example/v2/a", "//cdn.example/x", "https://cdn.example/x");
    resolves("https://r.example/v2/a?n=1", "?n=2", "https://r.example/v2/a?n=2");
    resolves("http://r.example:5000/v2", "https://cdn.example/x?sig=a%2Fb#f",
             "https://cdn.example/x?sig=a%2Fb");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (url_resolve("http://r.example/v2/", bad[i], &got, &e) == 0)
            fail_msg("'%s' is taken as %s", bad[i], got);
}

static void next(const char *value, const char *want)
{
    struct err e = { 0 };
    char *got = NULL;
    int r = link_next(value, &got, &e);

    assert_int_equal(r, want != NULL);
    if (want)
        assert_string_equal(got, want);
    free(got);
}

static void links(void **state UNUSED)
{
    next("</v2/a/referrers/x?n=2&last=3>; rel=\"next\"", "/v2/a/referrers/x?n=2&last=3");
    next("<a>; rel=prev, <b>;rel=next", "b");
    next("<a>; title=\"x, <c>; rel=next\", <b>; REL=\"Next\"", "b");
    next("<a>; rel = next", "a");
    next("<a>; rel", NULL);
    next("<a>; rel=\"prev\"", NULL);
    next("<>; rel=next", NULL);
    next("<a; rel=next", NULL);
    next("a; rel=next", NULL);
    next("<a>;=;;= \"; rel=next", NULL);
    next("", NULL);
}

static void ranges(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "bytes",
        "bytes 1-2",
        "bytes 5-4/10",
        "bytes 0-10/10",
        "bytes */10",
        "bytes -1-2/10",
        "items 0-1/2",
        "bytes 0-1/2x",
        "bytes 0-18446744073709551615/*",
        "bytes 0-99999999999999999999/*",
    };
    struct content_range c;
    uint64_t last;

    assert_true(content_range_parse("bytes 10-19/20", &c));
    assert_true(c.first == 10 && c.last == 19 && c.has_total && c.total == 20);
    assert_true(content_range_parse("Bytes 0-0/*", &c));
    assert_true(c.first == 0 && c.last == 0 && !c.has_total);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (content_range_parse(bad[i], &c))
            fail_msg("'%s' is taken", bad[i]);
    assert_true(upload_range_parse("0-1023", &last) && last == 1023);
    assert_true(upload_range_parse("bytes=0-0", &last) && last == 0);
    assert_false(upload_range_parse("1-5", &last));
    assert_false(upload_range_parse("0-", &last));
    assert_false(upload_range_parse("0-5,7-9", &last));
}

/* ---- credentials ----------------------------------------------------- */

static json_t *config(const char *text)
{
    struct err e = { 0 };
    json_t *j = NULL;

    assert_int_equal(creds_config_parse(text, strlen(text), &j, &e), 0);
    return j;
}

static void auths(void **state UNUSED)
{
    autojson *j =
        config("{\"auths\":{\"reg.example\":{\"auth\":\"YW5uOmE6Yg==\"},"
               "\"https://other.example/v1/\":{\"username\":\"u\",\"password\":\"p\"},"
               "\"https://index.docker.io/v1/\":{\"auth\":\"YW5uOg==\","
               "\"identitytoken\":\"t\"},"
               "\"bad.example\":{\"auth\":\"####\"},\"odd.example\":3,\"no.example\":{}}}");
    struct creds c = { .user = NULL };
    struct err e = { 0 };

    assert_int_equal(creds_config_auth(j, "reg.example", &c, &e), 0);
    assert_string_equal(c.user, "ann");
    assert_string_equal(c.password, "a:b");
    creds_done(&c);
    assert_int_equal(creds_config_auth(j, "other.example", &c, &e), 0);
    assert_string_equal(c.user, "u");
    assert_string_equal(c.password, "p");
    creds_done(&c);
    assert_int_equal(creds_config_auth(j, "docker.io", &c, &e), 0);
    assert_string_equal(c.identity, "t");
    creds_done(&c);
    assert_int_equal(creds_config_auth(j, "no.example", &c, &e), 0);
    assert_true(creds_empty(&c));
    assert_int_equal(creds_config_auth(j, "g.example", &c, &e), 0);
    assert_true(creds_empty(&c));
    assert_true(creds_config_auth(j, "bad.example", &c, &e) < 0);
    assert_true(creds_config_auth(j, "odd.example", &c, &e) < 0);
}

static const char *helper(const json_t *j, const char *host)
{
    struct err e = { 0 };
    const char *name = NULL;

    return creds_config_helper(j, host, &name, &e) < 0 ? "bad" : name ? name : "-";
}

static void helpers(void **state UNUSED)
{
    autojson *j = config("{\"credsStore\":\"all\",\"credHelpers\":{\"a.example\":\"one\","
                         "\"https://b.example/v2/\":\"two\",\"c.example\":\"../x\","
                         "\"d.example\":4,\"e.example\":\"\"}}");
    autojson *none = config(" \n");

    assert_string_equal(helper(j, "a.example"), "one");
    assert_string_equal(helper(j, "b.example"), "two");
    assert_string_equal(helper(j, "c.example"), "bad");
    assert_string_equal(helper(j, "d.example"), "bad");
    assert_string_equal(helper(j, "e.example"), "-");
    assert_string_equal(helper(j, "f.example"), "all");
    assert_string_equal(helper(none, "a.example"), "-");
}

static void base64(void **state UNUSED)
{
    static const char *const bad[] = {
        "a", "a===", "ab=c", "YQ=", "YQ", "A", "Y Q=", "AAAA", ""
    };
    char all[256], *text, *back;

    for (size_t n = 1; n < sizeof(all); n++) {
        memset(all, (int)n, n);
        all[n] = '\0';
        text = base64_encode(all, n);
        back = base64_decode(text);
        assert_string_equal(back, all);
        free(text);
        free(back);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        back = base64_decode(bad[i]);
        if (back && strcmp(bad[i], "YQ") != 0) /* padding may be missing */
            fail_msg("'%s' is '%s'", bad[i], back);
        free(back);
    }
}

/* ---- errors ---------------------------------------------------------- */

static void cleaned(void **state UNUSED)
{
    char out[16];

    text_clean("a\x1b[31mb\r\n", out, sizeof(out));
    assert_string_equal(out, "a [31mb");
    text_clean("x\xe2\x80\xaey\xc2\x9bz\xff", out, sizeof(out)); /* RLO, CSI, no UTF-8 */
    assert_string_equal(out, "x y z");
    text_clean("0123456789abcd\xc3\xa9", out, sizeof(out));
    assert_string_equal(out, "0123456789abcd");
    text_clean("caf\xc3\xa9", out, sizeof(out));
    assert_string_equal(out, "caf\xc3\xa9");
    text_clean("", out, sizeof(out));
    assert_string_equal(out, "");
}

static void reply(unsigned status, const char *text, int kind, const char *want)
{
    struct http_request q;
    struct err e = { 0 };

    http_request_init(&q);
    q.done = true;
    q.status = status;
    assert_true(str_adds(&q.text, text));
    assert_int_equal(reply_error("reg.example", &q, &e), -kind);
    assert_string_equal(e.text, want);
    http_request_done(&q);
}

static void errors(void **state UNUSED)
{
    reply(404, "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"manifest unknown\"}]}",
          ERR_NOT_FOUND, "Registry error: reg.example - manifest unknown (404 MANIFEST_UNKNOWN)");
    reply(401, "{\"details\":\"incorrect\\u001b[2J username\"}", ERR_DENIED,
          "Registry error: reg.example - incorrect [2J username (401)");
    reply(503, "<html>", ERR_UNAVAILABLE,
          "Registry error: reg.example - service unavailable (503)");
    reply(429, "{\"errors\":[]}", ERR_UNAVAILABLE,
          "Registry error: reg.example - too many requests (429)");
    reply(500, "{\"errors\":3}", ERR_UNAVAILABLE,
          "Registry error: reg.example - internal server error (500)");
    reply(307, "", ERR_CORRUPT, "Registry error: reg.example - unexpected redirect (307)");
}

static void pauses(void **state UNUSED)
{
    struct registry_limits l = { .attempts = 5, .retry_ms = 100, .retry_max_ms = 1000 };

    for (int i = 0; i < 100; i++) {
        uint64_t ms = retry_pause_ms(&l, 1, 0);

        assert_in_range(ms, 50, 100);
        assert_in_range(retry_pause_ms(&l, 3, 0), 200, 400);
        assert_in_range(retry_pause_ms(&l, 30, 0), 500, 1000);
        assert_int_equal(retry_pause_ms(&l, 1, 700), 700);
        assert_int_equal(retry_pause_ms(&l, 1, 86400000), 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenges), cmocka_unit_test(basic),   cmocka_unit_test(bad_challenges),
        cmocka_unit_test(tokens),     cmocka_unit_test(origins), cmocka_unit_test(locations),
        cmocka_unit_test(links),      cmocka_unit_test(ranges),  cmocka_unit_test(auths),
        cmocka_unit_test(helpers),    cmocka_unit_test(base64),  cmocka_unit_test(cleaned),
        cmocka_unit_test(errors),     cmocka_unit_test(pauses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
