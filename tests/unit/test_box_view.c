/* Boxes as rows, filters over them, and lists of processes. */
#include "cli/box_filter.h"
#include "cli/box_inspect.h"
#include "cli/box_row.h"
#include "cli/port_list.h"
#include "cli/proc_table.h"
#include "cli/stats_row.h"

#include "util/time.h"

#include <locale.h>

#include "unit.h"

#define NOW    INT64_C(1795354396000000000)
#define AGO(s) (NOW - (s) * (int64_t)NS_PER_S)

static struct box *make(const char *name, enum box_state state, int64_t age_s)
{
    struct box *box = calloc(1, sizeof(*box));

    assert_non_null(box);
    memset(box->id, 'a' + (int)(age_s % 6), ID_LEN - 1);
    box->name = strdup(name);
    box->state = state;
    box->created_ns = AGO(age_s);
    box->started_ns = AGO(age_s / 2);
    box->finished_ns = AGO(60);
    box->exit_code = 3;
    box->error = strdup("");
    box->tier = strdup("cold");
    box->spec.image = strdup("local/busybox:latest");
    box->spec.image_id = strdup("sha256:0123456789abcdef");
    box->spec.labels = json_pack("{s:s, s:s}", "tier", "db", "com.docker.x", "a,b=c");
    assert_true(strv_add(&box->spec.cmd, "sh") && strv_add(&box->spec.cmd, "-c") &&
                strv_add(&box->spec.cmd, "echo a long command line"));
    return box;
}

static struct box_brief brief(const struct box *box)
{
    autostr command = STR_INIT(0), labels = STR_INIT(0);
    struct box_brief b = { .state = box->state,
                           .created_ns = box->created_ns,
                           .started_ns = box->started_ns,
                           .finished_ns = box->finished_ns,
                           .exit_code = box->exit_code,
                           .name = box->name,
                           .error = box->error,
                           .image = box->spec.image,
                           .image_id = box->spec.image_id,
                           .network = "none",
                           .platform = "",
                           .health = box->health ? box->health : "" };

    memcpy(b.id, box->id, sizeof(b.id));
    box_command(&box->spec, &command);
    box_labels(&box->spec, &labels);
    b.text = str_format("%s%c%s", str_c(&command), 1, str_c(&labels));
    assert_non_null(b.text);
    b.command = b.text;
    b.labels = b.text + command.len + 1;
    b.text[command.len] = '\0';
    return b;
}

static void expect_health(enum box_state state, const char *health, const char *want)
{
    autoptr(box) box = make("web", state, 400);
    struct box_brief b = brief(box);
    autostr text = STR_INIT(100);

    b.health = health;
    box_status(&b, NOW, &text);
    assert_string_equal(str_c(&text), want);
    free(b.text);
}

static void expect_status(enum box_state state, const char *want)
{
    expect_health(state, "", want);
}

static void test_status(void **state UNUSED)
{
    expect_status(BOX_CREATED, "Created");
    expect_status(BOX_STARTING, "Created");
    expect_status(BOX_RUNNING, "Up 3 minutes");
    expect_status(BOX_STOPPING, "Up 3 minutes");
    expect_status(BOX_PAUSED, "Up 3 minutes (Paused)");
    expect_status(BOX_STOPPED, "Exited (3) About a minute ago");
    expect_status(BOX_RESTARTING, "Restarting (3) About a minute ago");
    expect_status(BOX_DEAD, "Dead");
    expect_status(BOX_REMOVING, "Removal In Progress");
}

static void test_health_status(void **state UNUSED)
{
    expect_health(BOX_RUNNING, "starting", "Up 3 minutes (health: starting)");
    expect_health(BOX_RUNNING, "healthy", "Up 3 minutes (healthy)");
    expect_health(BOX_STOPPING, "unhealthy", "Up 3 minutes (unhealthy)");
    expect_health(BOX_PAUSED, "healthy", "Up 3 minutes (Paused)");
    expect_health(BOX_STOPPED, "unhealthy", "Exited (3) About a minute ago");
}

/* What `format` makes of a row, which it takes. */
static void expect_row(const struct show_table *table, const char *format, json_t *row,
                       const char *want)
{
    autoptr(show_list) l = NULL;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    struct err e;

    assert_int_equal(show_list_parse(table, format, &l, &e), 0);
    assert_int_equal(show_list_add(l, row, &e), 0);
    assert_int_equal(show_list_end(l, out, &e), 0);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, want);
    free(text);
    json_decref(row);
}

static void test_row(void **state UNUSED)
{
    autoptr(box) box = make("web", BOX_RUNNING, 400);
    struct box_brief b = brief(box);

    expect_row(&box_table,
               "{{.ID}}|{{.Command}}|{{.Labels}}|{{.Label \"tier\"}}|{{.Label \"none\"}}|"
               "{{.RunningFor}}|{{.CreatedAt}}|{{.State}}",
               box_row(&b, &(struct box_row_how){ .now_ns = NOW }),
               "eeeeeeeeeeee|\"sh -c echo a long \xe2\x80\xa6\"|com.docker.x=a,b=c,tier=db|"
               "db||6 minutes ago|2026-11-22 13:26:36 +0000 UTC|running\n");
    free(b.text);
}

static uint32_t fields(const char *format)
{
    autoptr(show_list) l = NULL;
    struct err e;

    assert_int_equal(show_list_parse(&box_table, format, &l, &e), 0);
    return box_row_fields(l);
}

/* Only what is printed is worked out, and what is printed is there. */
static void test_fields(void **state UNUSED)
{
    autoptr(box) box = make("web", BOX_RUNNING, 400);
    struct box_brief b = brief(box);
    json_t *row = box_row(
        &b, &(struct box_row_how){ .now_ns = NOW, .fields = fields("{{.ID}} {{.Label \"x\"}}") });

    assert_int_equal(json_object_size(row), 2); /* labels are for the method */
    assert_non_null(json_object_get(row, "ID"));
    json_decref(row);
    assert_int_equal(fields("json"), fields("{{json .}}"));
    assert_int_equal(fields("json"), fields("{{$x := .}}{{$x.ID}}"));
    assert_int_equal(fields("{{if .ID}}{{else}}{{len .Names}}{{end}}"),
                     fields("{{(printf .ID) | printf .Names}}"));
    assert_int_not_equal(fields("json"), fields(NULL));
    free(b.text);
}

static const struct box_brief empty = {
    .command = "",
    .name = "",
    .error = "",
    .image = "",
    .labels = "",
    .network = "",
    .platform = "",
    .health = "",
};

static void test_size(void **state UNUSED)
{
    struct box_brief b = empty;
    struct box_row_how how = { .now_ns = NOW, .home = "/nonexistent" };
    json_t *plain, *measured;

    b.image_bytes = 1980000;
    plain = box_row(&b, &how);
    how.size = true;
    measured = box_row(&b, &how);
    assert_string_equal(json_string_value(json_object_get(plain, "Size")), "0B");
    assert_string_equal(json_string_value(json_object_get(measured, "Size")),
                        "0B (virtual 1.98MB)");
    json_decref(plain);
    json_decref(measured);
}

static void test_text_that_is_no_utf8(void **state UNUSED)
{
    struct box_brief b = empty;
    json_t *row;

    b.command = "a \xff";
    row = box_row(&b, &(struct box_row_how){ .now_ns = NOW });
    assert_string_equal(json_string_value(json_object_get(row, "Command")), "\"a ?\"");
    json_decref(row);
}

static void test_all_columns(void **state UNUSED)
{
    autoptr(box) box = make("web", BOX_RUNNING, 400);
    struct box_brief b = brief(box);
    json_t *row = box_row(&b, &(struct box_row_how){ .now_ns = NOW });

    for (const struct show_column *c = box_table.columns; c->field; c++)
        if (!json_object_get(row, c->field))
            fail_msg("no %s in a row", c->field);
    json_decref(row);
    free(b.text);
}

static bool matches(const char *filter, const struct box *box)
{
    struct box_brief b = brief(box);
    struct box_list all = { &b, 1 };
    struct show_filters filters;
    struct box_filter f;
    bool hit;
    struct err e;

    assert_int_equal(show_filters_parse(&filter, 1, box_filter_keys, &filters, &e), 0);
    assert_int_equal(box_filter_init(&f, &filters, &all, &e), 0);
    hit = box_filter_match(&f, &b);
    free(b.text);
    return hit;
}

static void test_filters(void **state UNUSED)
{
    static const char *const yes[] = {
        "name=web",
        "name=^/web",
        "name=^web",
        "name=e",
        "id=eeee",
        "label=tier",
        "label=tier=db",
        "label=com.docker.x=a,b=c",
        "exited=3",
        "status=exited",
        "status=stopped",
        "ancestor=local/busybox",
        "ancestor=local/busybox:latest",
        "ancestor=0123456789ab",
        "ancestor=sha256:0123",
        "network=none",
        "health=none",
        "is-task=false",
    };
    static const char *const no[] = {
        "name=^eb",         "name=web1",      "id=eeef",        "label=tie",
        "label=tier=d",     "exited=4",       "status=running", "ancestor=local/busy",
        "ancestor=busybox", "network=bridge", "health=healthy", "is-task=true",
        "volume=x",         "publish=80",     "expose=80",      "before=web-1",
        "since=web-1",
    };
    autoptr(box) box = make("web-1", BOX_STOPPED, 400);

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (!matches(yes[i], box))
            fail_msg("%s does not match", yes[i]);
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (matches(no[i], box))
            fail_msg("%s matches", no[i]);
}

static void test_inspect(void **state UNUSED)
{
    static const struct {
        const char *template, *want;
    } rows[] = {
        { "{{.Name}} {{.Path}} {{.Args}}", "/web sh [-c echo a long command line]" },
        { "{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}", "exited false 3" },
        { "{{.HostConfig.RestartPolicy}} {{.HostConfig.Binds}} {{.HostConfig.PortBindings}}",
          "{no 0} [] map[]" },
        { "{{range .Config.Env}}{{println .}}{{end}}{{range .Mounts}}{{.Type}}{{end}}", "" },
        { "{{index .Config.Labels \"tier\"}} {{.Config.NoSuch}}", "|" },
        { "{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}", "" },
        { "{{.Config.Healthcheck}} {{.State.Health}}", "<nil> <nil>" },
        { "{{.State.Health.Status}}", "template: :1:8: executing \"\" at <.State.Health.Status>: "
                                      "map has no entry for key \"Health\"" },
        { "{{.Config.ExposedPorts}} {{.Config.Volumes}} {{range $p, $_ := .Config.ExposedPorts}}"
          "{{$p}}{{end}}",
          "map[80/tcp:{}] map[/data:{}] 80/tcp" },
        { "{{range .NetworkSettings.Networks}}[{{.IPAddress}}{{.Aliases}}{{.DNSNames}}]{{end}}",
          "[[][]]" },
        { "{{.A3S.State}} {{.A3S.Tier}} {{.A3S.Sockets.Ctl}}",
          "stopped cold "
          "/home/boxes/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee/"
          "sockets/ctl.sock" },
        { "{{.HostConfig.MemorySwap}} {{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}} "
          "{{.HostConfig.CpuShares}}",
          "300 1250000000 0 512" },
        { "{{if .State.Running}}up{{else}}down{{end}} {{json .NetworkSettings.Ports}}",
          "down {}" },
        { "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}:{{$v.IPAddress}}{{end}}",
          "none:" },
        { "{{.Config.StopSignal}} {{.RestartCount}} {{.Driver}}", "SIGTERM 0 ext4" },
    };
    autoptr(box) box = make("web", BOX_STOPPED, 400);
    json_t *o;

    box->spec.stop_signal = 15;
    box->spec.memory_bytes = 100;
    box->spec.cpus = 2;
    box->spec.limits.cpu_period_us = 100000;
    box->spec.limits.cpu_quota_us = 125000;
    box->spec.cpu_shares = 512;
    box->spec.limits.memory_swap_max = 200;
    box->spec.exposed_ports = json_pack("{s:{}}", "80/tcp");
    box->spec.image_volumes = json_pack("{s:{}}", "/data");
    o = box_inspect(box, "/home");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        autoptr(show_template) t = NULL;
        autostr out = STR_INIT(0);
        struct show_exec x = { .data = o, .type = &box_inspect_type, .missing_error = true };
        struct err e;
        int r;

        assert_int_equal(show_template_parse(rows[i].template, &t, &e), 0);
        r = show_template_exec(t, &x, &out, &e);
        if (*rows[i].want == '|') /* docker: no health check, no such member */
            assert_int_equal(r, -ERR_INVALID);
        else
            assert_string_equal(r < 0 ? e.text : str_c(&out), rows[i].want);
    }
    json_decref(o);
}

static void expect_procs(char *const *args, const char *want)
{
    struct proc_row rows[] = {
        { .pid = 1,
          .uid = 0,
          .user = (char *)"root",
          .state = (char *)"S",
          .tty = (char *)"?",
          .comm = (char *)"sh",
          .args = (char *)"sh -c x\ty",
          .cpu_ticks = 250,
          .start_ns = NS_PER_S,
          .rss_bytes = 4096,
          .vsz_bytes = 8192,
          .threads = 1 },
        { .pid = 7, .ppid = 1, .uid = 1000, .comm = (char *)"kworker", .start_ns = NS_PER_S },
    };
    struct proc_list procs = { .uptime_ns = 101 * NS_PER_S, .procs = { rows, ARRAY_LEN(rows) } };
    autostr out = STR_INIT(0);
    struct err e;

    if (proc_table(&procs, 8192, args, &out, &e) < 0)
        str_addf(&out, "|%s", e.text);
    assert_string_equal(str_c(&out), want);
}

static void test_procs(void **state UNUSED)
{
    expect_procs(
        (char *[]){ (char *)"-eo", (char *)"pid,ppid,user,comm,args,time,rss,etime", NULL },
        "PID\tPPID\tUSER\tCOMMAND\tCOMMAND\tTIME\tRSS\tELAPSED\n"
        "1\t0\troot\tsh\tsh -c x?y\t00:00:02\t4\t01:40\n"
        "7\t1\t1000\tkworker\t[kworker]\t00:00:00\t0\t01:40\n");
    expect_procs((char *[]){ (char *)"-opid", (char *)"-o", (char *)"c", NULL },
                 "PID\tC\n1\t2\n7\t0\n");
    expect_procs((char *[]){ (char *)"-o", NULL }, "|'-o' needs a list of columns");
    expect_procs((char *[]){ (char *)"-o", (char *)"nosuch", NULL }, "|unknown column 'nosuch'");
    expect_procs((char *[]){ (char *)"--forest", NULL },
                 "|ps option '--forest' is not known (known: -ef, aux, ax, -o LIST)");
    expect_procs((char *[]){ (char *)"-p1", NULL },
                 "|ps option '-p1' is not known (known: -ef, aux, ax, -o LIST)");
    expect_procs((char *[]){ (char *)"axo", (char *)"pid=The pid", (char *)"-o%mem", NULL },
                 "The pid\t%MEM\n1\t50.0\n7\t0.0\n");
    expect_procs((char *[]){ (char *)"ax", NULL },
                 "PID\tTTY\tSTAT\tTIME\tCOMMAND\n1\t?\tS\t00:00:02\tsh -c x?y\n"
                 "7\t?\t?\t00:00:00\t[kworker]\n");
}

static void expect_stats(const struct stats_view *v, const char *want)
{
    expect_row(&stats_table,
               "{{.ID}}|{{.Container}}|{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.MemPerc}}|"
               "{{.NetIO}}|{{.BlockIO}}|{{.PIDs}}|{{.HostMem}}|{{.HostCPU}}",
               stats_row(v), want);
}

#define MIB ((uint64_t)1 << 20)
#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_stats(void **state UNUSED)
{
    struct stats_view v = {
        .id = ID,
        .name = "web",
        .given = "0123",
        .last = { .guest = { .uptime_ns = 5 * NS_PER_S, .cpu_ns = NS_PER_S },
                  .host = { .now_ns = 90 * NS_PER_S, .cpu_ns = 3 * NS_PER_S } },
        .now = { .guest = { .uptime_ns = 7 * NS_PER_S,
                            .cpus = 4,
                            .cpu_ns = 4 * NS_PER_S,
                            .memory_bytes = 30 * MIB,
                            .inactive_file = 11 * MIB,
                            .memory_limit = 256 * MIB,
                            .pids = 5,
                            .net_received = 1420,
                            .net_sent = 830,
                            .disk_read = 12300000,
                            .disk_written = 4100 },
                 .host = { .now_ns = 92 * NS_PER_S,
                           .cpu_ns = 3 * NS_PER_S + NS_PER_S / 5,
                           .pss_bytes = 55 * MIB } },
    };

    expect_stats(&v, "0123456789ab|0123|web|150.00%|19MiB / 256MiB|7.42%|1.42kB / 830B|"
                     "12.3MB / 4.1kB|5|55MiB|10.00%\n");
    v.given = NULL;
    v.no_trunc = true;
    v.last = (struct stats_sample){ .host = { 0 } }; /* the first look */
    expect_stats(&v, ID "|" ID "|web|--|19MiB / 256MiB|7.42%|1.42kB / 830B|"
                        "12.3MB / 4.1kB|5|55MiB|--\n");
    v.last = v.now; /* another start: the counters begin anew */
    v.now.guest.cpu_ns = v.now.host.cpu_ns = 0;
    v.now.guest.uptime_ns += NS_PER_S;
    v.now.host.now_ns += NS_PER_S;
    v.now.host.pss_bytes = 0;
    expect_stats(&v, ID "|" ID "|web|--|19MiB / 256MiB|7.42%|1.42kB / 830B|"
                        "12.3MB / 4.1kB|5|--|--\n");
    v.no_trunc = false;
    v.now = (struct stats_sample){ .host = { 0 } }; /* it does not run */
    expect_stats(&v, "0123456789ab|0123456789ab|web|--|-- / --|--|--|--|--|--|--\n");
}

static void expect_ports(const json_t *ports, const char *only, const char *want)
{
    autostr out = STR_INIT(0);
    struct err e;

    if (port_list(ports, only, "web", &out, &e) < 0)
        assert_string_equal(e.text, want);
    else
        assert_string_equal(str_c(&out), want);
}

static void test_ports(void **state UNUSED)
{
    json_t *ports =
        json_pack("{s:[{s:s, s:s}, {s:s, s:s}], s:[{s:s, s:s}], s:[{s:s, s:s}], s:n, s:[]}",
                  "80/tcp", "HostIp", "0.0.0.0", "HostPort", "8080", "HostIp", "::", "HostPort",
                  "8080", "443/tcp", "HostIp", "127.0.0.1", "HostPort", "9", "53/udp", "HostIp",
                  "", "HostPort", "5353", "81/tcp", "82/tcp");

    expect_ports(ports, NULL,
                 "53/udp -> :5353\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
                 "443/tcp -> 127.0.0.1:9\n");
    expect_ports(ports, "80", "0.0.0.0:8080\n[::]:8080\n");
    expect_ports(ports, "80/tcp", "0.0.0.0:8080\n[::]:8080\n");
    expect_ports(ports, "53/udp", ":5353\n");
    expect_ports(ports, "53", "No public port '53' published for web");
    expect_ports(ports, "81", "No public port '81' published for web");
    expect_ports(ports, "82/tcp", "No public port '82/tcp' published for web");
    expect_ports(ports, "http", "invalid port (http)");
    expect_ports(ports, "70000", "invalid port (70000)");
    expect_ports(ports, "", "invalid port ()");
    json_decref(ports);
    expect_ports(NULL, NULL, "");
    expect_ports(NULL, "80", "No public port '80' published for web");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_health_status),
        cmocka_unit_test(test_row),
        cmocka_unit_test(test_all_columns),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_text_that_is_no_utf8),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_procs),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_ports),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
