#include "image/sandbox.h"

#include "util/landlock.h"
#include "util/log.h"
#include "util/own.h"

#include <seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MEMORY_MAX ((rlim_t)4 << 30) /* 4 million files take 1 GiB */
#define FILES_MAX  256

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

static int restrict_files(const char *home, struct err *e)
{
    static const char *const system[] = { "/etc", "/usr", "/lib", "/lib64", "/proc/self" };
    autofd int rules = -1;
    int r;

    r = landlock_new(&rules, e);
    if (r == 0 && rules < 0)
        log_info("the kernel has no usable Landlock: files are not restricted");
    if (r < 0 || rules < 0)
        return r;
    r = landlock_allow(rules, home, MAY_WRITE, e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(system); i++)
        r = landlock_allow(rules, system[i], MAY_READ, e);
    if (r == 0)
        r = landlock_allow(rules, "/dev/urandom", MAY_READ, e); /* jansson's seed */
    if (r == 0 && !landlock_enter(rules))
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
