/*
 * From a request to execve(): runs in the new process, inside the container's
 * namespaces, and ends either as the program or with a failure record.
 */
#pragma once

#include "guest/user.h"
#include "proto/config.h"

struct process {
    const struct container_config *config;
    const struct exec_request *request;
    int stdio[3];  /* become 0, 1 and 2; with a tty all are its slave */
    int status_fd; /* CLOEXEC: closes when the program runs, else gets a struct failure */
    int init_fd;   /* of `main` with --init, else -1 */
};

/* What is written to status_fd: one write, shorter than a pipe's atomic size. */
struct failure {
    uint32_t kind;   /* enum err_kind */
    uint32_t status; /* 125, 126, 127 */
    char text[ERR_TEXT_MAX];
};

/* Never returns. The process must be in its namespaces and have all capabilities. */
void process_exec(struct process *p) __attribute__((noreturn));

/* Report `e` and exit. */
void process_fail(int status_fd, int status, const struct err *e) __attribute__((noreturn));

/* Find `name` as execvp() would, with the PATH of `env`. Returns 0 and the path (owned by the
 * caller), or fails with docker's text and *ret_status 126 or 127. */
int process_lookup(const char *name, const struct strv *env, char **ret, int *ret_status,
                   struct err *e) MUST_CHECK;

/* Read one of the image's files: regular files only, cut at `max`; missing is empty. */
int process_read_file(const char *path, size_t max, struct str *ret, struct err *e) MUST_CHECK;
