/*
 * The states of a box.
 *
 *      create            start               HELLO, main started
 *   ──────────> created ──────> starting ──────────────────────> running <──> paused
 *                  ^               │                                │            │
 *                  │   failed      │                                │  stop,     │
 *                  └───────────────┤                                v  kill      v
 *                                  │                             stopping <──────┘
 *                                  │           exited               │
 *                                  └────> stopped <─────────────────┘
 *
 *   restarting: its policy wants another run (box/policy.h): the shim waits, then boots. From
 *             starting, running, paused and stopping; to running, or to stopped by the user.
 *   dead:     the shim ended without recording why (killed, host reset). Found by whoever looks
 *             next (box_reconcile()); may be started again.
 *   removing: its files are being deleted; a second remover may finish the work.
 *
 * starting, running, paused, stopping and restarting belong to a live shim, named by pid and
 * start time.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>

/* name, our word, docker's word (inspect .State.Status) */
#define BOX_STATES(X)                                                                            \
    X(CREATED, "created", "created")                                                             \
    X(STARTING, "starting", "created")                                                           \
    X(RUNNING, "running", "running")                                                             \
    X(PAUSED, "paused", "paused")                                                                \
    X(STOPPING, "stopping", "running")                                                           \
    X(RESTARTING, "restarting", "restarting")                                                    \
    X(STOPPED, "stopped", "exited")                                                              \
    X(DEAD, "dead", "dead")                                                                      \
    X(REMOVING, "removing", "removing")

enum box_state {
#define X(name, text, docker) BOX_##name,
    BOX_STATES(X)
#undef X
        BOX_STATE_N,
};

const char *box_state_name(enum box_state state);        /* as in state.db */
const char *box_state_docker_name(enum box_state state); /* as users see it */
int box_state_parse(const char *text, enum box_state *ret, struct err *e) MUST_CHECK;
bool box_state_may(enum box_state from, enum box_state to);
bool box_state_is_live(enum box_state state); /* a shim should be there */
