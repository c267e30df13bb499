/*
 * A connected unix socket of the shim: non-blocking, with the bytes that wait to be sent.
 *
 * The socket never blocks the loop and never limits what is queued: its user
 * looks at sock_unsent() and stops taking bytes from whoever produces them.
 */
#pragma once

#include "util/loop.h"
#include "util/str.h"

struct sock {
    struct watch watch; /* .fd is owned */
    struct loop *loop;
    struct str out;
    size_t sent;  /* bytes of `out` that the kernel has taken */
    bool reading; /* wants EPOLLIN */
    bool failed;  /* the peer no longer takes bytes */
};

/* Takes over `own_fd`, also on failure. Reads from the start. */
int sock_open(struct sock *s, struct loop *loop, int own_fd, const char *what,
              void (*ready)(struct watch *w, uint32_t events), struct err *e) MUST_CHECK;
void sock_close(struct sock *s);

/* Queue bytes and hand the kernel what it takes at once. A peer that is gone sets `failed`; what
 * is queued for it is dropped. */
void sock_send(struct sock *s, const void *data, size_t len);
/* Queue only; sock_flush() sends. For many small pieces within one turn of the loop. */
void sock_put(struct sock *s, const void *data, size_t len);
void sock_flush(struct sock *s);
size_t sock_unsent(const struct sock *s);

/* Take bytes from the peer, or leave them in the kernel. A socket that hung up is not even
 * watched while its bytes are left: EPOLLHUP cannot be masked, and would spin. */
void sock_reading(struct sock *s, bool on);
/* After EPOLLHUP, when the user cannot go on: stop watching until sock_reading(s, true). */
void sock_park(struct sock *s);

/* Who is at the other end: 0 when it has our uid or is root, DENIED else. */
int sock_check_peer(int fd, struct err *e) MUST_CHECK;
