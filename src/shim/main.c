#include "shim/shim.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

static const char usage[] =
    "Usage: a3s-box-shim --home DIR --box ID [--report-fd N] [--attach-fd N [--attach-stdin]]\n"
    "                    [--count-restart | --again NS --dir-fd N --ctl-fd N]\n"
    "\n"
    "Runs one box. Started by a3s-box, not by hand; src/box/lifecycle.h says how.\n";

struct terminator {
    struct watch watch; /* a signalfd: SIGTERM, SIGINT */
    struct shim *shim;
};

static void on_signal(struct watch *w, uint32_t events UNUSED)
{
    struct terminator *t = CONTAINER_OF(w, struct terminator, watch);
    struct signalfd_siginfo info;

    if (read(w->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    log_warn("signal %u: stopping the box", info.ssi_signo);
    shim_stop(t->shim, STOP_HOST, 0, UINT64_MAX);
}

static int watch_signals(struct terminator *t, struct loop *loop, struct err *e)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a full disk is EFBIG then, not our end */
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return err_os(e, "sigprocmask");
    t->watch.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (t->watch.fd < 0)
        return err_os(e, "signalfd");
    return loop_add(loop, &t->watch, EPOLLIN, e);
}

static int parse_fd(const char *text, int *ret, struct err *e)
{
    uint64_t fd = 0;
    int r = parse_u64(text, 3, 1000, &fd, e);

    if (r < 0)
        return r;
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_os(e, "descriptor %s", text);
    *ret = (int)fd;
    return 0;
}

static int parse_again(const char *text, struct shim_args *ret, struct err *e)
{
    ret->again = true;
    return parse_u64(text, 0, RESTART_DELAY_MAX, &ret->waited_ns, e);
}

static int parse_args(int argc, char **argv, struct shim_args *ret, struct err *e)
{
    enum { HOME = 1, BOX, REPORT, ATTACH, STDIN, COUNT, AGAIN, DIR, CTL, HELP, VERSION };
    static const struct option options[] = {
        { "home", required_argument, NULL, HOME },
        { "box", required_argument, NULL, BOX },
        { "report-fd", required_argument, NULL, REPORT },
        { "attach-fd", required_argument, NULL, ATTACH },
        { "attach-stdin", no_argument, NULL, STDIN },
        { "count-restart", no_argument, NULL, COUNT },
        { "again", required_argument, NULL, AGAIN },
        { "dir-fd", required_argument, NULL, DIR },
        { "ctl-fd", required_argument, NULL, CTL },
        { "help", no_argument, NULL, HELP },
        { "version", no_argument, NULL, VERSION },
        { NULL, 0, NULL, 0 },
    };
    int c, r = 0;

    while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == HOME)
            ret->home = optarg;
        else if (c == BOX)
            ret->box_id = optarg;
        else if (c == REPORT)
            r = parse_fd(optarg, &ret->report_fd, e);
        else if (c == ATTACH)
            r = parse_fd(optarg, &ret->attach_fd, e);
        else if (c == STDIN)
            ret->attach_stdin = true;
        else if (c == COUNT)
            ret->count_restart = true;
        else if (c == AGAIN)
            r = parse_again(optarg, ret, e);
        else if (c == DIR)
            r = parse_fd(optarg, &ret->dir_fd, e);
        else if (c == CTL)
            r = parse_fd(optarg, &ret->ctl_fd, e);
        else if (c == HELP || c == VERSION)
            return c == HELP ? 1 : 2;
        else
            return err_set(e, ERR_USAGE, "unknown option");
    }
    if (r == 0 && (!ret->home || !ret->box_id || optind != argc))
        return err_set(e, ERR_USAGE, "--home and --box are needed");
    if (r == 0 && ret->again != (ret->dir_fd >= 0 && ret->ctl_fd >= 0))
        return err_set(e, ERR_USAGE, "--again needs --dir-fd and --ctl-fd");
    return r;
}

static int run(struct shim *sh, const struct shim_args *args, struct err *e)
{
    int r;

    r = shim_launch(sh, args, e);
    if (r < 0) {
        log_error("%s", e->text);
        if (!sh->claimed) {
            shim_report(sh, 125, e);
            return r;
        }
        shim_start_failed(sh, 125, e);
    }
    shim_turn(sh);
    while (!sh->quit) {
        r = loop_turn(sh->loop, -1, e);
        if (r < 0)
            return r;
        shim_turn(sh);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct shim_args args = { .report_fd = -1, .attach_fd = -1, .dir_fd = -1, .ctl_fd = -1 };
    struct restart_kept kept = { .dir_fd = -1, .ctl_fd = -1 };
    bool again;
    struct shim *sh = calloc(1, sizeof(*sh));
    struct terminator term = { .watch = { .what = "signals", .ready = on_signal }, .shim = sh };
    struct err e;
    int r;

    log_init("a3s-box-shim");
    r = parse_args(argc, argv, &args, &e);
    if (r > 0) {
        (void)fputs(r == 1 ? usage : "a3s-box-shim " A3S_VERSION "\n", stdout);
        free(sh);
        return 0;
    }
    if (r == 0 && !sh)
        r = err_os(&e, "shim");
    if (r < 0) {
        err_print(&e, stderr);
        free(sh);
        return err_exit_status(&e);
    }
    (void)umask(077);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* old kernels: then without */
    sh->engine = &vm_engine_qemu;
    r = loop_new(&sh->loop, &e);
    if (r == 0)
        r = watch_signals(&term, sh->loop, &e);
    if (r == 0)
        r = run(sh, &args, &e);
    if (r < 0)
        log_error("%s", e.text);
    again = r == 0 && sh->restart.exec;
    if (again)
        restart_keep(sh, &kept);
    shim_done(sh);
    loop_free(sh->loop);
    free(sh);
    if (again) {
        r = restart_exec(argv, args.home, args.box_id, &kept, &e);
        log_error("%s", e.text); /* whoever looks next finds us gone */
    }
    return r < 0 ? err_exit_status(&e) : 0;
}
