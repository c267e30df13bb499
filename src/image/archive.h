/* Serving proto/archive.h from the disks of a box that does not run. */
#pragma once

#include "proto/archive.h"
#include "proto/msg.h"
#include "rootfs/overlay_put.h"

/* Until the client closes `in`. What a request asks wrongly is its answer; < 0 only when the
 * connection fails. */
int archive_serve(struct overlay *o, bool writable, int in, int out, struct err *e) MUST_CHECK;

/* The disks cannot be opened: that is the answer of the first request. */
int archive_refuse(const struct err *why, int in, int out, struct err *e) MUST_CHECK;
