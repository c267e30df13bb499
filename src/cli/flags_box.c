#include "cli/flags_internal.h"

#include <string.h>

#define F struct box_flags

const struct opt box_flag_rows[] = {
    OPT_LIST(0, "add-host", "HOST:IP", F, add_host, "Add a line to /etc/hosts"),
    OPT_STR(0, "accel", "NAME", F, accel, "Accelerator: auto, kvm or tcg (default auto)"),
    OPT_LIST('a', "attach", "STREAM", F, attach, "Attach to stdin, stdout or stderr only"),
    OPT_LIST(0, "cap-add", "CAP", F, cap_add, "Add a Linux capability, or ALL"),
    OPT_LIST(0, "cap-drop", "CAP", F, cap_drop, "Drop a Linux capability, or ALL"),
    OPT_STR(0, "cidfile", "FILE", F, cidfile, "Write the box's id to a new file"),
    OPT_I64(0, "cpu-period", "US", F, cpu_period, "Period of the CPU quota in microseconds"),
    OPT_I64(0, "cpu-quota", "US", F, cpu_quota, "CPU time per period in microseconds"),
    OPT_I64('c', "cpu-shares", "N", F, cpu_shares, "Relative CPU weight, 2 to 262144"),
    OPT_STR(0, "cpus", "N", F, cpus, "Virtual CPUs (default 2); 1.5 is two of them and a quota"),
    OPT_STR(0, "cpuset-cpus", "LIST", F, cpuset_cpus, "Virtual CPUs to use (0-1,3)"),
    OPT_LIST(0, "dns", "IP", F, dns, "Name server for /etc/resolv.conf"),
    OPT_LIST(0, "dns-option", "OPTION", F, dns_option, "Option for /etc/resolv.conf",
             .alias = "dns-opt"),
    OPT_LIST(0, "dns-search", "DOMAIN", F, dns_search, "Search domain for /etc/resolv.conf"),
    OPT_STR(0, "domainname", "NAME", F, domainname, "NIS domain name"),
    OPT_STR(0, "entrypoint", "COMMAND", F, entrypoint, "Replace the image's ENTRYPOINT"),
    OPT_LIST('e', "env", "K=V", F, env, "Set a variable, or pass one on by its name"),
    OPT_LIST(0, "env-file", "FILE", F, env_file, "Read variables from a file"),
    OPT_LIST(0, "group-add", "GROUP", F, group_add, "Add a supplementary group"),
    OPT_STR(0, "health-cmd", "LINE", F, health_cmd, "Check health with this shell command"),
    OPT_STR(0, "health-interval", "TIME", F, health_interval,
            "Time between two checks (default 30s)"),
    OPT_I64(0, "health-retries", "N", F, health_retries,
            "Failures in a row that make it unhealthy (default 3)", .max = INT32_MAX),
    OPT_STR(0, "health-start-interval", "TIME", F, health_start_interval,
            "Time between two checks in the start period (default 5s)"),
    OPT_STR(0, "health-start-period", "TIME", F, health_start_period,
            "Failures in this time do not count (default 0s)"),
    OPT_STR(0, "health-timeout", "TIME", F, health_timeout,
            "Longest a check may take (default 5s)"),
    OPT_STR('h', "hostname", "NAME", F, hostname, "Host name (default: the box's id)"),
    OPT_FLAG(0, "init", F, init, "Run a small init that reaps processes as PID 1"),
    OPT_FLAG('i', "interactive", F, interactive, "Keep standard input open"),
    OPT_LIST('l', "label", "K=V", F, label, "Set a label"),
    OPT_LIST(0, "label-file", "FILE", F, label_file, "Read labels from a file"),
    OPT_STR(0, "log-driver", "NAME", F, log_driver,
            "Where output goes: json-file (default), syslog or none"),
    OPT_LIST(0, "log-opt", "K=V", F, log_opt, "Option of the log driver"),
    OPT_STR('m', "memory", "SIZE", F, memory,
            "Memory of the machine (default 512m); a bare number below 1048576 is in MiB"),
    OPT_STR(0, "memory-reservation", "SIZE", F, memory_reservation,
            "Memory the workload keeps under pressure"),
    OPT_STR(0, "memory-swap", "SIZE", F, memory_swap, "Memory and swap together; -1: unlimited"),
    OPT_STR(0, "name", "NAME", F, name, "Name of the box"),
    OPT_STR(0, "network", "NAME", F, network, "Network: none", .alias = "net"),
    OPT_FLAG(0, "no-healthcheck", F, no_healthcheck, "Disable the image's HEALTHCHECK"),
    OPT_FLAG(0, "no-stdin", F, no_stdin, "Do not attach standard input"),
    OPT_I64(0, "oom-score-adj", "N", F, oom_score_adj, "OOM preference, -1000 to 1000",
            .min = -1000, .max = 1000),
    OPT_FLAG(0, "persistent", F, persistent, "Keep files across restarts (always the case)"),
    OPT_I64(0, "pids-limit", "N", F, pids_limit, "Most processes at a time; -1: unlimited"),
    OPT_STR(0, "platform", "OS/ARCH", F, platform, "Platform the image must have"),
    OPT_FLAG(0, "privileged", F, privileged, "All capabilities, no seccomp, all of /dev"),
    OPT_STR(0, "pull", "WHEN", F, pull,
            "Pull the image first: missing (default), always or never"),
    OPT_FLAG(0, "read-only", F, read_only, "Mount the root file system read-only"),
    OPT_STR(0, "restart", "POLICY", F, restart,
            "When it ends: no (default), on-failure[:N], always, unless-stopped"),
    OPT_FLAG(0, "rm", F, auto_remove, "Remove the box when it ends"),
    OPT_LIST(0, "security-opt", "OPTION", F, security_opt,
             "seccomp=FILE, unconfined or default, no-new-privileges"),
    OPT_SIZE(0, "shm-size", "SIZE", F, shm_size, "Size of /dev/shm (default 64m)", .unit = 1),
    OPT_STR(0, "stop-signal", "SIGNAL", F, stop_signal, "Signal that stops it (default TERM)"),
    OPT_I64(0, "stop-timeout", "S", F, stop_timeout,
            "Seconds to wait before KILL (default 10); -1: for ever", .min = -1,
            .max = 1000000000),
    OPT_SIZE(0, "storage-size", "SIZE", F, storage_size,
             "Size of the writable layer (default 10g)", .unit = 1),
    OPT_DURATION(0, "timeout", "TIME", F, timeout_ns, "Stop it after so long (30s, 5m)"),
    OPT_LIST(0, "tmpfs", "PATH[:OPT]", F, tmpfs, "Mount a tmpfs"),
    OPT_FLAG('t', "tty", F, tty, "Give the workload a terminal"),
    OPT_LIST(0, "ulimit", "N=S[:H]", F, ulimit, "Set a resource limit"),
    OPT_STR('u', "user", "USER", F, user, "User and group: name or number[:name or number]"),
    OPT_STR('w', "workdir", "DIR", F, workdir, "Working directory"),

    OPT_FLAG('q', "quiet", F, quiet, "Suppress the pull output"),
    OPT_FLAG(0, "disable-content-trust", F, content_trust, "No verification", .hidden = true),
    OPT_STR(0, "cgroupns", "MODE", F, cgroupns, "Cgroup namespace: private", .hidden = true),
#define X(id, key, name)                                                                         \
    OPT_LIST(key, name, "VALUE", F, later_value[BOX_LATER_##id], "Not supported yet",            \
             .hidden = true),
    BOX_LATER_VALUES(X)
#undef X
#define X(id, key, name)                                                                         \
    OPT_FLAG(key, name, F, later_flag[BOX_LATER_F_##id], "Not supported yet", .hidden = true),
        BOX_LATER_FLAGS(X)
#undef X
            { .type = OPT_END },
};

static const char *const later_values[] = {
#define X(id, key, name) [BOX_LATER_##id] = name,
    BOX_LATER_VALUES(X)
#undef X
};

static const char *const later_flags[] = {
#define X(id, key, name) [BOX_LATER_F_##id] = name,
    BOX_LATER_FLAGS(X)
#undef X
};

int flags_no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "out of memory");
}

int flags_bad(const char *flag, const char *value, struct err *e)
{
    return err_ctx(e, "invalid argument \"%.100s\" for \"--%s\" flag", value, flag);
}

int flags_copy(char **ret, const char *text, struct err *e)
{
    *ret = text && *text ? strdup(text) : NULL;
    return text && *text && !*ret ? flags_no_memory(e) : 0;
}

static int refuse(const char *flag, const char *value, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "--%s%s%.100s is not supported yet", flag,
                   value ? " " : "", value ? value : "");
}

/* Flags of which some values are what we do anyway. */
static int refuse_value(const char *flag, const char *value, const char *same, struct err *e)
{
    if (!value || !*value || !strcmp(value, same))
        return 0;
    return refuse(flag, value, e);
}

int box_flags_refuse(const struct box_flags *f, struct err *e)
{
    int r;

    for (size_t i = 0; i < BOX_LATER_VALUE_N; i++)
        if (f->later_value[i].n)
            return refuse(later_values[i], NULL, e);
    for (size_t i = 0; i < BOX_LATER_FLAG_N; i++)
        if (f->later_flag[i])
            return refuse(later_flags[i], NULL, e);
    r = refuse_value("cgroupns", f->cgroupns, "private", e);
    if (r == 0)
        r = refuse_value("network", f->network, "none", e);
    return r;
}
