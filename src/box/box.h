/*
 * Boxes: their records in state.db and their directory.
 *
 * `struct box` is a copy of a record at one moment; box_reload() looks again.
 * Every change of a record is one transaction in record.c.
 */
#pragma once

#include "box/spec.h"
#include "box/state.h"
#include "db/db.h"
#include "util/id.h"

#include <sys/types.h>

struct box {
    char id[ID_LEN];
    char *name;
    enum box_state state;
    struct box_spec spec;
    int64_t created_ns, started_ns, finished_ns; /* since 1970; 0: never */
    int exit_code;
    bool oom_killed, stopped_by_user;
    char *error; /* why it is dead or did not start; "" */
    pid_t shim_pid, vm_pid;
    uint64_t shim_start;       /* with shim_pid names the process; util/spawn.h */
    char *tier;                /* "cold" */
    uint64_t restart_count;    /* by its policy, since the user started it */
    char *health, *health_log; /* box/policy.h; "" without a check */
};

void box_free(struct box *box);
DEFINE_AUTOPTR(box)

/* By exact name, exact id, or unique prefix of an id. NOT_FOUND "No such box: Q"; INVALID
 * "Ambiguous box reference ...". Live states whose shim is gone are reconciled first: they become
 * dead with a reason, and what the shim left behind is cleaned up. */
int box_find(struct db *db, const char *home, const char *query, struct box **ret,
             struct err *e) MUST_CHECK;
int box_reload(struct db *db, struct box *box, struct err *e) MUST_CHECK;

/* Record a new box in state created; `name` NULL invents one (adjective_noun). EXISTS when the
 * name is taken, in docker's words. Makes the directory and the writable layer; on failure
 * nothing is left. `spec` is consumed, also on failure. */
int box_create(struct db *db, const char *home, const char *name, struct box_spec *own_spec,
               struct box **ret, struct err *e) MUST_CHECK;

/* Delete files and record. STATE when it runs. */
int box_remove(struct db *db, const char *home, struct box *box, struct err *e) MUST_CHECK;
int box_rename(struct db *db, struct box *box, const char *name, struct err *e) MUST_CHECK;

/* Move to another state; checks box_state_may() against what the record says *now*, in the same
 * transaction: STATE when somebody was faster. */
struct box_change {
    enum box_state to;
    bool set_shim; /* shim_pid, shim_start */
    pid_t shim_pid, vm_pid;
    uint64_t shim_start;
    bool set_exit; /* finished_ns, exit_code, oom_killed */
    int exit_code;
    bool oom_killed;
    const char *error;   /* NULL: unchanged */
    int stopped_by_user; /* -1: unchanged */
    /* What the events tell besides: somebody is attached from the start; the signal that is sent
     * (0: none); the end is what `stop` asked for. */
    bool attached, stop_done;
    int signal;
    bool restart; /* one more by the policy; a start without it is the user's: counts from 0 */
};
int box_set_state(struct db *db, struct box *box, const struct box_change *change,
                  struct err *e) MUST_CHECK;

/* $home/boxes/<id>, opened. */
int box_open_dir(const char *home, const struct box *box, struct err *e) MUST_CHECK;
/* Name checks as docker's: [a-zA-Z0-9][a-zA-Z0-9_.-]+ */
int box_check_name(const char *name, struct err *e) MUST_CHECK;

#define BOX_DISK        "disk.ext4"
#define BOX_CONSOLE_LOG "logs/console.log"
#define BOX_JSON_LOG    "logs/container.json"
#define BOX_SHIM_LOG    "logs/shim.log"
#define BOX_CTL_SOCK    "sockets/ctl.sock"
#define BOX_EXEC_SOCK   "sockets/exec.sock"
#define BOX_PTY_SOCK    "sockets/pty.sock"
#define BOX_VSOCK_SOCK  "sockets/vsock.sock"
#define BOX_FILES_SOCK  "sockets/files.sock"

/* The environment of a process in the box, in docker's order: PATH, HOSTNAME, TERM (with `tty`),
 * then the rest of the spec's. The caller calls strv_done(). */
int box_env(const struct box *box, bool tty, struct strv *ret, struct err *e) MUST_CHECK;
