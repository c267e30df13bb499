#include "box/ctl.h"

#include "proto/msg.h"
#include "util/fd.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <poll.h>

const struct tlv_row ctl_request_rows[] = {
    { 1, TLV_U64, offsetof(struct ctl_request, op) },
    { 2, TLV_U64, offsetof(struct ctl_request, signal) },
    { 3, TLV_U64, offsetof(struct ctl_request, timeout_ns) },
    { 4, TLV_U64, offsetof(struct ctl_request, cols) },
    { 5, TLV_U64, offsetof(struct ctl_request, rows) },
    { 6, TLV_BOOL, offsetof(struct ctl_request, attach_stdin) },
    { 7, TLV_BOOL, offsetof(struct ctl_request, attach_output) },
    { 8, TLV_STRUCT, offsetof(struct ctl_request, update), box_update_rows, 0 },
    { .type = TLV_END },
};

const struct tlv_row ctl_reply_rows[] = {
    { 1, TLV_BOOL, offsetof(struct ctl_reply, ok) },
    { 2, TLV_STRUCT, offsetof(struct ctl_reply, error), error_info_rows, 0 },
    { 3, TLV_STRUCT, offsetof(struct ctl_reply, exit), exit_info_rows, 0 },
    { 4, TLV_STRUCT, offsetof(struct ctl_reply, procs), proc_list_rows, 0 },
    { 5, TLV_STRUCT, offsetof(struct ctl_reply, stats), container_stats_rows, 0 },
    { 6, TLV_STR, offsetof(struct ctl_reply, health) },
    { .type = TLV_END },
};

#define LISTEN_WAIT_NS (10 * NS_PER_S)
#define LISTEN_LOOK_MS 2

/* No socket, or nobody behind it. */
static bool nobody(const struct err *e)
{
    return e->os == ENOENT || e->os == ECONNREFUSED;
}

/* A shim takes the box (BOX_STARTING) before it makes its sockets: it may be a moment away from
 * it. Returns after that moment, true while it lives and there is time left. */
static bool about_to_listen(const struct box *box, uint64_t deadline_ns)
{
    autofd int shim = -1;
    struct err gone;

    if (box->state != BOX_STARTING || time_mono_ns() >= deadline_ns ||
        proc_open(box->shim_pid, box->shim_start, &shim, &gone) < 0)
        return false;
    return poll(&(struct pollfd){ .fd = shim, .events = POLLIN }, 1, LISTEN_LOOK_MS) <= 0;
}

int ctl_connect(const char *home, const struct box *box, const char *socket, struct err *e)
{
    uint64_t deadline_ns = time_mono_ns() + LISTEN_WAIT_NS;
    autofd int dir = -1;
    int fd;

    dir = box_open_dir(home, box, e);
    if (dir < 0)
        return dir;
    do {
        fd = fd_unix_connect(dir, socket, e);
    } while (fd < 0 && nobody(e) && about_to_listen(box, deadline_ns));
    if (fd >= 0)
        return fd;
    if (nobody(e)) /* whoever ran the box has gone */
        return err_set(e, ERR_STATE, "Box %s is not running", box->name);
    return err_ctx(e, "box %s", box->name);
}

static int reply_error(const struct ctl_reply *reply, struct err *e)
{
    return error_info_err(&reply->error, ERR_INTERNAL, "the box's shim refused", e);
}

/* Wait for the first byte of the answer (or its end). */
static int await(int fd, struct tick *tick, struct err *e)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int r = 0;

    while (tick && r >= 0) {
        uint64_t now = time_mono_ns();
        uint64_t ms = now < tick->at_ns ? (tick->at_ns - now) / NS_PER_MS + 1 : 0;

        r = poll(&p, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
        if (r > 0)
            return 0;
        if (r < 0)
            r = errno == EINTR ? 0 : err_os(e, "poll");
        else if (time_mono_ns() >= tick->at_ns)
            r = tick->fn(tick, e);
    }
    return r;
}

static int send_request(int fd, const struct ctl_request *req, struct err *e)
{
    autostr buf = STR_INIT(0);
    int r = config_encode(ctl_request, req, &buf, e);

    return r < 0 ? r : msg_send(fd, MSG_CTL_REQUEST, buf.p, buf.len, e);
}

static int receive_reply(int fd, struct tick *tick, struct ctl_reply *ret, struct err *e)
{
    struct ctl_reply reply = { 0 };
    autostr buf = STR_INIT(0);
    struct msg m;
    int r;

    r = await(fd, tick, e);
    if (r < 0)
        return r;
    r = msg_recv(fd, &buf, &m, e);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_UNAVAILABLE, "its shim ended before it answered");
    if (m.type != MSG_CTL_REPLY)
        return err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m.type);
    r = config_decode(ctl_reply, cur_of(m.data, m.len), &reply, e);
    if (r < 0)
        return r;
    if (!reply.ok) {
        r = reply_error(&reply, e);
        config_done(ctl_reply, &reply);
        return r;
    }
    *ret = reply;
    return 0;
}

/* The shim's own refusals are whole sentences; failures of the connection are not. */
static int named(const struct box *box, int r, struct err *e)
{
    if (r == -(int)ERR_UNAVAILABLE || r == -(int)ERR_CORRUPT)
        return err_ctx(e, "box %s", box->name);
    return r;
}

int ctl_send(const char *home, const struct box *box, const struct ctl_request *req, int *ret_fd,
             struct err *e)
{
    autofd int fd = ctl_connect(home, box, BOX_CTL_SOCK, e);
    int r;

    if (fd < 0)
        return fd;
    r = named(box, send_request(fd, req, e), e);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

int ctl_receive(const struct box *box, int own_fd, struct tick *tick, struct ctl_reply *ret,
                struct err *e)
{
    autofd int fd = own_fd;

    return named(box, receive_reply(fd, tick, ret, e), e);
}

int ctl_call(const char *home, const struct box *box, const struct ctl_request *req,
             struct ctl_reply *ret, struct err *e)
{
    return ctl_call_tick(home, box, req, NULL, ret, e);
}

int ctl_call_tick(const char *home, const struct box *box, const struct ctl_request *req,
                  struct tick *tick, struct ctl_reply *ret, struct err *e)
{
    int fd = -1, r;

    r = ctl_send(home, box, req, &fd, e);
    return r < 0 ? r : ctl_receive(box, fd, tick, ret, e);
}
