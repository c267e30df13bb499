/* Events of images: type "image" with docker's actions. docs/events.md. */
#pragma once

#include "db/event.h"

/* Add an event inside the transaction of the change it tells of (none open: in one of its own).
 * `id` is sha256:..., `reference` a full one, or NULL when there is no name in it. Actions: pull
 * and push (whose actor is the reference), tag, untag, delete, load, import, save. */
int image_event(struct db *db, const char *action, const char *id, const char *reference,
                struct err *e) MUST_CHECK;
