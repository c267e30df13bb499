/*
 * Messages on a stream: type u8, length u32 big-endian, payload.
 * docs/protocols.md, section 2.
 *
 * The same framing is used on the streams of the channel and on the unix
 * sockets of a box, so the shim can relay exec.sock and pty.sock byte by byte.
 */
#pragma once

#include "util/cur.h"
#include "util/err.h"
#include "util/str.h"

#define MSG_HEADER   5
#define MSG_MAX      (UINT32_C(16) << 20) /* longest payload of any message */
#define MSG_DATA_MAX (UINT32_C(32) << 10) /* what we put into one STDIN, STDOUT or STDERR */

/* One list for both directions of every service, so that a type means one thing everywhere. */
enum msg_type {
    /* client -> guest on PORT_EXEC and PORT_PTY, client -> shim on ctl.sock */
    MSG_START = 0x01,     /* struct exec_request; first message of an exec session */
    MSG_STDIN = 0x02,     /* raw bytes */
    MSG_STDIN_EOF = 0x03, /* empty */
    MSG_SIGNAL = 0x04,    /* u32: signal number */
    MSG_RESIZE = 0x05,    /* u16 columns, u16 rows */
    MSG_PING = 0x06,      /* empty; answered with PONG */

    /* guest -> client (and shim -> attached client) */
    MSG_STARTED = 0x81, /* struct msg_started (TLV) */
    MSG_STDOUT = 0x82,  /* raw bytes; a PTY's output comes here too */
    MSG_STDERR = 0x83,  /* raw bytes */
    MSG_EXIT = 0x84,    /* struct exit_info (TLV); last message of a session */
    MSG_ERROR = 0x85,   /* struct error_info (TLV); last message: nothing was started */
    MSG_PONG = 0x86,    /* empty */

    /* shim -> guest on PORT_CONTROL */
    MSG_VM_CONFIG = 0x20,        /* struct vm_setup; first message */
    MSG_CONTAINER_CREATE = 0x21, /* struct container_config */
    MSG_CONTAINER_SIGNAL = 0x22, /* struct container_signal */
    MSG_CONTAINER_PROCS = 0x23,  /* struct container_ref; answered with CONTAINER_PROC_LIST */
    MSG_CONTAINER_UPDATE = 0x26, /* struct container_update; answered with CONTAINER_UPDATED */
    MSG_CONTAINER_STATS = 0x27,  /* struct container_ref; answered with CONTAINER_STATS_DATA */
    MSG_CLOCK = 0x24,            /* i64: wall clock, ns since 1970; after a pause or a restore */
    MSG_SHUTDOWN = 0x25,         /* empty: sync, unmount, answer SHUTDOWN_DONE, power off */

    /* guest -> shim on PORT_CONTROL */
    MSG_CONTAINER_CREATED = 0xa1,    /* struct container_ref */
    MSG_CONTAINER_FAILED = 0xa2,     /* struct error_info with .container */
    MSG_CONTAINER_EXITED = 0xa3,     /* struct exit_info with .container: its PID 1 has ended */
    MSG_CONTAINER_PROC_LIST = 0xa4,  /* struct proc_list */
    MSG_CONTAINER_UPDATED = 0xa8,    /* struct error_info; kind 0: it was done */
    MSG_CONTAINER_STATS_DATA = 0xa7, /* struct container_stats */
    MSG_SHUTDOWN_DONE = 0xa5,        /* empty: disks are clean */
    MSG_LOG = 0xa6,                  /* text of a guest-init diagnostic, one line */

    /* client -> server of a box's files (proto/archive.h) */
    MSG_ARCHIVE_REQUEST = 0x50, /* struct archive_request */
    MSG_ARCHIVE_IN = 0x51,      /* bytes of a tar */
    MSG_ARCHIVE_IN_END = 0x52,  /* empty: that was all of it */
    MSG_ARCHIVE_CONFIG = 0x53,  /* JSON, to a3s-box-image commit */

    /* server -> client */
    MSG_ARCHIVE_STAT = 0xd0,   /* struct archive_stat */
    MSG_ARCHIVE_OUT = 0xd1,    /* bytes of a tar */
    MSG_ARCHIVE_CHANGE = 0xd2, /* one letter and a path */
    MSG_ARCHIVE_DONE = 0xd3,   /* empty: the request is done */
    MSG_ARCHIVE_FAILED = 0xd4, /* struct error_info: it has failed */

    /* client <-> shim on ctl.sock (src/box/ctl.h) */
    MSG_CTL_REQUEST = 0x40,
    MSG_CTL_REPLY = 0xc0,
};

/* Append one message. False when `out` is full. */
bool msg_put(struct str *out, enum msg_type type, const void *payload, size_t len);

struct msg {
    uint8_t type;     /* unknown types arrive too: receivers answer or ignore them */
    const void *data; /* borrowed, valid during the call */
    size_t len;
};

/* Takes messages apart as bytes arrive. */
struct msg_reader {
    struct str pending; /* an incomplete message */
    uint32_t max;       /* longest payload accepted; 0 means MSG_MAX */
};

void msg_reader_done(struct msg_reader *r);

/* Feed bytes; `on_msg` is called for each complete message, and stops the feeding by returning
 * < 0 with *e set, which is returned. CORRUPT when a length exceeds the reader's maximum, checked
 * before anything is allocated. Only as much memory as has really arrived is used. */
int msg_read(struct msg_reader *r, const void *data, size_t len,
             int (*on_msg)(void *user, const struct msg *m, struct err *e), void *user,
             struct err *e) MUST_CHECK;

/* For blocking clients: read exactly one message from a descriptor into `buf` (cleared first).
 * Returns 1, or 0 at end of file before the first byte. */
int msg_recv(int fd, struct str *buf, struct msg *ret, struct err *e) MUST_CHECK;
int msg_send(int fd, enum msg_type type, const void *payload, size_t len,
             struct err *e) MUST_CHECK;
