/*
 * Sockets of a box that are one stream of the channel each: exec.sock, pty.sock, vsock.sock,
 * files.sock.
 *
 * Bytes pass as they are, in both directions, with half-close and
 * back-pressure: a client that does not read holds at most one window of the
 * stream, a guest that does not read at most what the kernel's socket buffer
 * holds. Nothing here knows what the bytes mean, but for the line that opens a
 * connection on vsock.sock:
 *
 *   client: CONNECT <port>\n      shim: OK <n>\n      then bytes
 *
 * Anything else, and a port where nobody listens, closes the connection
 * without OK. Ports: 4089 and 4090 are the exec services, the rest of
 * 4088-4094 is refused, any other is AF_VSOCK loopback in the guest.
 */
#pragma once

#include "proto/channel.h"
#include "shim/sock.h"

#define RELAYS_MAX      256 /* per socket: one kubelet plus shells; each costs a window */
#define VSOCK_LINE_MAX  32  /* longest CONNECT line, as in Firecracker */
#define VSOCK_LINE_WAIT (10 * NS_PER_S) /* an idle connection may not keep its place for ever */

enum relay_kind { RELAY_EXEC, RELAY_PTY, RELAY_VSOCK, RELAY_FILES, RELAY_KINDS };

struct relay;
struct relays;

struct door {
    struct watch watch; /* .fd is owned; -1: closed */
    struct relays *relays;
    enum relay_kind kind;
    unsigned n; /* open connections; at RELAYS_MAX further clients wait */
};

struct relays {
    struct loop *loop;
    struct channel *ch; /* borrowed; NULL: nobody is let in */
    struct door doors[RELAY_KINDS];
    struct relay *list;
    unsigned number; /* of the last OK */
    bool sweep;      /* some have ended */
    char chunk[(size_t)64 << 10];
};

void relays_init(struct relays *rs, struct loop *loop);
/* Takes over a listening socket, whose clients wait until relays_start(). */
void relays_listen(struct relays *rs, enum relay_kind kind, int own_fd);
/* The container is there: let clients in. Once. */
int relays_start(struct relays *rs, struct channel *ch, struct err *e) MUST_CHECK;
/* Takes over a connected socket; for relays_start() and tests. */
void relay_new(struct relays *rs, enum relay_kind kind, int own_fd);
/* The channel has ended, or will: nobody is let in any more. What clients have still to read
 * stays; relays_idle() tells when they have it. */
void relays_stop(struct relays *rs);
/* Once per turn of the loop: frees what has ended. */
void relays_turn(struct relays *rs);
bool relays_idle(const struct relays *rs);
void relays_done(struct relays *rs);

/* "CONNECT <port>\n" at the start of `line`. Returns how long it is, 0 when more bytes are
 * needed; INVALID when it never will be one. */
int vsock_parse(const char *line, size_t len, uint32_t *ret_port, struct err *e) MUST_CHECK;
