/*
 * PID 1 of the virtual machine: one loop over one channel.
 *
 *   control.c    PORT_CONTROL: what the shim tells us about the machine and its containers
 *   container.c  a container: cgroup, namespaces, first process; from create to gone
 *   session.c    PORT_EXEC and PORT_PTY: one process with its streams
 *   rootfs.c, process.c  run in the child, never here: a hostile image cannot hold up PID 1
 *
 * Nothing here touches a container's file system by path.
 */
#pragma once

#include "guest/boot.h"
#include "proto/channel.h"
#include "proto/config.h"
#include "proto/msg.h"

#include <stdbool.h>
#include <sys/types.h>

struct container;
struct session;
struct relay;

/* Messages to a stream that may be short of credit: what does not go now waits in `queue`. The
 * writer must not add bulk data while outlet_ready() is false. */
struct outlet {
    struct stream *stream; /* NULL: nobody listens, everything is dropped */
    struct str queue;
    bool finish; /* FIN after the queue */
};

void outlet_put(struct outlet *o, enum msg_type type, const void *payload, size_t len);
void outlet_flush(struct outlet *o);
void outlet_finish(struct outlet *o);
bool outlet_ready(const struct outlet *o);
void outlet_done(struct outlet *o);
/* One of our structs as a message. */
#define outlet_config(o, msg, struct_name, from)                                                 \
    do {                                                                                         \
        autostr payload_ = STR_INIT(0);                                                          \
        struct err ignored_;                                                                     \
        if (config_encode(struct_name, (from), &payload_, &ignored_) >= 0)                       \
            outlet_put((o), (msg), str_c(&payload_), payload_.len);                              \
    } while (0)

#define BUF_BYTES (MSG_HEADER + MSG_DATA_MAX)

struct guest {
    struct loop *loop;
    struct channel *channel;
    struct container *containers;
    struct session *sessions;
    struct relay *relays;
    struct outlet control;
    struct msg_reader control_reader;
    struct watch uevents, children;
    struct timer later; /* loads what is not needed at once */
    struct boot_modules boot_modules, later_modules;
    struct timer stop_deadline;
    bool debug, stopping, stopped, channel_lost;
    int own_pidfd;
    int device_filter;   /* devices_filter(), -1 before the first container */
    pid_t lister;        /* process that makes a CONTAINER_PROC_LIST, 0: none */
    char buf[BUF_BYTES]; /* shared by all handlers: valid within one */
};

/* A line for the shim's log (and the console, when there is no shim yet). */
void guest_log(struct guest *g, const char *fmt, ...) PRINTF_LIKE(2, 3);
