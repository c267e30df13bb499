#include "guest/nsexec.h"

#include "util/own.h"
#include "util/str.h"

#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_FAILED 125 /* ours, as env(1) and docker: 126 cannot execute, 127 not found */

static const char usage_text[] =
    "Usage: nsexec [OPTIONS] [--] COMMAND [ARG...]\n"
    "\n"
    "Run a command in namespaces of its own inside this box.\n"
    "\n"
    "  -m, --mount        mounts: what it mounts is seen by nobody else\n"
    "  -p, --pid          processes: the command is PID 1; with --mount it gets its own /proc\n"
    "  -i, --ipc          System V IPC and POSIX message queues\n"
    "  -u, --uts          host name\n"
    "  -n, --net          network: nothing but a loopback device that is down\n"
    "  -C, --cgroup       cgroup root\n"
    "  -U, --user         user ids\n"
    "  -r, --map-root     be root in the new user namespace (implies --user)\n"
    "      --hostname H   host name in the new namespace (implies --uts)\n"
    "  -h, --help         this text\n"
    "\n"
    "Without CAP_SYS_ADMIN, --user --map-root is added, because nothing else is permitted.\n"
    "--mount --pid then has no /proc of its own: parts of the box's are masked, and the kernel\n"
    "does not let a user namespace mount one that would show them. Start the box with\n"
    "--cap-add SYS_ADMIN, --privileged or --security-opt systempaths=unconfined for that.\n"
    "\n"
    "The exit status is the command's, 128+N when signal N ended it, 127 when it was not found,\n"
    "126 when it could not be executed, 125 when nsexec itself failed.\n";

struct nsexec {
    int flags; /* CLONE_NEW* */
    bool map_root;
    const char *hostname;
    char **command;
};

static int fail(const char *fmt, ...) PRINTF_LIKE(1, 2);

static int fail(const char *fmt, ...)
{
    int os = errno;
    va_list ap;

    (void)fputs("nsexec: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, os ? ": %s\n" : "\n", strerror(os));
    return EXIT_FAILED;
}

static int parse(int argc, char **argv, struct nsexec *n)
{
    static const struct option options[] = {
        { "mount", no_argument, NULL, 'm' },
        { "pid", no_argument, NULL, 'p' },
        { "ipc", no_argument, NULL, 'i' },
        { "uts", no_argument, NULL, 'u' },
        { "net", no_argument, NULL, 'n' },
        { "cgroup", no_argument, NULL, 'C' },
        { "user", no_argument, NULL, 'U' },
        { "map-root", no_argument, NULL, 'r' },
        { "hostname", required_argument, NULL, 'H' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    static const struct {
        int option, flag;
    } flags[] = {
        { 'm', CLONE_NEWNS },   { 'p', CLONE_NEWPID },  { 'i', CLONE_NEWIPC },
        { 'u', CLONE_NEWUTS },  { 'n', CLONE_NEWNET },  { 'C', CLONE_NEWCGROUP },
        { 'U', CLONE_NEWUSER }, { 'r', CLONE_NEWUSER }, { 'H', CLONE_NEWUTS },
    };
    int o;

    while ((o = getopt_long(argc, argv, "+mpiunCUrh", options, NULL)) != -1) {
        for (size_t i = 0; i < ARRAY_LEN(flags); i++)
            if (flags[i].option == o)
                n->flags |= flags[i].flag;
        n->map_root = n->map_root || o == 'r';
        if (o == 'H')
            n->hostname = optarg;
        if (o == 'h' || o == '?')
            return o;
    }
    n->command = argv + optind;
    return 0;
}

static bool has_sys_admin(void)
{
    autofd int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    unsigned long long caps = 0;
    char text[4096];
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    const char *at;

    if (n <= 0)
        return geteuid() == 0;
    text[n] = '\0';
    at = strstr(text, "\nCapEff:");
    return at && sscanf(at, "\nCapEff: %llx", &caps) == 1 && caps >> 21 & 1;
}

static int write_file(const char *path, const char *text)
{
    autofd int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* The ids must be taken before the namespace is entered. */
static int map_ids(const struct nsexec *n, uid_t uid, gid_t gid)
{
    autofree char *uids = str_format("%u %u 1", n->map_root ? 0 : uid, uid);
    autofree char *gids = str_format("%u %u 1", n->map_root ? 0 : gid, gid);

    if (!uids || !gids)
        return fail("no memory");
    if (write_file("/proc/self/setgroups", "deny") < 0 ||
        write_file("/proc/self/uid_map", uids) < 0 || write_file("/proc/self/gid_map", gids) < 0)
        return fail("cannot map user ids");
    return 0;
}

static int enter(struct nsexec *n)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int r;

    if (!has_sys_admin()) {
        n->map_root = n->map_root || !(n->flags & CLONE_NEWUSER);
        n->flags |= CLONE_NEWUSER;
    }
    if (unshare(n->flags) < 0)
        return fail("cannot make the namespaces%s", errno == EPERM ? " (see nsexec --help)" : "");
    r = n->flags & CLONE_NEWUSER ? map_ids(n, uid, gid) : 0;
    if (r)
        return r;
    if (n->flags & CLONE_NEWNS && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return fail("cannot make mounts private");
    if (n->hostname && sethostname(n->hostname, strlen(n->hostname)) < 0)
        return fail("cannot set host name \"%s\"", n->hostname);
    return 0;
}

static int run(const struct nsexec *n)
{
    int both = CLONE_NEWPID | CLONE_NEWNS, os;

    if ((n->flags & both) == both &&
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return fail("cannot mount /proc%s", errno == EPERM ? " (see nsexec --help)" : "");
    (void)execvp(n->command[0], n->command);
    os = errno;
    (void)fail("cannot run \"%s\"", n->command[0]);
    return os == ENOENT ? 127 : 126;
}

/* Signals that arrive while the command runs are for it. */
static int wait_for(pid_t pid, const sigset_t *all)
{
    int status, sig;

    for (;;) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (sigwait(all, &sig) == 0 && sig != SIGCHLD)
            (void)kill(pid, sig);
    }
}

int nsexec_main(int argc, char **argv)
{
    struct nsexec n = { 0 };
    sigset_t all, before;
    int r = parse(argc, argv, &n);
    pid_t pid;

    errno = 0;
    if (r == 'h')
        return fputs(usage_text, stdout) < 0 ? EXIT_FAILED : 0;
    if (r || !n.command[0])
        return fail("%s\nTry 'nsexec --help'", r ? "bad option" : "no command given");
    r = enter(&n);
    if (r)
        return r;
    if (!(n.flags & CLONE_NEWPID))
        return run(&n);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    pid = fork();
    if (pid < 0)
        return fail("cannot fork");
    if (pid > 0)
        return wait_for(pid, &all);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return run(&n);
}
