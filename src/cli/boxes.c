#include "cli/boxes.h"

#include "box/lifecycle.h"
#include "util/log.h"

#include <string.h>

struct each {
    struct db *db;
    const struct box_verb *verb;
};

static int one(struct cli *cli, const char *name, const void *arg, struct err *e)
{
    const struct each *each = arg;
    const char *audit = cli->cmd ? cli->cmd->audit : NULL;
    autoptr(box) box = NULL;
    int r;

    cli->audit.box_id[0] = cli->audit.box_name[0] = '\0'; /* not the one before */
    r = box_find(each->db, cli->home, name, &box, e);
    if (r < 0 && e->kind == ERR_NOT_FOUND && each->verb->missing_ok) {
        err_print(e, cli->err);
        cli_audit_skip(cli);
        return 0;
    }
    if (r >= 0) {
        cli_audit_box(cli, box);
        r = each->verb->run(cli, each->db, box, each->verb->arg, e);
    }
    if (audit) {
        cli_audit(cli, audit, name, r < 0 ? e : NULL);
        cli_audit_settle(cli);
    }
    if (r >= 0 && each->verb->echo) {
        fprintf(cli->out, "%s\n", name);
        (void)fflush(cli->out); /* seen when it is done; main checks the stream */
    }
    return r;
}

int cli_each_box(struct cli *cli, char **names, const struct box_verb *verb, struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    if (r < 0)
        return r;
    return cli_each_arg(cli, names, one, &(struct each){ db, verb }, e);
}

int cli_open_box(struct cli *cli, const char *name, struct db **ret_db, struct box **ret,
                 struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    if (r >= 0)
        r = box_find(db, cli->home, name, ret, e);
    if (r < 0)
        return r;
    cli_audit_box(cli, *ret);
    *ret_db = take_ptr(db);
    return r;
}

void cli_tell(struct db *db, const struct box *box, const char *action,
              const struct event_attr *extra, size_t extra_n)
{
    struct err e;

    if (box_event(db, box, action, extra, extra_n, &e) < 0)
        log_warn("event '%s' of box %s: %s", action, box->name, e.text);
}

char *cli_helper_path(const struct cli *cli, const char *name)
{
    const char *slash = strrchr(cli->program, '/');

    if (!slash)
        return str_format("%s", name);
    return str_format("%.*s/%s", (int)(slash - cli->program), cli->program, name);
}

int cli_start_box(struct cli *cli, struct db *db, struct box *box, int *ret_status, struct err *e)
{
    autofree char *shim = cli_helper_path(cli, "a3s-box-shim");
    struct box_start how = { .shim_path = shim, .attach_fd = -1 };
    int status;

    if (!shim)
        return err_set(e, ERR_LIMIT, "Out of memory");
    return box_start(db, cli->home, box, &how, ret_status ? ret_status : &status, e);
}
