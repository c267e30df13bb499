#include "guest/sys.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t sys_fork(uint64_t namespaces, int cgroup_fd)
{
    struct clone_args args = { .flags = namespaces, .exit_signal = SIGCHLD };

    if (cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup_fd;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int sys_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int sys_pidfd_signal(int pidfd, int sig)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int sys_execveat(int fd, char *const *argv, char *const *env)
{
    return (int)syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
}

int sys_pivot_root(const char *new_root, const char *put_old)
{
    return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int sys_finit_module(int fd, const char *options)
{
    return (int)syscall(SYS_finit_module, fd, options, 0);
}

int sys_seccomp_filter(const void *filter, uint16_t count)
{
    struct sock_fprog prog = { .len = count, .filter = (struct sock_filter *)filter };

    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

int sys_bpf(int cmd, void *attr, uint32_t size)
{
    return (int)syscall(SYS_bpf, cmd, attr, size);
}

int sys_close_from(int first)
{
    return (int)syscall(SYS_close_range, first, ~0U, 0);
}

int sys_capset(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .permitted = (uint32_t)permitted, .effective = (uint32_t)effective },
        { .permitted = (uint32_t)(permitted >> 32), .effective = (uint32_t)(effective >> 32) },
    };

    return (int)syscall(SYS_capset, &head, data);
}
