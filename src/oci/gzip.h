/* What comes out of `inner`, compressed with gzip (RFC 1952); the same bytes for the same input.
 */
#pragma once

#include "rootfs/source.h"

struct gzip;

/* `inner` is borrowed. */
int gzip_open(struct source *inner, struct gzip **ret, struct err *e) MUST_CHECK;
struct source *gzip_source(struct gzip *g);
void gzip_free(struct gzip *g);
DEFINE_AUTOPTR(gzip)
