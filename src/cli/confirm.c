#include "cli/confirm.h"

#include <strings.h>

bool cli_confirm(struct cli *cli, const char *what)
{
    char answer[16] = "";
    size_t n = 0;
    int c;

    fprintf(cli->out, "WARNING! %s\nAre you sure you want to continue? [y/N] ", what);
    (void)fflush(cli->out); /* main checks the stream */
    while ((c = getchar()) != EOF && c != '\n')
        if (n + 1 < sizeof(answer) && c != '\r' && c != ' ')
            answer[n++] = (char)c;
    if (strcasecmp(answer, "y") == 0)
        return true;
    cli_audit_skip(cli);
    return false;
}
