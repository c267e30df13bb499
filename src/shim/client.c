#include "shim/shim.h"
#include "util/fd.h"
#include "util/log.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define CLIENTS_MAX 64 /* a few CLIs; each costs a descriptor */
/* Above this the workload's output is not taken: one slow `attach` slows the workload, as with
 * docker, and never grows our memory. */
#define CLIENT_HIGH ((size_t)256 << 10)
#define REQUEST_MAX (UINT32_C(64) << 10) /* also the largest piece of stdin */

enum client_state {
    CLIENT_REQUEST,  /* the request is on its way */
    CLIENT_WAITING,  /* for an answer to `op` */
    CLIENT_ATTACHED, /* a session */
    CLIENT_CLOSING,  /* what is queued is still sent */
    CLIENT_DEAD,     /* freed by clients_turn() */
};

struct client {
    struct shim *sh;
    struct client *next;
    struct sock sock;
    struct msg_reader in;
    enum client_state state;
    enum ctl_op op;
    bool feeds_stdin, wants_output;
};

static void client_die(struct client *c)
{
    if (c->state == CLIENT_DEAD)
        return;
    sock_close(&c->sock);
    c->state = CLIENT_DEAD;
    c->sh->clients.sweep = true;
}

/* Frees the client when nothing is left to send. */
static void client_close(struct client *c)
{
    c->state = CLIENT_CLOSING;
    sock_flush(&c->sock);
    if (c->sock.failed || !sock_unsent(&c->sock))
        client_die(c);
    else
        sock_reading(&c->sock, false);
}

static void client_put(struct client *c, enum msg_type type, const void *data, size_t len)
{
    uint8_t head[MSG_HEADER] = { (uint8_t)type };

    put_u32be(head + 1, (uint32_t)len);
    sock_put(&c->sock, head, sizeof(head));
    sock_put(&c->sock, data, len);
}

static void client_reply(struct client *c, const struct ctl_reply *reply)
{
    autostr body = STR_INIT(0);
    struct err e;

    if (config_encode(ctl_reply, reply, &body, &e) < 0) {
        log_error("reply: %s", e.text);
        client_die(c);
        return;
    }
    client_put(c, MSG_CTL_REPLY, body.p, body.len);
    sock_flush(&c->sock);
}

static void client_answer(struct client *c, const struct ctl_reply *reply,
                          const struct err *failure)
{
    struct ctl_reply ok = { .ok = true }, no = { 0 };

    if (failure) {
        no.error = (struct error_info){ .kind = (uint64_t)failure->kind,
                                        .status = (uint64_t)err_exit_status(failure),
                                        .text = (char *)(uintptr_t)failure->text };
        reply = &no;
    }
    client_reply(c, reply ? reply : &ok);
    if (c->state != CLIENT_DEAD)
        client_close(c);
}

/* ---- requests ---------------------------------------------------------- */

static int refuse_unless_running(const struct shim *sh, struct err *e)
{
    if (sh->phase == PHASE_RUN)
        return 0;
    if (sh->phase == PHASE_RESTART)
        return err_set(e, ERR_STATE, "Box %s is restarting, wait until the box is running",
                       sh->box->name);
    return err_set(e, ERR_STATE, "Box %s is not running", sh->box->name);
}

/* KILL, or what it would be stopped with, ends the wait for a restart; nobody is there to get
 * another. */
static bool takes_signal(const struct shim *sh, uint64_t signal)
{
    return sh->phase == PHASE_BOOT ||
           (sh->phase == PHASE_RESTART &&
            (signal == 9 || signal == (uint64_t)sh->box->spec.stop_signal));
}

static void attach(struct client *c, const struct ctl_request *req)
{
    struct ctl_reply ok = { .ok = true };

    client_reply(c, &ok);
    if (c->state == CLIENT_DEAD)
        return;
    c->state = CLIENT_ATTACHED;
    c->feeds_stdin = req->attach_stdin && c->sh->box->spec.open_stdin;
    c->wants_output = req->attach_output;
    if (c->feeds_stdin && c->sh->main.stdin_full)
        sock_reading(&c->sock, false);
}

static int check_signal(uint64_t signal, uint64_t min, struct err *e)
{
    if (signal < min || signal > 64)
        return err_set(e, ERR_INVALID, "signal %llu", (unsigned long long)signal);
    return 0;
}

static int do_signal(struct client *c, const struct ctl_request *req, struct err *e)
{
    struct shim *sh = c->sh;
    int r = check_signal(req->signal, 1, e);

    if (r == 0 && !takes_signal(sh, req->signal))
        r = refuse_unless_running(sh, e);
    if (r < 0)
        return r;
    shim_signal(sh, (int)req->signal);
    if (req->signal != 9 && c->state != CLIENT_DEAD)
        client_answer(c, NULL, NULL);
    return 0; /* KILL: answered when it is dead */
}

static int do_stop(struct client *c, const struct ctl_request *req, struct err *e)
{
    int r = check_signal(req->signal, 0, e);

    if (r == 0)
        shim_stop(c->sh, STOP_USER, (int)req->signal, req->timeout_ns);
    return r;
}

static int do_procs(struct client *c, struct err *e)
{
    struct shim *sh = c->sh;
    int r = refuse_unless_running(sh, e);

    if (r < 0)
        return r;
    if (sh->pausing.paused || sh->pausing.busy)
        return err_set(e, ERR_STATE, "Box %s is paused, unpause it first", sh->box->name);
    if (!sh->control.procs_timer.armed) /* else an answer is on its way, and fresh enough */
        control_procs(sh);
    return 0;
}

static int do_update(struct client *c, struct ctl_request *req, struct err *e)
{
    int r;

    /* Nothing in the guest changes, or there is none. */
    if (req->update.set == UPDATE_RESTART || c->sh->phase == PHASE_RESTART) {
        r = restart_update(c->sh, &req->update, e);
        if (r == 0)
            client_answer(c, NULL, NULL);
        return r;
    }
    r = refuse_unless_running(c->sh, e);

    return r < 0 ? r : update_begin(c->sh, &req->update, e);
}

static void resize(struct shim *sh, uint64_t cols, uint64_t rows)
{
    uint8_t size[4];

    if (!sh->box->spec.tty)
        return;
    put_u16be(size, (uint16_t)cols);
    put_u16be(size + 2, (uint16_t)rows);
    workload_put(sh, MSG_RESIZE, size, sizeof(size));
}

static int do_resize(struct client *c, const struct ctl_request *req, struct err *e)
{
    if (req->cols > UINT16_MAX || req->rows > UINT16_MAX)
        return err_set(e, ERR_INVALID, "window of %llu x %llu", (unsigned long long)req->cols,
                       (unsigned long long)req->rows);
    resize(c->sh, req->cols, req->rows);
    client_answer(c, NULL, NULL);
    return 0;
}

static struct ctl_reply exit_reply(const struct shim *sh)
{
    return (struct ctl_reply){
        .ok = true,
        .exit = { .status = (uint64_t)sh->outcome.status,
                  .oom_killed = sh->outcome.oom_killed,
                  .finished_ns = sh->outcome.finished_ns },
    };
}

static void answer_exit(struct client *c)
{
    struct ctl_reply reply = exit_reply(c->sh);

    client_answer(c, &reply, NULL);
}

static int do_health(struct client *c)
{
    autofree char *log = health_log(c->sh);

    client_answer(c, &(struct ctl_reply){ .ok = true, .health = log }, NULL);
    return 0;
}

static int do_restart(struct client *c, struct err *e)
{
    if (c->sh->phase != PHASE_RESTART)
        return err_set(e, ERR_STATE, "Box %s does not wait for a restart", c->sh->box->name);
    restart_now(c->sh);
    client_answer(c, NULL, NULL);
    return 0;
}

/* Answers, or leaves the client waiting. */
static int request_run(struct client *c, struct ctl_request *req, struct err *e)
{
    int r;

    c->state = CLIENT_WAITING;
    c->op = (enum ctl_op)req->op;
    switch (c->op) {
    case CTL_PING:
        client_answer(c, NULL, NULL);
        return 0;
    case CTL_ATTACH:
        r = c->sh->phase == PHASE_BOOT ? 0 : refuse_unless_running(c->sh, e);
        if (r == 0)
            attach(c, req);
        return r;
    case CTL_SIGNAL:
        return do_signal(c, req, e);
    case CTL_STOP:
        return do_stop(c, req, e);
    case CTL_PAUSE:
    case CTL_RESUME:
        r = refuse_unless_running(c->sh, e);
        return r < 0 ? r : shim_pause(c->sh, c->op == CTL_PAUSE, e);
    case CTL_WAIT:
        if (c->sh->phase == PHASE_RESTART) /* it has ended, and the record says so */
            answer_exit(c);
        return 0;
    case CTL_PROCS:
        return do_procs(c, e);
    case CTL_RESIZE:
        return do_resize(c, req, e);
    case CTL_UPDATE:
        return do_update(c, req, e);
    case CTL_STATS:
        r = refuse_unless_running(c->sh, e);
        return r < 0 ? r : stats_ask(c->sh, e);
    case CTL_HEALTH:
        return do_health(c);
    case CTL_RESTART:
        return do_restart(c, e);
    }
    return err_set(e, ERR_UNSUPPORTED, "request %llu is not known to this shim",
                   (unsigned long long)req->op);
}

static int on_request(struct client *c, const struct msg *m, struct err *e)
{
    struct ctl_request req = { 0 };
    struct err why;
    int r;

    if (m->type != MSG_CTL_REQUEST)
        return err_set(e, ERR_CORRUPT, "ctl.sock: message of type %u", m->type);
    r = config_decode(ctl_request, cur_of(m->data, m->len), &req, e);
    if (r < 0)
        return r;
    if (request_run(c, &req, &why) < 0 && c->state != CLIENT_DEAD)
        client_answer(c, NULL, &why);
    config_done(ctl_request, &req);
    return 0;
}

static int on_session_message(struct client *c, const struct msg *m, struct err *e)
{
    struct shim *sh = c->sh;
    struct cur at = cur_of(m->data, m->len);
    uint32_t signal = 0;
    uint16_t cols = 0, rows = 0;

    switch (m->type) {
    case MSG_STDIN:
        if (c->feeds_stdin && m->len)
            workload_put(sh, MSG_STDIN, m->data, m->len);
        return 0;
    case MSG_STDIN_EOF:
        if (c->feeds_stdin && sh->stdin_once)
            workload_put(sh, MSG_STDIN_EOF, NULL, 0);
        return 0;
    case MSG_RESIZE:
        if (!cur_u16be(&at, &cols) || !cur_u16be(&at, &rows))
            return err_set(e, ERR_CORRUPT, "bad RESIZE");
        resize(sh, cols, rows);
        return 0;
    case MSG_SIGNAL:
        if (!cur_u32be(&at, &signal))
            return err_set(e, ERR_CORRUPT, "bad SIGNAL");
        if (check_signal(signal, 1, e) < 0)
            return -(int)e->kind;
        shim_signal(sh, (int)signal);
        return 0;
    default:
        return 0; /* of a newer client */
    }
}

static int on_message(void *user, const struct msg *m, struct err *e)
{
    struct client *c = user;

    switch (c->state) {
    case CLIENT_REQUEST:
        return on_request(c, m, e);
    case CLIENT_ATTACHED:
        return on_session_message(c, m, e);
    case CLIENT_WAITING:
    case CLIENT_CLOSING:
    case CLIENT_DEAD:
        break;
    }
    return err_set(e, ERR_CORRUPT, "ctl.sock: more than one request");
}

/* ---- connections ------------------------------------------------------- */

/* Returns false when there is nothing more to read now, or ever. */
static bool client_read(struct client *c)
{
    char chunk[32768];
    struct err e;
    ssize_t n;

    n = recv(c->sock.watch.fd, chunk, sizeof(chunk), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        client_die(c);
        return false;
    }
    if (msg_read(&c->in, chunk, (size_t)n, on_message, c, &e) < 0 && c->state != CLIENT_DEAD) {
        log_warn("%s", e.text);
        client_die(c);
    }
    return c->state != CLIENT_DEAD;
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct client *c = CONTAINER_OF(w, struct client, sock.watch);
    bool hung_up = events & (EPOLLHUP | EPOLLERR);

    if (events & EPOLLOUT)
        sock_flush(&c->sock);
    if (c->sock.failed || (c->state == CLIENT_CLOSING && (hung_up || !sock_unsent(&c->sock)))) {
        client_die(c);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    /* What a client has sent before it hung up still counts: `echo | attach`. */
    while (c->sock.reading && client_read(c) && hung_up)
        ;
    if (c->state != CLIENT_DEAD && hung_up)
        sock_park(&c->sock);
}

static int client_new(struct shim *sh, int own_fd, struct client **ret, struct err *e)
{
    struct client *c = calloc(1, sizeof(*c)), **at = &sh->clients.list;
    int r;

    if (!c) {
        (void)close(own_fd);
        return err_os_at(e, ENOMEM, "client");
    }
    c->sh = sh;
    c->in.max = REQUEST_MAX;
    r = sock_open(&c->sock, sh->loop, own_fd, "client", on_ready, e);
    if (r < 0) {
        free(c);
        return r;
    }
    while (*at)
        at = &(*at)->next;
    *at = c;
    sh->clients.n++;
    *ret = c;
    return 0;
}

static void door_watch(struct shim *sh, bool open)
{
    struct err e;

    if (sh->clients.door.added &&
        loop_mod(sh->loop, &sh->clients.door, open ? EPOLLIN : 0, &e) < 0)
        log_error("%s", e.text);
}

static void on_knock(struct watch *w, uint32_t events UNUSED)
{
    struct shim *sh = CONTAINER_OF(w, struct shim, clients.door);
    struct err e;
    int fd;

    fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return; /* the client has gone, or we are out of descriptors: the next one may do */
    if (sock_check_peer(fd, &e) < 0) {
        log_warn("ctl.sock: %s", e.text);
        (void)close(fd);
        return;
    }
    if (clients_request(sh, fd, &e) < 0)
        log_warn("ctl.sock: %s", e.text);
    door_watch(sh, sh->clients.n < CLIENTS_MAX);
}

void clients_init(struct shim *sh)
{
    sh->clients = (struct clients){
        .door = { .fd = -1, .what = "ctl.sock", .ready = on_knock },
    };
}

int clients_listen(struct shim *sh, int own_fd, struct err *e)
{
    sh->clients.door.fd = own_fd;
    return loop_add(sh->loop, &sh->clients.door, EPOLLIN, e);
}

int clients_request(struct shim *sh, int own_fd, struct err *e)
{
    struct client *c = NULL;

    return client_new(sh, own_fd, &c, e);
}

int clients_attach(struct shim *sh, int own_fd, bool feeds_stdin, struct err *e)
{
    struct client *c = NULL;
    int r;

    r = client_new(sh, own_fd, &c, e);
    if (r < 0)
        return r;
    c->state = CLIENT_ATTACHED;
    c->op = CTL_ATTACH;
    c->feeds_stdin = feeds_stdin;
    c->wants_output = true;
    return 0;
}

/* ---- for the others ---------------------------------------------------- */

void clients_output(struct shim *sh, enum msg_type type, const void *data, size_t len)
{
    for (struct client *c = sh->clients.list; c; c = c->next)
        if (c->state == CLIENT_ATTACHED && c->wants_output)
            client_put(c, type, data, len);
}

bool clients_keep_up(const struct shim *sh)
{
    for (const struct client *c = sh->clients.list; c; c = c->next)
        if (c->state == CLIENT_ATTACHED && sock_unsent(&c->sock) > CLIENT_HIGH)
            return false;
    return true;
}

void clients_read_stdin(struct shim *sh, bool on)
{
    for (struct client *c = sh->clients.list; c; c = c->next)
        if (c->state == CLIENT_ATTACHED && c->feeds_stdin)
            sock_reading(&c->sock, on);
}

bool clients_wait_for(const struct shim *sh, enum ctl_op op)
{
    for (const struct client *c = sh->clients.list; c; c = c->next)
        if (c->state == CLIENT_WAITING && c->op == op)
            return true;
    return false;
}

void clients_answer(struct shim *sh, enum ctl_op op, const struct ctl_reply *reply,
                    const struct err *failure)
{
    for (struct client *c = sh->clients.list; c; c = c->next)
        if (c->state == CLIENT_WAITING && c->op == op)
            client_answer(c, reply, failure);
}

static void end_client(struct client *c, const struct ctl_reply *reply,
                       const struct err *not_running)
{
    autostr body = STR_INIT(0);
    struct err e;

    switch (c->state) {
    case CLIENT_WAITING:
        if (c->op == CTL_WAIT || c->op == CTL_STOP || c->op == CTL_SIGNAL)
            client_answer(c, reply, NULL);
        else
            client_answer(c, NULL, not_running);
        return;
    case CLIENT_ATTACHED:
        if (!c->sh->outcome.start_failed &&
            config_encode(exit_info, &reply->exit, &body, &e) == 0)
            client_put(c, MSG_EXIT, body.p, body.len);
        client_close(c);
        return;
    case CLIENT_REQUEST:
        client_answer(c, NULL, not_running);
        return;
    case CLIENT_CLOSING:
    case CLIENT_DEAD:
        return;
    }
}

void clients_ended(struct shim *sh)
{
    struct ctl_reply reply = exit_reply(sh);
    struct err not_running;

    (void)err_set(&not_running, ERR_STATE, "Box %s is not running", sh->box->name);
    for (struct client *c = sh->clients.list; c; c = c->next)
        if (c->state != CLIENT_REQUEST || sh->phase != PHASE_RESTART)
            end_client(c, &reply, &not_running);
}

int clients_take_door(struct shim *sh)
{
    loop_del(sh->loop, &sh->clients.door);
    return take_fd(&sh->clients.door.fd);
}

void clients_end(struct shim *sh)
{
    int door = clients_take_door(sh);

    clients_ended(sh);
    close_fd(&door);
}

void clients_turn(struct shim *sh)
{
    for (struct client *c = sh->clients.list; c; c = c->next) {
        if (c->state != CLIENT_ATTACHED)
            continue;
        sock_flush(&c->sock);
        if (c->sock.failed)
            client_die(c);
    }
    if (!sh->clients.sweep)
        return;
    sh->clients.sweep = false;
    for (struct client **at = &sh->clients.list; *at;) {
        struct client *c = *at;

        if (c->state != CLIENT_DEAD) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        sh->clients.n--;
        msg_reader_done(&c->in); /* not earlier: it may have been reading when the client died */
        free(c);
    }
    door_watch(sh, sh->clients.n < CLIENTS_MAX);
}

bool clients_idle(const struct shim *sh)
{
    return sh->clients.list == NULL;
}

void clients_done(struct shim *sh)
{
    loop_del(sh->loop, &sh->clients.door);
    close_fd(&sh->clients.door.fd);
    for (struct client *c = sh->clients.list; c; c = c->next)
        client_die(c);
    clients_turn(sh);
}
