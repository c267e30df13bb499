#include "rootfs/disk.h"

#include "util/fs.h"
#include "util/own.h"
#include "util/spawn.h"
#include "util/str.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define TEMPLATE_VERSION 2 /* goes up when rootfs/template.c makes something else */

/* [at, end) has data in both files' coordinates. */
static int copy_extent(int from, int to, off_t at, off_t end, struct err *e)
{
    char buf[65536];

    while (at < end) {
        off_t in = at, out = at;
        ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - at), 0);

        if (n <= 0) { /* not between these file systems */
            size_t want = end - at < (off_t)sizeof(buf) ? (size_t)(end - at) : sizeof(buf);

            n = pread(from, buf, want, at);
            if (n > 0)
                n = pwrite(to, buf, (size_t)n, at);
        }
        if (n < 0 && errno != EINTR)
            return err_os(e, "copy disk");
        if (n == 0)
            return err_set(e, ERR_CORRUPT, "copy disk: the template became shorter");
        at += n > 0 ? n : 0;
    }
    return 0;
}

static int copy_data(int from, int to, off_t size, struct err *e)
{
    off_t at = 0, end;
    int r;

    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    if (ftruncate(to, size) < 0)
        return err_os(e, "disk size");
    while (at < size) {
        at = lseek(from, at, SEEK_DATA);
        if (at < 0)
            return errno == ENXIO ? 0 : err_os(e, "find data"); /* only a hole is left */
        end = lseek(from, at, SEEK_HOLE);
        if (end < 0)
            return err_os(e, "find hole");
        r = copy_extent(from, to, at, end, e);
        if (r < 0)
            return r;
        at = end;
    }
    return 0;
}

int rootfs_disk_copy(const char *from, const char *to, struct err *e)
{
    autofd int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    struct stat st;
    int r;

    if (in < 0 || fstat(in, &st) < 0)
        return err_os(e, "open %s", from);
    out = open(to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return err_os(e, "create %s", to);
    r = copy_data(in, out, st.st_size, e);
    if (r < 0)
        (void)unlink(to); /* the first error is the one to report */
    return r;
}

/* The worker writes to a name of its own and renames: many at once do the work twice, no harm. */
static int make_template(const char *worker, uint64_t size, const char *path, struct err *e)
{
    char text[32];
    const char *argv[] = { worker, "disk-template", text, path, NULL };
    const struct spawn_fd fds[] = { { 2, 2 } };
    struct spawn s = { .argv = argv, .fds = fds, .fds_n = ARRAY_LEN(fds) };
    int status = 0, r;
    pid_t pid;

    (void)snprintf(text, sizeof(text), "%ju", (uintmax_t)size);
    r = spawn_start(&s, &pid, NULL, e);
    if (r == 0)
        r = spawn_wait(pid, &status, e);
    if (r == 0 && status != 0)
        r = err_set(e, ERR_SYSTEM, "a3s-box-image failed with status %d", status);
    return r < 0 ? err_ctx(e, "make disk template") : 0;
}

int rootfs_disk_create(const char *home, const char *worker, uint64_t size, const char *path,
                       struct err *e)
{
    autofree char *cache = str_format("%s/cache", home);
    autofree char *template =
        str_format("%s/cache/disk-v%d-%ju.ext4", home, TEMPLATE_VERSION, (uintmax_t)size);
    int r;

    if (!cache || !template)
        return err_os(e, "disk");
    if (size < DISK_SIZE_MIN || size > DISK_SIZE_MAX)
        return err_set(e, ERR_INVALID, "The disk size %ju is not between %ju and %ju bytes",
                       (uintmax_t)size, (uintmax_t)DISK_SIZE_MIN, (uintmax_t)DISK_SIZE_MAX);
    if (access(template, R_OK) < 0) {
        r = fs_mkdirs(cache, e);
        if (r == 0)
            r = make_template(worker, size, template, e);
        if (r < 0)
            return r;
    }
    return rootfs_disk_copy(template, path, e);
}
