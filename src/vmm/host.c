#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"
#include "util/spawn.h"
#include "vmm/boot_cache.h"
#include "vmm/probe.h"
#include "vmm/qemu/args.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void find_in_path(const char *program, char *ret, size_t size)
{
    const char *path = getenv("PATH");
    size_t len;

    ret[0] = '\0';
    for (const char *at = path ? path : "/usr/bin:/bin"; *at; at += len + (at[len] == ':')) {
        len = strcspn(at, ":");
        if ((size_t)snprintf(ret, size, "%.*s/%s", (int)len, at, program) < size &&
            access(ret, X_OK) == 0)
            return;
    }
    ret[0] = '\0';
}

/* "QEMU emulator version 7.2.22 (Debian ...)" */
static int ask_version(const char *program, struct str *ret, struct err *e)
{
    const char *argv[] = { program, "-version", NULL };
    autofd int r = -1, w = -1;
    int fds[2], status, rc;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    r = fds[0];
    w = fds[1];
    rc = spawn_start(
        &(struct spawn){ .argv = argv, .fds = &(struct spawn_fd){ w, 1 }, .fds_n = 1 }, &pid,
        NULL, e);
    if (rc < 0)
        return rc;
    close_fd(&w);
    rc = fd_read_all(r, ret, e);
    close_fd(&r);
    if (spawn_wait(pid, &status, e) < 0 || rc < 0)
        return -ERR_SYSTEM;
    return status == 0 ? 0 : err_set(e, ERR_SYSTEM, "%s -version failed", program);
}

static void find_version(const char *program, const char *cache_dir, char *ret, size_t size)
{
    static const char mark[] = "version ";
    autostr text = STR_INIT(4096);
    struct err ignored;
    struct stat st;
    char key[256];
    const char *at;

    if (stat(program, &st) < 0)
        return;
    (void)snprintf(key, sizeof(key), "qemu %ju %ju %jd", (uintmax_t)st.st_dev,
                   (uintmax_t)st.st_ino, (intmax_t)st.st_mtime);
    if (boot_cache_get(cache_dir, "qemu-version", key, ret, size))
        return;
    if (ask_version(program, &text, &ignored) < 0)
        return;
    at = strstr(str_c(&text), mark);
    if (!at)
        return;
    at += sizeof(mark) - 1;
    (void)snprintf(ret, size, "%.*s", (int)strcspn(at, " \n("), at);
    boot_cache_put(cache_dir, "qemu-version", key, ret);
}

static void find_device(char *ret, size_t size)
{
    autofd int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        (void)snprintf(ret, size, "present");
    else if (errno == ENOENT)
        (void)snprintf(ret, size, "missing");
    else
        (void)snprintf(ret, size, "%s", strerror(errno));
}

void vmm_host_info(const char *cache_dir, struct vmm_host_info *ret)
{
    struct vmm_host_info info = { .accel = VM_ACCEL_TCG };

    kvm_probe(cache_dir, &info.kvm);
    if (info.kvm.works)
        info.accel = VM_ACCEL_KVM;
    find_device(info.kvm_device, sizeof(info.kvm_device));
    find_in_path(QEMU_PROGRAM, info.qemu_path, sizeof(info.qemu_path));
    if (info.qemu_path[0])
        find_version(info.qemu_path, cache_dir, info.qemu_version, sizeof(info.qemu_version));
    *ret = info;
}
