#include "box/brief.h"
#include "box/record.h"

#include "util/fs.h"
#include "util/id.h"
#include "util/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool is_id(const char *name)
{
    return strlen(name) == ID_LEN - 1 && strspn(name, "0123456789abcdef") == ID_LEN - 1;
}

/* A record is there before its directory and goes after it: a directory that was seen before the
 * record is looked for belongs to nobody when there is none. */
static int is_known(struct db *db, const char *id, struct err *e)
{
    autostmt st = { 0 };
    int r = stmt_open(db, &st, e, "SELECT 1 FROM boxes WHERE id = ?", "s", id);

    return r < 0 ? r : stmt_step(&st, e);
}

static int sweep_dir(struct db *db, int boxes, const char *id, uint64_t *freed, struct err *e)
{
    autofree char *disk = str_format("%s/" BOX_DISK, id);
    struct stat st = { 0 };
    int r = disk ? is_known(db, id, e) : err_os(e, "sweep boxes");

    if (r != 0)
        return r;
    if (fstatat(boxes, disk, &st, AT_SYMLINK_NOFOLLOW) < 0)
        st.st_blocks = 0;
    r = fs_remove_tree(boxes, id, e);
    if (r < 0)
        return r;
    log_info("boxes/%s: belonged to no box, removed", id);
    *freed += (uint64_t)st.st_blocks * 512;
    return 0;
}

int box_sweep(struct db *db, const char *home, uint64_t *freed, struct err *e)
{
    autofd int home_fd = db_open_home(db, home, e);
    autofd int fd = home_fd < 0 ? home_fd : fs_open_dir(home_fd, "boxes", e);
    struct dirent *d;
    DIR *dir;
    int r = 0;

    if (home_fd >= 0 && fd == -ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (fd < 0)
        return fd;
    dir = fdopendir(fd);
    if (!dir)
        return err_os(e, "sweep boxes");
    (void)take_fd(&fd); /* dir owns it now */
    while (r >= 0 && (d = readdir(dir)))
        if (is_id(d->d_name))
            r = sweep_dir(db, dirfd(dir), d->d_name, freed, e);
    (void)closedir(dir);
    return r < 0 ? r : 0;
}
