#include "box/record.h"

#include "box/brief.h"
#include "box/event.h"
#include "box/policy.h"
#include "util/spawn.h"
#include "util/time.h"

#include <string.h>

#define COLUMNS                                                                                  \
    "id, name, state, spec, created_ns, started_ns, finished_ns, exit_code, oom_killed, error, " \
    "stopped_by_user, shim_pid, shim_start, vm_pid, tier, restart_count, health, health_log"

void box_free(struct box *box)
{
    if (!box)
        return;
    box_spec_done(&box->spec);
    free(box->name);
    free(box->error);
    free(box->tier);
    free(box->health);
    free(box->health_log);
    free(box);
}

void record_list_done(struct record_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        box_free(list->v[i]);
    free(list->v);
    *list = (struct record_list){ 0 };
}

static int row_read(struct stmt *st, struct box **ret, struct err *e)
{
    autoptr(box) box = calloc(1, sizeof(*box));
    int r;

    if (!box)
        return err_os(e, "box record");
    (void)snprintf(box->id, sizeof(box->id), "%s", stmt_text(st, 0));
    box->name = strdup(stmt_text(st, 1));
    r = box_state_parse(stmt_text(st, 2), &box->state, e);
    if (r == 0)
        r = box_spec_from_json(stmt_text(st, 3), &box->spec, e);
    if (r < 0)
        return err_ctx(e, "box %.12s", box->id);
    box->created_ns = stmt_i64(st, 4);
    box->started_ns = stmt_i64(st, 5);
    box->finished_ns = stmt_i64(st, 6);
    box->exit_code = (int)stmt_i64(st, 7);
    box->oom_killed = stmt_i64(st, 8) != 0;
    box->error = strdup(stmt_text(st, 9));
    box->stopped_by_user = stmt_i64(st, 10) != 0;
    box->shim_pid = (pid_t)stmt_i64(st, 11);
    box->shim_start = (uint64_t)stmt_i64(st, 12);
    box->vm_pid = (pid_t)stmt_i64(st, 13);
    box->tier = strdup(stmt_text(st, 14));
    box->restart_count = (uint64_t)stmt_i64(st, 15);
    box->health = strdup(stmt_text(st, 16));
    box->health_log = strdup(stmt_text(st, 17));
    if (!box->name || !box->error || !box->tier || !box->health || !box->health_log)
        return err_os(e, "box record");
    *ret = take_ptr(box);
    return 0;
}

static int list_add(struct record_list *list, struct box *own_box, struct err *e)
{
    autoptr(box) box = own_box;
    struct box **v = list->v;

    if ((list->n & (list->n - 1)) == 0) {                         /* full at every power of two */
        v = realloc(v, (list->n ? list->n * 2 : 1) * sizeof(*v)); /* NOLINT: grows */
        if (!v)
            return err_os(e, "box list");
        list->v = v;
    }
    v[list->n++] = take_ptr(box);
    return 0;
}

int record_select(struct db *db, const char *where, const char *arg, struct record_list *ret,
                  struct err *e)
{
    autofree char *sql = str_format("SELECT " COLUMNS " FROM boxes %s", where);
    struct record_list list = { 0 };
    autostmt st = { 0 };
    struct box *box = NULL;
    int r;

    if (!sql)
        return err_os(e, "box records");
    r = stmt_open(db, &st, e, sql, arg ? "s" : "", arg);
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        r = row_read(&st, &box, e);
        if (r == 0)
            r = list_add(&list, box, e);
    }
    if (r < 0)
        record_list_done(&list);
    else
        *ret = list;
    return r;
}

bool record_is_unmade(const struct box *box)
{
    return box->state == BOX_REMOVING && box->created_ns == 0;
}

bool record_owner_lives(const struct box *box)
{
    autofd int pidfd = -1;
    struct err e;

    if (box->shim_pid <= 0)
        return false;
    /* Only a certain "no" counts: out of descriptors is not a death. */
    return proc_open(box->shim_pid, box->shim_start, &pidfd, &e) != -ERR_NOT_FOUND;
}

int record_insert(struct db *db, const struct box *box, struct err *e)
{
    const struct box_spec *s = &box->spec;
    autostr command = STR_INIT(0), labels = STR_INIT(0);
    autofree char *spec = NULL;
    uint64_t start = 0;
    int r;

    box_command(s, &command);
    box_labels(s, &labels);
    r = box_spec_to_json(s, &spec, e);
    if (r == 0)
        r = proc_start_time(getpid(), &start, e);
    if (r == 0 && (command.failed || labels.failed))
        r = err_set(e, ERR_LIMIT, "The command or the labels are too long");
    if (r < 0)
        return r;
    r = db_exec(db, e,
                "INSERT INTO boxes (id, name, state, image, image_id, spec, created_ns, shim_pid,"
                " shim_start, command, labels, network, platform)"
                " VALUES (?, ?, 'removing', ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)",
                "sssssilssss", box->id, box->name, s->image ? s->image : "",
                s->image_id ? s->image_id : "", spec, (int)getpid(), (int64_t)start,
                str_c(&command), str_c(&labels), s->network ? s->network : "none",
                s->platform ? s->platform : "");
    return r < 0 ? r : 0;
}

/* Keeps the position of what the query found; drops what turns out to be gone. */
static int reconcile_all(struct db *db, const char *home, struct record_list *list, struct err *e)
{
    size_t kept = 0;
    int r = 1;

    for (size_t i = 0; i < list->n; i++) {
        struct box *box = list->v[i];

        if (r >= 0)
            r = box_reconcile(db, home, box, e);
        if (r > 0)
            list->v[kept++] = box;
        else
            box_free(box);
    }
    list->n = kept;
    return r < 0 ? r : 0;
}

static int pick(const char *query, struct record_list *found, struct box **ret, struct err *e)
{
    bool sure;

    if (!found->n)
        return err_set(e, ERR_NOT_FOUND, "No such box: %.255s", query);
    sure = !strcmp(found->v[0]->name, query) || strlen(query) == ID_LEN - 1;
    if (found->n > 1 && !sure)
        return err_set(e, ERR_INVALID, "Ambiguous box reference \"%.255s\" - matches %zu boxes",
                       query, found->n);
    *ret = take_ptr(found->v[0]);
    found->v[0] = found->v[--found->n];
    return 0;
}

int box_find(struct db *db, const char *home, const char *query, struct box **ret, struct err *e)
{
    struct record_list found = { 0 };
    int r;

    if (query[0] == '/') /* docker's names begin with it in some of its output */
        query++;
    if (!*query)
        return err_set(e, ERR_INVALID, "The name or id of a box is empty");
    /* Text from "q" up to "qg" is all that begins with q and goes on with a hexadecimal digit:
     * both halves of the OR are index searches. */
    r = record_select(db,
                      "WHERE name = ?1 OR (id >= ?1 AND id < ?1 || 'g') ORDER BY name = ?1 DESC",
                      query, &found, e);
    if (r < 0)
        return r;
    r = reconcile_all(db, home, &found, e);
    if (r == 0)
        r = pick(query, &found, ret, e);
    record_list_done(&found);
    return r;
}

int box_reload(struct db *db, struct box *box, struct err *e)
{
    struct record_list found = { 0 };
    struct box old = *box;
    int r;

    r = record_select(db, "WHERE id = ?1", box->id, &found, e);
    if (r < 0)
        return r;
    if (!found.n)
        return err_set(e, ERR_NOT_FOUND, "No such box: %s", box->name);
    *box = *found.v[0];
    *found.v[0] = old;
    record_list_done(&found);
    return 0;
}

struct transition {
    struct box *box;
    const struct box_change *change;
};

static int refuse(const struct box *box, enum box_state now, enum box_state to, struct err *e)
{
    if (now == BOX_REMOVING)
        return err_set(e, ERR_STATE, "Box %s is being removed", box->name);
    if (to == BOX_STARTING)
        return err_set(e, ERR_STATE, "Box %s is already running", box->name);
    if (to == BOX_REMOVING)
        return err_set(e, ERR_STATE,
                       "cannot remove box \"%s\": box is %s: stop the box before removing or "
                       "force remove",
                       box->name, box_state_name(now));
    if (!box_state_is_live(now))
        return err_set(e, ERR_STATE, "Box %s is not running", box->name);
    return err_set(e, ERR_STATE, "Box %s is %s, it cannot become %s", box->name,
                   box_state_name(now), box_state_name(to));
}

/* +1, 0 or, for a start by the user, -1: from the beginning. */
static int count_restart(const struct transition *t)
{
    if (t->change->restart)
        return 1;
    return t->change->to == BOX_STARTING ? -1 : 0;
}

/* Does another run begin? Then what the record says of the last one goes. */
static bool is_new_run(enum box_state from, enum box_state to)
{
    return to == BOX_STARTING || (from == BOX_RESTARTING && to == BOX_RUNNING);
}

/* One UPDATE: unchanged columns are set to themselves. */
static int apply(struct db *db, const struct transition *t, int64_t now_ns, struct err *e)
{
    const struct box_change *c = t->change;
    bool live = box_state_is_live(c->to), checked = health_enabled(&t->box->spec);

    return db_exec(
        db, e,
        "UPDATE boxes SET state = ?1,"
        " started_ns = iif(?2, ?3, started_ns), finished_ns = iif(?4, ?3, finished_ns),"
        " exit_code = iif(?4, ?5, iif(?6, 0, exit_code)),"
        " oom_killed = iif(?4, ?7, iif(?6, 0, oom_killed)),"
        " error = iif(?8 IS NULL, iif(?6, '', error), ?8),"
        " stopped_by_user = iif(?9 < 0, iif(?6, 0, stopped_by_user), ?9),"
        " shim_pid = iif(?10, ?11, iif(?13, shim_pid, 0)),"
        " shim_start = iif(?10, ?12, iif(?13, shim_start, 0)),"
        " vm_pid = iif(?14, ?14, iif(?16, vm_pid, 0)),"
        " restart_count = iif(?17 < 0, 0, restart_count + ?17),"
        " health = iif(?6, ?18, health), health_log = iif(?6, '', health_log) WHERE id = ?15",
        "siliiiisiiiliisiis", box_state_name(c->to),
        c->to == BOX_RUNNING && t->box->state != BOX_PAUSED, now_ns, (int)c->set_exit,
        c->exit_code, (int)is_new_run(t->box->state, c->to), (int)c->oom_killed, c->error,
        c->stopped_by_user, (int)c->set_shim, (int)c->shim_pid, (int64_t)c->shim_start, (int)live,
        (int)c->vm_pid, t->box->id, (int)(live && c->to != BOX_RESTARTING), count_restart(t),
        checked ? HEALTH_STARTING : "");
}

static int tell_end(struct db *db, const struct transition *t, int64_t now_ns, struct err *e)
{
    char code[16], seconds[32];
    const struct event_attr attrs[] = { { "execDuration", seconds }, { "exitCode", code } };
    int64_t ran_ns = t->box->started_ns ? now_ns - t->box->started_ns : 0;
    int r = 0;

    (void)snprintf(code, sizeof(code), "%d", t->change->exit_code);
    (void)snprintf(seconds, sizeof(seconds), "%lld",
                   ran_ns > 0 ? (long long)(ran_ns / (int64_t)NS_PER_S) : 0);
    if (t->change->oom_killed)
        r = box_event(db, t->box, "oom", NULL, 0, e);
    if (r == 0)
        r = box_event(db, t->box, "die", attrs, ARRAY_LEN(attrs), e);
    if (r == 0 && t->change->stop_done)
        r = box_event(db, t->box, "stop", NULL, 0, e);
    return r;
}

/* The events of a transition, in docker's order. */
static int tell(struct db *db, const struct transition *t, enum box_state from, int64_t now_ns,
                struct err *e)
{
    const struct box_change *c = t->change;
    const char *action = NULL;
    char signal[16];
    const struct event_attr attr = { "signal", signal };
    bool kill = c->to == BOX_STOPPING && c->signal;

    if (c->set_exit)
        return tell_end(db, t, now_ns, e);
    (void)snprintf(signal, sizeof(signal), "%d", c->signal);
    if (kill)
        action = "kill";
    else if (c->to == BOX_STARTING && c->attached)
        action = "attach";
    else if (c->to == BOX_PAUSED)
        action = "pause";
    else if (from == BOX_RESTARTING && c->to == BOX_STOPPED && c->stop_done)
        action = "stop"; /* what it waited for will not be */
    else if (c->to == BOX_RUNNING)
        action = from == BOX_PAUSED ? "unpause" : "start";
    return action ? box_event(db, t->box, action, &attr, kill ? 1 : 0, e) : 0;
}

static int transition_run(struct db *db, void *user, struct err *e)
{
    const struct transition *t = user;
    int64_t now_ns = time_real_ns();
    enum box_state from;
    int r;

    r = box_reload(db, t->box, e);
    if (r < 0)
        return r;
    if (t->change->restart && t->change->to == BOX_STARTING && t->box->stopped_by_user)
        return err_set(e, ERR_STATE, "Box %s was stopped meanwhile", t->box->name);
    if (!box_state_may(t->box->state, t->change->to))
        return refuse(t->box, t->box->state, t->change->to, e);
    from = t->box->state;
    r = apply(db, t, now_ns, e);
    if (r >= 0)
        r = tell(db, t, from, now_ns, e);
    return r < 0 ? r : box_reload(db, t->box, e);
}

int box_set_state(struct db *db, struct box *box, const struct box_change *change, struct err *e)
{
    struct transition t = { .box = box, .change = change };

    return db_transaction(db, transition_run, &t, e);
}
