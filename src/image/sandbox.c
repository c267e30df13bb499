#include "image/sandbox.h"

#include "util/log.h"
#include "util/own.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MEMORY_MAX     ((rlim_t)4 << 30) /* 4 million files take 1 GiB */
#define FILES_MAX      256
#define LANDLOCK_REFER 2 /* first ABI that can allow links and renames between directories */

#define LANDLOCK_TRUNCATES 3                   /* first ABI that knows about truncation ... */
#define TRUNCATE           (UINT64_C(1) << 14) /* ... which the headers of Debian 12 do not */

/* AddressSanitizer reserves terabytes and LeakSanitizer traces its own process. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#else
#define SANITIZED false
#endif
#else
#define SANITIZED false
#endif

static int limit(int what, rlim_t max, struct err *e)
{
    struct rlimit old, new = { max, max };

    if (getrlimit(what, &old) < 0)
        return err_os(e, "sandbox: getrlimit");
    if (old.rlim_max < max)
        new = (struct rlimit){ old.rlim_max, old.rlim_max };
    return setrlimit(what, &new) < 0 ? err_os(e, "sandbox: setrlimit") : 0;
}

static int set_limits(struct err *e)
{
    int r;

    r = limit(RLIMIT_CORE, 0, e);
    if (r == 0)
        r = limit(RLIMIT_NOFILE, FILES_MAX, e);
    if (r == 0 && !SANITIZED)
        r = limit(RLIMIT_AS, MEMORY_MAX, e);
    return r;
}

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                    \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                             \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                              \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER)
#define OTHER                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |  \
     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

static int allow(int rules, const char *path, uint64_t access, struct err *e)
{
    autofd int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

    if (fd < 0)
        return errno == ENOENT ? 0 : err_os(e, "sandbox: open %s", path);
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_os(e, "sandbox: allow %s", path);
    return 0;
}

static int restrict_files(const char *home, struct err *e)
{
    static const char *const system[] = { "/etc", "/usr", "/lib", "/lib64", "/proc/self" };
    struct landlock_ruleset_attr attr = { .handled_access_fs = READ | WRITE | OTHER };
    uint64_t write = READ | WRITE;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    autofd int rules = -1;
    int r;

    if (abi < LANDLOCK_REFER) {
        log_info("the kernel has no usable Landlock: files are not restricted");
        return 0;
    }
    if (abi >= LANDLOCK_TRUNCATES) {
        attr.handled_access_fs |= TRUNCATE;
        write |= TRUNCATE;
    }
    rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (rules < 0)
        return err_os(e, "sandbox: Landlock");
    r = allow(rules, home, write, e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(system); i++)
        r = allow(rules, system[i], READ, e);
    if (r == 0)
        r = allow(rules, "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE, e); /* jansson's seed */
    if (r == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        r = err_os(e, "sandbox: Landlock");
    return r;
}

/* What nobody needs who turns one file into another. Numbers an older libseccomp does not know
 * are left out. */
static const char *const denied[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "ptrace",
    "kcmp",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "setns",
    "unshare",
    "bpf",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "userfaultfd",
    "io_uring_setup",
    "mknod",
    "mknodat",
    "setuid",
    "setgid",
    "setresuid",
    "setresgid",
    "personality",
    "acct",
    "kill",
    "tkill",
    "pidfd_send_signal",
    "name_to_handle_at",
    "open_by_handle_at",
};

int sandbox_deny_calls(struct err *e)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int code = filter ? 0 : -ENOMEM;

    for (size_t i = 0; code == 0 && i < ARRAY_LEN(denied); i++) {
        int number = seccomp_syscall_resolve_name(denied[i]);

        if (number != __NR_SCMP_ERROR && number >= 0)
            code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
    }
    if (code == 0)
        code = seccomp_load(filter);
    seccomp_release(filter); /* NULL is fine */
    return code < 0 ? err_os_at(e, -code, "sandbox: seccomp") : 0;
}

int sandbox_enter(const char *home, struct err *e)
{
    int r;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_os(e, "sandbox: no_new_privs");
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* nothing to clear is fine */
    r = set_limits(e);
    if (r == 0)
        r = restrict_files(home, e);
    if (r == 0 && !SANITIZED)
        r = sandbox_deny_calls(e);
    return r;
}
