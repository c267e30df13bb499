/*
 * A session with a process in a box: our standard streams, signals and terminal at this end of a
 * socket that speaks MSG_STDIN, MSG_STDOUT ... MSG_EXIT (proto/msg.h). Used by run, start -a,
 * attach, exec and shell.
 *
 * One thread, one poll loop; everything is non-blocking, so a stuck reader of our output never
 * keeps a signal from the workload. Nothing is read from the socket while output waits: the box
 * is slowed down, memory does not grow.
 */
#pragma once

#include "box/box.h"
#include "cli/command.h"
#include "cli/detach_keys.h"
#include "util/err.h"

struct session {
    int fd;             /* borrowed */
    bool tty;           /* the process has a terminal of its own */
    bool in;            /* feed our standard input */
    bool out, err;      /* print its standard output, its standard error; false: drop it */
    bool sig_proxy;     /* forward signals; else they end the session */
    bool until_started; /* `exec -d`: over when the process runs */
    /* Not NULL: signals go through its ctl.sock, past the input that waits to be read. Borrowed.
     */
    const struct box *box;
    const char *home;
    bool exec; /* one process among others: it gets SIGPIPE when nobody reads our output any more,
                  and Ctrl-Z stops us, not it */
    bool redraw; /* change the terminal's size twice, so that full-screen programs draw again */
    struct detach_keys keys;
    /* Called once, when `started_fd` is readable (-1: never) or the other side says that the
     * process has started, whatever comes first; NULL: not. */
    void (*started)(void *ctx);
    void *ctx;
    int started_fd; /* borrowed; of no meaning without `started` */
};

enum session_end {
    SESSION_EXITED,      /* status and reason are set */
    SESSION_REFUSED,     /* MSG_ERROR: status and e are set */
    SESSION_STARTED,     /* until_started */
    SESSION_DETACHED,    /* by the detach keys */
    SESSION_LOST,        /* the other side hung up without a word */
    SESSION_INTERRUPTED, /* a signal that was not to be forwarded, or one too many: status is set
                          */
    SESSION_NO_READER,   /* our standard output was closed: status is 128 + SIGPIPE */
};

struct session_result {
    enum session_end end;
    int status;      /* exit status for our caller */
    uint64_t reason; /* enum exit_reason */
    struct err error;
};

/* Pump until the session ends. The terminal is as before when it returns. Fails when our own
 * streams fail (disk full) or the other side breaks the protocol. */
int session_run(const struct session *s, struct session_result *ret, struct err *e) MUST_CHECK;

/* What the command exits with. SESSION_LOST is its caller's to explain. */
int session_conclude(struct cli *cli, const struct session_result *result,
                     struct err *e) MUST_CHECK;

/* docker's checks of -i and -t against our standard input; status 1. */
int session_check_tty(bool in, bool tty, struct err *e) MUST_CHECK;
