/* System calls that the C libraries we build with have no functions for. */
#pragma once

#include "util/attr.h"

#include <stdint.h>
#include <sys/types.h>

/* fork() with namespaces (CLONE_NEW*), born in the cgroup of a directory descriptor (-1: in
 * ours). Only SIGCHLD, no shared memory: what the child may meet (FUSE, a FIFO for passwd) must
 * never hold up PID 1. Returns as fork(). */
pid_t sys_fork(uint64_t namespaces, int cgroup_fd);

int sys_pidfd_open(pid_t pid);
int sys_pidfd_signal(int pidfd, int sig);
int sys_execveat(int fd, char *const *argv, char *const *env); /* the file `fd` itself */
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_finit_module(int fd, const char *options);
int sys_seccomp_filter(const void *filter, uint16_t count); /* struct sock_filter[] */
int sys_bpf(int cmd, void *attr, uint32_t size);
int sys_close_from(int first);
/* permitted and effective are set, inheritable is empty. */
int sys_capset(uint64_t permitted, uint64_t effective);
