#include "log/log.h"

#include "util/fd.h"
#include "util/own.h"

#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Returns the socket, or -1 with errno. */
static int dial_path(int type, const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    autofd int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(at.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(at.sun_path, path, strlen(path) + 1);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
        return -1;
    return take_fd(&fd);
}

static int dial_unix(const char *path, bool stream_too, struct err *e)
{
    static const char *const usual[] = { "/dev/log", "/var/run/syslog", "/var/run/log" };
    int fd = -1;

    for (size_t i = 0; fd < 0 && i < ARRAY_LEN(usual); i++) {
        const char *at = path ? path : usual[i];

        fd = dial_path(SOCK_DGRAM, at);
        if (fd < 0 && errno == EPROTOTYPE && stream_too)
            fd = dial_path(SOCK_STREAM, at);
        if (path && fd < 0)
            return err_os(e, "dial unix %s", path);
    }
    return fd < 0 ? err_set(e, ERR_UNAVAILABLE,
                            "Unix syslog delivery error: nobody listens at "
                            "/dev/log")
                  : fd;
}

static int dial_host(bool stream, const char *host, const char *port, struct err *e)
{
    const struct addrinfo want = { .ai_socktype = stream ? SOCK_STREAM : SOCK_DGRAM };
    const char *how = stream ? "tcp" : "udp";
    struct addrinfo *list = NULL;
    int r = getaddrinfo(host, port, &want, &list), fd = -1;

    if (r != 0)
        return err_set(e, ERR_UNAVAILABLE, "dial %s %s:%s: %s", how, host, port, gai_strerror(r));
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0)
            close_fd(&fd); /* keeps errno */
    }
    r = fd < 0 ? err_os(e, "dial %s %s:%s", how, host, port) : fd;
    freeaddrinfo(list);
    return r;
}

int dial(const char *how, const char *host, const char *port, struct err *e)
{
    bool local = !strncmp(how, "unix", 4);
    int fd, r;

    if (strcmp(how, "unix") != 0 && strcmp(how, "unixgram") != 0 && strcmp(how, "udp") != 0 &&
        strcmp(how, "tcp") != 0)
        return err_set(e, ERR_USAGE, "dial: unknown way '%.40s'", how);
    if (!local && (!host || !port))
        return err_set(e, ERR_USAGE, "dial: a host and a port are needed");
    fd = local ? dial_unix(host, !strcmp(how, "unix"), e)
               : dial_host(!strcmp(how, "tcp"), host, port, e);
    if (fd < 0)
        return fd;
    r = fd_nonblock(fd, true, e);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    return fd;
}
