#include "guest/uevent.h"

#include "util/own.h"

#include <linux/netlink.h>
#include <sys/socket.h>

int uevent_open(struct err *e)
{
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
    autofd int fd =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

    if (fd < 0)
        return err_os(e, "device events");
    if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return err_os(e, "device events");
    return take_fd(&fd);
}

int uevent_drain(int fd)
{
    char buf[4096];
    int any = 0;

    while (recv(fd, buf, sizeof(buf), MSG_TRUNC) >= 0 || errno == ENOBUFS || errno == EINTR)
        any = 1;
    return any;
}
