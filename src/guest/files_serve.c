#include "guest/files_serve.h"

#include "guest/container.h"
#include "guest/mnt.h"
#include "guest/sys.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"
#include "util/time.h"
#include "util/unpack.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#define FREEZE_WAIT (10 * NS_PER_S)
#define CAP(name)   (UINT64_C(1) << CAP_##name)
#define FILE_CAPS                                                                                \
    (CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID) |         \
     CAP(MKNOD) | CAP(SETFCAP))

int files_send(struct files *f, enum msg_type type, const void *data, size_t len, struct err *e)
{
    return msg_send(f->fd, type, data, len, e);
}

static int send_tar(void *ctx, const void *data, size_t len, struct err *e)
{
    return files_send(ctx, MSG_ARCHIVE_OUT, data, len, e);
}

/* ---- the container --------------------------------------------------- */

static int open_layers(struct files *f, const struct container *c, struct err *e)
{
    f->base = open("/base", O_PATH | O_DIRECTORY | O_CLOEXEC);
    f->cgroup = openat(c->cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->base < 0 || f->cgroup < 0)
        return err_os(e, "container");
    f->lower = mnt_new("ext4", c->lower, "ro,noload", MNT_RDONLY, e);
    if (f->lower < 0)
        return err_ctx(e, "image");
    if (c->upper_fd < 0)
        return 0;
    f->upper = openat(c->upper_fd, "upper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return f->upper < 0 ? err_os(e, "writable layer") : 0;
}

/* What PID 1 has open is not for us any more. */
static void close_others(const struct files *f)
{
    const int keep[] = { f->fd, f->root, f->bare, f->upper, f->lower, f->base, f->cgroup };
    int last = 2;

    for (size_t i = 0; i < ARRAY_LEN(keep); i++)
        last = keep[i] > last ? keep[i] : last;
    for (int fd = 3; fd < last; fd++) {
        bool kept = false;

        for (size_t i = 0; i < ARRAY_LEN(keep); i++)
            kept |= keep[i] == fd;
        if (!kept)
            (void)close(fd);
    }
    (void)sys_close_from(last + 1);
}

/* overlayfs's own attributes are shown to CAP_SYS_ADMIN only: whoever asks for changes keeps it.
 */
static int enter(struct files *f, const struct container *c, bool changes, struct err *e)
{
    uint64_t caps = FILE_CAPS | (changes ? CAP(SYS_ADMIN) : 0);
    struct pollfd ended = { .fd = c->pidfd, .events = POLLIN };

    if (poll(&ended, 1, 0) != 0)
        return err_set(e, ERR_STATE, "container %s has ended", c->config.id);
    if (setns(c->mount_ns, CLONE_NEWNS) < 0)
        return err_os(e, "join the container");
    f->root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->root < 0)
        return err_os(e, "container");
    f->bare = mnt_clone(f->root, "", false, e);
    if (f->bare < 0)
        return f->bare;
    close_others(f);
    return sys_capset(caps, caps) < 0 ? err_os(e, "capabilities") : 0;
}

static int join(struct files *f, const struct archive_request *req, struct err *e)
{
    const struct container *c = container_find(f->guest, req->container);
    struct err ignored;
    int r;

    if (!c || c->state != CONTAINER_RUNNING || c->mount_ns < 0)
        return err_set(e, ERR_STATE, "container is not running");
    /* without memory we go, not what the user runs */
    if (fs_write_kernel(AT_FDCWD, "/proc/self/oom_score_adj", "1000", &ignored) < 0)
        err_clear(&ignored);
    (void)umask(0);
    r = open_layers(f, c, e);
    if (r < 0)
        return r;
    return enter(f, c, req->op == ARCHIVE_CHANGES || req->op == ARCHIVE_LAYER, e);
}

/* ---- freezing -------------------------------------------------------- */

static bool is_frozen(int events)
{
    char text[256] = "";
    ssize_t n = pread(events, text, sizeof(text) - 1, 0);

    return n > 0 && strstr(text, "frozen 1");
}

/* PID 1 thaws when we end, by whatever means (files_thaw()). */
static int freeze(struct files *f, struct err *e)
{
    autofd int events = openat(f->cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
    uint64_t until = time_mono_ns() + FREEZE_WAIT;

    if (events < 0 || flock(f->cgroup, LOCK_SH) < 0)
        return err_os(e, "pause");
    if (fs_write_kernel(f->cgroup, "cgroup.freeze", "1", e) < 0)
        return err_ctx(e, "pause");
    while (!is_frozen(events)) {
        struct pollfd p = { .fd = events, .events = POLLPRI };
        uint64_t now = time_mono_ns();

        if (now >= until)
            return err_set(e, ERR_TIMEOUT, "pause: a process cannot be stopped");
        if (poll(&p, 1, (int)((until - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
            return err_os(e, "pause");
    }
    return 0;
}

static void thaw(struct files *f)
{
    struct err e;

    if (flock(f->cgroup, LOCK_EX | LOCK_NB) == 0 && /* else somebody else has frozen it, too */
        fs_write_kernel(f->cgroup, "cgroup.freeze", "0", &e) < 0)
        _exit(1); /* PID 1 tries again */
    (void)flock(f->cgroup, LOCK_UN);
}

/* ---- STAT and GET ---------------------------------------------------- */

static int send_stat(struct files *f, const char *path, const struct stat *st, struct err *e)
{
    char base[256];
    union {
        const char *c;
        char *v;
    } name = { .c = files_base(path, base, sizeof(base)) };
    autofree char *target = NULL;
    autostr out = STR_INIT(0);
    struct archive_stat s = {
        .name = name.v,
        .size = (uint64_t)st->st_size,
        .mode = st->st_mode,
        .mtime_ns = (int64_t)st->st_mtim.tv_sec * (int64_t)NS_PER_S + st->st_mtim.tv_nsec,
        .uid = st->st_uid,
        .gid = st->st_gid,
    };
    int r = S_ISLNK(st->st_mode) ? files_target(f->root, path, &target, e) : 0;

    s.target = target;
    if (r == 0)
        r = config_encode(archive_stat, &s, &out, e);
    return r < 0 ? r : files_send(f, MSG_ARCHIVE_STAT, out.p, out.len, e);
}

/* File systems whose files are no files: from above they are empty directories. */
static bool is_kernel_made(int dirfd, const char *name)
{
    static const long types[] = {
        PROC_SUPER_MAGIC,   SYSFS_MAGIC,   CGROUP2_SUPER_MAGIC,
        DEVPTS_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,
        SECURITYFS_MAGIC,   BPF_FS_MAGIC,  0x19800202, /* mqueue */
    };
    autofd int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statfs fs;

    if (fd < 0 || fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if ((long)fs.f_type == types[i])
            return true;
    return false;
}

struct get {
    dev_t dev; /* of what was asked for */
    bool root; /* that is the container's root */
};

static enum pack_verdict judge_get(void *ctx, int dirfd, const char *name, const char *path,
                                   const struct stat *st)
{
    const struct get *get = ctx;

    if (!*path || !S_ISDIR(st->st_mode) || st->st_dev == get->dev)
        return PACK_ADD;
    if ((get->root && strcmp(path, "dev") == 0) || is_kernel_made(dirfd, name))
        return PACK_ALONE;
    return PACK_ADD;
}

static bool is_root_dir(int root, int dirfd, const char *entry)
{
    struct stat a, b;

    return fstat(root, &a) == 0 && fstatat(dirfd, entry, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int pack(struct files *f, int dirfd, const char *entry, const char *name, struct err *e)
{
    int r;

    f->out.len = 0;
    r = pack_tree(&f->pack, dirfd, entry, name, e);
    pack_done(&f->pack);
    return r < 0 ? r : tar_write_end(&f->out, e);
}

static int serve_get(struct files *f, const struct archive_request *req,
                     const struct files_at *at, const struct stat *st, struct err *e)
{
    struct get get = { .dev = st->st_dev, .root = is_root_dir(f->root, at->fd, at->entry) };
    char base[256];
    const char *name = req->name ? req->name : files_base(req->path, base, sizeof(base));

    f->pack.judge = judge_get;
    f->pack.ctx = &get;
    return pack(f, at->fd, at->entry, name, e);
}

static int serve_path(struct files *f, const struct archive_request *req, struct err *e)
{
    struct files_at at = { .fd = -1 };
    struct stat st;
    int r = files_resolve(f->root, req->path, &at, e);

    if (r == 0 && fstatat(at.fd, at.entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
        r = err_os(e, "lstat %s", req->path);
    if (r == 0)
        r = send_stat(f, req->path, &st, e);
    if (r == 0 && req->op == ARCHIVE_GET)
        r = serve_get(f, req, &at, &st, e);
    close_fd(&at.fd);
    return r;
}

/* ---- EXPORT ---------------------------------------------------------- */

static enum pack_verdict judge_export(void *ctx, int dirfd UNUSED, const char *name UNUSED,
                                      const char *path, const struct stat *st UNUSED)
{
    return files_only_base(ctx, path) ? PACK_SKIP : PACK_ADD;
}

static int serve_export(struct files *f, struct err *e)
{
    f->pack.judge = judge_export;
    f->pack.ctx = f;
    return pack(f, f->bare, ".", "", e);
}

/* ---- PUT ------------------------------------------------------------- */

static int open_dest(struct files *f, const char *path, struct err *e)
{
    autofd int fd = fs_open_in_root(f->root, path, O_PATH, 0, e);
    struct statvfs fs;
    struct stat st;

    if (fd < 0 && e->os == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "%s: no such file or directory", path);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_INVALID, "extraction point is not a directory");
    if (fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_RDONLY))
        return err_set(e, ERR_INVALID, "container rootfs is marked read-only");
    return 0;
}

static int start_put(struct files *f, const struct archive_request *req, struct unpack **ret,
                     struct err *e)
{
    const struct unpack_how how = {
        .root_fd = f->root,
        .is_root = true,
        .dest = req->path,
        .shown = req->path,
        .owner = true,
        .keep_owner = req->keep_owner,
        .special = true,
        .direct = true,
    };
    int r = open_dest(f, req->path, e);

    return r < 0 ? r : unpack_new(&how, ret, e);
}

/* One message of a PUT's archive, or its end. */
static bool put_next(struct files *f, struct msg *ret)
{
    struct err e;

    if (msg_recv(f->fd, &f->in, ret, &e) <= 0)
        _exit(1); /* the client has gone */
    if (ret->type != MSG_ARCHIVE_IN && ret->type != MSG_ARCHIVE_IN_END)
        _exit(1); /* not our protocol */
    f->reading = ret->type == MSG_ARCHIVE_IN;
    return f->reading;
}

static int serve_put(struct files *f, const struct archive_request *req, struct err *e)
{
    autoptr(unpack) u = NULL;
    struct msg m;
    int r = start_put(f, req, &u, e);

    while (r == 0 && put_next(f, &m))
        r = unpack_data(u, m.data, m.len, e);
    return r < 0 ? r : unpack_end(u, e);
}

/* ---- requests -------------------------------------------------------- */

static int serve_layer(struct files *f, const struct archive_request *req, struct err *e)
{
    bool layer = req->op == ARCHIVE_LAYER;
    int r = layer && req->freeze ? freeze(f, e) : 0;

    if (r == 0) {
        f->out.len = 0;
        r = files_changes(f, layer, e);
        pack_done(&f->pack);
    }
    if (r == 0 && layer)
        r = tar_write_end(&f->out, e);
    if (layer && req->freeze)
        thaw(f);
    return r;
}

static int serve(struct files *f, struct archive_request *req, struct err *e)
{
    int r = f->root < 0 ? join(f, req, e) : 0;

    if (r < 0)
        return r;
    if (!req->path && !(req->path = strdup("/")))
        return err_os(e, "request");
    if (strlen(req->path) > ARCHIVE_PATH_MAX)
        return err_set(e, ERR_INVALID, "the path is too long");
    f->pack.judge = NULL;
    switch (req->op) {
    case ARCHIVE_STAT:
    case ARCHIVE_GET:
        return serve_path(f, req, e);
    case ARCHIVE_PUT:
        return serve_put(f, req, e);
    case ARCHIVE_CHANGES:
    case ARCHIVE_LAYER:
        return serve_layer(f, req, e);
    case ARCHIVE_EXPORT:
        return serve_export(f, e);
    default:
        return err_set(e, ERR_UNSUPPORTED,
                       "this box was started by an older version: it does "
                       "not know request %llu",
                       (unsigned long long)req->op);
    }
}

static int answer(struct files *f, int r, const struct err *why, struct err *e)
{
    union {
        const char *c;
        char *v;
    } text = { .c = why->text };
    struct error_info info = { .kind = why->kind, .status = 1, .text = text.v };
    autostr out = STR_INIT(0);

    if (r >= 0)
        return files_send(f, MSG_ARCHIVE_DONE, NULL, 0, e);
    r = config_encode(error_info, &info, &out, e);
    return r < 0 ? r : files_send(f, MSG_ARCHIVE_FAILED, out.p, out.len, e);
}

static int serve_next(struct files *f, struct err *e)
{
    struct archive_request req = { 0 };
    struct err why = { 0 };
    struct msg m;
    int r = msg_recv(f->fd, &f->in, &m, e);

    if (r <= 0)
        return r < 0 ? r : 1;
    if (m.type != MSG_ARCHIVE_REQUEST)
        return err_set(e, ERR_CORRUPT, "unexpected message");
    r = config_decode(archive_request, cur_of(m.data, m.len), &req, e);
    if (r < 0)
        return r;
    f->reading = req.op == ARCHIVE_PUT;
    r = serve(f, &req, &why);
    while (f->reading && put_next(f, &m)) /* what can no longer be used */
        ;
    config_done(archive_request, &req);
    return answer(f, r, &why, e);
}

void files_main(struct guest *g, int fd)
{
    static struct files f;
    sigset_t none;
    struct err e;
    int r;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    f.guest = g;
    f.fd = fd;
    f.root = f.bare = f.upper = f.lower = f.base = f.cgroup = -1;
    f.out.write = send_tar;
    f.out.ctx = &f;
    f.pack.w = &f.out;
    f.pack.direct = true;
    do
        r = serve_next(&f, &e);
    while (r == 0);
    _exit(r < 0);
}
