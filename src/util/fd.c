#include "util/fd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

int fd_write_all(int fd, const void *data, size_t len, struct err *e)
{
    const char *p = data;

    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t fd_read_upto(int fd, void *data, size_t len, struct err *e)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = read(fd, (char *)data + got, len - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "read");
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

int fd_read_all(int fd, struct str *ret, struct err *e)
{
    char chunk[16384];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "read");
        if (n == 0)
            return 0;
        if (!str_add(ret, chunk, (size_t)n))
            return err_set(e, ERR_LIMIT, "more than %zu bytes", ret->max);
    }
}

int fd_nonblock(int fd, bool on, struct err *e)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return err_os(e, "fcntl F_GETFL");
    flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (fcntl(fd, F_SETFL, flags) < 0)
        return err_os(e, "fcntl F_SETFL");
    return 0;
}

int fd_dup(int fd, struct err *e)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    return copy < 0 ? err_os(e, "dup") : copy;
}

/* Paths under a user's home can exceed sun_path (108 bytes); a directory's /proc link cannot. */
static int unix_address(int dirfd, const char *name, struct sockaddr_un *ret, struct err *e)
{
    int n;

    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
    if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
        return err_set(e, ERR_LIMIT, "socket name '%s' is too long", name);
    return 0;
}

int fd_unix_listen(int dirfd, const char *name, struct err *e)
{
    struct sockaddr_un addr;
    autofd int fd = -1;
    int r;

    r = unix_address(dirfd, name, &addr, e);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_os(e, "socket");
    if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
        return err_os(e, "remove stale socket %s", name);
    /* The mode is set before bind() creates the file, so it is never open to others. */
    if (fchmod(fd, 0600) < 0)
        return err_os(e, "socket mode");
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return err_os(e, "bind %s", name);
    if (listen(fd, 64) < 0)
        return err_os(e, "listen on %s", name);
    return take_fd(&fd);
}

int fd_unix_connect(int dirfd, const char *name, struct err *e)
{
    struct sockaddr_un addr;
    autofd int fd = -1;
    int r;

    r = unix_address(dirfd, name, &addr, e);
    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_os(e, "socket");
    if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return err_os(e, "connect to %s", name);
    return take_fd(&fd);
}
