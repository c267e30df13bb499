/* What PID 1 does before it can talk: mounts, kernel modules, the port of the channel. */
#pragma once

#include "util/err.h"

#include <stdint.h>
#include <sys/types.h>

#define BOOT_PORT_NAME     "a3s.channel"
#define BOOT_MODULES_NOW   "/modules/modules.boot"
#define BOOT_MODULES_LATER "/modules/modules.later"

/* /dev and /sys; "/" becomes something that containers can pivot away from. */
int boot_mounts(struct err *e) MUST_CHECK;

/* Load the modules that the file `list` names, in order, until `found` is true after one of them
 * (NULL: all). Remembers in *at how far it came. A missing list is fine: the kernel has them
 * built in. A module that does not load is skipped with a line on the console. */
struct boot_modules {
    const char *list; /* path of the list */
    char *text;       /* what is left of it; owned */
    char *at;
    int bus; /* of the pipe on which boot_aside()'s child waits for the devices' bus; -1: none */
};
/* Load the next one. Returns 1, or 0 when there are no more. */
int boot_module_next(struct boot_modules *m);
void boot_modules_done(struct boot_modules *m);

/* The kernel runs us as /sbin/modprobe when something needs a module that has not been loaded yet
 * (a program opens a vsock socket in the first half second). Returns the exit status. */
int boot_modprobe(int argc, char **argv);

/* The channel's port, opened; -1 when it is not there yet. */
int boot_open_port(void);

/* For PID 1 and what it passes on to containers: docker's numbers of files and processes. */
int boot_limits(struct err *e) MUST_CHECK;

/* In a child, beside what leads to the channel: /proc and /run, the modules that disks and
 * overlays need, lo up, what containers expect of the network. Its exit status is 0 when
 * containers can be made. It waits for the modules of `m` up to virtio_mmio, so load these before
 * waiting for it. */
pid_t boot_aside(struct boot_modules *m, struct err *e) MUST_CHECK;
/* cgroup v2 with its controllers and a first group. */
int boot_cgroups(struct err *e) MUST_CHECK;
/* Set /proc/sys/<name>; a failure is a line on the console. */
void boot_sysctl(const char *name, const char *value);
