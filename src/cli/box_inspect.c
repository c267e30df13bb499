#include "cli/box_inspect.h"

#include "cli/output.h"
#include "util/parse.h"
#include "util/time.h"

#include <stdlib.h>
#include <string.h>

#define CPU_PERIOD_US UINT64_C(100000) /* of --cpus */

/* ---- Go's types, where they show in templates ---- */

static void ulimit_text(const json_t *v, struct str *out)
{
    str_addf(out, "%s=%lld:%lld", json_string_value(json_object_get(v, "Name")),
             json_integer_value(json_object_get(v, "Soft")),
             json_integer_value(json_object_get(v, "Hard")));
}

static const struct show_type slice = { .name = "[]string", .form = SHOW_SLICE };
static const struct show_type map = { .name = "map[string]string", .form = SHOW_MAP };
static const struct show_type plain_struct = { .name = "struct", .form = SHOW_STRUCT };
static const struct show_type ulimit = { .name = "*container.Ulimit",
                                         .form = SHOW_PTR,
                                         .string = ulimit_text };
static const struct show_type ulimits = { .form = SHOW_SLICE, .elem = &ulimit };
static const struct show_type structs = { .form = SHOW_SLICE, .elem = &plain_struct };
static const struct show_type struct_map = { .form = SHOW_MAP, .elem = &plain_struct };
static const struct show_type port_map = { .name = "nat.PortMap",
                                           .form = SHOW_MAP,
                                           .elem = &structs };
static const struct show_field endpoint_fields[] = {
    { "Aliases", &slice },
    { "DNSNames", &slice },
    { NULL, NULL },
};
static const struct show_type endpoint = { .name = "*network.EndpointSettings",
                                           .form = SHOW_PTR,
                                           .fields = endpoint_fields };
static const struct show_type networks = { .form = SHOW_MAP, .elem = &endpoint };
static const struct show_type health = { .name = "*container.HealthConfig", .form = SHOW_PTR };

static const struct show_field config_fields[] = {
    { "Cmd", &slice },          { "Entrypoint", &slice },
    { "Env", &slice },          { "ExposedPorts", &struct_map },
    { "Healthcheck", &health }, { "Labels", &map },
    { "Volumes", &struct_map }, { NULL, NULL },
};
static const struct show_type config_type = { .name = "*container.Config",
                                              .form = SHOW_PTR,
                                              .fields = config_fields };

static const struct show_field host_fields[] = {
    { "Binds", &slice },
    { "CapAdd", &slice },
    { "CapDrop", &slice },
    { "Devices", &structs },
    { "Dns", &slice },
    { "DnsOptions", &slice },
    { "DnsSearch", &slice },
    { "ExtraHosts", &slice },
    { "GroupAdd", &slice },
    { "LogConfig", &plain_struct },
    { "MaskedPaths", &slice },
    { "Mounts", &structs },
    { "PortBindings", &port_map },
    { "ReadonlyPaths", &slice },
    { "RestartPolicy", &plain_struct },
    { "SecurityOpt", &slice },
    { "Tmpfs", &map },
    { "Ulimits", &ulimits },
    { NULL, NULL },
};
static const struct show_type host_type = { .name = "*container.HostConfig",
                                            .form = SHOW_PTR,
                                            .fields = host_fields };

static const struct show_field network_fields[] = {
    { "Networks", &networks },
    { "Ports", &port_map },
    { NULL, NULL },
};
static const struct show_type network_type = { .name = "*types.NetworkSettings",
                                               .form = SHOW_PTR,
                                               .fields = network_fields };
static const struct show_type state_health = { .name = "*container.Health", .form = SHOW_PTR };
static const struct show_field state_fields[] = { { "Health", &state_health }, { NULL, NULL } };
static const struct show_type state_type = { .name = "*types.ContainerState",
                                             .form = SHOW_PTR,
                                             .fields = state_fields };
static const struct show_type driver_type = { .name = "types.GraphDriverData",
                                              .form = SHOW_STRUCT };

static const struct show_field box_fields[] = {
    { "Args", &slice },
    { "Config", &config_type },
    { "GraphDriver", &driver_type },
    { "HostConfig", &host_type },
    { "Mounts", &structs },
    { "NetworkSettings", &network_type },
    { "State", &state_type },
    { NULL, NULL },
};
const struct show_type box_inspect_type = { .name = "*types.ContainerJSON",
                                            .form = SHOW_PTR,
                                            .fields = box_fields };

/* ---- the object ---- */

static json_t *text(const char *s)
{
    return json_string(s ? s : "");
}

/* Docker writes null for a list nobody gave. */
static json_t *words(const struct strv *v, bool null_when_empty)
{
    json_t *list = null_when_empty && !v->n ? json_null() : json_array();

    for (size_t i = 0; i < v->n; i++)
        (void)json_array_append_new(list, json_string(v->v[i])); /* shows as missing */
    return list;
}

static json_t *object(json_t *o)
{
    return o ? json_incref(o) : json_object();
}

static json_t *moment(int64_t real_ns)
{
    char s[TIME_RFC3339_LEN];

    if (!real_ns)
        return json_string("0001-01-01T00:00:00Z");
    time_rfc3339(real_ns, s);
    return json_string(s);
}

static json_t *path_in(const char *home, const struct box *box, const char *name)
{
    autofree char *path = str_format("%s/boxes/%s/%s", home, box->id, name);

    return text(path);
}

static json_t *state(const struct box *box, const char *home)
{
    bool up = box->state == BOX_RUNNING || box->state == BOX_STOPPING || box->state == BOX_PAUSED;
    bool restarting = box->state == BOX_RESTARTING;
    json_t *o = json_object();

    cli_set(o, "Status", json_string(box_state_docker_name(box->state)));
    cli_set(o, "Running", json_boolean(up || restarting)); /* docker's */
    cli_set(o, "Paused", json_boolean(box->state == BOX_PAUSED));
    cli_set(o, "Restarting", json_boolean(restarting));
    cli_set(o, "OOMKilled", json_boolean(box->oom_killed));
    cli_set(o, "Dead", json_boolean(box->state == BOX_DEAD));
    cli_set(o, "Pid", json_integer(up ? box->vm_pid : 0));
    cli_set(o, "ExitCode", json_integer(box->exit_code));
    cli_set(o, "Error", text(box->error));
    cli_set(o, "StartedAt", moment(box->started_ns));
    cli_set(o, "FinishedAt", moment(box->finished_ns));
    box_inspect_health(o, box, home);
    return o;
}

static json_t *config(const struct box *box)
{
    const struct box_spec *s = &box->spec;
    const char *signal = signal_name(s->stop_signal);
    autofree char *full = signal ? str_format("SIG%s", signal) : NULL;
    json_t *o = json_object();

    cli_set(o, "Hostname", s->hostname ? text(s->hostname) : json_stringn(box->id, 12));
    cli_set(o, "Domainname", text(s->domainname));
    cli_set(o, "User", text(s->user));
    cli_set(o, "AttachStdin", json_boolean(s->open_stdin));
    cli_set(o, "AttachStdout", json_true());
    cli_set(o, "AttachStderr", json_true());
    cli_set(o, "ExposedPorts", object(s->exposed_ports));
    cli_set(o, "Tty", json_boolean(s->tty));
    cli_set(o, "OpenStdin", json_boolean(s->open_stdin));
    cli_set(o, "StdinOnce", json_false());
    cli_set(o, "Env", words(&s->env, false));
    cli_set(o, "Cmd", words(&s->cmd, true));
    cli_set(o, "Image", text(s->image));
    cli_set(o, "Volumes", s->image_volumes ? object(s->image_volumes) : json_null());
    cli_set(o, "WorkingDir", text(s->cwd));
    cli_set(o, "Entrypoint", words(&s->entrypoint, true));
    cli_set(o, "Labels", object(s->labels));
    cli_set(o, "StopSignal", text(full));
    if (s->health_test.n)
        cli_set(o, "Healthcheck", box_inspect_healthcheck(s));
    cli_set(o, "StopTimeout", json_integer((json_int_t)s->stop_timeout_s));
    return o;
}

static json_t *ulimits_json(const struct box_spec *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->ulimits.n; i++) {
        const struct box_ulimit *u = TLV_AT(&s->ulimits, struct box_ulimit, i);
        json_t *o = json_object();

        cli_set(o, "Name", text(u->name));
        cli_set(o, "Hard", json_integer((json_int_t)u->hard)); /* unlimited shows as -1 */
        cli_set(o, "Soft", json_integer((json_int_t)u->soft));
        (void)json_array_append_new(list, o); /* shows as missing */
    }
    return list;
}

static json_t *tmpfs(const struct box_spec *s)
{
    json_t *o = json_object();

    for (size_t i = 0; i < s->tmpfs.n; i++) {
        const struct mount_tmpfs *m = TLV_AT(&s->tmpfs, struct mount_tmpfs, i);

        cli_set(o, m->path, text(m->options));
    }
    return o;
}

/* docker's counts the memory, too. */
static json_int_t swap_total(const struct box_spec *s)
{
    int64_t swap = s->limits.memory_swap_max;

    return swap > 0 ? swap + (json_int_t)s->memory_bytes : swap;
}

/* --cpus 1.5 is kept as two CPUs and a quota: the billionths it was; 0: a whole number, or a
 * quota that was asked for. */
static json_int_t cpu_fraction(const struct box_spec *s)
{
    uint64_t quota = s->limits.cpu_quota_us, period = s->limits.cpu_period_us;

    if (period != CPU_PERIOD_US || quota % period == 0 || quota / period + 1 != s->cpus)
        return 0;
    return (json_int_t)(quota * (1000000000 / CPU_PERIOD_US));
}

static void set_limits(json_t *o, const struct box_spec *s)
{
    const struct cgroup_limits *l = &s->limits;
    json_int_t fraction = cpu_fraction(s);

    cli_set(o, "CpuShares", json_integer((json_int_t)s->cpu_shares));
    cli_set(o, "Memory", json_integer((json_int_t)s->memory_bytes));
    cli_set(o, "NanoCpus", json_integer(fraction ? fraction : (json_int_t)s->cpus * 1000000000));
    cli_set(o, "CpuPeriod", json_integer(fraction ? 0 : (json_int_t)l->cpu_period_us));
    cli_set(o, "CpuQuota", json_integer(fraction ? 0 : (json_int_t)l->cpu_quota_us));
    cli_set(o, "CpusetCpus", text(l->cpuset));
    cli_set(o, "MemoryReservation", json_integer((json_int_t)l->memory_low));
    cli_set(o, "MemorySwap", json_integer(swap_total(s)));
    cli_set(o, "OomScoreAdj", json_integer((json_int_t)l->oom_score_adj));
    cli_set(o, "PidsLimit", l->pids_max ? json_integer((json_int_t)l->pids_max) : json_null());
    cli_set(o, "Ulimits", ulimits_json(s));
}

static json_t *host_config(const struct box *box)
{
    const struct box_spec *s = &box->spec;
    json_t *o = json_object();

    cli_set(o, "Binds", json_null());
    cli_set(o, "LogConfig",
            json_pack("{s:s, s:o}", "Type", s->log_driver ? s->log_driver : "json-file", "Config",
                      s->log_opts ? json_incref(s->log_opts) : json_object()));
    cli_set(o, "NetworkMode", text(s->network ? s->network : "none"));
    cli_set(o, "PortBindings", json_object());
    cli_set(o, "RestartPolicy",
            json_pack("{s:s, s:I}", "Name", s->restart_policy ? s->restart_policy : "no",
                      "MaximumRetryCount", (json_int_t)s->restart_max));
    cli_set(o, "AutoRemove", json_boolean(s->auto_remove));
    cli_set(o, "CapAdd", words(&s->cap_add, true));
    cli_set(o, "CapDrop", words(&s->cap_drop, true));
    cli_set(o, "Dns", words(&s->dns, false));
    cli_set(o, "DnsOptions", words(&s->dns_option, false));
    cli_set(o, "DnsSearch", words(&s->dns_search, false));
    cli_set(o, "ExtraHosts", words(&s->add_host, true));
    cli_set(o, "GroupAdd", words(&s->groups, true));
    cli_set(o, "Privileged", json_boolean(s->privileged));
    cli_set(o, "ReadonlyRootfs", json_boolean(s->read_only));
    cli_set(o, "SecurityOpt", words(&s->security_opt, true));
    cli_set(o, "Tmpfs", tmpfs(s));
    cli_set(o, "ShmSize", json_integer(s->shm_bytes ? (json_int_t)s->shm_bytes : 64 << 20));
    cli_set(o, "Init", json_boolean(s->init));
    cli_set(o, "Devices", json_array());
    cli_set(o, "Mounts", json_null());
    set_limits(o, s);
    return o;
}

static json_t *network_settings(const struct box *box)
{
    const char *name = box->spec.network ? box->spec.network : "none";

    return json_pack("{s:{}, s:s, s:s, s:s, s:{s:{s:s, s:s, s:s, s:n, s:s, s:n}}}", "Ports",
                     "IPAddress", "", "Gateway", "", "MacAddress", "", "Networks", name,
                     "IPAddress", "", "Gateway", "", "MacAddress", "", "Aliases", "NetworkID", "",
                     "DNSNames");
}

/* The first word of the command line, and the others. */
static void set_command(json_t *o, const struct box_spec *s)
{
    const struct strv *first = s->entrypoint.n ? &s->entrypoint : &s->cmd;
    json_t *args = json_array();

    for (size_t i = 1; i < first->n; i++)
        (void)json_array_append_new(args, json_string(first->v[i])); /* shows as missing */
    for (size_t i = 0; first == &s->entrypoint && i < s->cmd.n; i++)
        (void)json_array_append_new(args, json_string(s->cmd.v[i])); /* likewise */
    cli_set(o, "Path", text(first->n ? first->v[0] : NULL));
    cli_set(o, "Args", args);
}

/* What docker has no word for. */
static json_t *own(const struct box *box, const char *home)
{
    const struct box_spec *s = &box->spec;
    bool live = box_state_is_live(box->state);
    json_t *o = json_object(), *sockets = json_object();

    cli_set(o, "State", json_string(box_state_name(box->state)));
    cli_set(o, "StoppedByUser", json_boolean(box->stopped_by_user));
    cli_set(o, "Accel", text(s->accel));
    cli_set(o, "Tier", text(box->tier));
    cli_set(o, "VmPid", json_integer(live ? box->vm_pid : 0));
    cli_set(o, "ShimPid", json_integer(live ? box->shim_pid : 0));
    cli_set(o, "Cpus", json_integer((json_int_t)s->cpus));
    cli_set(o, "MemoryBytes", json_integer((json_int_t)s->memory_bytes));
    cli_set(o, "DiskBytes", json_integer((json_int_t)s->disk_bytes));
    cli_set(o, "TimeoutNs", json_integer((json_int_t)s->timeout_ns));
    cli_set(o, "Rootfs", json_sprintf("%s/%s", home, s->rootfs ? s->rootfs : ""));
    cli_set(o, "ConsoleLogPath", path_in(home, box, BOX_CONSOLE_LOG));
    cli_set(o, "ShimLogPath", path_in(home, box, BOX_SHIM_LOG));
    cli_set(sockets, "Ctl", path_in(home, box, BOX_CTL_SOCK));
    cli_set(sockets, "Exec", path_in(home, box, BOX_EXEC_SOCK));
    cli_set(sockets, "Pty", path_in(home, box, BOX_PTY_SOCK));
    cli_set(sockets, "Vsock", path_in(home, box, BOX_VSOCK_SOCK));
    cli_set(o, "Sockets", sockets);
    return o;
}

json_t *box_inspect(const struct box *box, const char *home)
{
    autofree char *slashed = str_format("/%s", box->name);
    json_t *o = json_object();

    if (!o)
        return NULL;
    cli_set(o, "Id", text(box->id));
    cli_set(o, "Created", moment(box->created_ns));
    set_command(o, &box->spec);
    cli_set(o, "State", state(box, home));
    cli_set(o, "Image", text(box->spec.image_id));
    cli_set(o, "LogPath",
            box->spec.log_driver && strcmp(box->spec.log_driver, "json-file") != 0
                ? json_string("")
                : path_in(home, box, BOX_JSON_LOG));
    cli_set(o, "Name", text(slashed));
    cli_set(o, "RestartCount", json_integer((json_int_t)box->restart_count));
    cli_set(o, "Driver", json_string("ext4"));
    cli_set(o, "Platform", json_string("linux"));
    cli_set(o, "HostConfig", host_config(box));
    cli_set(o, "GraphDriver",
            json_pack("{s:{s:o}, s:s}", "Data", "Disk", path_in(home, box, BOX_DISK), "Name",
                      "ext4"));
    cli_set(o, "Mounts", json_array());
    cli_set(o, "Config", config(box));
    cli_set(o, "NetworkSettings", network_settings(box));
    cli_set(o, "A3S", own(box, home));
    return o;
}
