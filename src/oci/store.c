#include "oci/store.h"

#include "oci/partial.h"
#include "util/fs.h"
#include "util/id.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

char *store_blob_path(const char *home, const char *digest)
{
    return str_format("%s/images/blobs/sha256/%s", home, digest + strlen("sha256:"));
}

static int make_dirs(const char *home, struct err *e)
{
    static const char *const dirs[] = { "images/blobs/sha256", "images/tmp", "rootfs", "cache" };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(dirs); i++) {
        autofree char *path = str_format("%s/%s", home, dirs[i]);

        r = path ? fs_mkdirs(path, e) : err_os(e, "image store");
    }
    return r;
}

int store_lock(const char *home, struct err *e)
{
    autofree char *path = str_format("%s/images/lock", home);
    autofd int fd = -1;
    int r;

    r = path ? make_dirs(home, e) : err_os(e, "image store");
    if (r < 0)
        return r;
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(e, "open %s", path);
    do
        r = flock(fd, LOCK_EX);
    while (r < 0 && errno == EINTR);
    return r < 0 ? err_os(e, "lock %s", path) : take_fd(&fd);
}

static int open_tmp(const char *home, struct err *e)
{
    autofree char *path = str_format("%s/images/tmp", home);
    int r;

    r = path ? make_dirs(home, e) : err_os(e, "image store");
    return r < 0 ? r : fs_open_dir(AT_FDCWD, path, e);
}

uint64_t store_disk_bytes(const char *path)
{
    struct stat st;

    return lstat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* A file, or the files of a directory without others in it. */
static uint64_t bytes_of(int fd)
{
    autofd int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    uint64_t bytes = 0;
    struct dirent *d;
    struct stat st;

    if (!dir)
        return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
    (void)take_fd(&copy); /* dir owns it now */
    while ((d = readdir(dir)))
        if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_blocks * 512;
    (void)closedir(dir);
    return bytes;
}

/* What nobody holds locked in a directory. */
static int sweep(int own_fd, uint64_t *freed, struct err *e)
{
    DIR *dir = fdopendir(own_fd);
    struct dirent *d;
    int r = 0;

    if (!dir) {
        r = err_os(e, "sweep");
        close_fd(&own_fd);
        return r;
    }
    while (r == 0 && (d = readdir(dir))) {
        autofd int fd = -1;
        uint64_t bytes;

        if (d->d_name[0] == '.')
            continue;
        fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue;
        bytes = freed ? bytes_of(fd) : 0;
        r = fs_remove_tree(dirfd(dir), d->d_name, e);
        if (r == 0 && freed)
            *freed += bytes;
    }
    (void)closedir(dir);
    return r;
}

int store_sweep(const char *home, uint64_t *freed, struct err *e)
{
    int tmp = open_tmp(home, e);

    return tmp < 0 ? tmp : sweep(tmp, freed, e);
}

int store_stage(const char *home, char **ret_path, int *ret_fd, struct err *e)
{
    autofd int tmp = open_tmp(home, e), fd = -1;
    autofree char *path = NULL;
    char id[ID_LEN];
    struct stat st;
    int r;

    if (tmp < 0)
        return tmp;
    /* Again when a sweep took it between its making and its locking. */
    for (;;) {
        r = id_random(id, e);
        if (r < 0)
            return r;
        id[16] = '\0';
        if (mkdirat(tmp, id, 0700) < 0)
            return err_os(e, "create images/tmp/%s", id);
        fd = openat(tmp, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT)
            return err_os(e, "open images/tmp/%s", id);
        if (fd >= 0 && flock(fd, LOCK_EX) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
            break;
        close_fd(&fd);
    }
    path = str_format("%s/images/tmp/%s", home, id);
    if (!path)
        return err_os(e, "image store");
    *ret_path = take_ptr(path);
    *ret_fd = take_fd(&fd);
    return 0;
}
