/* The child that serves one stream of PORT_FILES. */
#pragma once

#include "guest/guest.h"
#include "proto/archive.h"
#include "util/pack.h"

/* A client and what it asks about. */
struct files {
    struct guest *guest; /* PID 1's, as it was when it forked */
    int fd;              /* to the client */
    int root;            /* the container's "/" as it sees it; -1: not entered */
    int bare;            /* the same without what is mounted in it */
    int upper, lower;    /* its writable layer, -1: it has none; and the image */
    int base;            /* the layer below the image (guest/rootfs.c) */
    int cgroup;
    bool reading;  /* more of a PUT's archive comes */
    struct str in; /* the message being read */
    struct tar_writer out;
    struct pack pack;
};

/* Never returns; `fd` is taken over. */
void files_main(struct guest *g, int fd) __attribute__((noreturn));

int files_send(struct files *f, enum msg_type type, const void *data, size_t len,
               struct err *e) MUST_CHECK;

/* ---- files_path.c ---- */

/* Where a path leads: `entry` in the directory `fd`. */
struct files_at {
    int fd;
    char entry[256];
};

/* As proto/archive.h says; the caller closes ret->fd. */
int files_resolve(int root, const char *path, struct files_at *ret, struct err *e) MUST_CHECK;
/* Where the symbolic link at `path` leads in the end, absolute, as far as that exists. */
int files_target(int root, const char *path, char **ret, struct err *e) MUST_CHECK;
/* The last component, "/" for the root, "." for what ends in "/.". */
const char *files_base(const char *path, char *buf, size_t size);

/* ---- files_changes.c ---- */

/* CHANGES, or LAYER: then as members of a tar. */
int files_changes(struct files *f, bool layer, struct err *e) MUST_CHECK;
/* Is this path of the merged tree there only because the base layer has it? */
bool files_only_base(const struct files *f, const char *path);
