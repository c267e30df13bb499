#include "util/spawn.h"

#include "util/fd.h"
#include "util/fs.h"
#include "util/landlock.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

#define RULES_FD_MIN 64 /* above all that a child is given */

/* From here to exec only async-signal-safe calls: we are between fork and exec. */
static void reset_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < 65; sig++)
        (void)signal(sig, SIG_DFL); /* fails for KILL, STOP and libc's own: as wanted */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Moves every wanted descriptor above all targets first, so that no dup2() hits one that is
 * still to be copied. */
static int place_fds(const struct spawn *s, int report_fd)
{
    int high = 2, moved[16];

    if (s->fds_n > ARRAY_LEN(moved))
        return -1;
    for (size_t i = 0; i < s->fds_n; i++)
        if (s->fds[i].as > high)
            high = s->fds[i].as;
    for (size_t i = 0; i < s->fds_n; i++)
        if ((moved[i] = fcntl(s->fds[i].fd, F_DUPFD_CLOEXEC, high + 2)) < 0)
            return -1;
    report_fd = fcntl(report_fd, F_DUPFD_CLOEXEC, high + 2);
    if (report_fd < 0 || dup3(report_fd, high + 1, O_CLOEXEC) < 0)
        return -1;
    for (int fd = 0; fd <= high; fd++) {
        size_t i = 0;

        while (i < s->fds_n && s->fds[i].as != fd)
            i++;
        if (i < s->fds_n) {
            if (dup2(moved[i], fd) < 0)
                return -1;
        } else if (fd <= 2) {
            int null = open("/dev/null", O_RDWR | O_CLOEXEC);

            if (null < 0 || (null != fd && dup2(null, fd) < 0))
                return -1;
            if (null == fd)
                (void)fcntl(fd, F_SETFD, 0);
        } else if (fd != high + 1) {
            (void)close(fd);
        }
    }
    if (syscall(SYS_close_range, high + 2, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return -1;
    return high + 1;
}

static void child(const struct spawn *s, pid_t parent, int report_fd)
{
    int os, fd, rules = -1;

    reset_signals();
    if (s->landlock_rules > 0) /* a copy: the number may be one of those the child gets */
        rules = fcntl(s->landlock_rules, F_DUPFD_CLOEXEC, RULES_FD_MIN);
    fd = place_fds(s, report_fd);
    if (fd >= 0)
        report_fd = fd;
    if (fd < 0 || (s->new_session && setsid() < 0) || (s->cwd && chdir(s->cwd) < 0) ||
        (s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) ||
        (s->parent_death_signal &&
         (prctl(PR_SET_PDEATHSIG, s->parent_death_signal) < 0 || getppid() != parent)) ||
        (s->landlock_rules > 0 && !landlock_enter(rules)))
        goto out;
    if (s->search)
        (void)execvpe(s->argv[0], (char *const *)s->argv, s->env ? (char **)s->env : environ);
    else
        (void)execve(s->argv[0], (char *const *)s->argv, s->env ? (char **)s->env : environ);
out:
    os = errno;
    fd = (int)write(report_fd, &os, sizeof(os));
    _exit(fd == sizeof(os) ? 127 : 126);
}

int spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
    autofd int report_r = -1, report_w = -1, pidfd = -1;
    pid_t parent = getpid(), pid;
    int pipefd[2], os = 0;
    ssize_t n;

    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    report_r = pipefd[0];
    report_w = pipefd[1];
    pid = fork();
    if (pid < 0)
        return err_os(e, "fork");
    if (pid == 0)
        child(s, parent, report_w);
    close_fd(&report_w);
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    n = fd_read_upto(report_r, &os, sizeof(os), e);
    if (n == sizeof(os)) {
        (void)waitpid(pid, NULL, 0);
        return err_os_at(e, os, "start %s", s->argv[0]);
    }
    if (pidfd < 0 && ret_pidfd) {
        (void)kill(pid, SIGKILL); /* our own child, not yet waited for: the pid is right */
        (void)waitpid(pid, NULL, 0);
        return err_set(e, ERR_SYSTEM, "pidfd_open failed for %s", s->argv[0]);
    }
    *ret_pid = pid;
    if (ret_pidfd)
        *ret_pidfd = take_fd(&pidfd);
    return 0;
}

int spawn_wait(pid_t pid, int *ret_status, struct err *e)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_os(e, "wait for pid %d", (int)pid);
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

/* The command name in field 2 may hold anything, so fields are counted from its last ')'. */
static int read_stat(pid_t pid, char *ret_state, uint64_t *ret_ticks, struct err *e)
{
    autostr text = STR_INIT(4096);
    unsigned long long ticks;
    char path[64];
    const char *p;
    int r;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    r = fs_read_file(AT_FDCWD, path, &text, e);
    if (r < 0)
        return r;
    p = strrchr(str_c(&text), ')');
    if (!p ||
        sscanf(
            p,
            ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
            ret_state, &ticks) != 2)
        return err_set(e, ERR_CORRUPT, "%s: unexpected format", path);
    *ret_ticks = ticks;
    return 0;
}

int proc_start_time(pid_t pid, uint64_t *ret_ticks, struct err *e)
{
    char state;

    return read_stat(pid, &state, ret_ticks, e);
}

int proc_open(pid_t pid, uint64_t start_ticks, int *ret_pidfd, struct err *e)
{
    autofd int fd = -1;
    uint64_t ticks = 0;
    char state;
    int r;

    /* The descriptor first: what it names cannot change while we compare. */
    fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (fd < 0)
        return err_set(e, ERR_NOT_FOUND, "no process %d", (int)pid);
    r = read_stat(pid, &state, &ticks, e);
    if (r < 0)
        return r;
    if (ticks != start_ticks || state == 'Z' || state == 'X')
        return err_set(e, ERR_NOT_FOUND, "process %d has ended", (int)pid);
    *ret_pidfd = take_fd(&fd);
    return 0;
}
