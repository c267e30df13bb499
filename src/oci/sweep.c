#include "db/db.h"
#include "oci/store.h"
#include "util/fs.h"
#include "util/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define HEX_LEN 64

/* 1 when a record needs the file. */
static int is_known(struct db *db, const char *sql, const char *key, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e, sql, "s", key);
    return r < 0 ? r : stmt_step(&st, e);
}

static int blob_known(struct db *db, const char *name, struct err *e)
{
    autofree char *digest = str_format("sha256:%s", name);

    if (!digest)
        return err_os(e, "sweep");
    return is_known(db, "SELECT 1 FROM image_blobs WHERE digest = ?", digest, e);
}

static int rootfs_known(struct db *db, const char *name, struct err *e)
{
    autofree char *chain = strndup(name, HEX_LEN);

    if (!chain)
        return err_os(e, "sweep");
    if (strlen(name) <= HEX_LEN || strcmp(name + HEX_LEN, ".ext4") != 0)
        return 1; /* not ours to remove */
    return is_known(db, "SELECT 1 FROM image_content WHERE chain_id = ?", chain, e);
}

static void remove_file(int dirfd, const char *path, const char *name, uint64_t *freed)
{
    struct stat st = { 0 };

    (void)fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW);
    if (unlinkat(dirfd, name, 0) < 0)
        log_warn("%s/%s: %s", path, name, strerror(errno)); /* garbage stays */
    else if (freed)
        *freed += (uint64_t)st.st_blocks * 512;
}

static int sweep_dir(struct db *db, int home, const char *path,
                     int (*known)(struct db *db, const char *name, struct err *e),
                     uint64_t *freed, struct err *e)
{
    autofd int fd = fs_open_dir(home, path, e);
    struct dirent *d;
    DIR *dir;
    int r = 1;

    if (fd < 0)
        return fd;
    dir = fdopendir(fd);
    if (!dir)
        return err_os(e, "%s", path);
    (void)take_fd(&fd); /* dir owns it now */
    while (r >= 0 && (d = readdir(dir))) {
        if (d->d_name[0] == '.')
            continue;
        r = known(db, d->d_name, e);
        if (r == 0)
            remove_file(dirfd(dir), path, d->d_name, freed);
    }
    (void)closedir(dir);
    return r < 0 ? r : 0;
}

int content_sweep(struct db *db, const char *home, uint64_t *freed, struct err *e)
{
    autofd int dir = db_open_home(db, home, e);
    int r;

    if (dir < 0)
        return dir;
    r = sweep_dir(db, dir, "images/blobs/sha256", blob_known, freed, e);
    return r < 0 ? r : sweep_dir(db, dir, "rootfs", rootfs_known, freed, e);
}
