#include "guest/files.h"

#include "guest/files_serve.h"
#include "guest/relay.h"
#include "guest/sys.h"
#include "util/own.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* Fewer turns between us and the child when both are busy. It is never more than a window. */
#define SOCKET_BYTES ((int)CHANNEL_WINDOW)

static void widen(const int pair[2])
{
    const int bytes = SOCKET_BYTES;

    for (int i = 0; i < 2; i++) /* refused: slower */
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
}

int files_open(struct guest *g, struct stream *s)
{
    int pair[2];
    pid_t pid;

    if (g->stopping || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return RESET_LIMIT;
    widen(pair);
    pid = sys_fork(0, -1);
    if (pid == 0)
        files_main(g, pair[1]);
    (void)close(pair[1]);
    if (pid < 0) {
        (void)close(pair[0]);
        return RESET_LIMIT;
    }
    return relay_adopt(g, s, pair[0], pid); /* refused: the child reads an end of file */
}

/* Is the process in this mount namespace? */
static bool is_inside(pid_t pid, const void *arg)
{
    const struct stat *ns = arg;
    autofree char *path = str_format("/proc/%d/ns/mnt", (int)pid);
    struct stat st;

    return path && stat(path, &st) == 0 && st.st_ino == ns->st_ino && st.st_dev == ns->st_dev;
}

void files_forget(struct guest *g, const struct container *c)
{
    struct stat ns;

    if (c->mount_ns >= 0 && fstat(c->mount_ns, &ns) == 0)
        relays_end_if(g, is_inside, &ns);
}

/* Who has frozen a container holds a lock on its group, whose end is that of the process. */
static void thaw(const struct container *c)
{
    autofd int group = openat(c->cgroup_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), freeze = -1;
    char now = '0';

    if (group < 0 || flock(group, LOCK_EX | LOCK_NB) < 0)
        return;
    freeze = openat(group, "cgroup.freeze", O_RDWR | O_CLOEXEC);
    if (freeze >= 0 && read(freeze, &now, 1) == 1 && now == '1' && pwrite(freeze, "0", 1, 0) != 1)
        guest_log(c->guest, "container %s: cannot be thawed: %s", c->config.id, strerror(errno));
}

void files_thaw(struct guest *g)
{
    for (struct container *c = g->containers; c; c = c->next)
        if (c->cgroup_fd >= 0)
            thaw(c);
}
