/*
 * The default system call filter: what docker's default profile comes to, made from the system
 * calls that libseccomp knows instead of a list of 350 allowed names.
 *
 *   known, not in the table below   allowed
 *   known, in the table             EPERM, unless the workload has one of the capabilities
 *   unknown (newer than libseccomp) ENOSYS, so that a C library falls back to the older call
 *   other ABIs                      i386 is allowed on x86_64, with the same rules, for 32-bit
 *                                   programs, as docker does; x32 and everything else: killed
 *
 * Two differences from docker's, both because the boundary is the virtual machine. Namespaces and
 * mounts (unshare, setns, clone, mount ...) are left to the kernel's capability checks, as podman
 * does: `nsexec` works in a default box. AF_VSOCK sockets are allowed: no host is behind them,
 * only the box's own loopback, by which vsock.sock reaches programs in the box.
 */
#include "box/security.h"

#include "box/seccomp_profile.h"
#include "util/fd.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

#define CAP(name)  (UINT64_C(1) << CAP_##name)
#define SYSCALLS_N 1024 /* no architecture of ours counts this far */

/* Allowed with any of `caps`; 0: never. */
static const struct {
    const char *name;
    uint64_t caps;
} denied[] = {
    { "acct", CAP(SYS_PACCT) },
    { "add_key", 0 },
    { "afs_syscall", 0 },
    { "bdflush", 0 },
    { "bpf", CAP(SYS_ADMIN) | CAP(BPF) },
    { "break", 0 },
    { "clock_settime", CAP(SYS_TIME) },
    { "clock_settime64", CAP(SYS_TIME) },
    { "create_module", 0 },
    { "delete_module", CAP(SYS_MODULE) },
    { "epoll_ctl_old", 0 },
    { "epoll_wait_old", 0 },
    { "fanotify_init", CAP(SYS_ADMIN) },
    { "finit_module", CAP(SYS_MODULE) },
    { "ftime", 0 },
    { "get_kernel_syms", 0 },
    { "get_mempolicy", CAP(SYS_NICE) },
    { "getpmsg", 0 },
    { "gtty", 0 },
    { "idle", 0 },
    { "init_module", CAP(SYS_MODULE) },
    { "io_uring_enter", 0 },
    { "io_uring_register", 0 },
    { "io_uring_setup", 0 },
    { "ioperm", CAP(SYS_RAWIO) },
    { "iopl", CAP(SYS_RAWIO) },
    { "kexec_file_load", CAP(SYS_BOOT) },
    { "kexec_load", CAP(SYS_BOOT) },
    { "keyctl", 0 },
    { "lock", 0 },
    { "lookup_dcookie", CAP(SYS_ADMIN) },
    { "mbind", CAP(SYS_NICE) },
    { "migrate_pages", CAP(SYS_NICE) },
    { "move_pages", CAP(SYS_NICE) },
    { "mpx", 0 },
    { "nfsservctl", 0 },
    { "open_by_handle_at", CAP(DAC_READ_SEARCH) },
    { "perf_event_open", CAP(SYS_ADMIN) | CAP(PERFMON) },
    { "prof", 0 },
    { "profil", 0 },
    { "putpmsg", 0 },
    { "query_module", 0 },
    { "quotactl", CAP(SYS_ADMIN) },
    { "quotactl_fd", CAP(SYS_ADMIN) },
    { "reboot", CAP(SYS_BOOT) },
    { "request_key", 0 },
    { "security", 0 },
    { "set_mempolicy", CAP(SYS_NICE) },
    { "set_mempolicy_home_node", CAP(SYS_NICE) },
    { "settimeofday", CAP(SYS_TIME) },
    { "stime", CAP(SYS_TIME) },
    { "stty", 0 },
    { "swapoff", CAP(SYS_ADMIN) },
    { "swapon", CAP(SYS_ADMIN) },
    { "_sysctl", 0 },
    { "sysfs", 0 },
    { "syslog", CAP(SYSLOG) | CAP(SYS_ADMIN) },
    { "tuxcall", 0 },
    { "ulimit", 0 },
    { "uselib", 0 },
    { "userfaultfd", 0 },
    { "ustat", 0 },
    { "vhangup", CAP(SYS_TTY_CONFIG) },
    { "vm86", 0 },
    { "vm86old", 0 },
    { "vserver", 0 },
};

/* Values of personality() that only change what uname() says. */
static const scmp_datum_t personalities[] = { 0x0, 0x8, 0x20000, 0x20008, 0xffffffff };

static uint32_t action_for(const char *name, uint64_t caps)
{
    for (size_t i = 0; i < ARRAY_LEN(denied); i++)
        if (!strcmp(denied[i].name, name))
            return denied[i].caps & caps ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM);
    return SCMP_ACT_ALLOW;
}

static int add_personality(scmp_filter_ctx ctx, int nr)
{
    for (size_t i = 0; i < ARRAY_LEN(personalities); i++) {
        int r =
            seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, SCMP_A0(SCMP_CMP_EQ, personalities[i]));

        if (r < 0)
            return r;
    }
    return 0;
}

/* All that `arch` has; calls that several have are there after the first. */
static int add_syscalls(scmp_filter_ctx ctx, uint32_t arch, uint64_t caps)
{
    for (int n = 0; n < SYSCALLS_N; n++) {
        autofree char *name = seccomp_syscall_resolve_num_arch(arch, n);
        int nr = name ? seccomp_syscall_resolve_name(name) : __NR_SCMP_ERROR, r;

        if (nr == __NR_SCMP_ERROR)
            continue;
        r = strcmp(name, "personality") == 0
                ? add_personality(ctx, nr)
                : seccomp_rule_add(ctx, action_for(name, caps), nr, 0);
        if (r < 0 && r != -EEXIST)
            return r;
    }
    return 0;
}

static int fill(scmp_filter_ctx ctx, uint64_t caps)
{
    uint32_t native = seccomp_arch_native();
    int r;

    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0) /* a binary search instead of 400 comparisons */
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0 && native == SCMP_ARCH_X86_64)
        r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
    if (r == 0)
        r = add_syscalls(ctx, native, caps);
    if (r == 0 && native == SCMP_ARCH_X86_64)
        r = add_syscalls(ctx, SCMP_ARCH_X86, caps);
    return r;
}

static int export(scmp_filter_ctx ctx, struct bytes *ret, struct err *e)
{
    autofd int fd = memfd_create("seccomp", MFD_CLOEXEC);
    autostr program = STR_INIT(1 << 20);
    int r;

    if (fd < 0)
        return err_os(e, "memfd");
    r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return err_os_at(e, -r, "seccomp profile");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_os(e, "seccomp profile");
    r = fd_read_all(fd, &program, e);
    if (r < 0)
        return r;
    if (program.len > BPF_MAXINSNS * sizeof(struct sock_filter))
        return err_set(e, ERR_LIMIT,
                       "seccomp profile: too big for the kernel: %zu instructions of at most %d",
                       program.len / sizeof(struct sock_filter), BPF_MAXINSNS);
    ret->len = program.len;
    ret->p = str_take(&program);
    return ret->p ? 0 : err_set(e, ERR_LIMIT, "seccomp profile: out of memory");
}

int seccomp_default(uint64_t caps, struct bytes *ret, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int r;

    if (!ctx)
        return err_set(e, ERR_SYSTEM, "seccomp profile: libseccomp does not know this machine");
    r = fill(ctx, caps);
    r = r < 0 ? err_os_at(e, -r, "seccomp profile") : export(ctx, ret, e);
    seccomp_release(ctx);
    return r;
}

/* ---- profiles of the user's ---- */

/* docker: names that libseccomp does not know are skipped. */
static int add_name(scmp_filter_ctx ctx, const struct seccomp_rule *rule, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name), r = 0;

    if (nr == __NR_SCMP_ERROR)
        return 0;
    if (!rule->any_arg)
        return seccomp_rule_add_array(ctx, rule->action, nr, rule->args_n, rule->args);
    for (unsigned i = 0; r == 0 && i < rule->args_n; i++)
        r = seccomp_rule_add_array(ctx, rule->action, nr, 1, &rule->args[i]);
    return r;
}

static int add_rule(scmp_filter_ctx ctx, const struct seccomp_rule *rule, struct err *e)
{
    size_t n = json_is_array(rule->names) ? json_array_size(rule->names) : rule->names != NULL;

    for (size_t i = 0; i < n; i++) {
        int r = add_name(ctx, rule, seccomp_rule_name(rule, i));

        if (r == -EEXIST)
            return err_set(e, ERR_INVALID,
                           "seccomp profile: syscalls[%zu] (%.32s): contradicts a rule before it",
                           rule->at, seccomp_rule_name(rule, i));
        if (r < 0)
            return err_os_at(e, -r, "seccomp profile: syscalls[%zu] (%.32s)", rule->at,
                             seccomp_rule_name(rule, i));
    }
    return 0;
}

static int fill_profile(scmp_filter_ctx ctx, const struct seccomp_profile *p)
{
    int r;

    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0 && p->arch_x86)
        r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
    if (r == 0 && p->arch_x32)
        r = seccomp_arch_add(ctx, SCMP_ARCH_X32);
    if (r == 0 && p->arch_arm)
        r = seccomp_arch_add(ctx, SCMP_ARCH_ARM);
    return r;
}

static int compile(scmp_filter_ctx ctx, const struct seccomp_profile *p, uint64_t caps,
                   struct bytes *ret, struct err *e)
{
    int r = fill_profile(ctx, p);

    if (r < 0)
        return err_os_at(e, -r, "seccomp profile");
    for (size_t i = 0; i < p->rules_n; i++) {
        const struct seccomp_rule *rule = &p->rules[i];

        if (rule->other || (rule->need_caps & ~caps) || (rule->unless_caps & caps) ||
            rule->action == p->fallback)
            continue;
        r = add_rule(ctx, rule, e);
        if (r < 0)
            return r;
    }
    return export(ctx, ret, e);
}

int seccomp_compile(const char *text, uint64_t caps, struct bytes *ret, struct err *e)
{
    struct seccomp_profile p = { 0 };
    scmp_filter_ctx ctx;
    int r;

    r = seccomp_profile_parse(text, strlen(text), &p, e);
    if (r < 0)
        return r;
    ctx = seccomp_init(p.fallback);
    r = ctx ? compile(ctx, &p, caps, ret, e)
            : err_set(e, ERR_SYSTEM, "seccomp profile: libseccomp refuses its default action");
    seccomp_release(ctx);
    seccomp_profile_done(&p);
    return r;
}
