/* One static program: PID 1 of the machine, and small tools by the name it is called with. */
#include "guest/init.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (getpid() != 1) {
        fputs("a3s-box-guest-init: only as PID 1 of a machine\n", stderr);
        return 1;
    }
    return init_main();
}
