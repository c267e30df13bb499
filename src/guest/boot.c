#include "guest/boot.h"

#include "guest/cgroup.h"
#include "guest/mnt.h"
#include "guest/sys.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/own.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define FILES_MAX       (1 << 20) /* as docker gives to containers; our sessions need four each */
#define LIST_MAX        ((size_t)64 << 10)
#define MODULE_DIR      "/modules"
#define HYPERVISOR_LEAF 0x40000000

/* The kernel's first root cannot be pivoted away from, a mount on top of it can. */
static int boot_new_root(struct err *e)
{
    if (mount("/", "/mnt/root", NULL, MS_BIND, NULL) < 0 || chdir("/mnt/root") < 0 ||
        mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return err_os(e, "root mount");
    return 0;
}

#define CLOSED (MNT_NOSUID | MNT_NODEV | MNT_NOEXEC)

/* What the port needs. */
int boot_mounts(struct err *e)
{
    int r = boot_new_root(e);

    if (r >= 0)
        r = mnt_place("devtmpfs", "mode=755", MNT_NOSUID, AT_FDCWD, "/dev", e);
    return r < 0 ? r : mnt_place("sysfs", NULL, CLOSED, AT_FDCWD, "/sys", e);
}

static int boot_more_mounts(struct err *e)
{
    int r = mnt_place("proc", NULL, CLOSED, AT_FDCWD, "/proc", e);

    return r < 0 ? r : mnt_place("tmpfs", "mode=700,size=16m", CLOSED, AT_FDCWD, "/run", e);
}

/* The controllers all at once; with a kernel that lacks one, those it has. */
int boot_cgroups(struct err *ret)
{
    static const char *const wanted[] = {
        "+cpu +memory +pids +cpuset +io", "+cpu", "+memory", "+pids", "+cpuset", "+io"
    };
    int n = mnt_place("cgroup2", NULL, CLOSED, AT_FDCWD, "/sys/fs/cgroup", ret);
    struct err e;

    for (size_t i = 0; n >= 0 && i < ARRAY_LEN(wanted); i++) {
        int r = fs_write_kernel(AT_FDCWD, "/sys/fs/cgroup/cgroup.subtree_control", wanted[i], &e);

        if (i == 0 && r >= 0)
            break;
        if (i > 0 && r < 0)
            log_warn("cgroup controller %s: %s", wanted[i] + 1, e.text);
    }
    if (n >= 0)
        cgroup_prepare();
    return n;
}

void boot_sysctl(const char *name, const char *value)
{
    autofree char *path = str_format("/proc/sys/%s", name);
    struct err e;

    if (path && fs_write_kernel(AT_FDCWD, path, value, &e) < 0)
        log_warn("%s", e.text);
}

int boot_limits(struct err *e)
{
    const struct rlimit files = { .rlim_cur = FILES_MAX, .rlim_max = FILES_MAX };
    const struct rlimit processes = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };

    if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_NPROC, &processes) < 0)
        return err_os(e, "resource limits");
    return 0;
}

/* ---- a CPU made of software ------------------------------------------- */

static bool cpu_is_software(void)
{
#ifdef __x86_64__
    unsigned highest, name[3];

    __cpuid(HYPERVISOR_LEAF, highest, name[0], name[1], name[2]);
    return memcmp(name, "TCGTCGTCGTCG", sizeof(name)) == 0;
#else
    return false;
#endif
}

/* Under TCG, to compile a system call filter and to translate what came out of it takes longer
 * than to interpret it: 2 ms of each exec. Only calls whose arguments count are interpreted. */
static void boot_bpf(void)
{
    if (cpu_is_software())
        boot_sysctl("net/core/bpf_jit_enable", "0");
}

/* ---- network --------------------------------------------------------- */

static void boot_network(void)
{
    autofd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq ifr = { .ifr_name = "lo" };

    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0) {
        log_warn("lo: %s", strerror(errno));
        return;
    }
    ifr.ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
        log_warn("lo: %s", strerror(errno));
    /* As docker: no capability is needed for ping and for low ports. */
    boot_sysctl("net/ipv4/ping_group_range", "0 2147483647");
    boot_sysctl("net/ipv4/ip_unprivileged_port_start", "0");
}

/* ---- modules --------------------------------------------------------- */

static int module_read_list(struct boot_modules *m)
{
    autostr text = STR_INIT(LIST_MAX);
    struct err ignored;

    if (fs_read_file(AT_FDCWD, m->list, &text, &ignored) < 0)
        return -1; /* nothing to load */
    m->text = str_take(&text);
    m->at = m->text;
    return m->text ? 0 : -1;
}

/* Left to itself, the SCSI layer asks 256 targets one after the other whether they are there, 110
 * ms under TCG; disk_scan() asks for the disks we have. */
static const char *module_options(const char *name)
{
    return strstr(name, "-scsi_mod.ko") ? "scan=manual" : "";
}

static void module_load(const char *name, bool keep)
{
    autofree char *path = str_format(MODULE_DIR "/%s", name);
    autofd int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0 && errno == ENOENT)
        return; /* loaded: somebody was faster */
    if (fd < 0 || (sys_finit_module(fd, module_options(name)) < 0 && errno != EEXIST))
        log_warn("module %s: %s", name, strerror(errno));
    if (path && !keep)
        (void)unlink(path); /* its memory is the guest's */
}

/* Those of the list that boot_aside() loads. */
static bool module_is_aside(const char *name)
{
    return strstr(name, "-overlay.ko") || strstr(name, "-virtio_blk.ko");
}

int boot_module_next(struct boot_modules *m)
{
    char *name;

    if (!m->list)
        return 0;
    if (!m->text && module_read_list(m) < 0) {
        boot_modules_done(m);
        return 0;
    }
    do
        name = strsep(&m->at, "\n");
    while (name && !*name);
    if (!name) {
        boot_modules_done(m);
        return 0;
    }
    if (!strchr(name, '/') && !module_is_aside(name))
        module_load(name, false);
    if (strstr(name, "-virtio_mmio.ko"))
        close_fd(&m->bus);
    return 1;
}

void boot_modules_done(struct boot_modules *m)
{
    free(m->text);
    close_fd(&m->bus);
    *m = (struct boot_modules){ .bus = -1 };
}

static void load_aside(const char *part)
{
    struct boot_modules m = { .list = BOOT_MODULES_NOW, .bus = -1 };

    if (module_read_list(&m) < 0)
        return;
    for (char *name; (name = strsep(&m.at, "\n"));)
        if (strstr(name, part) && !strchr(name, '/'))
            module_load(name, false);
    boot_modules_done(&m);
}

static int aside_main(int bus, struct err *e)
{
    char end;

    if (boot_more_mounts(e) < 0)
        return -1;
    load_aside("-overlay.ko");
    boot_bpf();
    boot_network();
    /* Its devices come with their bus, which PID 1 loads. */
    if (read(bus, &end, 1) != 0)
        return err_os(e, "waiting for the devices' bus");
    load_aside("-virtio_blk.ko");
    return 0;
}

pid_t boot_aside(struct boot_modules *m, struct err *e)
{
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    pid = sys_fork(0, -1);
    (void)close(fds[pid == 0 ? 1 : 0]);
    if (pid == 0) {
        if (aside_main(fds[0], e) >= 0)
            _exit(0);
        log_error("%s", e->text);
        _exit(1);
    }
    m->bus = fds[1];
    return pid < 0 ? err_os(e, "fork") : pid;
}

int boot_modprobe(int argc, char **argv)
{
    static const struct {
        const char *alias, *part; /* what the kernel asks for; what is in the modules' names */
    } known[] = { { "net-pf-40", "vsock" }, { "fs-fuse", "-fuse." } };
    struct boot_modules m = { .list = BOOT_MODULES_LATER, .bus = -1 };
    const char *part = NULL;
    int found = 0;

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (argc > 1 && strcmp(argv[argc - 1], known[i].alias) == 0)
            part = known[i].part;
    if (!part || module_read_list(&m) < 0)
        return 1;
    for (char *name; (name = strsep(&m.at, "\n"));)
        if (*name && strstr(name, part) && !strchr(name, '/')) {
            module_load(name, true);
            found = 1;
        }
    boot_modules_done(&m);
    return !found;
}

/* ---- the port -------------------------------------------------------- */

static bool port_has_name(int class_fd, const char *port)
{
    autofree char *path = str_format("%s/name", port);
    autofd int fd = path ? openat(class_fd, path, O_RDONLY | O_CLOEXEC) : -1;
    char name[64] = "";
    ssize_t n;

    if (fd < 0)
        return false;
    n = read(fd, name, sizeof(name) - 1);
    if (n <= 0)
        return false;
    name[strcspn(name, "\n")] = '\0';
    return strcmp(name, BOOT_PORT_NAME) == 0;
}

int boot_open_port(void)
{
    DIR *dir = opendir("/sys/class/virtio-ports");
    struct dirent *entry;
    int fd = -1;

    if (!dir)
        return -1;
    while (fd < 0 && (entry = readdir(dir))) {
        autofree char *path = str_format("/dev/%s", entry->d_name);

        if (path && entry->d_name[0] != '.' && port_has_name(dirfd(dir), entry->d_name))
            fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    }
    (void)closedir(dir);
    return fd;
}
