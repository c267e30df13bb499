#include "rootfs/overlay_tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <search.h>
#include <string.h>
#include <sys/stat.h>

#define BUF_BYTES ((size_t)256 << 10)

/* The first name of an inode that has several. */
struct first {
    struct overlay_ref ref;
    char name[];
};

struct overlay_tar {
    struct overlay *o;
    overlay_data_fn *write;
    void *ctx;
    struct archive *archive;
    struct archive_entry *entry;
    void *firsts; /* tsearch() */
    uint64_t entries_n;
    unsigned depth;
    bool ended;     /* nobody wants more */
    struct err why; /* of `write`: libarchive cannot carry it */
    size_t len;
    char buf[BUF_BYTES];
};

static int flush(struct overlay_tar *t)
{
    int r = t->len ? t->write(t->ctx, t->buf, t->len, &t->why) : 0;

    t->len = 0;
    return r;
}

/* Small pieces are gathered, large ones go through. */
static la_ssize_t take_bytes(struct archive *a UNUSED, void *ctx, const void *data, size_t len)
{
    struct overlay_tar *t = ctx;
    int r = 0;

    if (t->why.kind || t->ended)
        return -1;
    if (t->len + len > sizeof(t->buf))
        r = flush(t);
    if (r == 0 && len >= sizeof(t->buf) / 4) {
        r = flush(t);
        if (r == 0)
            r = t->write(t->ctx, data, len, &t->why);
    } else if (r == 0) {
        memcpy(t->buf + t->len, data, len);
        t->len += len;
    }
    return r < 0 ? -1 : (la_ssize_t)len;
}

static int tar_failed(struct overlay_tar *t, struct err *e)
{
    const char *text = archive_error_string(t->archive);

    if (t->why.kind) {
        *e = t->why;
        return -(int)e->kind;
    }
    return err_set(e, ERR_SYSTEM, "tar: %s", text ? text : "failed");
}

int overlay_tar_open(struct overlay *o, overlay_data_fn *write, void *ctx,
                     struct overlay_tar **ret, struct err *e)
{
    autoptr(overlay_tar) t = calloc(1, sizeof(*t));

    if (!t)
        return err_os(e, "tar");
    t->o = o;
    t->write = write;
    t->ctx = ctx;
    t->archive = archive_write_new();
    t->entry = archive_entry_new();
    if (!t->archive || !t->entry || archive_write_set_format_pax(t->archive) != ARCHIVE_OK ||
        archive_write_set_options(t->archive, "pax:xattrheader=SCHILY") != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(t->archive, 0) != ARCHIVE_OK ||
        archive_write_open(t->archive, t, NULL, take_bytes, NULL) != ARCHIVE_OK)
        return err_set(e, ERR_SYSTEM, "libarchive cannot write tar");
    *ret = take_ptr(t);
    return 0;
}

void overlay_tar_free(struct overlay_tar *t)
{
    if (!t)
        return;
    if (t->archive) {
        t->ended = true; /* it would pad what was begun */
        (void)archive_write_free(t->archive);
    }
    archive_entry_free(t->entry); /* NULL is fine */
    tdestroy(t->firsts, free);
    free(t);
}

int overlay_tar_finish(struct overlay_tar *t, struct err *e)
{
    if (archive_write_close(t->archive) != ARCHIVE_OK || flush(t) < 0)
        return tar_failed(t, e);
    return 0;
}

static int compare_firsts(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct overlay_ref));
}

/* *ret: the name to link to, or NULL when this is the first. */
static int find_first(struct overlay_tar *t, struct overlay_ref ref, const char *name,
                      const char **ret, struct err *e)
{
    size_t len = strlen(name) + 1;
    struct first *row = malloc(sizeof(*row) + len), **found;

    *ret = NULL;
    if (!row)
        return err_os(e, "tar");
    row->ref = ref;
    memcpy(row->name, name, len);
    found = tsearch(row, &t->firsts, compare_firsts);
    if (!found || *found != row)
        free(row);
    if (!found)
        return err_os_at(e, ENOMEM, "tar");
    if (*found != row)
        *ret = (*found)->name;
    return 0;
}

static int add_xattr(void *ctx, const char *name, const void *value, size_t size,
                     struct err *e UNUSED)
{
    struct overlay_tar *t = ctx;

    archive_entry_xattr_add_entry(t->entry, name, value, size);
    return 0;
}

static int add_data(void *ctx, const void *data, size_t len, struct err *e)
{
    struct overlay_tar *t = ctx;

    return archive_write_data(t->archive, data, len) == (la_ssize_t)len ? 0 : tar_failed(t, e);
}

static void describe(struct overlay_tar *t, const struct overlay_stat *st, const char *name)
{
    struct archive_entry *a = archive_entry_clear(t->entry);

    archive_entry_set_pathname(a, name);
    archive_entry_set_mode(a, (__LA_MODE_T)st->mode);
    archive_entry_set_uid(a, st->uid);
    archive_entry_set_gid(a, st->gid);
    archive_entry_set_mtime(a, (time_t)st->mtime_s, (long)st->mtime_ns);
    if (S_ISCHR(st->mode) || S_ISBLK(st->mode)) {
        archive_entry_set_rdevmajor(a, st->rdev_major);
        archive_entry_set_rdevminor(a, st->rdev_minor);
    }
    archive_entry_set_size(a, S_ISREG(st->mode) ? (la_int64_t)st->size : 0);
}

static int fill(struct overlay_tar *t, struct overlay_ref ref, const struct overlay_stat *st,
                const char *name, struct err *e)
{
    autostr target = STR_INIT(OVERLAY_PATH_MAX);
    const char *first = NULL;
    int r = 0;

    describe(t, st, name);
    if (!S_ISDIR(st->mode) && st->links > 1)
        r = find_first(t, ref, name, &first, e);
    if (r == 0 && first) {
        archive_entry_set_hardlink(t->entry, first);
        archive_entry_set_size(t->entry, 0);
        return 0;
    }
    if (r == 0 && S_ISLNK(st->mode)) {
        r = overlay_target(t->o, ref, &target, e);
        archive_entry_set_symlink(t->entry, str_c(&target));
    }
    return r < 0 ? r : overlay_xattrs(t->o, ref, add_xattr, t, e);
}

static int write_header(struct overlay_tar *t, struct err *e)
{
    int r = archive_write_header(t->archive, t->entry);

    return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : tar_failed(t, e); /* not UTF-8: a warning */
}

int overlay_tar_add(struct overlay_tar *t, struct overlay_ref ref, const char *name,
                    struct err *e)
{
    struct overlay_stat st;
    int r = overlay_stat(t->o, ref, &st, e);

    if (r < 0 || S_ISSOCK(st.mode))
        return r < 0 ? err_ctx(e, "%s", name) : 0;
    if (++t->entries_n > OVERLAY_ENTRIES_MAX)
        return err_set(e, ERR_LIMIT, "more than %u files", OVERLAY_ENTRIES_MAX);
    r = fill(t, ref, &st, name, e);
    if (r == 0)
        r = write_header(t, e);
    if (r == 0 && S_ISREG(st.mode) && !archive_entry_hardlink(t->entry))
        r = overlay_read(t->o, ref, add_data, t, e);
    return r < 0 && !t->why.kind ? err_ctx(e, "%s", name) : r;
}

int overlay_tar_children(struct overlay_tar *t, struct overlay_ref dir, const char *prefix,
                         struct err *e)
{
    struct overlay_list list;
    int r;

    if (t->depth == OVERLAY_DEPTH_MAX)
        return err_set(e, ERR_LIMIT, "more than %d directories in each other", OVERLAY_DEPTH_MAX);
    r = overlay_list(t->o, dir, &list, e);
    t->depth++;
    for (size_t i = 0; r == 0 && i < list.n; i++) {
        autofree char *name = str_format("%s%s", prefix, list.v[i].name);

        r = name ? overlay_tar_tree(t, list.v[i].ref, name, e) : err_os(e, "tar");
    }
    t->depth--;
    overlay_list_done(&list);
    return r;
}

int overlay_tar_tree(struct overlay_tar *t, struct overlay_ref ref, const char *name,
                     struct err *e)
{
    autofree char *prefix = NULL;
    struct overlay_stat st;
    int r = overlay_tar_add(t, ref, name, e);

    if (r == 0)
        r = overlay_stat(t->o, ref, &st, e);
    if (r < 0 || !S_ISDIR(st.mode))
        return r;
    prefix = str_format("%s%s", name, strcmp(name, "/") == 0 ? "" : "/");
    return prefix ? overlay_tar_children(t, ref, prefix, e) : err_os(e, "tar");
}

int overlay_tar_mark(struct overlay_tar *t, const char *name, struct err *e)
{
    const struct overlay_stat st = { .mode = S_IFREG };

    describe(t, &st, name);
    return write_header(t, e);
}
