/*
 * The shim: one process per running box, from the start of its machine to the
 * moment when the record says how it ended.
 *
 *   BOOT     the machine starts, the workload has not been started
 *   RUN      the workload runs (or is paused, or is being stopped)
 *   ENDING   its end is known; the machine goes down
 *   RESTART  the run has ended, the policy wants another: ctl.sock is open, the rest is gone
 *   DONE     the record is final, sockets are gone; clients get what they have not read yet
 *
 * One thread. Modules call each other through this header; each owns its part
 * of struct shim:
 *
 *   launch.c    opens the box, starts the machine        control.c   PORT_CONTROL
 *   config.c    spec -> what the guest is told           workload.c  main's streams and log
 *   end.c       outcomes, the way down                   client.c    ctl.sock, attached clients
 *   stop.c      stop, kill, pause, resume                relay.c     exec, pty, vsock sockets
 *   stats.c     what the guest has counted               update.c    other limits
 *   restart.c   the restart policy                       health.c    the health check
 *   trace.c     what took how long
 */
#pragma once

#include "box/box.h"
#include "box/ctl.h"
#include "box/policy.h"
#include "proto/channel.h"
#include "proto/msg.h"
#include "shim/log_sink.h"
#include "shim/relay.h"
#include "trace/trace.h"
#include "util/time.h"
#include "vmm/engine.h"

enum phase { PHASE_BOOT, PHASE_RUN, PHASE_ENDING, PHASE_RESTART, PHASE_DONE };

/* What the record and whoever waits will be told. The first one counts. */
struct outcome {
    bool known;
    bool start_failed;
    bool oom_killed;
    int status;
    int64_t finished_ns;
    struct err err; /* .kind NONE: the workload ended by itself */
};

struct control {
    struct stream *stream; /* NULL before HELLO and after the channel */
    struct str out;        /* waits for credit, or for HELLO; kept until the workload's is open */
    size_t sent;
    struct msg_reader in;
    struct timer procs_timer; /* a guest that does not answer */
    unsigned log_lines;       /* of the guest, in shim.log */
};

struct workload {
    struct stream *stream;
    struct str out;
    size_t sent;
    struct msg_reader in;
    struct log_sink log;
    size_t owed;     /* bytes that came and are not yet given back as credit */
    bool stdin_full; /* clients that feed stdin are not read */
    bool ended;      /* MSG_EXIT or MSG_ERROR came */
};

struct client;

struct clients {
    struct watch door; /* ctl.sock; .fd is owned */
    struct client *list;
    unsigned n;
    bool sweep;
};

struct stopping {
    struct timer timer; /* then KILL */
    struct timer force; /* then the machine is killed */
    bool resume;        /* the machine is paused (or about to be): resume it first */
    bool asked;         /* by `stop`: its end is an event "stop" too */
};

struct pausing {
    struct vm_reply reply;
    bool busy;   /* a pause or resume is on its way */
    bool to;     /* ... and this is where it goes */
    bool paused; /* the vCPUs stand still */
};

struct stats {
    struct timer timer; /* a guest that does not answer */
};

struct updating {
    unsigned vcpus_max;    /* what the machine was started with */
    uint64_t memory_bytes; /* likewise */
    bool busy;             /* the guest was asked for `what` */
    struct box_update what;
    struct timer timer;
    struct vm_reply reply; /* of the balloon */
    bool balloon_busy, balloon_again;
};

struct restart {
    struct timer timer;
    uint64_t waited_ns;  /* before this run; then before the next */
    uint64_t running_ns; /* monotonic: since when the workload runs; 0: it never did */
    bool again;          /* the policy, not the user, has started this run */
    bool off;            /* whoever may say so wants it to end for good */
    bool by_user;        /* ... and it was the user */
    bool unhealthy;      /* it is ended because of its health */
    bool due, late;      /* the next run may begin; must, whoever is still connected */
    bool exec;           /* to main(): restart_keep(), shim_done(), restart_exec() */
};

enum stop_by {
    STOP_USER,
    STOP_HOST,   /* a signal to the shim: the machine shuts down, say */
    STOP_HEALTH, /* to be started again */
};

struct health_result {
    int64_t start_ns, end_ns; /* since 1970 */
    int exit_code;            /* -1: it did not run, or not to its end */
    char *output;             /* UTF-8, at most HEALTH_OUTPUT_MAX bytes */
};

struct health {
    struct timer timer; /* to the next check; while one runs, to the end of our patience */
    struct stream *stream;
    struct str out; /* the request, as far as it is not sent */
    size_t sent;
    struct msg_reader in;
    struct str output;
    int64_t start_ns;
    int exit_code;
    bool busy, ended, late; /* a check runs, has ended, because of its timeout */
    const char *status;     /* box/policy.h; NULL: no check, or not running */
    uint64_t streak;        /* failures in a row */
    struct health_result log[HEALTH_LOG_MAX]; /* the oldest first */
    size_t log_n;
};

enum stage {
    STAGE_BEGIN,      /* the shim's */
    STAGE_VM,         /* the machine is begun */
    STAGE_VM_STARTED, /* the VMM runs */
    STAGE_HELLO,
    STAGE_CONTAINER, /* is there; its workload follows */
    STAGE_STARTED,   /* the record says running */
    STAGE_STOP,      /* somebody wants it to end */
    STAGE_ENDED,     /* its outcome is known */
    STAGE_VM_GONE,
    STAGE_RECORDED,
    STAGE_N,
};

struct tracing {
    struct trace trace;
    uint64_t at[STAGE_N]; /* monotonic; 0: not so far */
    struct watch sender;  /* pidfd of who takes the spans away */
    pid_t pid;
};

struct shim {
    struct loop *loop; /* borrowed */
    const struct vm_engine *engine;
    const char *home;
    struct box *box;
    char short_id[13]; /* in our log */
    bool claimed;      /* the record names us: how it ends is ours to say */
    int dir_fd;        /* the box's directory; its flock guards the sockets in it */
    int report_fd, console_fd;
    bool stdin_once; /* MSG_STDIN_EOF closes the workload's stdin */

    enum phase phase;
    struct outcome outcome;
    bool quit;                /* nothing is left to do */
    bool timed_out;           /* --timeout has ended it */
    uint64_t pending_signals; /* bit N-1: signal N came before the workload had started */

    struct vm *vm; /* NULL when it has ended */
    struct vm_listener listener;
    struct vm_exit vm_exit;
    int channel_fd;
    struct channel *ch; /* NULL when it has ended */
    bool ch_failed;     /* to be freed at the end of this turn */

    struct timer boot_timer, down_timer, run_timer;
    struct timer stall_timer; /* a machine that does not come up */
    uint64_t machine_ns;      /* when it was started, CLOCK_MONOTONIC */
    bool booted_again;
    struct timer record_timer; /* to try again to write how it ended */
    unsigned record_tries;
    struct control control;
    struct workload main;
    struct clients clients;
    struct stopping stopping;
    struct pausing pausing;
    struct stats stats;
    struct relays relays;
    struct updating update;
    struct restart restart;
    struct health health;
    struct tracing tracing;
};

/* ---- launch.c ---- */

struct shim_args {
    const char *home, *box_id;
    int report_fd, attach_fd; /* taken over; -1: none */
    bool attach_stdin;
    bool count_restart; /* `monitor` starts it, as its policy wants */
    bool again;         /* restart_exec() has: the record names us already */
    uint64_t waited_ns;
    int dir_fd, ctl_fd; /* with `again`, taken over: our lock, and who waits */
};

/* Everything up to a machine that boots. On failure the record says why, where there is one; the
 * caller reports. */
int shim_launch(struct shim *sh, const struct shim_args *args, struct err *e) MUST_CHECK;
void shim_done(struct shim *sh);

/* ---- config.c: what the guest is told, appended as messages ---- */

int config_put_vm(struct str *out, struct err *e) MUST_CHECK;
int config_put_container(const struct box *box, struct str *out, struct err *e) MUST_CHECK;
int config_put_main(const struct box *box, struct str *out, struct err *e) MUST_CHECK;

/* ---- control.c ---- */

void control_open(struct shim *sh);
/* Another machine will be told all that this one was. */
void control_rewind(struct shim *sh);
void control_put(struct shim *sh, enum msg_type type, const void *payload, size_t len);
void control_signal(struct shim *sh, int signal, bool all);
void control_clock(struct shim *sh);
void control_procs(struct shim *sh);
void control_done(struct shim *sh);

/* ---- workload.c ---- */

void workload_init(struct shim *sh);
/* Where its output goes. */
int workload_open_log(struct shim *sh, struct err *e) MUST_CHECK;
void workload_open(struct shim *sh);
void workload_put(struct shim *sh, enum msg_type type, const void *payload, size_t len);
/* Once per turn: write the log, send to clients, give credit. */
void workload_turn(struct shim *sh);
void workload_done(struct shim *sh);

/* ---- end.c ---- */

/* Our state in the record; opens state.db for it. */
int shim_record(struct shim *sh, const struct box_change *change, struct err *e) MUST_CHECK;
/* Its container is there: clients are let in, the workload is sent. */
void shim_container_created(struct shim *sh);
/* The workload runs. */
void shim_started(struct shim *sh);
/* Its end: by itself, or with an error that the record keeps. The machine goes down. */
void shim_ended(struct shim *sh, int status, bool oom_killed, const struct err *err);
/* It could not be started. */
void shim_start_failed(struct shim *sh, int status, const struct err *err);
/* The guest has nothing on its disks that is not written: kill it now. */
void shim_disks_clean(struct shim *sh);
/* Callbacks of the machine and the channel. */
void shim_vm_exited(struct vm_listener *l, const struct vm_exit *exit);
void shim_channel_failed(struct channel *ch, const struct err *why);
void shim_timers_init(struct shim *sh);
/* Once per turn of the loop. */
void shim_turn(struct shim *sh);
/* Tell whoever started us, once. */
void shim_report(struct shim *sh, int status, const struct err *err);

/* ---- stop.c ---- */

void stop_init(struct shim *sh);
void stop_cancel(struct shim *sh);
/* `signal` 0 and `timeout_ns` UINT64_MAX: the box's own. */
void shim_stop(struct shim *sh, enum stop_by by, int signal, uint64_t timeout_ns);
void shim_signal(struct shim *sh, int signal);
/* Refused with *e, or begun: clients are told when it is done. */
int shim_pause(struct shim *sh, bool pause, struct err *e) MUST_CHECK;

/* ---- stats.c: what the guest has counted ---- */

/* Clients that wait for CTL_STATS are answered when the guest has; at once when it is paused. */
int stats_ask(struct shim *sh, struct err *e) MUST_CHECK;
int stats_answer(struct shim *sh, struct cur c, struct err *e) MUST_CHECK;
void stats_done(struct shim *sh);

/* ---- update.c ---- */

/* Refused with *e, or begun (the update is taken over): clients are told when it is done. */
int update_begin(struct shim *sh, struct box_update *update, struct err *e) MUST_CHECK;
int update_answer(struct shim *sh, struct cur c, struct err *e) MUST_CHECK;
/* The machine has ended: who waits is told. */
void update_abandon(struct shim *sh);
/* The balloon is to follow the record. */
void update_balloon(struct shim *sh);
void update_done(struct shim *sh);

/* ---- client.c ---- */

void clients_init(struct shim *sh);
int clients_listen(struct shim *sh, int own_fd, struct err *e) MUST_CHECK;
/* Takes over a connected socket whose request is to come; for ctl.sock and tests. */
int clients_request(struct shim *sh, int own_fd, struct err *e) MUST_CHECK;
/* Takes over a connected socket that is attached from the start. */
int clients_attach(struct shim *sh, int own_fd, bool feeds_stdin, struct err *e) MUST_CHECK;
/* A message of the workload for those attached; sent by clients_turn(). */
void clients_output(struct shim *sh, enum msg_type type, const void *data, size_t len);
/* Do all take what they are sent? */
bool clients_keep_up(const struct shim *sh);
/* Read, or do not read, from those that feed stdin. */
void clients_read_stdin(struct shim *sh, bool on);
/* Answer all that wait for `op`; failure NULL: it worked. */
void clients_answer(struct shim *sh, enum ctl_op op, const struct ctl_reply *reply,
                    const struct err *failure);
bool clients_wait_for(const struct shim *sh, enum ctl_op op);
/* This run has ended, the shim goes on: answer all that wait, end who is attached. */
void clients_ended(struct shim *sh);
/* The listening socket, no longer watched; the caller owns it. -1: there is none. */
int clients_take_door(struct shim *sh);
/* The record is final: answer the rest, MSG_EXIT to those attached, close when it is sent. */
void clients_end(struct shim *sh);
void clients_turn(struct shim *sh);
bool clients_idle(const struct shim *sh);
void clients_done(struct shim *sh);

/* ---- restart.c ---- */

void restart_init(struct shim *sh, const struct shim_args *args);
/* The outcome is known: shall it be started again? sh->box is what the record says now. */
bool restart_due(const struct shim *sh);
/* Its health calls for an end: will the policy start it again? Then the next end is no user's. */
bool restart_if_unhealthy(struct shim *sh);
/* The record says restarting. */
void restart_wait(struct shim *sh);
void restart_now(struct shim *sh);
/* Another policy, of a box in any phase, or anything of one that waits for a restart: the record
 * alone. One that waits for a restart which no policy wants any more ends. */
int restart_update(struct shim *sh, const struct box_update *update, struct err *e) MUST_CHECK;
/* Once per turn. */
void restart_turn(struct shim *sh);
void restart_done(struct shim *sh);

struct restart_kept {
    int dir_fd, ctl_fd; /* owned */
    uint64_t waited_ns;
};

/* Before shim_done(): what the next run needs of this one. */
void restart_keep(struct shim *sh, struct restart_kept *ret);
/* Does not return when it worked. */
int restart_exec(char **argv, const char *home, const char *box_id,
                 const struct restart_kept *kept, struct err *e) MUST_CHECK;

/* ---- health.c ---- */

/* The workload runs. */
void health_start(struct shim *sh);
/* It ends: no more checks; what they said stays. */
void health_stop(struct shim *sh);
/* The log as JSON (box_set_health()); NULL without a check, or memory. The caller frees. */
char *health_log(const struct shim *sh);
void health_done(struct shim *sh);

/* ---- trace.c: counters of /metrics, and spans when they are wanted ---- */

void trace_init(struct shim *sh, bool again);
void trace_stage(struct shim *sh, enum stage stage);
/* It runs, and whoever started it has been told. */
void trace_started(struct shim *sh);
/* All is said: the last of it. */
void trace_ended(struct shim *sh);
void trace_free(struct shim *sh);
