#include "util/loop.h"

#include "util/own.h"
#include "util/time.h"

#include <stddef.h>
#include <sys/epoll.h>

#define BATCH 32

struct loop {
    int epfd;
    int pending;          /* events of the current batch not handled yet */
    struct timer *timers; /* sorted, the next to fire first; few, so a list will do */
    struct epoll_event batch[BATCH];
};

DEFINE_AUTOPTR(loop)

int loop_new(struct loop **ret, struct err *e)
{
    autoptr(loop) loop = calloc(1, sizeof(*loop));

    if (!loop)
        return err_os(e, "event loop");
    loop->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epfd < 0)
        return err_os(e, "epoll_create1");
    *ret = take_ptr(loop);
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    close_fd(&loop->epfd);
    free(loop);
}

int loop_add(struct loop *loop, struct watch *w, uint32_t events, struct err *e)
{
    struct epoll_event ev = { .events = events, .data.ptr = w };

    if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, w->fd, &ev) < 0)
        return err_os(e, "watching %s (fd %d)", w->what, w->fd);
    w->events = events;
    w->added = true;
    return 0;
}

int loop_mod(struct loop *loop, struct watch *w, uint32_t events, struct err *e)
{
    struct epoll_event ev = { .events = events, .data.ptr = w };

    if (events == w->events)
        return 0;
    if (epoll_ctl(loop->epfd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
        return err_os(e, "watching %s (fd %d)", w->what, w->fd);
    w->events = events;
    return 0;
}

void loop_del(struct loop *loop, struct watch *w)
{
    if (!w->added)
        return;
    w->added = false;
    (void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
    for (int i = 0; i < loop->pending; i++)
        if (loop->batch[i].data.ptr == w)
            loop->batch[i].data.ptr = NULL;
}

void loop_timer_cancel(struct loop *loop, struct timer *t)
{
    struct timer **at = &loop->timers;

    if (!t->armed)
        return;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    t->next = NULL;
    t->armed = false;
}

void loop_timer(struct loop *loop, struct timer *t, uint64_t delay_ns)
{
    struct timer **at = &loop->timers;

    loop_timer_cancel(loop, t);
    t->at_ns = time_mono_ns() + delay_ns;
    while (*at && (*at)->at_ns <= t->at_ns)
        at = &(*at)->next;
    t->next = *at;
    *at = t;
    t->armed = true;
}

/* Rounded up: waking a millisecond early would spin. */
static int wait_ms(const struct loop *loop, int timeout_ms)
{
    uint64_t now, ms;

    if (!loop->timers)
        return timeout_ms;
    now = time_mono_ns();
    if (loop->timers->at_ns <= now)
        return 0;
    ms = (loop->timers->at_ns - now + NS_PER_MS - 1) / NS_PER_MS;
    if (ms > 3600 * 1000)
        ms = 3600 * 1000;
    return timeout_ms >= 0 && (uint64_t)timeout_ms < ms ? timeout_ms : (int)ms;
}

static int run_timers(struct loop *loop)
{
    uint64_t now = time_mono_ns();
    int ran = 0;

    while (loop->timers && loop->timers->at_ns <= now) {
        struct timer *t = loop->timers;

        loop_timer_cancel(loop, t);
        t->fired(t);
        ran++;
    }
    return ran;
}

int loop_turn(struct loop *loop, int timeout_ms, struct err *e)
{
    int n, ran = 0;

    n = epoll_wait(loop->epfd, loop->batch, BATCH, wait_ms(loop, timeout_ms));
    if (n < 0 && errno != EINTR)
        return err_os(e, "epoll_wait");

    /* From the end, so that `pending` always describes what is left. */
    for (loop->pending = n > 0 ? n : 0; loop->pending > 0;) {
        struct epoll_event ev = loop->batch[--loop->pending];
        struct watch *w = ev.data.ptr;

        if (!w)
            continue;
        w->ready(w, ev.events);
        ran++;
    }
    return ran + run_timers(loop);
}
