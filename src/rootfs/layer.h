/*
 * Apply one layer tar to a tree.
 *
 * Whiteouts and opaque markers act on what earlier layers put there (OCI image spec, "Change
 * sets"). Names are resolved inside the tree as docker does in its chroot; a leading "/" is the
 * tree's root; a ".." component is refused. Existing entries are replaced, except that a
 * directory over a directory keeps its content.
 */
#pragma once

#include "rootfs/blocks.h"
#include "rootfs/source.h"
#include "rootfs/tree.h"

struct layer_limits {
    uint64_t bytes_max;   /* of file data */
    uint64_t *data_bytes; /* counts it up, over all layers */
};

/* `tar` is an uncompressed tar, read to its very end. `layer` counts from 1. Errors name the
 * entry. On failure the tree is half changed: throw it away. */
int layer_apply(struct tree *tree, struct blocks *blocks, struct source *tar, uint32_t layer,
                const struct layer_limits *limits, struct err *e) MUST_CHECK;
