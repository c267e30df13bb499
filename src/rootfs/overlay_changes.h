/* What a box's files differ in from its image; proto/archive.h says what counts. */
#pragma once

#include "rootfs/overlay.h"
#include "rootfs/overlay_tar.h"

/* `kind` is 'A', 'C' or 'D'; `path` begins with "/". Parents come before what is in them. */
typedef int overlay_change_fn(void *ctx, char kind, const char *path, struct err *e);
int overlay_changes(struct overlay *o, overlay_change_fn *take, void *ctx,
                    struct err *e) MUST_CHECK;

/* The same as members of a layer, with OCI whiteouts. */
int overlay_layer(struct overlay *o, struct overlay_tar *t, struct err *e) MUST_CHECK;
