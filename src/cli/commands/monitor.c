#include "monitor/monitor.h"

#include "cli/command.h"
#include "util/time.h"

struct monitor_args {
    bool install, uninstall;
    uint64_t interval_ns;
    const char *metrics_addr;
};

static const struct opt monitor_opts[] = {
    OPT_FLAG(0, "install", struct monitor_args, install,
             "Write a systemd unit with these options, and end"),
    OPT_DURATION(0, "interval", "TIME", struct monitor_args, interval_ns,
                 "How often to look (default 5s)"),
    OPT_STR(0, "metrics-addr", "ADDR", struct monitor_args, metrics_addr,
            "Serve /metrics and /healthz there, e.g. 127.0.0.1:9090"),
    OPT_FLAG(0, "uninstall", struct monitor_args, uninstall, "Remove the systemd unit"),
    { .type = OPT_END },
};

static int monitor_cmd(struct cli *cli, const void *args, int argc UNUSED, char **argv UNUSED,
                       struct err *e)
{
    const struct monitor_args *a = args;
    const struct monitor_options o = { .home = cli->home,
                                       .program = cli->program,
                                       .interval_ns = a->interval_ns,
                                       .metrics_addr = a->metrics_addr,
                                       .out = cli->out };

    if (a->install && a->uninstall)
        return err_set(e, ERR_USAGE, "--install and --uninstall exclude each other");
    if (a->interval_ns < NS_PER_S || a->interval_ns > 3600 * NS_PER_S)
        return err_set(e, ERR_INVALID, "--interval must be from 1s to 1h");
    if (!*cli->program)
        return err_set(e, ERR_UNAVAILABLE, "/proc is not mounted: our own path is not known");
    if (a->uninstall)
        return monitor_uninstall(&o, e);
    return a->install ? monitor_install(&o, e) : monitor_run(&o, e);
}

static const struct monitor_args monitor_defaults = { .interval_ns =
                                                          MONITOR_INTERVAL_S * NS_PER_S };

const struct command cmd_monitor = {
    .name = "monitor",
    .synopsis = "[OPTIONS]",
    .summary = "Start boxes again that a killed shim or a reboot has ended",
    .details =
        "Runs until SIGTERM or SIGINT. Boxes live on without it: it is needed for restart\n"
        "policies after the host was booted and for /metrics. One per A3S_HOME.\n",
    .group = GROUP_SYSTEM,
    .opts = monitor_opts,
    .args_size = sizeof(struct monitor_args),
    .defaults = &monitor_defaults,
    .run = monitor_cmd,
};
