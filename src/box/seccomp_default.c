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

#include "util/own.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>

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
static const uint32_t personalities[] = { 0x0, 0x8, 0x20000, 0x20008, 0xffffffff };

#define ANSWER(nr)     (SECCOMP_RET_ERRNO | (nr))
#define BY_PERSONALITY 1 /* no return value of a filter */
#define X32_BIT        0x40000000

static uint32_t action_for(const char *name, uint64_t caps)
{
    if (strcmp(name, "personality") == 0)
        return BY_PERSONALITY;
    for (size_t i = 0; i < ARRAY_LEN(denied); i++)
        if (strcmp(denied[i].name, name) == 0)
            return denied[i].caps & caps ? SECCOMP_RET_ALLOW : ANSWER(EPERM);
    return SECCOMP_RET_ALLOW;
}

/* Neighbours with the same answer: what is allowed is nearly everything, so that there are few
 * ranges. libseccomp's own programs compare with each number by itself, four times as long; the
 * kernel compiles the program and runs it for every number at each exec. */
struct range {
    uint32_t from, action;
};

struct program {
    struct sock_filter *v; /* BPF_MAXINSNS of them */
    size_t n;
    bool full;
};

static void put(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
    if (p->n == BPF_MAXINSNS) {
        p->full = true;
        return;
    }
    p->v[p->n++] = (struct sock_filter){ code, yes, no, k };
}

static void put_load(struct program *p, size_t offset)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void put_return(struct program *p, uint32_t action)
{
    put(p, BPF_RET | BPF_K, 0, 0, action);
}

static void put_personality(struct program *p)
{
    const size_t low = offsetof(struct seccomp_data, args[0]);
    const uint8_t n = ARRAY_LEN(personalities);

    put_load(p, low + 4);
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, n + 1, 0);
    put_load(p, low);
    for (uint8_t i = 0; i < n; i++)
        put(p, BPF_JMP | BPF_JEQ | BPF_K, n - i, 0, personalities[i]);
    put_return(p, ANSWER(ENOSYS));
    put_return(p, SECCOMP_RET_ALLOW);
}

/* A binary search: the number is loaded, the answer is one of these. */
static void put_search(struct program *p, const struct range *r, size_t n)
{
    size_t half = n / 2, at = p->n;

    if (n == 1 && r->action == BY_PERSONALITY)
        put_personality(p);
    else if (n == 1)
        put_return(p, r->action);
    if (n == 1)
        return;
    /* Two instructions: a conditional jump reaches 255 of them, the other one any. */
    put(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, r[half].from);
    put(p, BPF_JMP | BPF_JA, 0, 0, 0);
    put_search(p, r, half);
    if (p->full)
        return;
    if (p->n - at - 2 <= UINT8_MAX) { /* it reaches: leave out the second */
        memmove(p->v + at + 1, p->v + at + 2, (p->n - at - 2) * sizeof(*p->v));
        p->n--;
        p->v[at].jt = (uint8_t)(p->n - at - 1);
        p->v[at].jf = 0;
    } else {
        p->v[at + 1].k = (uint32_t)(p->n - at - 2);
    }
    put_search(p, r + half, n - half);
}

/* All that `arch` has. The number is loaded. */
static void put_arch(struct program *p, uint32_t arch, uint64_t caps)
{
    struct range ranges[SYSCALLS_N + 1];
    size_t n = 0;

    for (uint32_t nr = 0; nr <= SYSCALLS_N; nr++) {
        autofree char *name =
            nr < SYSCALLS_N ? seccomp_syscall_resolve_num_arch(arch, (int)nr) : NULL;
        uint32_t action = name ? action_for(name, caps) : ANSWER(ENOSYS);

        if (n == 0 || ranges[n - 1].action != action)
            ranges[n++] = (struct range){ nr, action };
    }
    put_search(p, ranges, n);
}

/* x32's numbers are x86_64's with a bit; -1 is what a tracer puts in the place of a call. */
static void put_native(struct program *p, uint32_t arch, uint64_t caps)
{
    put_load(p, offsetof(struct seccomp_data, nr));
    if (arch == SCMP_ARCH_X86_64) {
        put(p, BPF_JMP | BPF_JGE | BPF_K, 0, 2, X32_BIT);
        put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, UINT32_MAX);
        put_return(p, SECCOMP_RET_KILL_PROCESS);
    }
    put_arch(p, arch, caps);
}

static void put_all(struct program *p, uint32_t native, uint64_t caps)
{
    put_load(p, offsetof(struct seccomp_data, arch));
    if (native == SCMP_ARCH_X86_64) {
        size_t at = p->n + 1;

        put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, SCMP_ARCH_X86);
        put(p, BPF_JMP | BPF_JA, 0, 0, 0);
        put_load(p, offsetof(struct seccomp_data, nr));
        put_arch(p, SCMP_ARCH_X86, caps);
        p->v[at].k = (uint32_t)(p->n - at - 1);
    }
    put(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, native);
    put_return(p, SECCOMP_RET_KILL_PROCESS);
    put_native(p, native, caps);
}

int seccomp_default(uint64_t caps, struct bytes *ret, struct err *e)
{
    autofree struct sock_filter *v = calloc(BPF_MAXINSNS, sizeof(*v));
    struct program p = { .v = v };

    if (!v)
        return err_os(e, "seccomp profile");
    put_all(&p, seccomp_arch_native(), caps);
    if (p.full)
        return err_set(e, ERR_LIMIT, "seccomp profile: more than %d instructions", BPF_MAXINSNS);
    ret->len = p.n * sizeof(*v);
    ret->p = take_ptr(v);
    return 0;
}
