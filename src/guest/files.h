/*
 * PORT_FILES: the files of a container (proto/archive.h).
 *
 * PID 1 does nothing of it: each stream gets a child, which reads the requests itself, enters the
 * container's mount namespace with what it needs opened before, keeps the capabilities for files
 * only, and is no process of the container, which neither sees it nor pays for it. When the
 * client goes, or the container ends, the child is killed.
 */
#pragma once

#include "guest/container.h"

/* For channel_ops.open: accepts the stream. Returns 0 or a reset_reason. */
int files_open(struct guest *g, struct stream *s);
/* The container has ended: nobody may hold its file system. */
void files_forget(struct guest *g, const struct container *c);
/* A child has ended: what it has frozen goes on. */
void files_thaw(struct guest *g);
