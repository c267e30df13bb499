/*
 * One thread, one loop, no blocking calls. Used by every daemon of ours, the
 * guest's PID 1 included, which is why it needs nothing but epoll.
 *
 * A `struct watch` is embedded in the object that owns the descriptor; the
 * handler gets back to its object with CONTAINER_OF. The loop never owns the
 * descriptor and never frees the watch. Timers likewise.
 *
 * A handler may free any object, its own included, after loop_del(): events of
 * that object still waiting in the current batch are dropped. Close a
 * descriptor only after loop_del().
 */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct watch {
    int fd;
    const char *what; /* static name used in traces: "console", "vm pidfd" */
    void (*ready)(struct watch *w, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
    uint32_t events;                                 /* what it waits for; kept by the loop */
    bool added;                                      /* kept by the loop */
};

struct timer {
    void (*fired)(struct timer *t);
    uint64_t at_ns;     /* monotonic; kept by the loop */
    bool armed;         /* kept by the loop */
    struct timer *next; /* kept by the loop */
};

int loop_new(struct loop **ret, struct err *e) MUST_CHECK;
void loop_free(struct loop *loop);

int loop_add(struct loop *loop, struct watch *w, uint32_t events, struct err *e) MUST_CHECK;
/* Change what an added watch waits for; 0 pauses it (HUP and ERR still come). */
int loop_mod(struct loop *loop, struct watch *w, uint32_t events, struct err *e) MUST_CHECK;
/* Fine for a watch that was never added. */
void loop_del(struct loop *loop, struct watch *w);

/* Fire once after delay_ns; arming again moves it. */
void loop_timer(struct loop *loop, struct timer *t, uint64_t delay_ns);
void loop_timer_cancel(struct loop *loop, struct timer *t);

/* Wait at most timeout_ms (-1: for ever) and run what is ready.
 * Returns how many handlers ran. */
int loop_turn(struct loop *loop, int timeout_ms, struct err *e) MUST_CHECK;
