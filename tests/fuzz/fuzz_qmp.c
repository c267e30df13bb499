/* QEMU's end of the control connection, in the hands of a guest that took QEMU over: any bytes,
 * in any pieces, while commands are outstanding. Every command is answered exactly once. */
#include "util/own.h"
#include "vmm/qemu/qmp.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CALLS 3

struct world {
    struct qmp_handler handler;
    struct qmp_call calls[CALLS];
    int answers, closed;
    struct qmp *q;
    bool free_in_event;
};

static struct world *world;

static void on_done(struct qmp_call *call, json_t *data, const struct err *failure)
{
    (void)call;
    world->answers++;
    if (failure && data)
        abort();
}

static void on_event(struct qmp_handler *h, const char *name, json_t *data)
{
    (void)h;
    (void)data;
    if (!name)
        abort();
    if (world->free_in_event) {
        qmp_free(world->q);
        world->q = NULL;
    }
}

static void on_closed(struct qmp_handler *h, const struct err *why)
{
    (void)h;
    if (why->kind == ERR_NONE || world->closed++)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct world w = { .handler = { .event = on_event, .closed = on_closed } };
    struct loop *loop = NULL;
    struct err e;
    int pair[2];
    size_t piece;

    if (len < 1)
        return 0;
    world = &w;
    w.free_in_event = data[0] & 1;
    piece = (data[0] >> 1) + (size_t)1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || loop_new(&loop, &e) < 0 ||
        qmp_new(loop, pair[0], &w.handler, &w.q, &e) < 0)
        abort();
    for (int i = 0; i < CALLS; i++) {
        w.calls[i].done = on_done;
        qmp_call(w.q, "query", NULL, -1, &w.calls[i]);
    }
    for (size_t at = 1; at < len && w.q; at += piece)
        qmp_feed(w.q, (const char *)data + at, len - at < piece ? len - at : piece);
    qmp_free(w.q);
    if (w.answers != CALLS)
        abort();
    loop_free(loop);
    close_fd(&pair[1]);
    return 0;
}
