/* One static program: PID 1 of the machine, and small tools by the name it is called with. */
#include "guest/boot.h"
#include "guest/init.h"
#include "guest/nsexec.h"
#include "guest/reaper.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int main(int argc, char **argv)
{
    const char *name = argc > 0 ? base_name(argv[0]) : "";

    if (strcmp(name, "nsexec") == 0)
        return nsexec_main(argc, argv);
    if (strcmp(name, "docker-init") == 0)
        return reaper_main(argc, argv);
    if (strcmp(name, "modprobe") == 0)
        return boot_modprobe(argc, argv);
    if (getpid() != 1) {
        (void)fputs("a3s-box-guest-init: only as PID 1 of a machine\n", stderr);
        return 1;
    }
    /* The console's first line from user space: what `./dev bench` compares a start with. */
    (void)fputs("a3s-box-guest-init: up\n", stdout);
    (void)fflush(stdout);
    return init_main();
}
