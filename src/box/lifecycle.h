/*
 * Starting and ending boxes: what the verbs of the CLI (later of the CRI) do.
 */
#pragma once

#include "box/box.h"
#include "box/ctl.h"

/* a3s-box-shim --home DIR --box ID --report-fd N [--attach-fd N [--attach-stdin]]
 * [--count-restart]
 *
 * The shim writes exactly one message (proto/msg.h) to the report pipe and closes it:
 * MSG_STARTED (empty) when the workload runs and the record says so, or MSG_ERROR (struct
 * error_info: kind, status 125..127, text) when the start failed; the record then says why, or is
 * gone (auto_remove). End of file without a message: the shim died. A workload that has already
 * ended was started all the same: success. */
struct box_start {
    const char *shim_path; /* a3s-box-shim, absolute */
    int attach_fd;         /* one end of a socketpair that the shim treats as a CTL_ATTACH client
                              from before the first byte of output; -1: none. Borrowed */
    bool attach_stdin;
    bool restart; /* its policy wants it (`monitor`): counted, and tried again when it fails */
};

/* A shim on its way: `report_fd` becomes readable when box_start_end() would not block. */
struct box_starting {
    pid_t pid;
    int report_fd; /* -1: none */
};

/* Start the shim, detached (own session, survives us). Works from created, stopped and dead. A
 * root file system that was pruned is made again first; the worker that does it writes to our
 * stderr. */
int box_start_begin(struct db *db, const char *home, const struct box *box,
                    const struct box_start *how, struct box_starting *ret,
                    struct err *e) MUST_CHECK;

/* Wait for its report, and look at the record again (a --rm box may be gone already: then it is
 * left as it was). On failure the record says why (error, exit code 125..127) and the error is
 * returned; the exit status for docker's `run` is in *ret_status, set on failure only. */
int box_start_end(struct db *db, const char *home, struct box *box, struct box_starting *starting,
                  int *ret_status, struct err *e) MUST_CHECK;

/* Both: returns when the workload runs. */
int box_start(struct db *db, const char *home, struct box *box, const struct box_start *how,
              int *ret_status, struct err *e) MUST_CHECK;

/* Signal, wait up to timeout_ns (UINT64_MAX: the box's own), KILL. Returns when the record says
 * stopped. A box that does not run is left alone. */
int box_stop(struct db *db, const char *home, struct box *box, int signal, uint64_t timeout_ns,
             struct err *e) MUST_CHECK;
int box_kill(struct db *db, const char *home, struct box *box, int signal,
             struct err *e) MUST_CHECK;
int box_pause(struct db *db, const char *home, struct box *box, struct err *e) MUST_CHECK;
int box_unpause(struct db *db, const char *home, struct box *box, struct err *e) MUST_CHECK;
/* Blocks until it has ended (at once when it does not run). `tick` may be NULL. */
int box_wait(struct db *db, const char *home, struct box *box, struct tick *tick,
             int *ret_exit_code, struct err *e) MUST_CHECK;
/* It waits for its restart: now, whatever its delay. Returns when that is begun; fine when it has
 * begun by itself. */
int box_restart_now(const char *home, const struct box *box, struct err *e) MUST_CHECK;
int box_procs(const char *home, struct box *box, struct proc_list *ret, struct err *e) MUST_CHECK;

/* Capabilities, seccomp program, masked and read-only paths that a spec asks for. Uses
 * libseccomp; done once per start, in the shim. */
int box_security(const struct box_spec *spec, struct security *ret, struct err *e) MUST_CHECK;
