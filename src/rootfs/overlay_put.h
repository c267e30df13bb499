/* Unpacking a tar into a box that does not run. */
#pragma once

#include "rootfs/overlay.h"
#include "rootfs/source.h"

/* `tar` into the directory `path` (of overlay_place), as proto/archive.h says for PUT; read to
 * its end. `o` was opened writable. Every member is there completely or not at all, whenever this
 * process is killed or the machine ends; a failure leaves what was unpacked before. */
int overlay_put(struct overlay *o, const char *path, struct source *tar, bool keep_owner,
                struct err *e) MUST_CHECK;
