#include "util/unpack.h"

#include "util/bulk.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/pack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define DIRS_MAX  (1 << 20)           /* directories of one archive */
#define TEXTS_MAX ((size_t)256 << 20) /* ... and their names */
#define SPECIAL   (S_ISUID | S_ISGID)

/* A directory whose mode and time wait for the end. */
struct late_dir {
    size_t name; /* in `texts` */
    uint32_t mode;
    struct timespec mtime;
};

struct unpack {
    struct unpack_how how;
    struct tar_reader *tar;
    char *dest; /* without a slash at its end */
    struct late_dir *dirs;
    size_t dirs_n, dirs_cap;
    struct str texts;
    char *parent; /* the last member's, opened as parent_fd */
    int parent_fd;
    int file_fd; /* of the member whose data comes */
    struct bulk bulk;
    bool any;
    struct timespec mtime;
    struct str path; /* of the member, cleaned, below the destination */
    struct str link; /* likewise its target */
};

/* ---- names ----------------------------------------------------------- */

/* As Go's filepath.Clean, without a leading slash; "" is the destination. */
static int clean(const char *name, struct str *out, struct err *e)
{
    str_clear(out);
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/");
        char *slash;

        if (n == 2 && p[0] == '.' && p[1] == '.') {
            if (!out->len)
                return err_set(e, ERR_INVALID, "\"%.200s\" is outside of the destination", name);
            slash = strrchr(out->p, '/');
            out->len = slash ? (size_t)(slash - out->p) : 0;
            out->p[out->len] = '\0';
        } else if (n && !(n == 1 && p[0] == '.')) {
            if (out->len)
                (void)str_addc(out, '/');
            (void)str_add(out, p, n);
        }
        p += n;
        p += *p == '/';
    }
    return out->failed ? err_set(e, ERR_INVALID, "a name is too long") : 0;
}

/* Only what was asked for. */
static int check_name(const struct unpack *u, const char *path, struct err *e)
{
    size_t n = u->how.only ? strlen(u->how.only) : 0;

    if (n && (strncmp(path, u->how.only, n) != 0 || (path[n] != '\0' && path[n] != '/')))
        return err_set(e, ERR_CORRUPT, "\"%.200s\" was not asked for", path);
    return 0;
}

/* The last component; `*ret_parent` is what is before it. */
static const char *split(const char *path, char **ret_parent)
{
    const char *slash = strrchr(path, '/');

    *ret_parent = slash ? strndup(path, (size_t)(slash - path)) : strdup("");
    return slash ? slash + 1 : path;
}

/* ---- parents --------------------------------------------------------- */

static int open_dir(struct unpack *u, const char *path, struct err *e)
{
    autofree char *whole = NULL;

    if (!u->how.is_root)
        return fs_open_no_links(u->how.root_fd, *path ? path : ".", O_PATH | O_DIRECTORY, 0, e);
    whole = str_format("/%s/%s", u->dest, path);
    if (!whole)
        return err_os(e, "name");
    return fs_open_in_root(u->how.root_fd, whole, O_PATH | O_DIRECTORY, 0, e);
}

static int make_dir(struct unpack *u, int at, const char *base, struct err *e)
{
    if (mkdirat(at, base, 0755) < 0)
        return errno == EEXIST ? 0 : err_os(e, "mkdir %s", base);
    if (u->how.owner && fchownat(at, base, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
        return err_os(e, "chown %s", base);
    return fchmodat(at, base, 0755, 0) < 0 ? err_os(e, "chmod %s", base) : 0;
}

/* The directory, made with all its parents when it is not there. */
static int reach_dir(struct unpack *u, const char *path, struct err *e)
{
    int fd = open_dir(u, path, e), at, r;
    autofree char *up = NULL;
    const char *base;

    if (fd >= 0 || e->os != ENOENT || !*path)
        return fd;
    err_clear(e);
    base = split(path, &up);
    if (!up)
        return err_os(e, "name");
    at = reach_dir(u, up, e);
    if (at < 0)
        return at;
    r = make_dir(u, at, base, e);
    close_fd(&at);
    return r < 0 ? r : open_dir(u, path, e);
}

/* Opened once for all the files in a directory. */
static int reach_parent(struct unpack *u, const char *path, const char **ret_base, struct err *e)
{
    autofree char *parent = NULL;
    int fd;

    *ret_base = split(path, &parent);
    if (!parent)
        return err_os(e, "name");
    if (u->parent && strcmp(u->parent, parent) == 0)
        return u->parent_fd;
    fd = reach_dir(u, parent, e);
    if (fd < 0)
        return err_ctx(e, "%s", parent);
    close_fd(&u->parent_fd);
    free(u->parent);
    u->parent = take_ptr(parent);
    return u->parent_fd = fd;
}

/* What was opened may no longer be what its name says. */
static void forget_parent(struct unpack *u)
{
    close_fd(&u->parent_fd);
    free(take_ptr(u->parent));
}

/* ---- members --------------------------------------------------------- */

/* A device that a stranger names opens the one of this machine: for nobody but its owner. */
static uint32_t wanted_mode(const struct unpack *u, const struct tar_member *m)
{
    bool device = m->type == TAR_CHAR || m->type == TAR_BLOCK_DEVICE;

    if (u->how.special)
        return m->mode & 07777;
    return m->mode & (device ? 0700 : 07777 & ~(uint32_t)SPECIAL);
}

/* Attributes that cannot be had are left out: file systems and users differ in what they may. */
static void set_xattrs(const struct unpack *u, int fd, const struct tar_member *m)
{
    struct tar_xattr x;
    size_t at = 0;

    while (tar_xattr_next(&m->xattrs, &at, &x))
        if (pack_xattr_wanted(x.name) && (u->how.special || strncmp(x.name, "user.", 5) == 0))
            (void)fsetxattr(fd, x.name, x.value, x.len, 0);
}

static int set_owner(const struct unpack *u, int at, const char *base, const struct tar_member *m,
                     struct err *e)
{
    uid_t uid = u->how.keep_owner ? (uid_t)m->uid : 0;
    gid_t gid = u->how.keep_owner ? (gid_t)m->gid : 0;

    if (!u->how.owner)
        return 0;
    return fchownat(at, base, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? err_os(e, "chown") : 0;
}

static int set_time(int at, const char *base, struct timespec mtime, struct err *e)
{
    const struct timespec times[2] = { mtime, mtime };

    return utimensat(at, base, times, AT_SYMLINK_NOFOLLOW) < 0 ? err_os(e, "set time") : 0;
}

/* What is in the way goes, by docker's rules. Sets *ret_merge for a directory that stays. */
static int make_room(struct unpack *u, int at, const char *base, const struct tar_member *m,
                     bool *ret_merge, struct err *e)
{
    struct stat st;

    *ret_merge = false;
    if (fstatat(at, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_os(e, "stat");
    if (S_ISDIR(st.st_mode) && m->type != TAR_DIR)
        return err_set(e, ERR_INVALID,
                       "cannot overwrite directory \"%s/%s\" with non-directory "
                       "\"%s\"",
                       strcmp(u->how.shown, "/") == 0 ? "" : u->how.shown, str_c(&u->path),
                       u->how.shown);
    if (!S_ISDIR(st.st_mode) && m->type == TAR_DIR)
        return err_set(e, ERR_INVALID,
                       "cannot overwrite non-directory \"%s/%s\" with directory "
                       "\"%s\"",
                       strcmp(u->how.shown, "/") == 0 ? "" : u->how.shown, str_c(&u->path),
                       u->how.shown);
    *ret_merge = S_ISDIR(st.st_mode);
    if (*ret_merge || unlinkat(at, base, 0) == 0)
        return 0;
    /* a file that is mounted, as /etc/hosts of a box: the same file, other content */
    return errno == EBUSY && m->type == TAR_FILE && S_ISREG(st.st_mode) ? 0 : err_os(e, "unlink");
}

static int make_file(struct unpack *u, int at, const char *base, const struct tar_member *m,
                     struct err *e)
{
    autofd int fd = openat(at, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST) /* make_room() has left it */
        fd = openat(at, base, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_os(e, "create");
    if (set_owner(u, at, base, m, e) < 0)
        return -e->kind;
    if (fchmod(fd, wanted_mode(u, m)) < 0)
        return err_os(e, "chmod");
    set_xattrs(u, fd, m);
    bulk_begin(&u->bulk, fd, u->how.direct ? m->size : 0);
    u->file_fd = take_fd(&fd);
    return 0;
}

static int remember_dir(struct unpack *u, const struct tar_member *m, struct err *e)
{
    struct late_dir *dirs = u->dirs;

    if (u->dirs_n == u->dirs_cap) {
        size_t cap = u->dirs_cap ? 2 * u->dirs_cap : 64;

        dirs = cap <= DIRS_MAX ? reallocarray(dirs, cap, sizeof(*dirs)) : NULL;
        if (!dirs)
            return err_set(e, ERR_LIMIT, "too many directories");
        u->dirs = dirs;
        u->dirs_cap = cap;
    }
    dirs[u->dirs_n] = (struct late_dir){ u->texts.len, wanted_mode(u, m), u->mtime };
    if (!str_add(&u->texts, str_c(&u->path), u->path.len + 1))
        return err_set(e, ERR_LIMIT, "too many directories");
    u->dirs_n++;
    return 0;
}

static int make_member_dir(struct unpack *u, int at, const char *base, bool merge,
                           const struct tar_member *m, struct err *e)
{
    autofd int fd = -1;

    if (!merge && mkdirat(at, base, 0700) < 0)
        return err_os(e, "mkdir");
    if (set_owner(u, at, base, m, e) < 0)
        return -e->kind;
    fd = openat(at, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        set_xattrs(u, fd, m);
    return remember_dir(u, m, e);
}

static int make_link(struct unpack *u, int at, const char *base, const struct tar_member *m,
                     struct err *e)
{
    autofree char *parent = NULL;
    const char *target;
    autofd int from = -1;
    int r = clean(m->target, &u->link, e);

    if (r == 0)
        r = check_name(u, str_c(&u->link), e);
    if (r < 0)
        return r;
    target = split(str_c(&u->link), &parent);
    from = parent ? open_dir(u, parent, e) : err_os(e, "name");
    if (from < 0)
        return from;
    return linkat(from, target, at, base, 0) < 0 ? err_os(e, "link to %s", str_c(&u->link)) : 0;
}

static int make_special(struct unpack *u, int at, const char *base, const struct tar_member *m,
                        struct err *e)
{
    uint32_t kind = m->type == TAR_FIFO ? S_IFIFO : m->type == TAR_CHAR ? S_IFCHR : S_IFBLK;
    dev_t dev = m->type == TAR_FIFO ? 0 : makedev(m->major, m->minor);

    if (mknodat(at, base, kind | 0600, dev) < 0)
        return err_os(e, "mknod");
    if (set_owner(u, at, base, m, e) < 0)
        return -e->kind;
    if (fchmodat(at, base, wanted_mode(u, m), 0) < 0)
        return err_os(e, "chmod");
    return set_time(at, base, u->mtime, e);
}

static int make_symlink(struct unpack *u, int at, const char *base, const struct tar_member *m,
                        struct err *e)
{
    if (symlinkat(m->target, at, base) < 0)
        return err_os(e, "symlink");
    if (set_owner(u, at, base, m, e) < 0)
        return -e->kind;
    return set_time(at, base, u->mtime, e);
}

static int make_member(struct unpack *u, const struct tar_member *m, struct err *e)
{
    const char *base;
    bool merge;
    int at = reach_parent(u, str_c(&u->path), &base, e);

    if (at < 0)
        return at;
    if (make_room(u, at, base, m, &merge, e) < 0)
        return -e->kind;
    switch (m->type) {
    case TAR_FILE:
        return make_file(u, at, base, m, e);
    case TAR_DIR:
        return make_member_dir(u, at, base, merge, m, e);
    case TAR_LINK:
        return make_link(u, at, base, m, e);
    case TAR_SYMLINK:
        return make_symlink(u, at, base, m, e);
    case TAR_CHAR:
    case TAR_BLOCK_DEVICE:
    case TAR_FIFO:
        return make_special(u, at, base, m, e);
    default:
        return err_set(e, ERR_CORRUPT, "unknown type of member");
    }
}

/* May what is opened as parent be replaced by this member? */
static bool is_above(const char *path, const char *parent)
{
    size_t n = strlen(path);

    return parent && strncmp(path, parent, n) == 0 && (parent[n] == '/' || parent[n] == '\0');
}

static int on_member(void *ctx, const struct tar_member *m, struct err *e)
{
    struct unpack *u = ctx;
    int r = clean(m->name, &u->path, e);

    if (r == 0)
        r = check_name(u, str_c(&u->path), e);
    if (r < 0)
        return r;
    u->any = true;
    u->mtime = (struct timespec){ .tv_sec = m->mtime_s, .tv_nsec = (long)m->mtime_ns };
    if (!u->path.len)
        return m->type == TAR_DIR
                   ? 0
                   : err_set(e, ERR_INVALID,
                             "cannot overwrite directory \"%s\" with non-directory \"%s\"",
                             u->how.shown, u->how.shown);
    if (is_above(str_c(&u->path), u->parent))
        forget_parent(u);
    r = make_member(u, m, e);
    if (r < 0 && e->kind != ERR_INVALID && e->kind != ERR_CORRUPT)
        return err_ctx(e, "%s", str_c(&u->path));
    return r;
}

static int on_data(void *ctx, const void *data, size_t len, struct err *e)
{
    struct unpack *u = ctx;

    if (u->file_fd < 0)
        return 0;
    return bulk_write(&u->bulk, u->file_fd, data, len, e) < 0 ? err_ctx(e, "%s", str_c(&u->path))
                                                              : 0;
}

static int on_done(void *ctx, struct err *e)
{
    struct unpack *u = ctx;
    const struct timespec times[2] = { u->mtime, u->mtime };
    autofd int fd = take_fd(&u->file_fd);

    if (fd >= 0 && bulk_end(&u->bulk, fd, e) < 0)
        return err_ctx(e, "%s", str_c(&u->path));
    if (fd >= 0 && futimens(fd, times) < 0)
        return err_os(e, "%s: set time", str_c(&u->path));
    return 0;
}

/* ---- all of it ------------------------------------------------------- */

int unpack_new(const struct unpack_how *how, struct unpack **ret, struct err *e)
{
    static const struct tar_ops ops = { on_member, on_data, on_done };
    autoptr(unpack) u = calloc(1, sizeof(*u));
    size_t n;

    if (!u)
        return err_os(e, "unpack");
    u->parent_fd = u->file_fd = -1;
    u->how = *how;
    u->texts.max = TEXTS_MAX;
    u->path.max = u->link.max = TAR_NAME_MAX;
    u->dest = strdup(how->dest ? how->dest : "");
    if (!u->dest)
        return err_os(e, "unpack");
    for (n = strlen(u->dest); n && u->dest[n - 1] == '/';)
        u->dest[--n] = '\0';
    if (tar_reader_new(&ops, u, &u->tar, e) < 0)
        return -e->kind;
    *ret = take_ptr(u);
    return 0;
}

void unpack_free(struct unpack *u)
{
    if (!u)
        return;
    tar_reader_free(u->tar);
    free(u->dest);
    free(u->dirs);
    free(u->parent);
    close_fd(&u->parent_fd);
    close_fd(&u->file_fd);
    bulk_done(&u->bulk);
    str_done(&u->texts);
    str_done(&u->path);
    str_done(&u->link);
    free(u);
}

int unpack_data(struct unpack *u, const void *data, size_t len, struct err *e)
{
    return tar_read(u->tar, data, len, e);
}

/* The deepest first, so that times are not changed again and closed ones can still be entered. */
static int finish_dir(struct unpack *u, const struct late_dir *d, struct err *e)
{
    const char *path = u->texts.p + d->name, *base;
    autofree char *parent = NULL;
    autofd int at = -1;
    struct stat st;
    struct err gone;

    base = split(path, &parent);
    at = parent ? open_dir(u, parent, &gone) : -1;
    if (at < 0 || fstatat(at, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return 0; /* a later member has replaced it */
    if (fchmodat(at, base, d->mode, 0) < 0)
        return err_os(e, "%s: chmod", path);
    return set_time(at, base, d->mtime, e) < 0 ? err_ctx(e, "%s", path) : 0;
}

int unpack_end(struct unpack *u, struct err *e)
{
    int r = tar_read_end(u->tar, e);

    for (size_t i = u->dirs_n; r == 0 && i-- > 0;)
        r = finish_dir(u, &u->dirs[i], e);
    return r;
}

bool unpack_any(const struct unpack *u)
{
    return u->any;
}
