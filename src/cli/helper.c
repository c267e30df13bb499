#include "cli/helper.h"

#include "oci/store.h"
#include "util/fd.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#define READ_BYTES   ((size_t)64 << 10)
#define LAST_WAIT_MS 5000 /* for whom the helper started: killed, but a disk may hold it */

struct run {
    const struct helper *h;
    pid_t pid;
    int pidfd, signal_fd;
    int caught; /* the first signal; 0: none */
    bool out_open, ended;
};

/* One piece of its output. */
static int read_some(struct run *run, struct err *e)
{
    struct str *text = run->h->text;
    char *room = str_reserve(text, READ_BYTES);
    ssize_t n;

    if (!room)
        return err_set(e, ERR_INTERNAL, "%s says too much", run->h->spawn->argv[0]);
    n = read(run->h->out, room, READ_BYTES);
    if (n < 0)
        return errno == EINTR ? 0 : err_os(e, "%s", run->h->spawn->argv[0]);
    str_added(text, (size_t)n);
    run->out_open = n > 0;
    return n > 0 && run->h->more ? run->h->more(run->h->ctx, text, e) : 0;
}

static void take_signal(struct run *run)
{
    struct signalfd_siginfo info;

    if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
        return; /* nothing there after all */
    /* A terminal has sent it the same; twice the same is no harm. */
    (void)syscall(SYS_pidfd_send_signal, run->pidfd, run->caught ? SIGKILL : (int)info.ssi_signo,
                  NULL, 0);
    run->caught = run->caught ? run->caught : (int)info.ssi_signo;
}

/* Until it has said everything and has ended, and so has whom it started. */
static int follow(struct run *run, struct err *e)
{
    int r = 0, ready;

    while (run->out_open || !run->ended) {
        struct pollfd fds[] = { { run->signal_fd, POLLIN, 0 },
                                { run->out_open ? run->h->out : -1, POLLIN, 0 },
                                { run->ended ? -1 : run->pidfd, POLLIN, 0 } };

        ready = poll(fds, ARRAY_LEN(fds), run->ended ? LAST_WAIT_MS : -1);
        if (ready < 0)
            continue; /* EINTR: what is blocked comes by the descriptor */
        if (ready == 0)
            break;
        if (fds[0].revents)
            take_signal(run);
        if (fds[1].revents && r == 0)
            r = read_some(run, e);
        if (r < 0 && run->out_open) { /* it would wait for us for ever */
            (void)syscall(SYS_pidfd_send_signal, run->pidfd, SIGTERM, NULL, 0);
            run->out_open = false;
        }
        if (fds[2].revents)
            run->ended = true;
    }
    return r;
}

static int start(struct run *run, sigset_t *ret_old, struct err *e)
{
    static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
    struct sigaction how;
    sigset_t set;
    int r;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(ending); i++)
        if (sigaction(ending[i], NULL, &how) == 0 && how.sa_handler != SIG_IGN) /* nohup */
            (void)sigaddset(&set, ending[i]); /* it is a signal */
    if (sigprocmask(SIG_BLOCK, &set, ret_old) < 0)
        return err_os(e, "signals");
    run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    r = run->signal_fd < 0 ? err_os(e, "signals")
                           : spawn_start(run->h->spawn, &run->pid, &run->pidfd, e);
    if (r < 0)
        (void)sigprocmask(SIG_SETMASK, ret_old, NULL); /* as it was */
    return r;
}

/* Who is killed leaves what it worked on. */
static void sweep(struct cli *cli)
{
    struct err ignored;

    if (store_sweep(cli->home, NULL, &ignored) < 0)
        err_clear(&ignored); /* the next load does it */
}

int cli_helper_run(struct cli *cli, const struct helper *h, struct err *e)
{
    struct run run = { .h = h, .pidfd = -1, .signal_fd = -1, .out_open = h->out >= 0 };
    struct err reading = { 0 };
    int status = 0, r, rr;
    sigset_t old;

    r = start(&run, &old, e);
    close_fd(h->out_w); /* only the helper holds it: its end is the end */
    if (r == 0) {
        rr = follow(&run, &reading);
        r = spawn_wait(run.pid, &status, e);
        if (r == 0 && (status >= 128 || run.caught))
            sweep(cli);
        (void)sigprocmask(SIG_SETMASK, &old, NULL); /* as it was */
        if (run.caught) {
            (void)signal(run.caught, SIG_DFL);
            (void)raise(run.caught);
        }
        if (r == 0 && rr < 0) {
            *e = reading;
            r = rr;
        } else if (r == 0 && status != 0) {
            *e = (struct err){ .kind = ERR_SYSTEM };
            r = -ERR_SYSTEM;
        }
    }
    close_fd(&run.pidfd);
    close_fd(&run.signal_fd);
    return r;
}
