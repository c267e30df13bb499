#include "box/update.h"

#include "box/ctl.h"
#include "box/event.h"

#include <string.h>

const struct tlv_row box_update_rows[] = {
    { 1, TLV_U64, offsetof(struct box_update, set) },
    { 2, TLV_U64, offsetof(struct box_update, cpus) },
    { 3, TLV_U64, offsetof(struct box_update, memory_bytes) },
    { 4, TLV_STRUCT, offsetof(struct box_update, limits), cgroup_limits_rows, 0 },
    { 5, TLV_STR, offsetof(struct box_update, restart_policy) },
    { 6, TLV_U64, offsetof(struct box_update, restart_max) },
    { 7, TLV_U64, offsetof(struct box_update, cpu_shares) },
    { .type = TLV_END },
};

void box_update_done(struct box_update *u)
{
    config_done(box_update, u);
    *u = (struct box_update){ 0 };
}

static int copy(const char *from, char **to, struct err *e)
{
    char *text = from && *from ? strdup(from) : NULL;

    if (from && *from && !text)
        return err_os(e, "update");
    free(*to);
    *to = text;
    return 0;
}

static int put_limits(const struct box_update *u, struct cgroup_limits *to, struct err *e)
{
    const struct cgroup_limits *from = &u->limits;

    if (u->set & UPDATE_CPU_QUOTA)
        to->cpu_quota_us = from->cpu_quota_us;
    if (u->set & UPDATE_CPU_PERIOD)
        to->cpu_period_us = from->cpu_period_us;
    if (u->set & UPDATE_CPU_WEIGHT)
        to->cpu_weight = from->cpu_weight;
    if (u->set & UPDATE_MEMORY_LOW)
        to->memory_low = from->memory_low;
    if (u->set & UPDATE_SWAP)
        to->memory_swap_max = from->memory_swap_max;
    if (u->set & UPDATE_PIDS)
        to->pids_max = from->pids_max;
    return u->set & UPDATE_CPUSET ? copy(from->cpuset, &to->cpuset, e) : 0;
}

int box_update_apply(const struct box_update *u, const struct box_spec *spec,
                     struct box_spec *ret, struct err *e)
{
    autofree char *json = NULL;
    int r;

    *ret = (struct box_spec){ 0 };
    r = box_spec_to_json(spec, &json, e);
    if (r == 0)
        r = box_spec_from_json(json, ret, e);
    if (r == 0)
        r = put_limits(u, &ret->limits, e);
    if (r < 0)
        return r;
    if (u->set & UPDATE_CPUS)
        ret->cpus = u->cpus;
    if (u->set & UPDATE_MEMORY)
        ret->memory_bytes = u->memory_bytes;
    if (u->set & UPDATE_CPU_WEIGHT)
        ret->cpu_shares = u->cpu_shares;
    if (u->set & UPDATE_RESTART) {
        r = copy(u->restart_policy, &ret->restart_policy, e);
        ret->restart_max = u->restart_max;
    }
    if (r < 0)
        return r;
    if (ret->limits.memory_low > ret->memory_bytes)
        return err_set(e, ERR_INVALID,
                       "Minimum memory limit can not be less than memory reservation limit");
    return box_spec_check(ret, e);
}

/* ---- the record -------------------------------------------------------- */

struct change {
    struct box *box;
    const struct box_update *update;
    bool live;
};

static int store(struct db *db, const struct change *c, struct err *e)
{
    struct box_spec spec = { 0 };
    autofree char *json = NULL;
    int r;

    r = box_update_apply(c->update, &c->box->spec, &spec, e);
    if (r == 0)
        r = box_spec_to_json(&spec, &json, e);
    box_spec_done(&spec);
    if (r == 0)
        r = db_exec(db, e, "UPDATE boxes SET spec = ? WHERE id = ?", "ss", json, c->box->id);
    return r < 0 ? r : box_event(db, c->box, "update", NULL, 0, e);
}

static int change_run(struct db *db, void *user, struct err *e)
{
    const struct change *c = user;
    int r;

    r = box_reload(db, c->box, e);
    if (r < 0)
        return r;
    if (c->box->state == BOX_REMOVING)
        return err_set(e, ERR_STATE, "Box %s is being removed", c->box->name);
    if (!c->live && box_state_is_live(c->box->state))
        return err_set(e, ERR_STATE, "Box %s was just started: try again", c->box->name);
    r = store(db, c, e);
    return r < 0 ? r : box_reload(db, c->box, e);
}

int box_update_record(struct db *db, struct box *box, const struct box_update *u, bool live,
                      struct err *e)
{
    struct change c = { .box = box, .update = u, .live = live };

    return db_transaction(db, change_run, &c, e);
}

int box_update(struct db *db, const char *home, struct box *box, const struct box_update *u,
               struct err *e)
{
    struct ctl_request req = { .op = CTL_UPDATE };
    struct ctl_reply reply = { 0 };
    int r;

    if (!box_state_is_live(box->state))
        return box_update_record(db, box, u, false, e);
    req.update = *u; /* borrowed */
    r = ctl_call(home, box, &req, &reply, e);
    if (r == 0)
        config_done(ctl_reply, &reply);
    return r;
}
