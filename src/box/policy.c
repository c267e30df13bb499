#include "box/policy.h"

#include "box/event.h"
#include "util/parse.h"

#include <string.h>

static bool is(const char *policy, const char *name)
{
    return policy && !strcmp(policy, name);
}

static int parse_count(const char *text, uint64_t *ret, struct err *e)
{
    struct err ignored;

    if (parse_u64(text, 0, INT32_MAX, ret, &ignored) < 0)
        return err_set(e, ERR_INVALID,
                       "invalid restart policy format: maximum retry count must be an integer");
    return 0;
}

int restart_policy_parse(const char *text, char **ret_policy, uint64_t *ret_max, struct err *e)
{
    const char *colon = strchr(text, ':');
    autofree char *name = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
    uint64_t max = 0;
    int r = 0;

    if (!name)
        return err_os(e, "restart policy");
    if (colon == text)
        return err_set(e, ERR_INVALID,
                       "invalid restart policy format: no policy provided before colon");
    if (colon)
        r = parse_count(colon + 1, &max, e);
    if (r < 0)
        return r;
    if (*name && !is(name, "no") && !is(name, "always") && !is(name, "unless-stopped") &&
        !is(name, "on-failure"))
        return err_set(e, ERR_INVALID,
                       "invalid restart policy: unknown policy '%.40s'; use one of 'no', "
                       "'always', 'on-failure', or 'unless-stopped'",
                       name);
    if (colon && !is(name, "on-failure"))
        return err_set(e, ERR_INVALID,
                       "invalid restart policy: maximum retry count can only be used with "
                       "'on-failure'");
    *ret_policy = !*name || is(name, "no") ? NULL : take_ptr(name);
    *ret_max = max;
    return 0;
}

bool restart_wanted(const struct box_spec *spec, const struct restart_facts *facts)
{
    const char *policy = spec->restart_policy;

    if (is(policy, "on-failure"))
        return (facts->exit_code != 0 || facts->unhealthy) &&
               (!spec->restart_max || facts->count < spec->restart_max);
    return is(policy, "always") || is(policy, "unless-stopped");
}

bool restart_missing(const struct box *box)
{
    const struct restart_facts facts = { .exit_code = box->exit_code,
                                         .count = box->restart_count };

    return (box->state == BOX_DEAD || box->state == BOX_STOPPED) && !box->stopped_by_user &&
           restart_wanted(&box->spec, &facts);
}

uint64_t restart_delay_ns(uint64_t last_ns, uint64_t up_ns)
{
    if (last_ns == 0 || up_ns >= RESTART_GOOD_RUN)
        return RESTART_DELAY_MIN;
    return last_ns < RESTART_DELAY_MAX / 2 ? last_ns * 2 : RESTART_DELAY_MAX;
}

/* ---- health ------------------------------------------------------------ */

bool health_enabled(const struct box_spec *spec)
{
    return spec->health_test.n > 1 && strcmp(spec->health_test.v[0], "NONE") != 0;
}

struct health_change {
    struct box *box;
    const char *status, *log;
    bool changed;
};

static int set_health(struct db *db, void *user, struct err *e)
{
    const struct health_change *c = user;
    struct box *box = c->box;
    char action[64];
    int n;

    n = db_exec(db, e,
                "UPDATE boxes SET health = ?1, health_log = ?2 WHERE id = ?3 AND shim_pid = ?4"
                " AND shim_start = ?5",
                "sssil", c->status, c->log, box->id, (int)box->shim_pid,
                (int64_t)box->shim_start);
    if (n == 0)
        return err_set(e, ERR_STATE, "Box %s has another shim", box->name);
    if (n < 0 || !c->changed)
        return n < 0 ? n : 0;
    (void)snprintf(action, sizeof(action), "health_status: %s", c->status);
    return box_event(db, box, action, NULL, 0, e);
}

int box_set_health(struct db *db, struct box *box, const char *status, const char *log,
                   bool changed, struct err *e)
{
    struct health_change c = { box, status, log, changed };

    return db_transaction(db, set_health, &c, e);
}
