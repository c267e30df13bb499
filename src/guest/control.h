/* PORT_CONTROL: what the shim tells us. */
#pragma once

#include "guest/guest.h"

/* For channel_ops.open. Returns 0 or a reset_reason: there is one control stream. */
int control_open(struct guest *g, struct stream *s);

/* Kill all containers, then sync and answer; g->stopped is set when all is done. */
void control_shutdown(struct guest *g);
/* A container went: go on with the shutdown if it was the last. */
void control_container_gone(struct guest *g);
