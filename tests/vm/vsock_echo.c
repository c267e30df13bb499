/* Listens on an AF_VSOCK port, echoes each connection until it is shut down. In a box. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct address { /* struct sockaddr_vm, whose header musl has not */
    unsigned short family, reserved;
    unsigned port, cid;
    unsigned char zero[4];
};

int main(int argc, char **argv)
{
    struct address a = { .family = AF_VSOCK, .port = 0, .cid = 0xffffffff };
    char buf[65536];
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0), client;

    if (argc != 2 || sscanf(argv[1], "%u", &a.port) != 1 || fd < 0 ||
        bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0) {
        perror("vsock");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    while ((client = accept(fd, NULL, NULL)) >= 0) {
        ssize_t n;

        while ((n = read(client, buf, sizeof(buf))) > 0)
            for (ssize_t done = 0, m; done < n; done += m)
                if ((m = write(client, buf + done, (size_t)(n - done))) <= 0)
                    break;
        close(client);
    }
    return 0;
}
