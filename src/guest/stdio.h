/* The ends of a process's pipes (or its terminal) that PID 1 holds. */
#pragma once

#include "guest/guest.h"

/* Towards the process: what it does not take at once waits in `queue`. */
struct sink {
    struct watch w;
    struct str queue;
    size_t done;                     /* of the queue, already written */
    bool eof;                        /* close when the queue is empty */
    void (*closing)(struct sink *k); /* just before the descriptor is closed; may be NULL */
    void (*taken)(struct sink *k, size_t len); /* the process took that much (or never will) */
};

/* From the process. */
struct source {
    struct watch w;
    enum msg_type type;
    bool paused; /* not watched: the client is short of credit */
    uint64_t total;
    size_t left; /* of an ended process: what is still read */
};

/* Pipes or a terminal for a process: `child` become its 0, 1 and 2; `ours` are the other ends, -1
 * for none. All owned by the caller. */
struct stdio {
    int child[3], ours[3];
};

int stdio_pipes(bool stdin_open, struct stdio *ret, struct err *e) MUST_CHECK;
/* `devpts_fd` is the container's. ours[0] and ours[1] are the master, ours[2] is -1. */
int stdio_terminal(int devpts_fd, uint16_t cols, uint16_t rows, struct stdio *ret,
                   struct err *e) MUST_CHECK;
void stdio_close(int fds[3]);
int stdio_resize(int master, uint16_t cols, uint16_t rows);

/* Queue `len` bytes. */
void sink_write(struct sink *k, struct loop *loop, const void *data, size_t len);
/* For the handler of `w`. */
void sink_flush(struct sink *k, struct loop *loop);
void sink_finish(struct sink *k, struct loop *loop);
void sink_close(struct sink *k, struct loop *loop);
