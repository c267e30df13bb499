/* A box as docker's `container inspect` shows it. */
#pragma once

#include "box/box.h"
#include "show/template.h"

/* Go's types of the object: what {{.State}} or {{.Config.Labels}} look like. */
extern const struct show_type box_inspect_type;

/* The caller owns the result; NULL without memory. */
json_t *box_inspect(const struct box *box, const char *home);

/* Of its parts: .State.Health, when it has a check (asked of the shim when it runs), and
 * .Config.Healthcheck. */
void box_inspect_health(json_t *state, const struct box *box, const char *home);
json_t *box_inspect_healthcheck(const struct box_spec *s);
