/*
 * A stream to a port that PID 1 does not serve: connected with AF_VSOCK to the same port of this
 * machine, so that a program that listens there is reached from the host.
 */
#pragma once

#include "guest/guest.h"

/* For channel_ops.open: accepts the stream. Refused later (RESET_REFUSED) when nobody listens. */
int relay_open(struct guest *g, struct stream *s, uint32_t port);
/* The same to a child of ours: takes over the other end of its socket. It is killed when the
 * stream is closed; what it has sent before it ends arrives. */
int relay_adopt(struct guest *g, struct stream *s, int own_fd, pid_t pid);
/* Kill those children of relay_adopt() of which judge() says so. */
void relays_end_if(struct guest *g, bool (*judge)(pid_t pid, const void *arg), const void *arg);
/* Free what is over; called between turns of the loop. */
void relays_sweep(struct guest *g);
