#include "db/db.h"
#include "db/schema.h"
#include "oci/cache.h"
#include "oci/image_internal.h"
#include "oci/json.h"
#include "oci/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TREE_DEPTH_MAX 8 /* ours have three */

static int count(struct db *db, const char *sql, uint64_t *ret, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e, sql, "");
    if (r >= 0)
        r = stmt_step(&st, e);
    if (r > 0)
        *ret = (uint64_t)stmt_i64(&st, 0);
    return r < 0 ? r : 0;
}

static int images(struct db *db, const char *home, struct cache_part *part, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = count(db, "SELECT count(*) FROM image_content", &part->n, e);
    if (r == 0)
        r = count(db,
                  "SELECT count(*) FROM image_content WHERE image_id IN"
                  " (SELECT image_id FROM boxes)",
                  &part->active, e);
    if (r == 0)
        r = stmt_open(db, &st, e,
                      "SELECT digest, max(image_id IN (SELECT image_id FROM boxes))"
                      " FROM image_blobs GROUP BY digest",
                      "");
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        autofree char *path = store_blob_path(home, stmt_text(&st, 0));
        uint64_t bytes = path ? store_disk_bytes(path) : 0;

        part->bytes += bytes;
        part->free_bytes += stmt_i64(&st, 1) ? 0 : bytes;
    }
    return r;
}

#define LIVE "(SELECT image_id FROM boxes WHERE state IN " DB_LIVE_STATES ")"

int rootfs_each(struct db *db, const char *home,
                void (*fn)(void *ctx, const struct rootfs_usage *usage), void *ctx, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e,
                  "SELECT chain_id, max(used_ns), max(image_id IN " LIVE "),"
                  " (SELECT count(*) FROM boxes WHERE image_id IN (SELECT image_id FROM"
                  "  image_content i WHERE i.chain_id = c.chain_id))"
                  " FROM image_content c GROUP BY chain_id ORDER BY 2, 1",
                  "");
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        autofree char *path = image_rootfs_path(home, stmt_text(&st, 0));
        struct rootfs_usage usage = { .chain = stmt_text(&st, 0),
                                      .used_ns = stmt_i64(&st, 1),
                                      .live = stmt_i64(&st, 2) != 0,
                                      .boxes = (uint64_t)stmt_i64(&st, 3) };

        if (!path || access(path, F_OK) < 0)
            continue;
        usage.bytes = store_disk_bytes(path);
        fn(ctx, &usage);
    }
    return r;
}

static void add_rootfs(void *ctx, const struct rootfs_usage *usage)
{
    struct cache_part *part = ctx;

    part->n++;
    part->active += usage->live;
    part->bytes += usage->bytes;
    part->free_bytes += usage->live ? 0 : usage->bytes;
}

int image_layer_sizes(struct db *db, const char *id, uint64_t **ret, size_t *ret_n, struct err *e)
{
    autofree uint64_t *v = NULL;
    autostmt st = { 0 };
    size_t n = 0;
    int r;

    r = stmt_open(db, &st, e,
                  "SELECT size_bytes FROM image_layers WHERE image_id = ? ORDER BY position", "s",
                  id);
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        uint64_t *grown = realloc(v, (n + 1) * sizeof(*v));

        if (!grown)
            return err_os(e, "image");
        v = grown;
        v[n++] = (uint64_t)stmt_i64(&st, 0);
    }
    if (r < 0)
        return r;
    *ret = take_ptr(v);
    *ret_n = n;
    return 0;
}

/* Everything below a directory; what cannot be read does not count. */
static void add_tree(int dirfd_at, const char *name, int depth, struct cache_part *part)
{
    int fd = openat(dirfd_at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    struct stat st;

    if (!dir) {
        close_fd(&fd);
        return;
    }
    while ((d = readdir(dir))) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < TREE_DEPTH_MAX) {
            add_tree(dirfd(dir), d->d_name, depth + 1, part);
        } else if (S_ISREG(st.st_mode)) {
            part->n++;
            part->bytes += (uint64_t)st.st_blocks * 512;
        }
    }
    (void)closedir(dir);
}

int cache_usage(struct db *db, const char *home, struct cache_usage *ret, struct err *e)
{
    static const char *const dirs[] = { "cache", "images/tmp", "images/partial" };
    struct cache_usage usage = { 0 };
    int r;

    r = images(db, home, &usage.images, e);
    if (r == 0)
        r = rootfs_each(db, home, add_rootfs, &usage.rootfs, e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++) {
        autofree char *path = str_format("%s/%s", home, dirs[i]);

        if (path)
            add_tree(AT_FDCWD, path, 0, &usage.local);
    }
    usage.local.free_bytes = usage.local.bytes;
    if (r == 0)
        *ret = usage;
    return r;
}

int image_usage(struct db *db, const char *home, const struct image *img, struct image_usage *ret,
                struct err *e)
{
    struct image_usage usage = { .rootfs_bytes = store_disk_bytes(img->rootfs) };
    autostmt st = { 0 }, boxes = { 0 };
    int r;

    r = stmt_open(db, &st, e,
                  "SELECT digest, EXISTS (SELECT 1 FROM image_blobs b WHERE b.digest = a.digest"
                  " AND b.image_id <> a.image_id) FROM image_blobs a WHERE image_id = ?",
                  "s", img->id);
    while (r >= 0 && (r = stmt_step(&st, e)) > 0) {
        autofree char *path = store_blob_path(home, stmt_text(&st, 0));
        uint64_t bytes = path ? store_disk_bytes(path) : 0;

        usage.bytes += bytes;
        usage.shared_bytes += stmt_i64(&st, 1) ? bytes : 0;
    }
    if (r == 0)
        r = stmt_open(db, &boxes, e, "SELECT count(*) FROM boxes WHERE image_id = ?", "s",
                      img->id);
    if (r >= 0)
        r = stmt_step(&boxes, e);
    if (r < 0)
        return r;
    usage.boxes = (uint64_t)stmt_i64(&boxes, 0);
    *ret = usage;
    return 0;
}
