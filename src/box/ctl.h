/*
 * Talking to the shim of a running box: boxes/<id>/sockets/ctl.sock.
 *
 * One request per connection: the client sends MSG_CTL_REQUEST, the shim
 * answers MSG_CTL_REPLY when the thing is done (not when it was begun), then
 * closes, except after CTL_ATTACH: there the connection becomes a session as
 * on pty.sock: MSG_STDOUT, MSG_STDERR and at the end MSG_EXIT come; MSG_STDIN,
 * MSG_STDIN_EOF, MSG_RESIZE and MSG_SIGNAL go. A CTL_ATTACH over ctl.sock is answered with
 * MSG_CTL_REPLY first; the --attach-fd of a start is a session from its first byte on, and ends
 * without MSG_EXIT when the start failed (the report says why). MSG_EXIT is the last message and
 * is sent when the record is final (or gone): end of file then means that all is clean.
 * A client that feeds stdin sends signals as CTL_SIGNAL on a connection of their own: here they
 * would wait behind input that the workload does not read. Hanging up detaches: the box goes on.
 * MSG_STDIN_EOF closes the workload's stdin only when the box was started with --attach-stdin
 * (docker's StdinOnce), else it is ignored. docs/protocols.md, section 5.
 *
 * Only the owner of A3S_HOME can connect (directory 0700, socket 0600), and
 * the shim checks SO_PEERCRED: same uid, or root.
 */
#pragma once

#include "box/box.h"
#include "box/tick.h"
#include "box/update.h"
#include "proto/config.h"

enum ctl_op {
    CTL_PING = 1,
    CTL_ATTACH = 2, /* stdin, logs */
    CTL_SIGNAL = 3, /* signal */
    CTL_STOP = 4,   /* signal (0: the box's), timeout_ns, then KILL; reply when it is stopped */
    CTL_PAUSE = 5,
    CTL_RESUME = 6,
    CTL_WAIT = 7,     /* reply with exit when the box has ended and its record says so */
    CTL_PROCS = 8,    /* reply with procs */
    CTL_RESIZE = 9,   /* cols, rows of the main PTY */
    CTL_UPDATE = 10,  /* update; replied when the guest has done it and the record says so */
    CTL_STATS = 11,   /* reply with stats; those of a paused box are zero */
    CTL_HEALTH = 12,  /* reply with health; none when the box has no check */
    CTL_RESTART = 13, /* a box that waits for its restart: now, and later waits are short again */
};

struct ctl_request {
    uint64_t op; /* enum ctl_op */
    uint64_t signal, timeout_ns, cols, rows;
    bool attach_stdin;        /* CTL_ATTACH: this client feeds stdin (else only watches) */
    bool attach_output;       /* CTL_ATTACH: wants stdout and stderr */
    struct box_update update; /* CTL_UPDATE */
};

struct ctl_reply {
    bool ok;
    struct error_info error;      /* when not ok */
    struct exit_info exit;        /* CTL_WAIT, CTL_STOP */
    struct proc_list procs;       /* CTL_PROCS */
    struct container_stats stats; /* CTL_STATS */
    char *health;                 /* CTL_HEALTH: the log of box_set_health() */
};

extern const struct tlv_row ctl_request_rows[], ctl_reply_rows[];

/* Connect to a socket of the box. STATE "Box NAME is not running" when nobody is there; a shim
 * that has only just taken the box (BOX_STARTING) is waited for, 10 s at most. */
int ctl_connect(const char *home, const struct box *box, const char *socket,
                struct err *e) MUST_CHECK;

/* One request and its answer in two halves, to ask many boxes at once. The second takes the
 * connection over; `tick` as below. */
int ctl_send(const char *home, const struct box *box, const struct ctl_request *req, int *ret_fd,
             struct err *e) MUST_CHECK;
int ctl_receive(const struct box *box, int own_fd, struct tick *tick, struct ctl_reply *ret,
                struct err *e) MUST_CHECK;

/* One request and its answer, blocking. The shim's error comes back as ours. */
int ctl_call(const char *home, const struct box *box, const struct ctl_request *req,
             struct ctl_reply *ret, struct err *e) MUST_CHECK;
/* The same; `tick` (may be NULL) is called while the answer is awaited. */
int ctl_call_tick(const char *home, const struct box *box, const struct ctl_request *req,
                  struct tick *tick, struct ctl_reply *ret, struct err *e) MUST_CHECK;
