/*
 * A stream to a port that PID 1 does not serve: connected with AF_VSOCK to the same port of this
 * machine, so that a program that listens there is reached from the host.
 */
#pragma once

#include "guest/guest.h"

/* For channel_ops.open: accepts the stream. Refused later (RESET_REFUSED) when nobody listens. */
int relay_open(struct guest *g, struct stream *s, uint32_t port);
/* Free what is over; called between turns of the loop. */
void relays_sweep(struct guest *g);
