/* When a box is started again, and after how long. */
#include "box/policy.h"

#include "unit.h"

static void policies_are_read_as_dockers(void **state UNUSED)
{
    static const struct {
        const char *text, *policy;
        uint64_t max;
    } good[] = {
        { "", NULL, 0 },
        { "no", NULL, 0 },
        { "always", "always", 0 },
        { "unless-stopped", "unless-stopped", 0 },
        { "on-failure", "on-failure", 0 },
        { "on-failure:0", "on-failure", 0 },
        { "on-failure:7", "on-failure", 7 },
    };
    static const char *const bad[] = {
        "Always",
        ":1",
        "on-failure:",
        "on-failure:-1",
        "on-failure:1:2",
        "on-failure:x",
        "on-failure:99999999999",
        "always:1",
        "no:0",
        "never",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        autofree char *policy = NULL;
        uint64_t max = 99;
        struct err e = { 0 };

        if (restart_policy_parse(good[i].text, &policy, &max, &e) < 0)
            fail_msg("%s: %s", good[i].text, e.text);
        assert_int_equal(max, good[i].max);
        if (good[i].policy)
            assert_string_equal(policy, good[i].policy);
        else
            assert_null(policy);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char *policy = NULL;
        uint64_t max;
        struct err e;

        if (restart_policy_parse(bad[i], &policy, &max, &e) != -ERR_INVALID)
            fail_msg("%s is taken", bad[i]);
    }
}

static void the_exit_code_and_the_count_decide(void **state UNUSED)
{
    static char no[] = "", always[] = "always", unless[] = "unless-stopped",
                fail[] = "on-failure";
    static const struct {
        char *policy;
        uint64_t max;
        struct restart_facts facts;
        bool wanted;
    } rows[] = {
        { NULL, 0, { .exit_code = 1, .unhealthy = true }, false },
        { no, 0, { .exit_code = 1 }, false },
        { always, 0, { .exit_code = 0, .count = 1000 }, true },
        { unless, 0, { .exit_code = 3 }, true },
        { fail, 0, { .exit_code = 0 }, false },
        { fail, 0, { .exit_code = 0, .unhealthy = true }, true },
        { fail, 0, { .exit_code = 137, .count = 1000 }, true },
        { fail, 2, { .exit_code = 1, .count = 1 }, true },
        { fail, 2, { .exit_code = 1, .count = 2 }, false },
        { fail, 2, { .exit_code = 0, .count = 2, .unhealthy = true }, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct box_spec spec = { .restart_policy = rows[i].policy, .restart_max = rows[i].max };

        if (restart_wanted(&spec, &rows[i].facts) != rows[i].wanted)
            fail_msg("row %zu", i);
    }
}

static void monitor_respects_the_users_stop(void **state UNUSED)
{
    static char always[] = "always", fail[] = "on-failure";
    struct box box = { .state = BOX_DEAD, .exit_code = 255, .spec.restart_policy = always };

    assert_true(restart_missing(&box));
    box.state = BOX_STOPPED;
    assert_true(restart_missing(&box)); /* its shim got a signal: the host went down */
    box.stopped_by_user = true;
    assert_false(restart_missing(&box));
    box.stopped_by_user = false;
    box.state = BOX_RUNNING;
    assert_false(restart_missing(&box));
    box.state = BOX_CREATED;
    assert_false(restart_missing(&box));
    box.state = BOX_DEAD;
    box.spec.restart_policy = NULL;
    assert_false(restart_missing(&box));
    box.spec.restart_policy = fail;
    box.spec.restart_max = 3;
    box.restart_count = 3;
    assert_false(restart_missing(&box));
}

static void the_delay_doubles_up_to_a_minute(void **state UNUSED)
{
    static const uint64_t want_s[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
    uint64_t last = 0;

    for (size_t i = 0; i < ARRAY_LEN(want_s); i++) {
        last = restart_delay_ns(last, 29 * NS_PER_S);
        assert_int_equal(last / NS_PER_S, want_s[i]);
    }
    assert_int_equal(restart_delay_ns(last, 30 * NS_PER_S), NS_PER_S);
}

static void none_disables_a_check(void **state UNUSED)
{
    struct box_spec spec = { 0 };

    assert_false(health_enabled(&spec));
    assert_true(strv_add(&spec.health_test, "NONE"));
    assert_false(health_enabled(&spec));
    strv_done(&spec.health_test);
    assert_true(strv_add(&spec.health_test, "CMD"));
    assert_false(health_enabled(&spec)); /* of nothing */
    assert_true(strv_add(&spec.health_test, "true"));
    assert_true(health_enabled(&spec));
    strv_done(&spec.health_test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_are_read_as_dockers),
        cmocka_unit_test(the_exit_code_and_the_count_decide),
        cmocka_unit_test(monitor_respects_the_users_stop),
        cmocka_unit_test(the_delay_doubles_up_to_a_minute),
        cmocka_unit_test(none_disables_a_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
