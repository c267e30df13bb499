/* nsexec: run a command in further namespaces of its own. `argv` is the tool's; returns the exit
 * status. */
#pragma once

int nsexec_main(int argc, char **argv);
