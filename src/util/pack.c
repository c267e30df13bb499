#include "util/pack.h"

#include "util/own.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define NAMES_MAX   ((size_t)256 << 20) /* bytes of names in one directory */
#define XATTR_LIST  ((size_t)64 << 10)  /* the kernel's own limits */
#define XATTR_BYTES ((size_t)64 << 10)
#define DIR_FLAGS   (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define FILE_FLAGS  (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define IS_GONE(os) ((os) == ENOENT)

struct pack_link {
    struct pack_link *next;
    dev_t dev;
    ino_t ino;
    char name[];
};

/* ---- names ----------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(DIR *dir, struct str *text, size_t *ret_n, struct err *e)
{
    struct dirent *d;

    for (errno = 0; (d = readdir(dir)); errno = 0) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (!str_add(text, d->d_name, strlen(d->d_name) + 1))
            return err_set(e, ERR_LIMIT, "a directory has too many entries");
        ++*ret_n;
    }
    return errno ? err_os(e, "read directory") : 0;
}

int pack_list(int dirfd, const char *name, struct pack_names *ret, struct err *e)
{
    autostr text = STR_INIT(NAMES_MAX);
    struct pack_names names = { 0 };
    int fd = openat(dirfd, name, DIR_FLAGS), r;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t i = 0;

    if (!dir) {
        r = err_os(e, "open directory %s", name);
        close_fd(&fd);
        return r;
    }
    r = read_names(dir, &text, &names.n, e);
    (void)closedir(dir);
    if (r < 0)
        return r;
    names.v = calloc(names.n + 1, sizeof(*names.v));
    names.text = str_take(&text);
    if (!names.v || !names.text) {
        pack_names_done(&names);
        return err_os_at(e, ENOMEM, "read directory");
    }
    for (char *p = names.text; i < names.n; p += strlen(p) + 1)
        names.v[i++] = p;
    qsort(names.v, names.n, sizeof(*names.v), by_name);
    *ret = names;
    return 0;
}

void pack_names_done(struct pack_names *names)
{
    free(names->v);
    free(names->text);
    *names = (struct pack_names){ 0 };
}

/* ---- attributes ------------------------------------------------------ */

bool pack_xattr_wanted(const char *name)
{
    return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static int add_xattr(int fd, const char *name, struct str *ret, struct err *e)
{
    autofree char *value = malloc(XATTR_BYTES);
    ssize_t len = value ? fgetxattr(fd, name, value, XATTR_BYTES) : -1;

    if (len < 0) /* it has gone meanwhile, or is not for us */
        return value ? 0 : err_os(e, "attribute");
    if (!tar_xattr_add(ret, name, value, (size_t)len))
        return err_set(e, ERR_LIMIT, "too many extended attributes");
    return 0;
}

int pack_xattrs(int fd, struct str *ret, struct err *e)
{
    autofree char *list = NULL;
    ssize_t len = flistxattr(fd, NULL, 0);
    int r = 0;

    if (len <= 0)
        return 0;
    list = malloc(XATTR_LIST + 1);
    len = list ? flistxattr(fd, list, XATTR_LIST) : -1;
    if (len < 0)
        return list ? 0 : err_os(e, "attributes");
    list[len] = '\0';
    for (const char *p = list; r == 0 && p < list + len; p += strlen(p) + 1)
        if (pack_xattr_wanted(p))
            r = add_xattr(fd, p, ret, e);
    return r;
}

/* ---- hard links ------------------------------------------------------ */

/* The first name of this inode, or NULL: then it is remembered. */
static int first_name(struct pack *p, const struct stat *st, const char *name, const char **ret,
                      struct err *e)
{
    struct pack_link **at = &p->links[(st->st_ino ^ st->st_ino >> 12) % PACK_LINKS], *link;
    size_t len = strlen(name) + 1;

    for (link = *at; link; link = link->next)
        if (link->ino == st->st_ino && link->dev == st->st_dev) {
            *ret = link->name;
            return 0;
        }
    link = malloc(sizeof(*link) + len);
    if (!link)
        return err_os(e, "hard links");
    link->next = *at;
    link->dev = st->st_dev;
    link->ino = st->st_ino;
    memcpy(link->name, name, len);
    *at = link;
    *ret = NULL;
    return 0;
}

void pack_done(struct pack *p)
{
    bulk_done(&p->bulk);
    for (size_t i = 0; i < PACK_LINKS; i++)
        while (p->links[i]) {
            struct pack_link *next = p->links[i]->next;

            free(p->links[i]);
            p->links[i] = next;
        }
}

/* ---- members --------------------------------------------------------- */

static void member_of(struct tar_member *m, const struct stat *st, const char *name)
{
    m->name = name;
    m->mode = st->st_mode & 07777;
    m->uid = st->st_uid;
    m->gid = st->st_gid;
    m->mtime_s = st->st_mtim.tv_sec;
    m->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
}

/* The data of a big file but for what is less than a block. Sets *ret_left to that. */
static int put_blocks(struct pack *p, int fd, uint64_t *ret_left, struct err *e)
{
    int r = 0;

    bulk_begin(&p->bulk, fd, *ret_left);
    while (r == 0 && p->bulk.on && *ret_left >= BULK_BLOCK) {
        ssize_t n = bulk_read(&p->bulk, fd, e);

        if (n >= 0 && (size_t)n < BULK_BLOCK)
            return err_set(e, ERR_SYSTEM, "the file has become shorter while it was read");
        r = n < 0 ? (int)n : tar_write_data(p->w, p->bulk.block, BULK_BLOCK, e);
        *ret_left -= BULK_BLOCK;
    }
    return r < 0 ? r : bulk_end(&p->bulk, fd, e);
}

static int put_data(struct pack *p, int fd, uint64_t size, struct err *e)
{
    uint64_t left = size;
    int r = p->direct ? put_blocks(p, fd, &left, e) : 0;

    return r < 0 ? r : tar_write_file(p->w, fd, left, e); /* blocks of ours are tar's, too */
}

static int put_file(struct pack *p, int dirfd, const char *entry, struct tar_member *m,
                    struct err *e)
{
    autofd int fd = openat(dirfd, entry, FILE_FLAGS);
    const char *first = NULL, *name = m->name;
    struct stat st;
    int r = 0;

    if (fd < 0)
        return IS_GONE(errno) ? 0 : err_os(e, "open");
    if (fstat(fd, &st) < 0)
        return err_os(e, "stat");
    if (!S_ISREG(st.st_mode))
        return 0; /* another one took its place */
    if (st.st_nlink > 1)
        r = first_name(p, &st, name, &first, e);
    if (r < 0)
        return r;
    member_of(m, &st, name);
    m->type = first ? TAR_LINK : TAR_FILE;
    m->target = first;
    m->size = first ? 0 : (uint64_t)st.st_size;
    if (!first)
        r = pack_xattrs(fd, &m->xattrs, e);
    if (r == 0)
        r = tar_write_member(p->w, m, e);
    return r == 0 && !first ? put_data(p, fd, m->size, e) : r;
}

static int put_symlink(struct pack *p, int dirfd, const char *entry, struct tar_member *m,
                       struct err *e)
{
    char target[TAR_NAME_MAX + 2];
    ssize_t n = readlinkat(dirfd, entry, target, sizeof(target) - 1);

    if (n < 0)
        return IS_GONE(errno) || errno == EINVAL ? 0 : err_os(e, "readlink");
    target[n] = '\0';
    m->type = TAR_SYMLINK;
    m->target = target;
    return tar_write_member(p->w, m, e);
}

static int put_dir(struct pack *p, int dirfd, const char *entry, struct tar_member *m,
                   struct err *e)
{
    autofd int fd = openat(dirfd, entry, DIR_FLAGS);
    int r;

    if (fd < 0)
        return IS_GONE(errno) || errno == ENOTDIR ? 0 : err_os(e, "open");
    r = pack_xattrs(fd, &m->xattrs, e);
    m->type = TAR_DIR;
    return r < 0 ? r : tar_write_member(p->w, m, e);
}

static int put(struct pack *p, int dirfd, const char *entry, const struct stat *st,
               const char *name, struct err *e)
{
    struct tar_member m = { .xattrs = STR_INIT(TAR_EXTRA_MAX / 2) };
    int r;

    member_of(&m, st, name);
    switch (st->st_mode & S_IFMT) {
    case S_IFREG:
        r = put_file(p, dirfd, entry, &m, e);
        break;
    case S_IFLNK:
        r = put_symlink(p, dirfd, entry, &m, e);
        break;
    case S_IFDIR:
        r = put_dir(p, dirfd, entry, &m, e);
        break;
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
        m.type = S_ISFIFO(st->st_mode)  ? TAR_FIFO
                 : S_ISCHR(st->st_mode) ? TAR_CHAR
                                        : TAR_BLOCK_DEVICE;
        m.major = major(st->st_rdev);
        m.minor = minor(st->st_rdev);
        r = tar_write_member(p->w, &m, e);
        break;
    default: /* a socket */
        r = 0;
    }
    str_done(&m.xattrs);
    return r;
}

int pack_one(struct pack *p, int dirfd, const char *entry, const char *name, struct err *e)
{
    struct stat st;

    if (fstatat(dirfd, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return IS_GONE(errno) ? 0 : err_os(e, "%s", name);
    return put(p, dirfd, entry, &st, name, e) < 0 ? err_ctx(e, "%s", name) : 0;
}

/* ---- trees ----------------------------------------------------------- */

/* Where we are: the same place, as a member's name and below the first directory. Both grow and
 * shrink as the walk goes on. */
struct walk {
    struct pack *p;
    struct str name, path;
};

static int walk_entry(struct walk *w, int dirfd, const char *entry, struct err *e);

static int walk_child(struct walk *w, int dirfd, const char *entry, struct err *e)
{
    size_t name_len = w->name.len, path_len = w->path.len;
    int r;

    if (w->name.len && w->name.p[w->name.len - 1] != '/')
        (void)str_addc(&w->name, '/');
    if (w->path.len)
        (void)str_addc(&w->path, '/');
    if (!str_adds(&w->name, entry) || !str_adds(&w->path, entry))
        return err_set(e, ERR_LIMIT, "%.200s...: name is too long for an archive",
                       str_c(&w->name));
    r = walk_entry(w, dirfd, entry, e);
    w->name.len = name_len;
    w->path.len = path_len;
    if (w->name.p)
        w->name.p[name_len] = '\0';
    if (w->path.p)
        w->path.p[path_len] = '\0';
    return r;
}

static int walk_dir(struct walk *w, int dirfd, const char *entry, struct err *e)
{
    autofd int fd = openat(dirfd, entry, DIR_FLAGS);
    struct pack_names names = { 0 };
    int r;

    if (fd < 0)
        return IS_GONE(errno) || errno == ENOTDIR ? 0 : err_os(e, "open %s", str_c(&w->name));
    r = pack_list(fd, ".", &names, e);
    if (r < 0)
        return IS_GONE(e->os) ? 0 : err_ctx(e, "%s", str_c(&w->name));
    for (size_t i = 0; r == 0 && i < names.n; i++)
        r = walk_child(w, fd, names.v[i], e);
    pack_names_done(&names);
    return r;
}

static int walk_entry(struct walk *w, int dirfd, const char *entry, struct err *e)
{
    enum pack_verdict verdict = PACK_ADD;
    struct stat st;

    if (fstatat(dirfd, entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return IS_GONE(errno) && w->path.len ? 0 : err_os(e, "%s", str_c(&w->name));
    if (w->p->judge)
        verdict = w->p->judge(w->p->ctx, dirfd, entry, str_c(&w->path), &st);
    if (verdict == PACK_SKIP)
        return 0;
    if (w->name.len && put(w->p, dirfd, entry, &st, w->name.p, e) < 0)
        return err_ctx(e, "%s", w->name.p);
    return S_ISDIR(st.st_mode) && verdict == PACK_ADD ? walk_dir(w, dirfd, entry, e) : 0;
}

int pack_tree(struct pack *p, int dirfd, const char *entry, const char *name, struct err *e)
{
    struct walk w = { .p = p, .name = STR_INIT(TAR_NAME_MAX), .path = STR_INIT(TAR_NAME_MAX) };
    int r;

    r = str_adds(&w.name, name) ? walk_entry(&w, dirfd, entry, e)
                                : err_set(e, ERR_LIMIT, "name is too long for an archive");
    str_done(&w.name);
    str_done(&w.path);
    return r;
}
