#include "monitor/web.h"

#include "util/fd.h"
#include "util/own.h"
#include "util/time.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#define BODY_MAX ((size_t)4 << 20) /* 10,000 boxes with two lines each */

struct client {
    struct web *web; /* NULL: free */
    struct watch watch;
    struct timer timer;
    struct str in, out;
    size_t sent;
    bool answered;
};

struct web {
    struct loop *loop;
    web_handler *fn;
    void *ctx;
    struct watch door;
    struct client clients[WEB_CLIENTS_MAX];
    unsigned n;
};

static void update_door(struct web *web)
{
    struct err e;

    /* all places taken: who comes waits in the kernel's queue */
    if (loop_mod(web->loop, &web->door, web->n < WEB_CLIENTS_MAX ? EPOLLIN : 0, &e) < 0)
        err_clear(&e);
}

static void drop(struct client *c)
{
    struct web *web = c->web;

    loop_del(web->loop, &c->watch);
    loop_timer_cancel(web->loop, &c->timer);
    (void)close(c->watch.fd);
    str_done(&c->in);
    str_done(&c->out);
    *c = (struct client){ 0 };
    web->n--;
    update_door(web);
}

static void on_timer(struct timer *t)
{
    drop(CONTAINER_OF(t, struct client, timer));
}

static const char *status_text(unsigned status)
{
    static const struct {
        unsigned status;
        const char *text;
    } texts[] = {
        { 200, "OK" },
        { 400, "Bad Request" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 414, "URI Too Long" },
        { 431, "Request Header Fields Too Large" },
        { 503, "Service Unavailable" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Error";
}

static void answer(struct client *c, int parsed, const struct web_request *q)
{
    autostr body = STR_INIT(BODY_MAX);
    struct web_answer a = { .status = 200, .type = "text/plain; charset=utf-8", .body = &body };

    if (parsed > 0)
        c->web->fn(c->web->ctx, q, &a);
    else
        a.status = (unsigned)-parsed;
    if (body.failed) {
        str_done(&body);
        body = (struct str)STR_INIT(BODY_MAX);
        a.status = 503;
    }
    if (!body.len)
        (void)str_addf(&body, "%s\n", status_text(a.status));
    (void)str_addf(&c->out,
                   "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s"
                   "Connection: close\r\n\r\n",
                   a.status, status_text(a.status), a.type, body.len,
                   a.status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (parsed <= 0 || !q->head)
        (void)str_add(&c->out, body.p, body.len);
    c->answered = true;
}

/* false: it is gone. */
static bool send_some(struct client *c)
{
    ssize_t n;

    while (c->sent < c->out.len) {
        n = send(c->watch.fd, c->out.p + c->sent, c->out.len - c->sent,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0)
            break;
        c->sent += (size_t)n;
    }
    (void)shutdown(c->watch.fd, SHUT_WR);
    drop(c);
    return false;
}

static void on_client(struct watch *w, uint32_t events UNUSED)
{
    struct client *c = CONTAINER_OF(w, struct client, watch);
    char *room = c->answered ? NULL : str_reserve(&c->in, 1024);
    struct web_request q;
    struct err e;
    ssize_t n;
    int r;

    if (!c->answered) {
        n = room ? recv(w->fd, room, 1024, MSG_DONTWAIT) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            drop(c);
            return;
        }
        str_added(&c->in, (size_t)n);
        r = web_request_parse(c->in.p, c->in.len, &q);
        if (r == 0)
            return;
        answer(c, r, &q);
    }
    if (send_some(c) && loop_mod(c->web->loop, w, EPOLLOUT, &e) < 0)
        drop(c);
}

static void on_door(struct watch *w, uint32_t events UNUSED)
{
    struct web *web = CONTAINER_OF(w, struct web, door);
    struct client *c = web->clients;
    struct err e;
    int fd;

    fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    while (c < web->clients + WEB_CLIENTS_MAX && c->web)
        c++;
    if (c == web->clients + WEB_CLIENTS_MAX) {
        (void)close(fd);
        return;
    }
    *c = (struct client){ .web = web,
                          .watch = { .fd = fd, .what = "web client", .ready = on_client },
                          .timer = { .fired = on_timer },
                          .in = STR_INIT(WEB_REQUEST_MAX + 1024),
                          .out = STR_INIT(BODY_MAX + 1024) };
    web->n++;
    loop_timer(web->loop, &c->timer, WEB_CLIENT_S * NS_PER_S);
    if (loop_add(web->loop, &c->watch, EPOLLIN, &e) < 0)
        drop(c);
    else
        update_door(web);
}

static int listen_on(const struct sockaddr_storage *addr, socklen_t len, const char *text,
                     int *ret_fd, struct err *e)
{
    autofd int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    union {
        const struct sockaddr_storage *storage;
        const struct sockaddr *any;
    } a = { .storage = addr };
    int one = 1;

    if (fd < 0)
        return err_os(e, "socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* best effort */
    if (bind(fd, a.any, len) < 0 || listen(fd, 64) < 0)
        return err_os(e, "listen on %.100s", text);
    *ret_fd = take_fd(&fd);
    return 0;
}

int web_new(struct loop *loop, const char *addr, web_handler *fn, void *ctx, struct web **ret,
            struct sockaddr_storage *ret_addr, struct err *e)
{
    struct web *web = calloc(1, sizeof(*web));
    union {
        struct sockaddr_storage storage;
        struct sockaddr any;
    } bound = { .storage = { 0 } };
    socklen_t len = 0;
    int r;

    if (!web)
        return err_os(e, "web server");
    *web = (struct web){ .loop = loop, .fn = fn, .ctx = ctx };
    web->door = (struct watch){ .fd = -1, .what = "web", .ready = on_door };
    r = web_addr_parse(addr, &bound.storage, &len, e);
    if (r == 0)
        r = listen_on(&bound.storage, len, addr, &web->door.fd, e);
    if (r == 0 && getsockname(web->door.fd, &bound.any, &len) < 0)
        r = err_os(e, "getsockname");
    if (r == 0)
        r = loop_add(loop, &web->door, EPOLLIN, e);
    if (r < 0) {
        web_free(web);
        return r;
    }
    *ret_addr = bound.storage;
    *ret = web;
    return 0;
}

void web_free(struct web *web)
{
    if (!web)
        return;
    for (size_t i = 0; i < WEB_CLIENTS_MAX; i++)
        if (web->clients[i].web)
            drop(&web->clients[i]);
    loop_del(web->loop, &web->door);
    close_fd(&web->door.fd);
    free(web);
}
