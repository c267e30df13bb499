#include "guest/stats.h"

#include "util/fs.h"
#include "util/time.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)256 << 10) /* net/dev has a line per interface, io.stat per device */

uint64_t stats_value(const char *text, const char *key)
{
    size_t len = strlen(key);
    uint64_t value;

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, key, len) && (line[len] == ' ' || line[len] == ':') &&
            sscanf(line + len + 1, "%ju", &value) == 1)
            return value;
    }
    return 0;
}

/* "8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0" */
void stats_io(const char *text, uint64_t *ret_read, uint64_t *ret_written)
{
    const char *at = text;
    uint64_t value;

    *ret_read = *ret_written = 0;
    while ((at = strchr(at, ' '))) {
        at++;
        if (sscanf(at, "rbytes=%ju", &value) == 1)
            *ret_read += value;
        else if (sscanf(at, "wbytes=%ju", &value) == 1)
            *ret_written += value;
    }
}

/* Two lines of titles; then "  eth0:" and 16 numbers: the first was received, the ninth sent. */
void stats_net(const char *text, uint64_t *ret_received, uint64_t *ret_sent)
{
    uint64_t in, out;

    *ret_received = *ret_sent = 0;
    for (const char *line = text, *colon; (colon = strchr(line, ':')); line = colon + 1) {
        const char *name = colon;

        while (name > text && !strchr(" \n", name[-1]))
            name--;
        if (sscanf(colon + 1, "%ju %*u %*u %*u %*u %*u %*u %*u %ju", &in, &out) != 2 ||
            (colon - name == 2 && !memcmp(name, "lo", 2)))
            continue;
        *ret_received += in;
        *ret_sent += out;
    }
}

/* The file's text; "" when it cannot be read. */
static const char *read_text(int dirfd, const char *path, struct str *text)
{
    struct err ignored;

    str_clear(text);
    return fs_read_file(dirfd, path, text, &ignored) < 0 ? "" : str_c(text);
}

/* A file with one number in it, or "max": 0. */
static uint64_t read_number(int dirfd, const char *path)
{
    autostr text = STR_INIT(64);
    uint64_t value;

    return sscanf(read_text(dirfd, path, &text), "%ju", &value) == 1 ? value : 0;
}

uint64_t stats_memory_limit(const struct container *c)
{
    autostr text = STR_INIT(TEXT_MAX);
    uint64_t machine =
        stats_value(read_text(AT_FDCWD, "/proc/meminfo", &text), "MemTotal") * 1024;
    uint64_t limit = read_number(c->cgroup_fd, "memory.max");

    return limit && limit < machine ? limit : machine;
}

void stats_read(const struct container *c, struct container_stats *ret)
{
    autostr text = STR_INIT(TEXT_MAX);
    char net[64];
    int cg = c->cgroup_fd;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    *ret = (struct container_stats){
        .container = c->config.id,
        .uptime_ns = time_mono_ns(),
        .cpus = cpus > 0 ? (uint64_t)cpus : 1,
        .memory_bytes = read_number(cg, "memory.current"),
        .memory_limit = stats_memory_limit(c),
        .pids = read_number(cg, "pids.current"),
        .pids_limit = read_number(cg, "pids.max"),
    };
    ret->cpu_ns = stats_value(read_text(cg, "cpu.stat", &text), "usage_usec") * 1000;
    ret->inactive_file = stats_value(read_text(cg, "memory.stat", &text), "inactive_file");
    stats_io(read_text(cg, "io.stat", &text), &ret->disk_read, &ret->disk_written);
    (void)snprintf(net, sizeof(net), "/proc/%d/net/dev", (int)c->pid);
    stats_net(read_text(AT_FDCWD, net, &text), &ret->net_received, &ret->net_sent);
}
