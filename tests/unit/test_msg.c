#include "proto/config.h"
#include "proto/msg.h"

#include "unit.h"

struct seen {
    int n;
    size_t bytes;
    uint8_t last;
};

static int count(void *user, const struct msg *m, struct err *e UNUSED)
{
    struct seen *seen = user;

    seen->n++;
    seen->bytes += m->len;
    seen->last = m->type;
    return 0;
}

static void messages_survive_any_cut(void **state UNUSED)
{
    autostr wire = STR_INIT(0);
    struct err e;

    assert_true(msg_put(&wire, MSG_STDOUT, "hello", 5));
    assert_true(msg_put(&wire, MSG_STDIN_EOF, NULL, 0));
    assert_true(msg_put(&wire, MSG_STDERR, "x", 1));
    for (size_t step = 1; step <= wire.len; step++) {
        struct msg_reader r = { 0 };
        struct seen seen = { 0 };

        for (size_t at = 0; at < wire.len; at += step) {
            size_t n = wire.len - at < step ? wire.len - at : step;

            assert_int_equal(msg_read(&r, wire.p + at, n, count, &seen, &e), 0);
        }
        assert_int_equal(seen.n, 3);
        assert_int_equal(seen.bytes, 6);
        assert_int_equal(seen.last, MSG_STDERR);
        msg_reader_done(&r);
    }
}

static void a_claim_of_too_much_is_refused_at_once(void **state UNUSED)
{
    static const uint8_t wire[] = { MSG_STDIN, 0xff, 0xff, 0xff, 0xff };
    struct msg_reader r = { 0 };
    struct seen seen = { 0 };
    struct err e;

    assert_int_equal(msg_read(&r, wire, sizeof(wire), count, &seen, &e), -ERR_CORRUPT);
    assert_int_equal(r.pending.cap, 0);
    msg_reader_done(&r);
}

static void config_comes_back_as_it_went(void **state UNUSED)
{
    struct container_config in = { .id = (char *)"abc", .lower_lun = 1, .shm_bytes = 5 },
                            out = { 0 };
    struct mount_tmpfs *t = tlv_list_add(&in.tmpfs, sizeof(*t));
    autostr wire = STR_INIT(0);
    struct err e;

    assert_non_null(t);
    t->path = strdup("/tmp");
    in.cgroup.oom_score_adj = -5;
    in.security.caps = 0xa80425fb;
    assert_true(strv_add(&in.security.masked, "/proc/acpi"));
    assert_true(strv_add(&in.security.masked, ""));
    assert_int_equal(config_encode(container_config, &in, &wire, &e), 0);
    assert_int_equal(config_decode(container_config, cur_of(wire.p, wire.len), &out, &e), 0);
    assert_string_equal(out.id, "abc");
    assert_int_equal(out.lower_lun, 1);
    assert_int_equal(out.tmpfs.n, 1);
    assert_string_equal(TLV_AT(&out.tmpfs, struct mount_tmpfs, 0)->path, "/tmp");
    assert_int_equal(out.cgroup.oom_score_adj, -5);
    assert_int_equal(out.security.caps, 0xa80425fb);
    assert_int_equal(out.security.masked.n, 2);
    assert_string_equal(out.security.masked.v[1], "");
    assert_null(out.security.masked.v[2]);
    config_done(container_config, &out);
    in.id = NULL; /* the one member that is not ours to free */
    config_done(container_config, &in);
}

static void cut_off_and_lying_fields_are_refused(void **state UNUSED)
{
    struct exec_request in = { .container = (char *)"abc", .timeout_ns = 7 };
    autostr wire = STR_INIT(0);
    struct err e;

    assert_int_equal(config_encode(exec_request, &in, &wire, &e), 0);
    for (size_t len = 1; len < wire.len; len++) {
        struct exec_request out = { 0 };
        int r = config_decode(exec_request, cur_of(wire.p, len), &out, &e);

        assert_true(r == -ERR_CORRUPT || len == 9); /* 9: exactly the first field */
        config_done(exec_request, &out);
    }
}

static void strings_with_a_nul_are_refused(void **state UNUSED)
{
    static const char wire[] = { 0, 1, 0, 0, 0, 3, 'a', 0, 'b' };
    struct exec_request out = { 0 };
    struct err e;

    assert_int_equal(config_decode(exec_request, cur_of(wire, sizeof(wire)), &out, &e),
                     -ERR_CORRUPT);
    assert_null(out.container);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_any_cut),
        cmocka_unit_test(a_claim_of_too_much_is_refused_at_once),
        cmocka_unit_test(config_comes_back_as_it_went),
        cmocka_unit_test(cut_off_and_lying_fields_are_refused),
        cmocka_unit_test(strings_with_a_nul_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
