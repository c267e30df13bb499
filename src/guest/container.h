/*
 * A container: everything between CONTAINER_CREATE and CONTAINER_EXITED.
 *
 *   WAITING   a disk is not there yet; goes on with a device event
 *   SETUP     the first process makes the root file system
 *   CREATED   it waits to be told what to become
 *   RUNNING   the main process was started
 *   ENDED     the first process was reaped; waits for containers_sweep()
 *
 * The first process is PID 1 of the container's PID namespace; when it ends, by whatever means,
 * the kernel ends everything in it, and the container is gone.
 */
#pragma once

#include "guest/guest.h"

enum container_state {
    CONTAINER_WAITING,
    CONTAINER_SETUP,
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_ENDED,
};

struct container {
    struct guest *guest;
    struct container *next;
    struct container_config config; /* owned */
    enum container_state state;
    char lower[32], upper[32]; /* block devices */
    pid_t pid;                 /* of the first process, 0: none yet */
    int pidfd;
    int mount_ns;       /* held, so that unmounting is not part of the process's end */
    const char *cgroup; /* its name */
    int cgroup_fd;
    int upper_fd;          /* writable layer's root; -1 when it is a tmpfs */
    int devpts_fd;         /* container's /dev/pts */
    int swap_fd;           /* the kernel swaps there; -1: it does not */
    uint64_t swap_bytes;   /* its size */
    struct watch setup;    /* our end of the socket to the first process */
    struct timer deadline; /* for disks */
    struct session *main;  /* borrowed; NULL when none */
    bool failed;           /* CONTAINER_FAILED was sent */
    struct exit_info exit; /* when ENDED */
};

/* CONTAINER_CREATE: takes the config over, also on failure. What goes wrong later is told with
 * CONTAINER_FAILED. */
int container_create(struct guest *g, struct container_config *own_config,
                     struct err *e) MUST_CHECK;
struct container *container_find(struct guest *g, const char *id);
struct container *container_by_pid(struct guest *g, pid_t pid);
/* A device came: see whether anybody waited for it. */
void container_devices_changed(struct guest *g);

/* Tell the first process what to become. `request` is the message's payload; stdio[] are copied.
 * Returns the descriptor on which it reports (owned by the caller), see process.h. */
int container_start(struct container *c, const struct bytes *request, const int stdio[3],
                    struct err *e) MUST_CHECK;

/* Run inside a new child: join all namespaces but the PID namespace, which fork() entered. */
int container_join(const struct container *c, struct err *e) MUST_CHECK;
/* fork() into the container's cgroup and PID namespace. Returns as fork(), < -1 never. */
pid_t container_fork(const struct container *c, struct err *e);

int container_signal(struct container *c, int sig, bool all, struct err *e) MUST_CHECK;

/* Forget one that has no process yet. */
void container_cancel(struct container *c);

/* The first process was reaped. */
void container_exited(struct container *c, int wait_status);
/* Clean up after those that ended and free them, when their clients have been told. Called
 * between turns of the loop. Returns whether there were any. */
bool containers_sweep(struct guest *g);
