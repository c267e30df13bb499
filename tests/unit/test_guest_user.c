#include "guest/user.h"

#include "unit.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# comment:x:9:9::/:\n"
                             "short:x:7\n"
                             "bad:x:abc:1::/:\n"
                             "alice:x:1000:1001::/home/alice:/bin/sh\n"
                             "twin:x:1000:5::/twin:\n"
                             "nohome:x:12:13:::\n"
                             "big:x:99999999999999999999:1::/:\n"
                             "last:x:70:71::/last:/bin/sh"; /* no newline */
static const char group[] = "root:x:0:\naudio:x:29:root,alice\nalice:x:1001:\nx:x:40:alicex,al\n"
                            "video:x:44:bob,alice";

static int resolve(const char *spec, const struct strv *extra, struct user *u, struct err *e)
{
    static const struct strv none;
    struct user_files files = { .passwd = passwd,
                                .group = group,
                                .passwd_len = sizeof(passwd) - 1,
                                .group_len = sizeof(group) - 1 };

    return user_resolve(&files, spec, extra ? extra : &none, u, e);
}

static void check(const char *spec, uint32_t uid, uint32_t gid, const char *home,
                  const char *groups)
{
    autostr text = STR_INIT(4096);
    struct user u;
    struct err e;

    assert_int_equal(resolve(spec, NULL, &u, &e), 0);
    assert_int_equal(u.uid, uid);
    assert_int_equal(u.gid, gid);
    assert_string_equal(u.home, home);
    for (size_t i = 0; i < u.groups_n; i++)
        assert_true(str_addf(&text, "%u ", u.groups[i]));
    assert_string_equal(str_c(&text), groups);
    user_done(&u);
}

static void names_and_numbers_resolve_as_docker_does(void **state UNUSED)
{
    check(NULL, 0, 0, "/root", "0 29 ");
    check("", 0, 0, "/root", "0 29 ");
    check("alice", 1000, 1001, "/home/alice", "1001 29 44 ");
    check("1000", 1000, 1001, "/home/alice", "1001 29 44 ");
    check("1000:2000", 1000, 2000, "/home/alice", "2000 ");
    check("alice:audio", 1000, 29, "/home/alice", "29 ");
    check("555", 555, 0, "/", "0 ");
    check("555:audio", 555, 29, "/", "29 ");
    check("nohome", 12, 13, "/", "13 ");
    check("last", 70, 71, "/last", "71 ");
    check(":audio", 0, 29, "/root", "29 ");
}

static void fails(const char *spec, const char *text)
{
    struct user u;
    struct err e;

    assert_true(resolve(spec, NULL, &u, &e) < 0);
    assert_string_equal(e.text, text);
}

static void errors_have_dockers_texts(void **state UNUSED)
{
    fails("nosuch", "unable to find user nosuch: no matching entries in passwd file");
    fails("#", "unable to find user #: no matching entries in passwd file");
    fails("bad", "unable to find user bad: no matching entries in passwd file");
    fails("big", "unable to find user big: no matching entries in passwd file");
    fails("short", "unable to find user short: no matching entries in passwd file");
    fails("-1", "unable to find user -1: no matching entries in passwd file");
    fails("alice:nog", "unable to find group nog: no matching entries in group file");
    fails("4294967295", "uids and gids must be in range 0-2147483647");
    fails("1:4294967295", "uids and gids must be in range 0-2147483647");
}

static void extra_groups_are_added(void **state UNUSED)
{
    char *names[] = { (char *)"video", (char *)"123", (char *)"video", NULL };
    struct strv extra = { .v = names, .n = 3 };
    struct user u;
    struct err e;

    assert_int_equal(resolve("555", &extra, &u, &e), 0);
    assert_int_equal(u.groups_n, 3);
    assert_int_equal(u.groups[1], 44);
    assert_int_equal(u.groups[2], 123);
    user_done(&u);
    names[0] = (char *)"nosuch";
    assert_true(resolve("555", &extra, &u, &e) < 0);
}

static void empty_files_still_give_root(void **state UNUSED)
{
    struct user_files files = { 0 };
    struct strv none = { 0 };
    struct user u;
    struct err e;
    char name[8];

    assert_int_equal(user_resolve(&files, NULL, &none, &u, &e), 0);
    assert_string_equal(u.home, "/");
    user_done(&u);
    user_name(&files, 0, name, sizeof(name));
    assert_string_equal(name, "");
}

static void names_are_found_and_cut(void **state UNUSED)
{
    struct user_files files = { .passwd = passwd, .passwd_len = sizeof(passwd) - 1 };
    char name[5];

    user_name(&files, 1000, name, sizeof(name));
    assert_string_equal(name, "alic");
    user_name(&files, 77, name, sizeof(name));
    assert_string_equal(name, "");
}

static void groups_are_limited(void **state UNUSED)
{
    autostr text = STR_INIT(1 << 20);
    struct user_files files = { .passwd = passwd, .passwd_len = sizeof(passwd) - 1 };
    struct strv none = { 0 };
    struct user u;
    struct err e;

    for (int i = 0; i < 3000; i++)
        assert_true(str_addf(&text, "g%d:x:%d:alice\n", i, 5000 + i));
    files.group = str_c(&text);
    files.group_len = text.len;
    assert_int_equal(user_resolve(&files, "alice", &none, &u, &e), 0);
    assert_int_equal(u.groups_n, USER_GROUPS_MAX);
    user_done(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_numbers_resolve_as_docker_does),
        cmocka_unit_test(errors_have_dockers_texts),
        cmocka_unit_test(extra_groups_are_added),
        cmocka_unit_test(empty_files_still_give_root),
        cmocka_unit_test(names_are_found_and_cut),
        cmocka_unit_test(groups_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
