/* A static program for test images: does what busybox cannot. Prints "ok" or the error. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int say(int failed)
{
    printf("%s\n", failed ? strerror(errno) : "ok");
    return failed != 0;
}

/* vsock-echo PORT: serve one connection, send back what comes, until its end. */
static int vsock_echo(unsigned port)
{
    struct sockaddr_vm addr = { .svm_family = AF_VSOCK,
                                .svm_cid = VMADDR_CID_ANY,
                                .svm_port = port };
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0), peer;
    static char buf[65536];
    ssize_t n;

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0)
        return say(1);
    printf("listening\n");
    fflush(stdout);
    peer = accept(fd, NULL, NULL);
    while ((n = read(peer, buf, sizeof(buf))) > 0)
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(peer, buf + at, (size_t)(n - at))) < 0)
                return say(1);
    return close(peer);
}

/* node c|b MAJOR MINOR: make a device node and read from it. */
static int node(const char *type, unsigned major, unsigned minor)
{
    int fd;

    unlink("/tmp/node");
    if (mknod("/tmp/node", (type[0] == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(major, minor)) <
        0)
        return printf("mknod: "), say(1);
    fd = open("/tmp/node", O_RDWR | O_NONBLOCK);
    return say(fd < 0);
}

/* memory MIB: touch so much. */
static int memory(size_t mib)
{
    char *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return say(1);
    memset(p, 1, mib << 20);
    return say(0);
}

static int attach(int pid)
{
    return say(ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0);
}

/* zombies N: leave orphans behind that end at once. */
static int zombies(int n)
{
    for (int i = 0; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            if (fork() == 0)
                _exit(0);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
    return 0;
}

static int fds(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("%d ", fd);
    printf("\n");
    return 0;
}

static int limit(int what)
{
    struct rlimit l;

    if (getrlimit(what, &l) < 0)
        return say(1);
    printf("%llu %llu\n", (unsigned long long)l.rlim_cur, (unsigned long long)l.rlim_max);
    return 0;
}

static int flood(void)
{
    static const char x[65536];

    while (write(1, x, sizeof(x)) >= 0)
        ;
    return 1;
}

int main(int argc, char **argv)
{
    const char *do_ = argc > 1 ? argv[1] : "";
    int a = argc > 2 ? atoi(argv[argc > 4 ? 3 : 2]) : 0; /* banned: our tests' own arguments */
    int b = argc > 4 ? atoi(argv[4]) : 0;                /* banned: likewise */

    if (strcmp(do_, "vsock-echo") == 0)
        return vsock_echo((unsigned)a);
    if (strcmp(do_, "node") == 0 && argc > 4)
        return node(argv[2], (unsigned)a, (unsigned)b);
    if (strcmp(do_, "memory") == 0)
        return memory((size_t)a);
    if (strcmp(do_, "attach") == 0)
        return attach(a);
    if (strcmp(do_, "zombies") == 0)
        return zombies(a);
    if (strcmp(do_, "euid") == 0)
        return printf("%d\n", (int)geteuid()) < 0;
    if (strcmp(do_, "fds") == 0)
        return fds();
    if (strcmp(do_, "limit") == 0)
        return limit(a);
    if (strcmp(do_, "mount") == 0)
        return say(mount("tmpfs", "/tmp", "tmpfs", 0, NULL) < 0);
    if (strcmp(do_, "mkdir") == 0)
        return say(mkdir(argv[2], 0755) < 0);
    if (strcmp(do_, "flood") == 0)
        return flood();
    fprintf(stderr, "probe: what?\n");
    return 2;
}
