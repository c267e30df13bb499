#include "cli/stats_row.h"

#include "cli/output.h"
#include "show/human.h"

#define SHORT_ID 12
#define UNKNOWN  "--"

static const struct show_column columns[] = {
    { "BlockIO", "BLOCK I/O" },   { "CPUPerc", "CPU %" },
    { "Container", "CONTAINER" }, { "HostCPU", "HOST CPU" },
    { "HostMem", "HOST MEM" },    { "ID", "CONTAINER ID" },
    { "MemPerc", "MEM %" },       { "MemUsage", "MEM USAGE / LIMIT" },
    { "Name", "NAME" },           { "NetIO", "NET I/O" },
    { "PIDs", "PIDS" },           { NULL, NULL },
};

const struct show_table stats_table = {
    .fallback = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t"
                "{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}\t{{.HostMem}}",
    .columns = columns,
};

/* CPU time per time, as percent of one CPU. */
static void set_rate(json_t *row, const char *key, uint64_t used, uint64_t used_before,
                     uint64_t at, uint64_t at_before)
{
    /* Counters that went back are those of another start. */
    bool known = at_before && at > at_before && used >= used_before;

    cli_set(row, key,
            known ? json_sprintf("%.2f%%",
                                 (double)(used - used_before) * 100 / (double)(at - at_before))
                  : json_string(UNKNOWN));
}

/* "1.42kB / 830B" */
static void set_pair(json_t *row, const char *key, void (*human)(uint64_t, struct str *),
                     uint64_t a, uint64_t b)
{
    autostr text = STR_INIT(128);

    human(a, &text);
    str_adds(&text, " / ");
    human(b, &text);
    cli_set(row, key, json_string(str_c(&text)));
}

static void set_unknown(json_t *row)
{
    cli_set(row, "MemUsage", json_string(UNKNOWN " / " UNKNOWN));
    cli_set(row, "MemPerc", json_string(UNKNOWN));
    cli_set(row, "NetIO", json_string(UNKNOWN));
    cli_set(row, "BlockIO", json_string(UNKNOWN));
    cli_set(row, "PIDs", json_string(UNKNOWN));
}

/* As docker: what the kernel would drop at once is not in use. */
static void set_memory(json_t *row, const struct container_stats *s)
{
    uint64_t used = s->memory_bytes > s->inactive_file ? s->memory_bytes - s->inactive_file : 0;
    double of = (double)s->memory_limit;

    set_pair(row, "MemUsage", human_bytes, used, s->memory_limit);
    cli_set(row, "MemPerc", json_sprintf("%.2f%%", of > 0 ? (double)used * 100 / of : 0));
}

static void set_guest(json_t *row, const struct stats_view *v)
{
    const struct container_stats *now = &v->now.guest, *last = &v->last.guest;

    set_rate(row, "CPUPerc", now->cpu_ns, last->cpu_ns, now->uptime_ns, last->uptime_ns);
    if (!now->uptime_ns) {
        set_unknown(row);
        return;
    }
    set_memory(row, now);
    set_pair(row, "NetIO", human_size_short, now->net_received, now->net_sent);
    set_pair(row, "BlockIO", human_size_short, now->disk_read, now->disk_written);
    cli_set(row, "PIDs", json_sprintf("%ju", now->pids));
}

static void set_host(json_t *row, const struct stats_view *v)
{
    const struct box_host_stats *now = &v->now.host, *last = &v->last.host;
    autostr memory = STR_INIT(64);

    set_rate(row, "HostCPU", now->cpu_ns, last->cpu_ns, now->now_ns, last->now_ns);
    human_bytes(now->pss_bytes, &memory);
    cli_set(row, "HostMem", json_string(now->pss_bytes ? str_c(&memory) : UNKNOWN));
}

json_t *stats_row(const struct stats_view *v)
{
    json_t *row = json_object();
    size_t len = v->no_trunc ? ID_LEN - 1 : SHORT_ID;

    if (!row)
        return NULL;
    cli_set(row, "ID", json_stringn(v->id, len));
    cli_set(row, "Container", v->given ? json_string(v->given) : json_stringn(v->id, len));
    cli_set(row, "Name", json_string(v->name));
    set_guest(row, v);
    set_host(row, v);
    return row;
}
