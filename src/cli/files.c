#include "cli/files.h"

#include "box/ctl.h"
#include "box/record.h"
#include "util/fd.h"
#include "util/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>

struct files {
    int fd;
    int lock_fd; /* the directory of a box that does not run; -1 */
    pid_t pid;   /* a3s-box-image; 0: the guest serves */
    char id[ID_LEN];
    char *name;
    struct str in;
};

void files_free(struct files *f)
{
    struct err ignored;
    int status;

    if (!f)
        return;
    close_fd(&f->fd); /* ends the helper, too */
    if (f->pid && spawn_wait(f->pid, &status, &ignored) < 0)
        err_clear(&ignored);
    close_fd(&f->lock_fd);
    free(f->name);
    str_done(&f->in);
    free(f);
}

bool files_live(const struct files *f)
{
    return f->pid == 0;
}

/* ---- opening --------------------------------------------------------- */

static int open_live(struct files *f, const char *home, const struct box *box, struct err *e)
{
    if (box->state == BOX_PAUSED)
        return err_set(e, ERR_STATE, "Box %s is paused, unpause the box first", box->name);
    if (box->state == BOX_RESTARTING)
        return err_set(e, ERR_STATE, "Box %s is restarting, wait until the box is running",
                       box->name);
    f->fd = ctl_connect(home, box, BOX_FILES_SOCK, e);
    return f->fd < 0 ? f->fd : 0;
}

static int start_helper(struct files *f, struct cli *cli, const struct box *box, bool write,
                        struct err *e)
{
    autofree char *program = cli_helper_path(cli, "a3s-box-image");
    autofree char *disk = str_format("boxes/%s/%s", box->id, BOX_DISK);
    const char *argv[] = { program,
                           "archive",
                           "--disk",
                           disk,
                           "--rootfs",
                           box->spec.rootfs,
                           write ? "--write" : NULL,
                           NULL };
    autofd int theirs = -1;
    int pair[2];
    struct spawn s = { .argv = argv, .parent_death_signal = SIGKILL, .no_new_privs = true };
    struct spawn_fd fds[4];

    if (!program || !disk)
        return err_os(e, "files");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_os(e, "files");
    f->fd = pair[0];
    theirs = pair[1];
    memcpy(fds,
           (const struct spawn_fd[]){
               { theirs, 0 }, { theirs, 1 }, { 2, 2 }, { f->lock_fd, ARCHIVE_LOCK_FD } },
           sizeof(fds));
    s.fds = fds;
    s.fds_n = ARRAY_LEN(fds);
    if (setenv("A3S_HOME", cli->home, 1) < 0)
        return err_os(e, "files");
    return spawn_start(&s, &f->pid, NULL, e);
}

/* Before its shim may use the disk it takes the same lock. */
static int open_stopped(struct files *f, struct cli *cli, struct db *db, struct box *box,
                        bool write, struct err *e)
{
    int r;

    f->lock_fd = box_open_dir(cli->home, box, e);
    if (f->lock_fd < 0)
        return f->lock_fd;
    while ((r = flock(f->lock_fd, write ? LOCK_EX : LOCK_SH)) < 0 && errno == EINTR)
        ;
    if (r < 0)
        return err_os(e, "lock of the box's directory");
    r = box_reload(db, box, e);
    if (r < 0)
        return r;
    if (box_state_is_live(box->state)) { /* started meanwhile */
        close_fd(&f->lock_fd);
        return open_live(f, cli->home, box, e);
    }
    if (box->state == BOX_REMOVING)
        return err_set(e, ERR_STATE, "Box %s is being removed", box->name);
    r = box_need_rootfs(db, cli->home, box, e);
    return r < 0 ? r : start_helper(f, cli, box, write, e);
}

int files_open(struct cli *cli, struct db *db, struct box *box, bool write, struct files **ret,
               struct err *e)
{
    autoptr(files) f = calloc(1, sizeof(*f));
    int r;

    if (!f)
        return err_os(e, "files");
    f->fd = f->lock_fd = -1;
    memcpy(f->id, box->id, sizeof(f->id));
    f->name = strdup(box->name);
    if (!f->name)
        return err_os(e, "files");
    r = box_state_is_live(box->state) ? open_live(f, cli->home, box, e)
                                      : open_stopped(f, cli, db, box, write, e);
    if (r == 0)
        *ret = take_ptr(f);
    return r;
}

/* ---- talking --------------------------------------------------------- */

/* The connection has ended before the answer. A helper has said why on our stderr. */
static int lost(struct files *f, struct err *e)
{
    int status = 0, r;

    if (!f->pid)
        return err_set(e, ERR_UNAVAILABLE, "Box %s has ended", f->name);
    r = spawn_wait(f->pid, &status, e);
    f->pid = 0;
    if (r < 0)
        return r;
    if (status >= 128)
        return err_set(e, ERR_INTERNAL, "a3s-box-image was ended by signal %d", status - 128);
    *e = (struct err){ .kind = ERR_SYSTEM };
    return -ERR_SYSTEM;
}

int files_ask(struct files *f, const struct archive_request *req, struct err *e)
{
    struct archive_request whole = *req;
    autostr out = STR_INIT(0);
    int r;

    whole.container = f->id;
    r = config_encode(archive_request, &whole, &out, e);
    if (r < 0)
        return r;
    r = msg_send(f->fd, MSG_ARCHIVE_REQUEST, out.p, out.len, e);
    return r < 0 && e->os == EPIPE ? lost(f, e) : r;
}

static int failed(const struct msg *m, struct err *e)
{
    struct error_info info = { 0 };
    int r = config_decode(error_info, cur_of(m->data, m->len), &info, e);

    if (r < 0)
        return r;
    r = error_info_err(&info, ERR_SYSTEM, "unknown error", e);
    config_done(error_info, &info);
    return r;
}

int files_next(struct files *f, struct msg *ret, struct err *e)
{
    int r = msg_recv(f->fd, &f->in, ret, e);

    if (r == 0 || (r < 0 && e->os == ECONNRESET))
        return lost(f, e);
    if (r < 0)
        return r;
    if (ret->type == MSG_ARCHIVE_FAILED)
        return failed(ret, e);
    return ret->type != MSG_ARCHIVE_DONE;
}

/* An answer before we are done can only be a failure. */
static int early(struct files *f, struct err *e)
{
    struct msg m;
    int r = files_next(f, &m, e);

    return r < 0 ? r : err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m.type);
}

int files_send(struct files *f, enum msg_type type, const void *data, size_t len, struct err *e)
{
    struct pollfd p = { .fd = f->fd, .events = POLLIN };
    int r;

    if (poll(&p, 1, 0) > 0)
        return early(f, e);
    r = msg_send(f->fd, type, data, len, e);
    return r < 0 && e->os == EPIPE ? early(f, e) : r;
}

int files_stat(struct files *f, const char *path, struct archive_stat *ret, struct err *e)
{
    union {
        const char *c;
        char *v;
    } p = { .c = path };
    struct archive_stat st = { 0 };
    struct msg m;
    bool any = false;
    int r = files_ask(f, &(struct archive_request){ .op = ARCHIVE_STAT, .path = p.v }, e);

    while (r == 0 && (r = files_next(f, &m, e)) > 0) {
        r = any || m.type != MSG_ARCHIVE_STAT
                ? err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m.type)
                : config_decode(archive_stat, cur_of(m.data, m.len), &st, e);
        any = true;
    }
    if (r == 0 && !any)
        r = err_set(e, ERR_CORRUPT, "no answer");
    if (r < 0)
        config_done(archive_stat, &st);
    else
        *ret = st;
    return r;
}

int files_copy_out(struct files *f, int fd, struct err *e)
{
    struct msg m;
    int r;

    while ((r = files_next(f, &m, e)) > 0) {
        if (m.type == MSG_ARCHIVE_STAT)
            continue;
        if (m.type != MSG_ARCHIVE_OUT)
            return err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m.type);
        r = fd_write_all(fd, m.data, m.len, e);
        if (r < 0)
            return r;
    }
    return r;
}
