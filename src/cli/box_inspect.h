/* A box as docker's `container inspect` shows it. */
#pragma once

#include "box/box.h"
#include "show/template.h"

/* Go's types of the object: what {{.State}} or {{.Config.Labels}} look like. */
extern const struct show_type box_inspect_type;

/* The caller owns the result; NULL without memory. */
json_t *box_inspect(const struct box *box, const char *home);
