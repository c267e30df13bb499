#include "guest/reaper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(char **command, const sigset_t *before)
{
    (void)sigprocmask(SIG_SETMASK, before, NULL);
    (void)setpgid(0, 0);
    (void)signal(SIGTTOU, SIG_IGN);
    (void)tcsetpgrp(STDIN_FILENO, getpgrp()); /* Ctrl-C is for the command; fails without a tty */
    (void)signal(SIGTTOU, SIG_DFL);
    (void)execvp(command[0], command);
    (void)fprintf(stderr, "exec %s: %s\n", command[0], strerror(errno));
    return errno == ENOENT ? 127 : 126;
}

/* Returns the command's status once it has ended, else -1. */
static int reap(pid_t command)
{
    int status, ended = -1;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == command)
            ended = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ended;
}

int reaper_main(int argc, char **argv)
{
    sigset_t all, before;
    int sig, status;
    pid_t pid;

    if (argc < 3 || strcmp(argv[1], "--") != 0)
        return 125;
    (void)prctl(PR_SET_NAME, "docker-init");
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    pid = fork();
    if (pid < 0)
        return 125;
    if (pid == 0)
        return run(argv + 2, &before);
    for (;;) {
        if (sigwait(&all, &sig) != 0)
            continue;
        if (sig != SIGCHLD) {
            (void)kill(pid, sig);
            continue;
        }
        status = reap(pid);
        if (status >= 0)
            return status;
    }
}
