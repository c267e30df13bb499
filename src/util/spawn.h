/*
 * Start a program with exactly the descriptors it is meant to have.
 *
 * The child gets fds[i].fd as descriptor fds[i].as; 0, 1 and 2 that are not
 * listed become /dev/null; everything else is closed. Signal mask and
 * dispositions are reset. `search` looks the program up in PATH.
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct spawn_fd {
    int fd, as;
};

struct spawn {
    const char *const *argv; /* NULL-terminated; argv[0] is the file to run */
    const char *const *env;  /* NULL: this process's environment */
    const struct spawn_fd *fds;
    size_t fds_n;
    const char *cwd;         /* NULL: unchanged */
    bool search;             /* look argv[0] up in PATH */
    bool new_session;        /* setsid() */
    int parent_death_signal; /* 0: none; sent when the *thread* that spawned it ends */
    bool no_new_privs;
    int landlock_rules; /* util/landlock.h, for the program itself, too; 0: none; needs the former
                         */
};

/* Returns 0 and the child's pid and pidfd (CLOEXEC, owned by the caller; pass NULL for none).
 * When the program cannot be started, fails with its errno and no child is left. */
int spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *e) MUST_CHECK;

/* Wait for its end: the exit code, or 128 + signal. */
int spawn_wait(pid_t pid, int *ret_status, struct err *e) MUST_CHECK;

/* When a process began, in clock ticks since boot (/proc/PID/stat, field 22): together with the
 * pid this names a process for ever. NOT_FOUND when there is none. */
int proc_start_time(pid_t pid, uint64_t *ret_ticks, struct err *e) MUST_CHECK;

/* A pidfd for that very process, or NOT_FOUND when it has ended, is a zombie, or the pid was
 * reused. */
int proc_open(pid_t pid, uint64_t start_ticks, int *ret_pidfd, struct err *e) MUST_CHECK;
