/*
 * An exec session: a stream of PORT_EXEC or PORT_PTY and the process behind it.
 *
 *   IDLE      waits for START
 *   STARTING  forked; not known yet whether the program runs
 *   RUNNING   STARTED was sent; output flows
 *   DRAINING  the process was reaped; what its pipes still hold is sent
 *   OVER      EXIT or ERROR was sent
 *
 * Output is read only as fast as the client gives credit, so a slow one stops the program, not
 * us. When the client goes, the process stays and its output is dropped, as docker does.
 */
#pragma once

#include "guest/guest.h"

/* For channel_ops.open: accepts the stream. Returns 0 or a reset_reason. */
int session_open(struct guest *g, struct stream *s);

struct session *session_by_pid(struct guest *g, pid_t pid);
/* Its process was reaped, or the container ended with it. `info` is copied, `container` unset. */
void session_exited(struct session *s, const struct exit_info *info);
/* The container is about to be freed. */
void sessions_forget(struct guest *g, const struct container *c);
/* Free what is over; called between turns of the loop, never from a handler. */
void sessions_sweep(struct guest *g);

/* Status, reason and time from waitpid()'s status. */
void exit_info_fill(struct exit_info *info, int wait_status, bool oom_killed);
