/* The trust policy: which rule, what is refused, and what has been verified. */
#include "oci/image.h"
#include "sign/trust.h"
#include "util/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "unit.h"

#define KEY_RULE "{\"type\":\"key\",\"keys\":[\"a.pub\"]}"

static int setup(void **state)
{
    char path[] = "/tmp/a3s-trust-XXXXXX";

    *state = mkdtemp(path) ? strdup(path) : NULL;
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    const char *home = *state;
    struct err e = { 0 };
    int r = fs_remove_tree(AT_FDCWD, home, &e);

    free(*state);
    return r < 0 ? -1 : 0;
}

static void put(const char *home, const char *name, const char *text)
{
    autofree char *path = str_format("%s/%s", home, name);
    struct err e = { 0 };

    if (fs_write_file(AT_FDCWD, path, text, strlen(text), 0600, &e) < 0)
        fail_msg("%s", e.text);
}

/* ---- parsing ---- */

static int parse(const char *text, const char *repository, struct trust_rule **ret, struct err *e)
{
    return trust_parse(text, strlen(text), repository, ret, e);
}

static void test_most_specific(void **state UNUSED)
{
    static const char policy[] = "{\"default\":{\"type\":\"reject\"},\"rules\":{"
                                 "\"example.org\":{\"type\":\"accept\"},"
                                 "\"example.org/team\":" KEY_RULE ","
                                 "\"example.org/team/web\":{\"type\":\"reject\"},"
                                 "\"localhost:5000\":{\"type\":\"accept\"},"
                                 "\"[::1]:5000/x\":{\"type\":\"accept\"}}}";
    static const struct {
        const char *repository;
        enum trust_kind kind;
        const char *scope;
    } wants[] = {
        { "example.org/x", TRUST_ACCEPT, "example.org" },
        { "example.org/team", TRUST_KEY, "example.org/team" },
        { "example.org/team/api", TRUST_KEY, "example.org/team" },
        { "example.org/team/web", TRUST_REJECT, "example.org/team/web" },
        { "example.org/team/web/x", TRUST_REJECT, "example.org/team/web" },
        { "example.org/team/website", TRUST_KEY, "example.org/team" },
        { "example.org/teamx", TRUST_ACCEPT, "example.org" },
        { "example.org.evil/team", TRUST_REJECT, "default" },
        { "docker.io/library/redis", TRUST_REJECT, "default" },
        { "localhost:5000/x", TRUST_ACCEPT, "localhost:5000" },
        { "localhost:5001/x", TRUST_REJECT, "default" },
        { "[::1]:5000/x/y", TRUST_ACCEPT, "[::1]:5000/x" },
        { "", TRUST_REJECT, "default" },
    };

    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        autoptr(trust_rule) rule = NULL;
        struct err e = { 0 };

        if (parse(policy, wants[i].repository, &rule, &e) < 0)
            fail_msg("%s", e.text);
        assert_string_equal(rule->scope, wants[i].scope);
        assert_int_equal(rule->kind, wants[i].kind);
    }
}

static void test_sigstore(void **state UNUSED)
{
    static const char policy[] =
        "{\"rules\":{\"example.org\":{\"type\":\"keyless\",\"identities\":"
        "[{\"issuer\":\"i\",\"identity\":\"n\"}],\"roots\":[\"own.pem\"]}},"
        "\"sigstore\":{\"roots\":[\"r.pem\"],\"rekor_keys\":[\"rekor.pub\"],\"ignore_sct\":true}"
        "}";
    autoptr(trust_rule) rule = NULL;
    struct err e = { 0 };

    assert_int_equal(parse(policy, "example.org/x", &rule, &e), 0);
    assert_int_equal(rule->kind, TRUST_KEYLESS);
    assert_string_equal(rule->identities[0].issuer, "i");
    assert_string_equal(rule->roots.v[0].name, "own.pem");
    assert_int_equal(rule->roots.n, 1);
    assert_string_equal(rule->rekor.v[0].name, "rekor.pub");
    assert_true(rule->ignore_sct);
}

static void test_broken(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"rules\":{}",
        "{\"rule\":{}}",
        "{\"rules\":[]}",
        "{\"default\":\"reject\"}",
        "{\"default\":{}}",
        "{\"default\":{\"type\":\"accept\",\"type\":\"reject\"}}",
        "{\"default\":{\"type\":\"Accept\"}}",
        "{\"default\":{\"type\":\"accept\",\"keys\":[\"a\"]}}",
        "{\"default\":{\"type\":\"key\"}}",
        "{\"default\":{\"type\":\"key\",\"keys\":[]}}",
        "{\"default\":{\"type\":\"key\",\"keys\":\"a\"}}",
        "{\"default\":{\"type\":\"key\",\"keys\":[1]}}",
        "{\"default\":{\"type\":\"key\",\"keys\":[\"\"]}}",
        "{\"default\":{\"type\":\"key\",\"keys\":[\"a\"],\"rekor_key\":[\"b\"]}}",
        "{\"default\":{\"type\":\"key\",\"keys\":[\"a\"],\"rekor_keys\":[]}}",
        "{\"default\":{\"type\":\"key\",\"keys\":[\"a\"],\"same_repository\":\"yes\"}}",
        "{\"default\":{\"type\":\"keyless\"}}",
        "{\"default\":{\"type\":\"keyless\",\"identities\":[{\"issuer\":\"i\"}]}}",
        "{\"default\":{\"type\":\"keyless\",\"identities\":[{\"issuer\":\"\",\"identity\":\"n\"}]"
        "}}",
        "{\"default\":{\"type\":\"keyless\",\"identities\":[{\"issuer\":\"i\",\"identity\":\"n\"}"
        "],"
        "\"ct_keys\":[\"a\"],\"ignore_sct\":true}}",
        "{\"sigstore\":{\"root\":[\"a\"]}}",
        /* scopes that would never fit, or not what they look like */
        "{\"rules\":{\"\":" KEY_RULE "}}",
        "{\"rules\":{\"redis\":" KEY_RULE "}}",
        "{\"rules\":{\"library/redis\":" KEY_RULE "}}",
        "{\"rules\":{\"local\":" KEY_RULE "}}",
        "{\"rules\":{\"example.org/\":" KEY_RULE "}}",
        "{\"rules\":{\"example.org//x\":" KEY_RULE "}}",
        "{\"rules\":{\"example.org/x:1\":" KEY_RULE "}}",
        "{\"rules\":{\"example.org/*\":" KEY_RULE "}}",
        /* a rule for somebody else that is broken stops everything, too */
        "{\"rules\":{\"example.com\":{\"type\":\"rejekt\"},\"example.org\":{\"type\":\"accept\"}}"
        "}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        autoptr(trust_rule) rule = NULL;
        struct err e = { 0 };

        if (parse(bad[i], "example.org/x", &rule, &e) >= 0)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(e.text[0] ? e.text : NULL);
    }
}

/* ---- files ---- */

static void test_files(void **state)
{
    const char *home = *state;
    autofree char *policy = str_format("%s/trust.json", home);
    struct trust_rule *rule = NULL;
    struct err e = { 0 };

    assert_int_equal(trust_find(home, "example.org/x", &rule, &e), 0); /* no file */
    assert_int_equal(rule->kind, TRUST_ACCEPT);
    trust_rule_free(rule);

    put(home, "trust.json", "{\"default\":" KEY_RULE "}");
    assert_true(trust_find(home, "example.org/x", &rule, &e) < 0); /* no a.pub */
    put(home, "a.pub", "key");
    assert_int_equal(trust_find(home, "example.org/x", &rule, &e), 0);
    assert_string_equal(str_c(&rule->keys.v[0].text), "key");
    trust_rule_free(rule);

    assert_int_equal(unlink(policy), 0);
    assert_int_equal(symlink("nowhere", policy), 0); /* somebody wanted a policy */
    assert_true(trust_find(home, "example.org/x", &rule, &e) < 0);
    assert_int_equal(unlink(policy), 0);
    assert_int_equal(mkdir(policy, 0700), 0);
    assert_true(trust_find(home, "example.org/x", &rule, &e) < 0);
}

static void test_keyless_needs(void **state)
{
    const char *home = *state;
    struct trust_rule *rule = NULL;
    struct err e = { 0 };

    assert_int_equal(trust_from_identity(home, "i", "n", &rule, &e), -ERR_INVALID);
    assert_non_null(strstr(e.text, "roots"));
    put(home, "trust.json", "{\"sigstore\":{\"roots\":[\"r\"],\"rekor_keys\":[\"r\"]}}");
    put(home, "r", "x");
    assert_int_equal(trust_from_identity(home, "i", "n", &rule, &e), -ERR_INVALID);
    assert_non_null(strstr(e.text, "ct_keys"));
    put(home, "trust.json",
        "{\"sigstore\":{\"roots\":[\"r\"],\"rekor_keys\":[\"r\"],\"ct_keys\":[\"r\"]}}");
    assert_int_equal(trust_from_identity(home, "i", "n", &rule, &e), 0);
    assert_int_equal(rule->ct.n, 1);
    trust_rule_free(rule);
}

/* ---- what has been verified ---- */

#define DIGEST "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define OTHER  "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define REPO   "example.org/x"

static void remember(const char *home, const char *digest)
{
    struct trust_rule *rule = NULL;
    struct err e = { 0 };

    assert_int_equal(trust_find(home, REPO, &rule, &e), 0);
    if (trust_remember(home, digest, rule, REPO, "by somebody", &e) < 0)
        fail_msg("%s", e.text);
    trust_rule_free(rule);
}

static void test_remember(void **state)
{
    const char *home = *state;
    struct err e = { 0 };

    assert_int_equal(trust_check_present(home, REPO, DIGEST, &e), 0); /* no policy */
    put(home, "a.pub", "key");
    put(home, "trust.json", "{\"rules\":{\"example.org\":" KEY_RULE "}}");
    assert_int_equal(trust_check_present(home, REPO, DIGEST, &e), -ERR_DENIED);
    assert_int_equal(trust_check_present(home, "example.com/x", DIGEST, &e), 0);
    remember(home, DIGEST);
    assert_int_equal(trust_check_present(home, REPO, DIGEST, &e), 0);
    assert_int_equal(trust_check_present(home, REPO, OTHER, &e), -ERR_DENIED);

    put(home, "a.pub", "another key \xe9"); /* another rule now */
    assert_int_equal(trust_check_present(home, REPO, DIGEST, &e), -ERR_DENIED);
    remember(home, DIGEST);
    assert_int_equal(trust_check_present(home, REPO, DIGEST, &e), 0);
    put(home, "a.pub", "key"); /* both are true */
    assert_int_equal(trust_check_present(home, REPO, DIGEST, &e), 0);

    put(home, "trust.json", "{\"rules\":{\"example.org\":{\"type\":\"reject\"}}}");
    assert_int_equal(trust_check_present(home, REPO, DIGEST, &e), -ERR_DENIED);
    put(home, "trust.json", "{");
    assert_true(trust_check_present(home, REPO, DIGEST, &e) < 0);
}

static void test_broken_record(void **state)
{
    const char *home = *state;
    struct err e = { 0 };

    put(home, "a.pub", "key");
    put(home, "trust.json", "{\"default\":" KEY_RULE "}");
    remember(home, DIGEST);
    put(home, "trust/1111111111111111111111111111111111111111111111111111111111111111.json",
        "{}");
    assert_true(trust_check_present(home, REPO, DIGEST, &e) < 0);
}

static void test_image_names(void **state)
{
    char a[] = "example.org/x:1", b[] = "example.com/y:1", digest[] = DIGEST;
    char *references[] = { b, a, NULL }, *none[] = { NULL };
    struct image img = { .references = references,
                         .repo_digests = none,
                         .manifest_digest = digest };
    const char *home = *state;
    struct err e = { 0 };

    put(home, "a.pub", "key");
    put(home, "trust.json", "{\"rules\":{\"example.org\":" KEY_RULE "}}");
    assert_int_equal(trust_check_image(home, "example.com/y:1", &img, &e), 0);
    assert_int_equal(trust_check_image(home, "example.org/x:1", &img, &e), -ERR_DENIED);
    assert_int_equal(trust_check_image(home, "1111", &img, &e), -ERR_DENIED); /* by id: all */
    img.references = none;
    assert_int_equal(trust_check_image(home, "1111", &img, &e), 0);
    put(home, "trust.json", "{\"default\":{\"type\":\"reject\"}}");
    assert_int_equal(trust_check_image(home, "1111", &img, &e), -ERR_DENIED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_most_specific),
        cmocka_unit_test(test_sigstore),
        cmocka_unit_test(test_broken),
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keyless_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remember, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_image_names, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
