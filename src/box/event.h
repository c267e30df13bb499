/* Events of boxes: type "container" with docker's actions and attributes. docs/events.md. */
#pragma once

#include "box/box.h"
#include "db/event.h"

/* Add an event inside the transaction of the change it tells of (none open: in one of its own).
 * Attributes: image, name, `extra`, then the labels. Actions (docker's): create start die stop
 * kill pause unpause restart rename destroy oom update commit copy export resize top attach
 * exec_create exec_start exec_die health_status; for "exec_create: CMD", "health_status: healthy"
 * the text behind the colon is part of the action. */
int box_event(struct db *db, const struct box *box, const char *action,
              const struct event_attr *extra, size_t extra_n, struct err *e) MUST_CHECK;

/* The same in a transaction of its own, for what changes no record (kill, copy, export, top,
 * exec_*): opens state.db of `home`. */
int box_event_now(const char *home, const struct box *box, const char *action,
                  const struct event_attr *extra, size_t extra_n, struct err *e) MUST_CHECK;
