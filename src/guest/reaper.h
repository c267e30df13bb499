/* PID 1 of a container with --init: runs the command that follows "--", passes signals on, reaps
 * orphans, and exits as the command did (128+N after signal N). */
#pragma once

int reaper_main(int argc, char **argv);
