/*
 * A container's root file system. Runs in the container's first process, in
 * its own mount, PID, IPC and UTS namespaces, before anything of the image has
 * run: the image's content is hostile, its kernel objects are not yet shared.
 */
#pragma once

#include "proto/config.h"

struct rootfs {
    const struct container_config *config;
    const char *lower, *upper; /* block devices; upper NULL: a tmpfs */
    /* Results, owned by the caller: */
    int upper_fd;  /* root directory of the writable layer's file system, -1 for a tmpfs */
    int devpts_fd; /* of the container's /dev/pts */
    int init_fd;   /* our own program, for --init; -1 without */
};

/* Mount everything and make it "/". On success the guest's own files are out of reach. */
int rootfs_setup(struct rootfs *r, struct err *e) MUST_CHECK;

/* The last step, after the working directory was made: --read-only. */
int rootfs_seal(const struct container_config *config, struct err *e) MUST_CHECK;
