#include "rootfs/overlay_put.h"

#include "rootfs/meta.h"
#include "rootfs/overlay_write.h"
#include "rootfs/tar_input.h"

#include <string.h>

#define FILE_SIZE_MAX (UINT64_C(1) << 44) /* ext4 with 4 KiB blocks */

/* A directory whose time is set when all is in it. */
struct late {
    ext2_ino_t ino;
    int64_t mtime_s;
    uint32_t mtime_ns;
};

struct put {
    struct overlay *o;
    struct writer writer;
    struct tar_input tar;
    const char *into;
    bool keep_owner;
    struct late *late; /* owned */
    size_t late_n, late_cap;
    /* The last member's directory, as the archive writes it, and what it is. */
    char dir_name[OVERLAY_PATH_MAX];
    bool dir_known;
    struct overlay_ref dir;
    char dir_path[OVERLAY_PATH_MAX];
    struct overlay_place place; /* scratch */
};

/* One member while it is put. */
struct entry {
    struct archive_entry *archive;
    char name[OVERLAY_PATH_MAX]; /* cleaned: "a/b", "" for the destination */
    const char *base;            /* behind its last "/" */
    struct overlay_ref old;      /* what is there */
    uint32_t old_mode;
};

/* Relative, without "." and "..". */
static int clean(const char *path, char ret[OVERLAY_PATH_MAX], struct err *e)
{
    size_t n = 0;

    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && memcmp(path, "..", 2) == 0) {
            if (!n)
                return err_set(e, ERR_INVALID, "its path leaves the destination ('..')");
            while (n && ret[--n] != '/')
                ;
        } else if (len && !(len == 1 && *path == '.')) {
            if (len > TREE_NAME_MAX || n + len + 2 > OVERLAY_PATH_MAX)
                return err_os_at(e, ENAMETOOLONG, "its path");
            if (n)
                ret[n++] = '/';
            memcpy(ret + n, path, len);
            n += len;
        }
        path += len;
        path += *path == '/';
    }
    ret[n] = '\0';
    return 0;
}

/* ---- where it goes ----------------------------------------------------- */

static int join(const struct put *p, const char *name, char ret[OVERLAY_PATH_MAX], struct err *e)
{
    int n =
        snprintf(ret, OVERLAY_PATH_MAX, "%s%s%s", p->into, strcmp(p->into, "/") ? "/" : "", name);

    return n < 0 || n >= OVERLAY_PATH_MAX ? err_os_at(e, ENAMETOOLONG, "its path") : 0;
}

/* A directory that the archive names only as somebody's parent. */
static int make_parent(struct put *p, struct err *e)
{
    autofree char *parent = strdup(p->place.path);
    const struct inode meta = { .mode = S_IFDIR | 0755, .mtime_s = (int64_t)time(NULL) };
    struct overlay_ref dir = p->place.parent;
    ext2_ino_t made;
    int r;

    if (!parent)
        return err_os(e, "directory");
    parent[p->place.name - p->place.path] = '\0';
    r = writer_need_dir(&p->writer, parent, &dir.upper, e);
    return r < 0 ? r : writer_add_dir(&p->writer, dir, p->place.name, &meta, &made, e);
}

/* p->place is the directory `path`, made as far as it is missing. */
static int need_dir(struct put *p, const char *path, struct err *e)
{
    char part[OVERLAY_PATH_MAX];
    size_t len = strlen(p->into);
    struct overlay_stat st;
    int r = overlay_walk(p->o, path, true, &p->place, e);

    while (r == -ERR_NOT_FOUND || (r == 0 && !overlay_exists(p->place.self))) {
        err_clear(e);
        len += strspn(path + len, "/");
        len += strcspn(path + len, "/");
        memcpy(part, path, len);
        part[len] = '\0';
        r = overlay_walk(p->o, part, true, &p->place, e);
        if (r == 0 && !overlay_exists(p->place.self))
            r = make_parent(p, e);
        if (r == 0)
            r = overlay_walk(p->o, path, true, &p->place, e);
        else
            return r;
        if (!path[len] && r < 0)
            return r;
    }
    if (r == 0)
        r = overlay_stat(p->o, p->place.self, &st, e);
    if (r == 0 && !S_ISDIR(st.mode))
        r = err_set(e, ERR_INVALID, "mkdir %s: not a directory", path);
    return r;
}

/* p->dir is where the member's name goes; its upper inode is there. */
static int enter(struct put *p, struct entry *n, struct err *e)
{
    size_t len = n->base > n->name ? (size_t)(n->base - n->name) - 1 : 0;
    char path[OVERLAY_PATH_MAX], name[OVERLAY_PATH_MAX];
    int r;

    memcpy(name, n->name, len);
    name[len] = '\0';
    if (p->dir_known && strcmp(name, p->dir_name) == 0)
        return 0;
    p->dir_known = false;
    r = join(p, name, path, e);
    if (r == 0)
        r = need_dir(p, path, e);
    if (r < 0)
        return r;
    p->dir = p->place.self;
    memcpy(p->dir_path, p->place.path, sizeof(p->dir_path));
    r = writer_need_dir(&p->writer, p->dir_path, &p->dir.upper, e);
    if (r < 0)
        return r;
    memcpy(p->dir_name, name, len + 1);
    p->dir_known = true;
    return 0;
}

static int look(struct put *p, struct entry *n, struct err *e)
{
    struct overlay_stat st = { 0 };
    int r = overlay_child(p->o, p->dir, n->base, strlen(n->base), &n->old, e);

    if (r > 0)
        r = overlay_stat(p->o, n->old, &st, e);
    n->old_mode = st.mode;
    return r < 0 ? r : 0;
}

/* docker's rules, in docker's words. */
static int may_replace(struct put *p, const struct entry *n, bool dir, struct err *e)
{
    const char *slash = strcmp(p->into, "/") ? "/" : "";

    if (!overlay_exists(n->old) || S_ISDIR(n->old_mode) == dir)
        return 0;
    if (dir)
        return err_set(e, ERR_INVALID,
                       "cannot overwrite non-directory \"%s%s%s\" with directory \"%s\"", p->into,
                       slash, n->name, p->into);
    return err_set(e, ERR_INVALID,
                   "cannot overwrite directory \"%s%s%s\" with non-directory \"%s\"", p->into,
                   slash, n->name, p->into);
}

/* ---- what it is -------------------------------------------------------- */

static int read_meta(struct put *p, const struct entry *n, struct inode *ret, struct err *e)
{
    la_int64_t size = archive_entry_size(n->archive);
    const char *target = archive_entry_symlink(n->archive);
    int r = meta_fill(ret, n->archive, e);

    if (r < 0)
        return r;
    if (!p->keep_owner)
        ret->uid = ret->gid = 0;
    if (S_ISCHR(ret->mode) && ret->rdev_major == 0 && ret->rdev_minor == 0)
        return err_set(e, ERR_INVALID, "a device 0:0 cannot be made in a box");
    if (S_ISREG(ret->mode)) {
        if (size < 0 || (uint64_t)size > FILE_SIZE_MAX - 4096)
            return err_set(e, ERR_LIMIT, "its size is out of range");
        ret->size = (uint64_t)size;
    }
    if (!S_ISLNK(ret->mode))
        return 0;
    if (!target || !*target || strlen(target) >= OVERLAY_PATH_MAX)
        return err_set(e, ERR_INVALID, "the symbolic link's target is empty or too long");
    ret->mode |= 0777;
    ret->target = strdup(target);
    return ret->target ? 0 : err_os(e, "symbolic link");
}

static int set_late(struct put *p, ext2_ino_t ino, const struct inode *meta, struct err *e)
{
    if (p->late_n == p->late_cap) {
        size_t cap = p->late_cap ? 2 * p->late_cap : 64;
        void *more = reallocarray(p->late, cap, sizeof(*p->late));

        if (!more)
            return err_os(e, "directory");
        p->late = more;
        p->late_cap = cap;
    }
    p->late[p->late_n++] = (struct late){ ino, meta->mtime_s, meta->mtime_ns };
    return 0;
}

static int put_dir(struct put *p, struct entry *n, struct err *e)
{
    autoptr(inode) meta = inode_new(S_IFDIR);
    char path[OVERLAY_PATH_MAX + TREE_NAME_MAX + 2];
    ext2_ino_t ino;
    int r = meta ? read_meta(p, n, meta, e) : err_os(e, "directory");

    if (r == 0)
        r = may_replace(p, n, true, e);
    if (r < 0)
        return r;
    p->writer.torn = true;
    if (overlay_exists(n->old)) {
        (void)snprintf(path, sizeof(path), "%s/%s", p->dir_path, n->base);
        r = writer_need_dir(&p->writer, path, &ino, e);
        if (r == 0)
            r = writer_set_meta(&p->writer, ino, meta, e);
    } else {
        r = writer_add_dir(&p->writer, p->dir, n->base, meta, &ino, e);
    }
    if (r == 0)
        r = set_late(p, ino, meta, e);
    if (r == 0)
        p->writer.torn = false;
    return r;
}

static int put_data(struct put *p, struct new_file *f, struct err *e)
{
    static const char zeros[4096];
    int64_t offset;
    const void *data;
    size_t len;
    int r = 0;

    while (r == 0) {
        r = tar_input_data(&p->tar, &data, &len, &offset, e);
        if (r <= 0)
            return r;
        r = 0;
        if (offset < 0 || (uint64_t)offset > f->size || (uint64_t)offset < f->at)
            return err_set(e, ERR_CORRUPT, "its pieces are out of order");
        while (r == 0 && f->at < (uint64_t)offset) {
            uint64_t gap = (uint64_t)offset - f->at;

            r = writer_data(&p->writer, f, zeros,
                            gap < sizeof(zeros) ? (size_t)gap : sizeof(zeros), e);
        }
        if (r == 0)
            r = writer_data(&p->writer, f, data, len, e);
    }
    return r;
}

/* It gets its name when all of it is there. */
static int put_other(struct put *p, struct entry *n, uint32_t type, struct err *e)
{
    autoptr(inode) meta = inode_new(type);
    struct new_file f = { 0 };
    struct err ignored;
    int r = meta ? read_meta(p, n, meta, e) : err_os(e, "file");

    if (r == 0)
        r = may_replace(p, n, false, e);
    if (r < 0)
        return r;
    p->writer.torn = true;
    r = writer_new(&p->writer, p->dir.upper, meta, &f, e);
    if (r < 0)
        return r;
    if (S_ISREG(type)) {
        r = put_data(p, &f, e);
        if (r < 0) {
            p->writer.torn = writer_drop(&p->writer, &f, &ignored) < 0;
            return r;
        }
    }
    r = writer_name(&p->writer, &f, p->dir.upper, n->base, e);
    if (r == 0)
        p->writer.torn = false;
    free(f.extents);
    return r;
}

static int put_link(struct put *p, struct entry *n, const char *link, struct err *e)
{
    char name[OVERLAY_PATH_MAX], path[OVERLAY_PATH_MAX];
    struct overlay_stat st;
    ext2_ino_t ino;
    int r = clean(link, name, e);

    if (r == 0)
        r = join(p, name, path, e);
    if (r == 0)
        r = overlay_walk(p->o, path, false, &p->place, e);
    if (r == -ERR_NOT_FOUND || (r == 0 && !overlay_exists(p->place.self)))
        return err_set(e, ERR_INVALID, "hard link to '%s': no such file", link);
    if (r == 0)
        r = overlay_stat(p->o, p->place.self, &st, e);
    if (r == 0 && S_ISDIR(st.mode))
        return err_set(e, ERR_INVALID, "hard link to '%s': it is a directory", link);
    if (r == 0)
        r = may_replace(p, n, false, e);
    if (r < 0 || (n->old.upper && n->old.upper == p->place.self.upper) ||
        (n->old.lower && n->old.lower == p->place.self.lower))
        return r; /* the same already */
    p->writer.torn = true;
    r = writer_need_file(&p->writer, &p->place, &ino, e);
    if (r == 0)
        r = writer_link(&p->writer, ino, p->dir.upper, n->base, e);
    if (r == 0)
        p->writer.torn = false;
    return r;
}

static int put_type(struct put *p, struct entry *n, struct err *e)
{
    const char *link = archive_entry_hardlink(n->archive);
    uint32_t type = archive_entry_filetype(n->archive);

    if (link)
        return put_link(p, n, link, e);
    switch (type) {
    case S_IFDIR:
        return put_dir(p, n, e);
    case S_IFREG:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
        return put_other(p, n, type, e);
    default:
        return err_set(e, ERR_UNSUPPORTED, "unknown file type");
    }
}

static int put_entry(struct put *p, struct archive_entry *archive, const char *path,
                     struct err *e)
{
    struct entry n = { .archive = archive };
    const char *slash;
    int r = clean(path, n.name, e);

    if (r < 0)
        return r;
    if (!*n.name) {
        if (archive_entry_filetype(archive) == S_IFDIR && !archive_entry_hardlink(archive))
            return 0;
        return err_set(e, ERR_INVALID,
                       "cannot overwrite directory \"%s\" with non-directory \"%s\"", p->into,
                       p->into);
    }
    slash = strrchr(n.name, '/');
    n.base = slash ? slash + 1 : n.name;
    p->writer.torn = true;
    r = enter(p, &n, e);
    if (r == 0 || r == -ERR_INVALID)
        p->writer.torn = false;
    if (r == 0)
        r = look(p, &n, e);
    if (r == 0)
        r = put_type(p, &n, e);
    if (overlay_exists(n.old) && !S_ISDIR(n.old_mode))
        p->dir_known = false; /* a symlink on the way to it may have been replaced */
    return r;
}

static int put_entries(struct put *p, struct err *e)
{
    struct archive_entry *entry;
    const char *path;
    int r = 0;

    while (r == 0) {
        r = tar_input_next(&p->tar, &entry, &path, e);
        if (r <= 0)
            return r;
        r = put_entry(p, entry, path, e);
        if (r < 0)
            return p->tar.source_err.kind ? r : err_ctx(e, "'%s'", path);
        if (journal_is_filling(p->writer.journal))
            r = journal_commit(p->writer.journal, e);
    }
    return r;
}

/* In the order in which they came: of a directory named twice the last time counts. */
static int set_times(struct put *p, struct err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < p->late_n; i++) {
        r = writer_set_time(&p->writer, p->late[i].ino, p->late[i].mtime_s, p->late[i].mtime_ns,
                            e);
        if (r == 0 && journal_is_filling(p->writer.journal))
            r = journal_commit(p->writer.journal, e);
    }
    return r;
}

static int put(struct put *p, struct err *e)
{
    struct err ignored = { 0 };
    int r = writer_open(&p->writer, p->o, e), done;

    if (r < 0)
        p->writer.torn = true;
    if (r == 0)
        r = tar_input_open(&p->tar, e);
    if (r == 0)
        r = put_entries(p, e);
    if (!p->writer.torn) {
        int late = set_times(p, r < 0 ? &ignored : e);

        p->writer.torn = late < 0;
        r = r < 0 ? r : late;
    }
    done = writer_done(&p->writer, true, r < 0 ? &ignored : e);
    return r < 0 ? r : done;
}

int overlay_put(struct overlay *o, const char *path, struct source *tar, bool keep_owner,
                struct err *e)
{
    autofree struct put *p = calloc(1, sizeof(*p));
    int r;

    if (!p)
        return err_os(e, "unpack");
    p->o = o;
    p->into = path;
    p->keep_owner = keep_owner;
    r = tar_input_init(&p->tar, tar, "archive", e);
    if (r == 0)
        r = put(p, e);
    tar_input_done(&p->tar);
    free(p->late);
    return r;
}
