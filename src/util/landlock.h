/*
 * Landlock: which files a process and its children may use, without privilege. Everything is
 * denied that was not allowed; descriptors that are open already are not concerned.
 * Kernels from 5.19 on have what is needed (landlock(7), ABI 2).
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>

enum landlock_may {
    MAY_READ = 1,    /* files and lists of directories */
    MAY_EXECUTE = 2, /* programs; their loader and libraries are read, too */
    MAY_WRITE = 4,   /* write, create and remove regular files and directories; read them */
};

/* *ret_fd is a set of rules that allows nothing (CLOEXEC, owned by the caller); -1 when the
 * kernel has no usable Landlock. */
int landlock_new(int *ret_fd, struct err *e) MUST_CHECK;

/* Allow `may` (enum landlock_may, or'ed) for the file `path`, or for all beneath the directory. A
 * path that is not there is no error. `rules` -1: nothing is done. */
int landlock_allow(int rules, const char *path, unsigned may, struct err *e) MUST_CHECK;

/* From here on, for this thread and all that comes from it, for ever. Needs no_new_privs. Async
 * signal safe: for use between fork() and execve(); errno says why it failed. */
bool landlock_enter(int rules);
