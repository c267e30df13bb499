/*
 * The log driver syslog: RFC 5424 (or 3164) over udp, tcp and unix sockets.
 *
 * Nothing here blocks. Connecting, which may have to ask a name server, is done
 * by a process of its own, a3s-box-log, that hands over the connected socket.
 * Whole lines wait in a queue: with mode=blocking the workload is not read
 * while the queue is long (syslog_keeps_up()), and nothing is lost; with
 * mode=non-blocking what does not fit into max-buffer-size is dropped and
 * counted. A connection that breaks is made again, and a message that had not
 * been taken as a whole is sent again as a whole.
 *
 * On a stream a message ends in a newline (RFC 6587, section 3.4.2).
 */
#pragma once

#include "box/log_config.h"
#include "util/loop.h"
#include "util/str.h"

#include <sys/types.h>

#define SYSLOG_LINE 16384 /* a longer line is cut, as in json_log.h */

enum { SYSLOG_STDOUT, SYSLOG_STDERR, SYSLOG_STREAMS };

struct syslog_dial {
    pid_t pid; /* 0: none runs */
    struct watch answer;
};

struct syslog {
    struct loop *loop;               /* borrowed; NULL: not open */
    const char *helper;              /* borrowed: path of a3s-box-log */
    const struct log_config *config; /* borrowed */
    void (*failed)(struct syslog *s,
                   const struct err *why); /* the first connection; may be NULL */

    struct watch conn; /* .fd is owned; -1: not connected */
    bool stream, connected_once;
    struct syslog_dial dial;
    struct timer retry;
    unsigned failures; /* in a row */
    uint64_t conn_since_ns;

    struct str queue; /* lines that wait: struct record and text, from `head` on */
    size_t head;
    uint64_t queued;
    struct str out; /* messages that are on their way, from `sent` on */
    size_t sent;
    struct str line[SYSLOG_STREAMS]; /* the line that is not complete yet */

    bool ended; /* the workload: what waits has until `drain` fires */
    struct timer drain;
    uint64_t lost; /* messages */
    int lost_os;   /* why */
    char host[256];
};

void syslog_init(struct syslog *s);
/* Begins to connect. */
int syslog_open(struct syslog *s, struct loop *loop, const char *helper,
                const struct log_config *c, struct err *e) MUST_CHECK;
void syslog_close(struct syslog *s);

void syslog_add(struct syslog *s, int stream, const void *data, size_t len);
/* No more will come for now: send what is left of incomplete lines. */
void syslog_end(struct syslog *s);
bool syslog_keeps_up(const struct syslog *s);
/* Has everything been taken, or given up? */
bool syslog_idle(const struct syslog *s);

/* One message, without what ends it on a stream; for tests, too. False when `to` is full. */
struct syslog_text {
    int stream;
    int64_t real_ns;
    const char *text;
    size_t len;
};
bool syslog_format(const struct log_config *c, const char *host, pid_t pid,
                   const struct syslog_text *t, struct str *to);
