/* The file system that rootfs/disk.h copies. */
#pragma once

#include "util/err.h"

#include <stdint.h>

/* An empty ext4 of `size` bytes at `path`, replacing what is there, in one step. */
int template_make(uint64_t size, const char *path, struct err *e) MUST_CHECK;
