/* Asking before something is lost. */
#pragma once

#include "cli/command.h"

/* Print docker's question on cli->out ("WARNING! WHAT\nAre you sure you want to continue? [y/N]
 * ") and read a line from stdin: true for y and Y. */
bool cli_confirm(struct cli *cli, const char *what);
