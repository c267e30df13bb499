/* Copying between this machine and a box, by docker's rules. */
#pragma once

#include "cli/files.h"

struct cp {
    struct cli *cli;
    struct files *files;
    const char *box;  /* as the user calls it */
    const char *from; /* as given; "-": a tar on stdin */
    const char *to;   /* as given; "-": a tar to stdout */
    bool archive, follow;
    bool tell;      /* say at the end how much it was, and where it went */
    uint64_t bytes; /* of the archive that was copied */
};

/* What is at one end, as docker's archive.CopyInfo. */
struct cp_info {
    char *path;
    char *rebase; /* what the archive calls it when that is not its own name; NULL */
    bool exists, is_dir;
};

void cp_info_done(struct cp_info *info);

/* Where an archive of `src` is to be unpacked so that `dst` comes out, and what its root is then
 * called. Fails in docker's words where that cannot be. */
int cp_plan(const struct cp_info *src, const struct cp_info *dst, char **ret_dir, char **ret_name,
            struct err *e) MUST_CHECK;

/* cp_in.c: into the box */
int cp_in(struct cp *cp, struct err *e) MUST_CHECK;
/* cp_out.c: out of it */
int cp_out(struct cp *cp, struct err *e) MUST_CHECK;

/* cp_info.c */

/* A path in the box as the protocol has it. */
char *cp_box_path(const char *path);
/* "Could not find the file PATH in container BOX" for NOT_FOUND. */
int cp_not_found(const struct cp *cp, const char *path, struct err *e) MUST_CHECK;
/* A path of this machine made absolute. */
int cp_local_path(const char *path, char **ret, struct err *e) MUST_CHECK;
int cp_local_source(const char *path, bool follow, struct cp_info *ret, struct err *e) MUST_CHECK;
int cp_local_target(const char *path, struct cp_info *ret, struct err *e) MUST_CHECK;
/* `link` leads to `target`: the path to ask for instead, and the name it keeps. */
int cp_follow(const char *link, const char *target, char **ret_path, char **ret_rebase,
              struct err *e) MUST_CHECK;
/* "got a device" and the like; NULL for directories and regular files. */
const char *cp_odd_kind(uint64_t mode);
