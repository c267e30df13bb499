#include "box/spec.h"

#include "unit.h"

static struct box_spec full_spec(void)
{
    struct box_spec s = { 0 };
    struct mount_tmpfs *t;
    struct box_ulimit *u;

    s.image = strdup("busybox");
    s.labels = json_pack("{s:s}", "a", "b");
    assert_true(strv_add(&s.cmd, "echo") && strv_add(&s.cmd, "") && strv_add(&s.cmd, "\xff\xfe"));
    assert_true(strv_add(&s.env, "A=\"\n\\"));
    s.tty = true;
    s.stop_signal = 15;
    s.memory_bytes = (uint64_t)512 << 20;
    t = tlv_list_add(&s.tmpfs, sizeof(*t));
    t->path = strdup("/tmp");
    t = tlv_list_add(&s.tmpfs, sizeof(*t));
    t->path = strdup("/run");
    t->options = strdup("size=1m");
    u = tlv_list_add(&s.ulimits, sizeof(*u));
    u->name = strdup("nofile");
    u->soft = 512;
    u->hard = UINT64_MAX;
    s.limits.memory_swap_max = -1;
    s.limits.cpuset = strdup("0-1");
    return s;
}

static void what_is_written_is_read(void **state UNUSED)
{
    struct box_spec a = full_spec(), b = { 0 };
    autofree char *text = NULL, *again = NULL;
    struct err e;

    assert_int_equal(box_spec_to_json(&a, &text, &e), 0);
    assert_int_equal(box_spec_from_json(text, &b, &e), 0);
    assert_int_equal(b.cmd.n, 3);
    assert_string_equal(b.cmd.v[1], "");
    assert_string_equal(b.cmd.v[2], "\xff\xfe");
    assert_string_equal(b.env.v[0], "A=\"\n\\");
    assert_int_equal(b.tmpfs.n, 2);
    assert_null(TLV_AT(&b.tmpfs, struct mount_tmpfs, 0)->options);
    assert_true(TLV_AT(&b.ulimits, struct box_ulimit, 0)->hard == UINT64_MAX);
    assert_true(b.limits.memory_swap_max == -1);
    assert_null(b.hostname);
    assert_int_equal(box_spec_to_json(&b, &again, &e), 0);
    assert_string_equal(text, again);
    box_spec_done(&a);
    box_spec_done(&b);
}

static void strangers_are_refused(void **state UNUSED)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"imagine\":\"x\"}",
        "{\"image\":1}",
        "{\"tty\":\"yes\"}",
        "{\"cmd\":\"echo\"}",
        "{\"cmd\":[{\"hex\":\"0\"},1]}",
        "{\"cmd\":[{\"hex\":\"00\"}]}",
        "{\"tmpfs\":[{\"path\":\"/x\",\"mode\":\"1\"}]}",
        "{\"ulimits\":[{\"name\":\"nofile\",\"soft\":1}]}",
        "{\"stop_signal\":99999999999}",
        "{\"tty\":true,\"tty\":false}",
    };
    struct box_spec s = { 0 };
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        e = (struct err){ 0 };
        assert_int_equal(box_spec_from_json(bad[i], &s, &e), -ERR_CORRUPT);
        assert_true(e.text[0]);
        assert_null(s.image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(strangers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
