#include "cli/sink.h"

#include "util/own.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>

void sink_open(struct sink *sink, int fd)
{
    char path[64];
    struct stat st;
    int own = -1;

    *sink = (struct sink){ .fd = fd, .max = SIZE_MAX };
    if (fstat(fd, &st) < 0)
        return; /* the first write says so */
    sink->socket = S_ISSOCK(st.st_mode);
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) {
        sink->fd = own;
        sink->owned = true;
    } else {
        sink->max =
            PIPE_BUF; /* a terminal of another user, no /proc: small writes after poll() */
    }
}

void sink_close(struct sink *sink)
{
    if (sink->owned)
        close_fd(&sink->fd);
}

ssize_t sink_write(const struct sink *sink, const void *data, size_t len, struct err *e)
{
    size_t part = len < sink->max ? len : sink->max;
    ssize_t n;

    if (sink->off)
        return (ssize_t)len;
    do {
        n = sink->socket ? send(sink->fd, data, part, MSG_DONTWAIT | MSG_NOSIGNAL)
                         : write(sink->fd, data, part);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno == EAGAIN)
        return 0;
    return err_os(e, "write to standard output");
}
