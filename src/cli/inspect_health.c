#include "cli/box_inspect.h"

#include "box/ctl.h"
#include "box/policy.h"
#include "cli/output.h"

/* The shim of a running box knows the outputs since the status has changed. */
static json_t *ask_shim(const struct box *box, const char *home)
{
    const struct ctl_request req = { .op = CTL_HEALTH };
    struct ctl_reply reply = { 0 };
    json_t *health = NULL;
    struct err ignored;

    if (box->state != BOX_RUNNING && box->state != BOX_PAUSED && box->state != BOX_STOPPING)
        return NULL;
    if (ctl_call(home, box, &req, &reply, &ignored) < 0)
        return NULL; /* it has just ended: the record says the rest */
    if (reply.health)
        health = json_loads(reply.health, 0, NULL);
    config_done(ctl_reply, &reply);
    return health;
}

void box_inspect_health(json_t *state, const struct box *box, const char *home)
{
    json_t *health;

    if (!health_enabled(&box->spec))
        return;
    health = ask_shim(box, home);
    if (!health && *box->health_log)
        health = json_loads(box->health_log, 0, NULL);
    if (!health)
        health =
            json_pack("{s:s, s:i, s:[]}", "Status", *box->health ? box->health : HEALTH_STARTING,
                      "FailingStreak", 0, "Log");
    cli_set(state, "Health", health);
}

json_t *box_inspect_healthcheck(const struct box_spec *s)
{
    json_t *o = json_object(), *test = json_array();

    for (size_t i = 0; i < s->health_test.n; i++)
        (void)json_array_append_new(test,
                                    json_string(s->health_test.v[i])); /* shows as missing */
    cli_set(o, "Test", test);
    if (!health_enabled(s))
        return o;
    cli_set(o, "Interval", json_integer((json_int_t)s->health_interval_ns));
    cli_set(o, "Timeout", json_integer((json_int_t)s->health_timeout_ns));
    cli_set(o, "StartPeriod", json_integer((json_int_t)s->health_start_period_ns));
    cli_set(o, "StartInterval", json_integer((json_int_t)s->health_start_interval_ns));
    cli_set(o, "Retries", json_integer((json_int_t)s->health_retries));
    return o;
}
