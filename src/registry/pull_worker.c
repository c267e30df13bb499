#include "registry/pull.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define SOCKET_AS 3 /* ASSEMBLE_SOCKET of image/image.h */
#define STAGE_AS  4 /* the lock of the staging directory, so that it lasts as long as either */

/* It lies beside this program. */
static char *worker_path(struct err *e)
{
    char self[4096], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *path;

    if (n < 0) {
        (void)err_os(e, "/proc/self/exe");
        return NULL;
    }
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    path = str_format("%s/a3s-box-image", self);
    if (!path)
        (void)err_os(e, "a3s-box-image");
    return path;
}

static int start(struct pull_layers *p, int socket, struct err *e)
{
    autofree char *program = worker_path(e);
    const char *argv[] = { program,       "assemble",   "--stage",  p->stage,
                           "--reference", p->reference, "--digest", p->image->digest.text,
                           NULL };
    /* Nothing is printed by it: its stdout shows who waits for our end that it lives. */
    const struct spawn_fd fds[] = {
        { 1, 1 }, { 2, 2 }, { socket, SOCKET_AS }, { p->stage_fd, STAGE_AS }
    };
    const struct spawn s = { .argv = argv,
                             .fds = fds,
                             .fds_n = ARRAY_LEN(fds),
                             .parent_death_signal = SIGKILL,
                             .no_new_privs = true };

    return program ? spawn_start(&s, &p->worker.pid, &p->worker.pidfd, e) : -(int)e->kind;
}

int worker_start(struct pull_layers *p, struct err *e)
{
    autofd int ours = -1, theirs = -1;
    int pair[2], r;

    worker_end(p);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_os(e, "socket pair");
    ours = pair[0];
    theirs = pair[1];
    r = feed_init(&p->feed, ours, p->image->parsed.layers_n, e);
    if (r == 0)
        r = start(p, theirs, e);
    if (r < 0)
        return r;
    p->worker.socket = take_fd(&ours);
    p->has_result = false;
    for (size_t i = 0; i < p->n; i++) {
        p->v[i].unpacked = 0;
        feed_grown(&p->feed, p->number[i], p->v[i].bytes, p->v[i].bytes == p->v[i].size);
    }
    feed_flush(&p->feed);
    return 0;
}

/* How it ended it has told, or had no time to. */
static void reap(struct pull_layers *p)
{
    struct err ignored = { 0 };
    int status;

    if (spawn_wait(p->worker.pid, &status, &ignored) < 0)
        log_debug("%s", ignored.text);
    p->worker.pid = 0;
}

void worker_end(struct pull_layers *p)
{
    if (p->worker.pid > 0) {
        (void)kill(p->worker.pid, SIGKILL); /* our child, not waited for yet: the pid is right */
        reap(p);
    }
    close_fd(&p->worker.pidfd);
    close_fd(&p->worker.socket);
}

static struct pull_layer *by_number(struct pull_layers *p, uint32_t file)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->number[i] == file)
            return &p->v[i];
    return NULL;
}

static void note(struct pull_layers *p, const struct growth *g)
{
    struct pull_layer *layer = by_number(p, g->file);
    bool whole = layer && layer->bytes == layer->size;

    if (!layer || layer->state == LAYER_DONE || layer->state == LAYER_EXISTS)
        return;
    layer->unpacked = g->bytes;
    if (g->kind == GROWTH_PASSED)
        layer->state = LAYER_DONE;
    else if (whole) /* before that the download is what takes time */
        layer->state = LAYER_UNPACKING;
    layer->changed = true;
    event_layers(p, g->kind == GROWTH_PASSED ? EVENT_NOW : EVENT_SOON);
}

static int failed(const struct growth_result *result, struct err *e)
{
    *e = (struct err){ .kind = (enum err_kind)result->kind, .os = result->os };
    if (result->kind >= ERR_KIND_N)
        return err_set(e, ERR_INTERNAL, "unexpected answer of a3s-box-image");
    memcpy(e->text, result->text, sizeof(e->text));
    return -(int)e->kind;
}

int worker_hear(struct pull_layers *p, struct err *e)
{
    struct growth_msg m;
    int r;

    while ((r = feed_read(&p->feed, &m, e)) > 0) {
        if (m.growth.kind != GROWTH_RESULT) {
            note(p, &m.growth);
            continue;
        }
        p->result = m.result;
        p->has_result = true;
        if (m.result.kind)
            return failed(&m.result, e);
        if (!digest_valid(m.result.id))
            return err_set(e, ERR_INTERNAL, "unexpected answer of a3s-box-image");
        return 0;
    }
    if (r == 0)
        feed_flush(&p->feed);
    return r;
}

int worker_wait(struct pull_layers *p, struct err *e)
{
    int r;

    feed_flush(&p->feed);
    while (!p->has_result) {
        struct pollfd fd = { .fd = p->worker.socket,
                             .events = (short)(POLLIN | (p->feed.blocked ? POLLOUT : 0)) };

        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            return err_os(e, "wait for a3s-box-image");
        r = worker_hear(p, e);
        if (r < 0)
            return r;
    }
    reap(p);
    return 0;
}
