#include "guest/rootfs.h"

#include "guest/devices.h"
#include "guest/mnt.h"
#include "guest/place.h"
#include "guest/process.h"
#include "guest/sys.h"
#include "guest/tmpfs.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define STAGE           "/mnt" /* in the initramfs: lower, upper, root, dev, etc */
#define STAGE_ROOT      STAGE "/root"
#define SHM_BYTES       (UINT64_C(64) << 20) /* docker's default */
#define READ_AHEAD_KIB  "1024"
#define READ_AHEAD_DIRS ((size_t)256 << 10)
#define BASE_LAYER      "/base" /* in the initramfs: mount points and nsexec */

static int mount_disk(const char *device, const char *options, uint64_t attrs, const char *at,
                      struct err *e)
{
    autofd int fd = mnt_new("ext4", device, options, attrs, e);

    if (fd < 0)
        return err_ctx(e, "disk %s", device);
    return mnt_attach(fd, AT_FDCWD, at, e);
}

/* What this does is for speed only, so nothing depends on its success. A program is read as it is
 * executed: with the kernel's 128 KiB that is many round trips. The directories of our images lie
 * together, beginning with the root: one read instead of one for each component of a path. */
static void read_ahead(const char *device)
{
    autofree char *setting = str_format("/sys/block%s/queue/read_ahead_kb", strrchr(device, '/'));
    autofd int disk = open(device, O_RDONLY | O_CLOEXEC);
    autofd int root = open(STAGE "/lower", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    union {
        struct fiemap map;
        char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
    } u = { .map = { .fm_length = UINT64_MAX, .fm_extent_count = 1 } };
    struct err ignored;

    if (disk >= 0 && root >= 0 && ioctl(root, FS_IOC_FIEMAP, &u.map) == 0 &&
        u.map.fm_mapped_extents == 1)
        (void)readahead(disk, (off_t)u.map.fm_extents[0].fe_physical, READ_AHEAD_DIRS);
    if (setting && fs_write_kernel(AT_FDCWD, setting, READ_AHEAD_KIB, &ignored) < 0)
        return;
}

static int mount_upper(struct rootfs *r, struct err *e)
{
    int n = r->upper ? mount_disk(r->upper, "noinit_itable,discard", 0, STAGE "/upper", e)
                     : mnt_place("tmpfs", "mode=755", 0, AT_FDCWD, STAGE "/upper", e);

    if (n < 0)
        return err_ctx(e, "writable layer");
    if ((mkdir(STAGE "/upper/upper", 0755) < 0 && errno != EEXIST) ||
        (mkdir(STAGE "/upper/work", 0700) < 0 && errno != EEXIST))
        return err_os(e, "writable layer");
    return 0;
}

/* The container's /dev, where it does not wait for the overlay. */
static int stage_dev(struct rootfs *r, struct err *e)
{
    uint64_t shm = r->config->shm_bytes ? r->config->shm_bytes : SHM_BYTES;
    autofree char *shm_options = str_format("mode=1777,size=%llu", (unsigned long long)shm);
    autofd int dev = -1;
    int n;

    if (!shm_options)
        return err_os(e, "/dev/shm");
    n = mnt_place("tmpfs", "mode=755,size=65536k", MNT_NOSUID | MNT_STRICTATIME, AT_FDCWD,
                  STAGE "/dev", e);
    if (n < 0)
        return n;
    dev = fs_open_dir(AT_FDCWD, STAGE "/dev", e);
    n = dev < 0 ? dev : devices_make(dev, r->config->security.privileged, e);
    if (n >= 0)
        n = mnt_place("devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5",
                      MNT_NOSUID | MNT_NOEXEC, dev, "pts", e);
    if (n >= 0)
        n = mnt_place("tmpfs", shm_options, MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, dev, "shm", e);
    if (n >= 0)
        n = mnt_place("mqueue", NULL, MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, dev, "mqueue", e);
    if (n < 0)
        return n;
    return mnt_place("tmpfs", "mode=755,size=4m", MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, AT_FDCWD,
                     STAGE "/etc", e);
}

static void stage_main(struct rootfs *r, int report)
{
    struct err e;

    if (mount_upper(r, &e) < 0 || fd_write_all(report, "u", 1, &e) < 0 || stage_dev(r, &e) < 0)
        process_fail(report, 1, &e);
    _exit(0);
}

/* Beside the image, a child mounts the writable layer, says so, and goes on with /dev. Returns
 * its pid, and in *ret_report where it reports. */
static pid_t stage_start(struct rootfs *r, int *ret_report, struct err *e)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    pid = sys_fork(0, -1);
    if (pid == 0)
        stage_main(r, fds[1]);
    (void)close(fds[1]);
    *ret_report = fds[0];
    return pid < 0 ? err_os(e, "fork") : pid;
}

/* The child's next word: that it has come further (1 byte), its end (0), or its failure. */
static int stage_next(int report, ssize_t want, struct err *e)
{
    struct failure f = { 0 };
    ssize_t n = read(report, &f, sizeof(f));

    if (n == want)
        return 0;
    if (n != sizeof(f) || f.kind >= ERR_KIND_N)
        return err_set(e, ERR_SYSTEM, "container setup: a child ended");
    return err_set(e, (enum err_kind)f.kind, "%.*s", (int)sizeof(f.text) - 1, f.text);
}

static int stage_finish(pid_t pid, int report, struct err *e)
{
    int status, r = stage_next(report, 0, e);

    if (waitpid(pid, &status, 0) != pid || (r >= 0 && status != 0))
        return err_set(e, ERR_SYSTEM, "container setup: a child ended");
    return r;
}

static int wait_upper(struct rootfs *r, int report, struct err *e)
{
    int n = stage_next(report, 1, e);

    if (n < 0 || !r->upper)
        return n;
    r->upper_fd = fs_open_dir(AT_FDCWD, STAGE "/upper", e);
    return r->upper_fd < 0 ? r->upper_fd : 0;
}

/* Below the image lies a layer of ours with what mounts need and nsexec: the image's own entries
 * win, and the writable layer stays free of it. */
static int mount_overlay(struct rootfs *r, int report, struct err *e)
{
    struct err lower_error;
    int lower = mount_disk(r->lower, "ro,noload", MNT_RDONLY, STAGE "/lower", &lower_error), n;

    if (lower >= 0)
        read_ahead(r->lower);
    n = wait_upper(r, report, e);
    if (lower < 0) {
        *e = lower_error;
        return err_ctx(e, "image");
    }
    if (n < 0)
        return n;
    return mnt_place("overlay",
                     "lowerdir=" STAGE "/lower:" BASE_LAYER ",upperdir=" STAGE
                     "/upper/upper,workdir=" STAGE "/upper/work",
                     0, AT_FDCWD, STAGE_ROOT, e);
}

/* Returns the root directory, with nothing mounted in it yet. */
static int mount_stage(struct rootfs *r, struct err *e)
{
    autofd int report = -1;
    pid_t pid = stage_start(r, &report, e);
    struct err ignored;
    int n;

    if (pid < 0)
        return (int)pid;
    n = mount_overlay(r, report, e);
    if (n < 0) {
        (void)stage_finish(pid, report, &ignored); /* the first error is the one to report */
        return n;
    }
    n = stage_finish(pid, report, e);
    return n < 0 ? n : fs_open_dir(AT_FDCWD, STAGE_ROOT, e);
}

/* These must be real directories: what docker's runtime demands, too. */
static int system_dir(int root, const char *name, struct err *e)
{
    int fd = fs_open_beneath(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, e);

    return fd < 0 ? err_set(e, ERR_INVALID, "/%s is not a directory in the image", name) : fd;
}

static int mount_proc_sys(struct rootfs *r, int root, struct err *e)
{
    uint64_t attrs = MNT_NOSUID | MNT_NODEV | MNT_NOEXEC;
    uint64_t ro = r->config->security.privileged ? 0 : MNT_RDONLY;
    autofd int proc = system_dir(root, "proc", e), sys = -1;
    int n;

    if (proc < 0)
        return proc;
    n = mnt_place("proc", NULL, attrs, proc, "", e);
    if (n < 0)
        return n;
    sys = system_dir(root, "sys", e);
    if (sys < 0)
        return sys;
    n = mnt_place("sysfs", NULL, attrs | ro, sys, "", e);
    if (n < 0)
        return n;
    return mnt_place("cgroup2", NULL, attrs | ro, root, "sys/fs/cgroup", e);
}

static int place_dev(struct rootfs *r, int root, struct err *e)
{
    autofd int at = system_dir(root, "dev", e), dev = -1;
    int n;

    if (at < 0)
        return at;
    dev = fs_open_dir(AT_FDCWD, STAGE "/dev", e);
    n = dev < 0 ? dev : mnt_attach(dev, at, "", e);
    if (n < 0)
        return n;
    r->devpts_fd = fs_open_dir(dev, "pts", e);
    return r->devpts_fd < 0 ? r->devpts_fd : 0;
}

/* ---- files that we provide ------------------------------------------- */

static int bind_text(int dirfd, int root, const char *name, const char *text, struct err *e)
{
    autofree char *path = str_format("/etc/%s", name);
    autofd int file = -1, mnt = -1, at = -1;
    size_t len = strlen(text);

    if (!path)
        return err_os(e, "/etc/%s", name);
    file = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || write(file, text, len) != (ssize_t)len)
        return err_os(e, "write %s", path);
    mnt = mnt_clone(dirfd, name, false, e);
    if (mnt < 0)
        return mnt;
    at = place_file(root, path, e);
    return at < 0 ? at : mnt_attach(mnt, at, "", e);
}

static int mount_etc(struct rootfs *r, int root, struct err *e)
{
    const struct container_config *c = r->config;
    autofree char *hostname = str_format("%s\n", c->hostname ? c->hostname : "");
    autofd int dir = -1;
    int n = 0;

    if (!hostname)
        return err_os(e, "hostname");
    dir = fs_open_dir(AT_FDCWD, STAGE "/etc", e);
    if (dir < 0)
        return dir;
    if (c->etc_hosts)
        n = bind_text(dir, root, "hosts", c->etc_hosts, e);
    if (n >= 0 && c->etc_resolv_conf)
        n = bind_text(dir, root, "resolv.conf", c->etc_resolv_conf, e);
    if (n >= 0 && c->hostname)
        n = bind_text(dir, root, "hostname", hostname, e);
    return n;
}

/* Docker gives a tmpfs over an existing directory that directory's mode. */
static int tmpfs_mode(int root, const char *path, struct tmpfs_options *o, struct err *e)
{
    struct err ignored;
    autofd int there = fs_open_in_root(root, path, O_PATH | O_DIRECTORY, 0, &ignored);
    struct stat st;

    if (there < 0 || o->has_mode || fstat(there, &st) < 0)
        return 0;
    if (!str_addf(&o->data, "%smode=%o", o->data.len ? "," : "", st.st_mode & 07777))
        return err_set(e, ERR_LIMIT, "Too many tmpfs options");
    return 0;
}

static int mount_tmpfs(int root, const struct mount_tmpfs *m, struct tmpfs_options *o,
                       struct err *e)
{
    struct statfs fs;
    autofd int at = -1;
    int n = tmpfs_options_parse(m->options, o, e);

    if (n < 0)
        return n;
    if (!m->path)
        return err_set(e, ERR_INVALID, "tmpfs without a path");
    n = tmpfs_mode(root, m->path, o, e);
    if (n < 0)
        return n;
    at = place_dir(root, m->path, e);
    if (at < 0)
        return at;
    if (fstatfs(at, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC)
        return err_set(e, ERR_INVALID, "%s is inside /proc or /sys", m->path);
    return mnt_place("tmpfs", str_c(&o->data), o->attrs, at, "", e);
}

static int mount_tmpfs_all(struct rootfs *r, int root, struct err *e)
{
    const struct tlv_list *list = &r->config->tmpfs;

    for (size_t i = 0; i < list->n; i++) {
        const struct mount_tmpfs *m = TLV_AT(list, struct mount_tmpfs, i);
        struct tmpfs_options o;
        int n = mount_tmpfs(root, m, &o, e);

        tmpfs_options_done(&o);
        if (n < 0)
            return err_ctx(e, "tmpfs %s", m->path ? m->path : "");
    }
    return 0;
}

/* ---- what is hidden and protected ------------------------------------ */

static int mask(int root, const char *path, struct err *e)
{
    autofd int at = fs_open_in_root(root, path, O_PATH, 0, e), null = -1;
    struct stat st;

    if (at < 0)
        return e->os == ENOENT || e->os == ENOTDIR ? 0 : -e->kind;
    if (fstat(at, &st) < 0)
        return err_os(e, "%s", path);
    if (S_ISDIR(st.st_mode))
        return mnt_place("tmpfs", "size=0,mode=555", MNT_RDONLY, at, "", e);
    null = mnt_clone(root, "dev/null", false, e);
    return null < 0 ? null : mnt_attach(null, at, "", e);
}

static int protect(int root, const char *path, struct err *e)
{
    autofd int at = fs_open_in_root(root, path, O_PATH, 0, e), copy = -1;
    int n;

    if (at < 0)
        return e->os == ENOENT || e->os == ENOTDIR ? 0 : -e->kind;
    copy = mnt_clone(at, "", true, e);
    if (copy < 0)
        return copy;
    n = mnt_set(copy, MNT_RDONLY | MNT_NOSUID | MNT_NODEV | MNT_NOEXEC, true, e);
    return n < 0 ? n : mnt_attach(copy, at, "", e);
}

static int hide_paths(struct rootfs *r, int root, struct err *e)
{
    const struct security *s = &r->config->security;

    for (size_t i = 0; i < s->readonly.n; i++)
        if (protect(root, s->readonly.v[i], e) < 0)
            return err_ctx(e, "read-only path %s", s->readonly.v[i]);
    for (size_t i = 0; i < s->masked.n; i++)
        if (mask(root, s->masked.v[i], e) < 0)
            return err_ctx(e, "masked path %s", s->masked.v[i]);
    err_clear(e);
    return 0;
}

static int enter(struct err *e)
{
    if (chdir(STAGE_ROOT) < 0 || sys_pivot_root(".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return err_os(e, "pivot_root");
    return 0;
}

static int set_names(const struct container_config *c, struct err *e)
{
    if (c->hostname && sethostname(c->hostname, strlen(c->hostname)) < 0)
        return err_os(e, "hostname %s", c->hostname);
    if (c->domainname && setdomainname(c->domainname, strlen(c->domainname)) < 0)
        return err_os(e, "domain name %s", c->domainname);
    return 0;
}

/* A read-only view of our own program: what runs in the container cannot change it. */
static int keep_program(struct rootfs *r, struct err *e)
{
    int n;

    if (!r->config->init)
        return 0;
    r->init_fd = mnt_clone(AT_FDCWD, "/init", false, e);
    if (r->init_fd < 0)
        return r->init_fd;
    n = mnt_set(r->init_fd, MNT_RDONLY | MNT_NOSUID | MNT_NODEV, false, e);
    return n;
}

int rootfs_setup(struct rootfs *r, struct err *e)
{
    autofd int root = -1;
    int n;

    r->upper_fd = r->devpts_fd = r->init_fd = -1;
    if (unshare(CLONE_NEWCGROUP) < 0)
        return err_os(e, "cgroup namespace");
    (void)umask(0);
    n = mnt_make_private(e);
    if (n < 0)
        return n;
    n = keep_program(r, e);
    if (n < 0)
        return n;
    root = mount_stage(r, e);
    if (root < 0)
        return root;
    if ((n = place_dev(r, root, e)) < 0 || (n = mount_proc_sys(r, root, e)) < 0 ||
        (n = mount_etc(r, root, e)) < 0 || (n = mount_tmpfs_all(r, root, e)) < 0 ||
        (n = hide_paths(r, root, e)) < 0 || (n = enter(e)) < 0)
        return n;
    (void)umask(022);
    return set_names(r->config, e);
}

int rootfs_seal(const struct container_config *config, struct err *e)
{
    autofd int root = -1;

    if (!config->read_only)
        return 0;
    root = fs_open_dir(AT_FDCWD, "/", e);
    return root < 0 ? root : mnt_set(root, MNT_RDONLY, false, e);
}
