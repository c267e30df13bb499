/* The options of --tmpfs. */
#pragma once

#include "util/err.h"
#include "util/str.h"

struct tmpfs_options {
    uint64_t attrs;  /* MNT_* */
    struct str data; /* what tmpfs itself takes: "size=64m,mode=755" */
    bool has_mode;
};

/* `text` as for mount(8), NULL or "" for docker's default (rw,nosuid,nodev,noexec,relatime);
 * later words win over earlier ones and over the default. INVALID names a word that is unknown or
 * has a bad value. Release `ret` with tmpfs_options_done(), also after a failure. */
int tmpfs_options_parse(const char *text, struct tmpfs_options *ret, struct err *e) MUST_CHECK;
void tmpfs_options_done(struct tmpfs_options *o);
