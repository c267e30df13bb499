/* Is a spec sound as a whole? What a user can get wrong is found here, before anything exists. */
#include "box/log_config.h"
#include "box/policy.h"
#include "box/security.h"

#include "rootfs/disk.h"
#include "util/parse.h"

#include <arpa/inet.h>
#include <string.h>

#define MEMORY_MIN (UINT64_C(80) << 20) /* Debian's kernel panics with 64 MiB */
#define MEMORY_MAX (UINT64_C(1) << 44)
#define CPUS_MAX   255
#define TIME_MAX   (UINT64_C(366) * 86400 * NS_PER_S) /* between checks: far from overflowing */

static int check_machine(const struct box_spec *s, struct err *e)
{
    if (s->cpus < 1 || s->cpus > CPUS_MAX)
        return err_set(e, ERR_INVALID, "--cpus: range of CPUs is from 0.01 to %d.00", CPUS_MAX);
    if (s->memory_bytes < MEMORY_MIN)
        return err_set(e, ERR_INVALID, "--memory: minimum memory of a box is %lluMB",
                       (unsigned long long)(MEMORY_MIN >> 20));
    if (s->memory_bytes > MEMORY_MAX)
        return err_set(e, ERR_INVALID, "--memory: maximum memory of a box is %lluTB",
                       (unsigned long long)(MEMORY_MAX >> 40));
    if (s->disk_bytes < DISK_SIZE_MIN || s->disk_bytes > DISK_SIZE_MAX)
        return err_set(e, ERR_INVALID, "--storage-size is not between %llum and %llut",
                       (unsigned long long)(DISK_SIZE_MIN >> 20),
                       (unsigned long long)(DISK_SIZE_MAX >> 40));
    if (s->accel && strcmp(s->accel, "auto") != 0 && strcmp(s->accel, "kvm") != 0 &&
        strcmp(s->accel, "tcg") != 0)
        return err_set(e, ERR_INVALID, "--accel %.40s is not auto, kvm or tcg", s->accel);
    return 0;
}

static bool hostname_ok(const char *name)
{
    size_t len = strlen(name);

    if (len < 1 || len > 63 || name[0] == '-' || name[len - 1] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
           len;
}

static int check_process(const struct box_spec *s, struct err *e)
{
    if (!s->entrypoint.n && !s->cmd.n)
        return err_set(e, ERR_INVALID, "no command specified");
    if (s->hostname && !hostname_ok(s->hostname))
        return err_set(e, ERR_INVALID, "invalid hostname format: %.100s", s->hostname);
    if (s->domainname && (strlen(s->domainname) > 64 || strpbrk(s->domainname, " \t\n")))
        return err_set(e, ERR_INVALID, "invalid domainname: %.100s", s->domainname);
    if (s->cwd && s->cwd[0] != '/')
        return err_set(
            e, ERR_INVALID,
            "the working directory '%.200s' is invalid, it needs to be an absolute path", s->cwd);
    if (s->stop_signal < 1 || s->stop_signal > 64)
        return err_set(e, ERR_INVALID, "invalid signal: %d", s->stop_signal);
    for (size_t i = 0; i < s->env.n; i++)
        if (s->env.v[i][0] == '=' || !strchr(s->env.v[i], '='))
            return err_set(e, ERR_INVALID, "invalid environment variable: %.100s", s->env.v[i]);
    return 0;
}

static const char *const ulimit_names[] = {
    "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue", "nice",
    "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack",
};

static int check_ulimits(const struct box_spec *s, struct err *e)
{
    for (size_t i = 0; i < s->ulimits.n; i++) {
        const struct box_ulimit *u = TLV_AT(&s->ulimits, struct box_ulimit, i);
        size_t n = 0;

        while (n < ARRAY_LEN(ulimit_names) && strcmp(u->name, ulimit_names[n]) != 0)
            n++;
        if (n == ARRAY_LEN(ulimit_names))
            return err_set(e, ERR_INVALID, "invalid ulimit type: %.40s", u->name);
        if (u->soft > u->hard)
            return err_set(
                e, ERR_INVALID,
                "ulimit soft limit must be less than or equal to hard limit: %llu > %llu",
                (unsigned long long)u->soft, (unsigned long long)u->hard);
    }
    return 0;
}

static bool word_in(const char *word, size_t len, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(list[i]) == len && !memcmp(list[i], word, len))
            return true;
    return false;
}

/* The guest parses them again; here the user hears of it before anything starts. */
static bool tmpfs_word_ok(const char *word, size_t len)
{
    static const char *const flags[] = {
        "rw",    "ro",      "suid",     "nosuid",      "dev",      "nodev", "exec",     "noexec",
        "atime", "noatime", "relatime", "strictatime", "defaults", "async", "diratime",
    };
    static const char *const keys[] = { "size", "nr_blocks", "nr_inodes", "uid", "gid", "mode" };
    const char *eq = memchr(word, '=', len);
    size_t key = eq ? (size_t)(eq - word) : len, digits;

    if (!eq)
        return word_in(word, len, flags, ARRAY_LEN(flags));
    if (!word_in(word, key, keys, ARRAY_LEN(keys)))
        return false;
    digits = strspn(eq + 1, "0123456789");
    len -= key + 1;
    return digits > 0 &&
           (digits == len || (digits + 1 == len && word[0] != 'u' && word[0] != 'g' &&
                              word[0] != 'm' && strchr("kKmMgGtT%", eq[1 + digits])));
}

static int check_tmpfs(const struct box_spec *s, struct err *e)
{
    for (size_t i = 0; i < s->tmpfs.n; i++) {
        const struct mount_tmpfs *t = TLV_AT(&s->tmpfs, struct mount_tmpfs, i);

        if (t->path[0] != '/' || !strcmp(t->path, "/"))
            return err_set(e, ERR_INVALID,
                           "invalid mount path: '%.200s' mount path must be absolute and not '/'",
                           t->path);
        for (const char *p = t->options ? t->options : ""; *p;) {
            size_t len = strcspn(p, ",");

            if (!tmpfs_word_ok(p, len))
                return err_set(e, ERR_INVALID, "invalid tmpfs option [\"%.*s\"]",
                               (int)(len < 100 ? len : 100), p);
            p += len + (p[len] == ',');
        }
    }
    return 0;
}

static bool ip_ok(const char *text)
{
    unsigned char bin[16];

    return inet_pton(AF_INET, text, bin) == 1 || inet_pton(AF_INET6, text, bin) == 1;
}

static int check_names(const struct box_spec *s, struct err *e)
{
    for (size_t i = 0; i < s->add_host.n; i++) {
        const char *text = s->add_host.v[i], *colon = strchr(text, ':');

        if (!colon || colon == text || strpbrk(text, " \t\n"))
            return err_set(e, ERR_INVALID, "bad format for add-host: \"%.100s\"", text);
        if (!strcmp(colon + 1, "host-gateway"))
            return err_set(e, ERR_UNSUPPORTED, "--add-host %.100s: there is no network yet",
                           text);
        if (!ip_ok(colon + 1))
            return err_set(e, ERR_INVALID, "invalid IP address in add-host: \"%.100s\"",
                           colon + 1);
    }
    for (size_t i = 0; i < s->dns.n; i++)
        if (!ip_ok(s->dns.v[i]))
            return err_set(e, ERR_INVALID, "--dns: %.100s is not an ip address", s->dns.v[i]);
    for (size_t i = 0; i < s->dns_search.n; i++)
        if (!s->dns_search.v[i][0] || strpbrk(s->dns_search.v[i], " \t\n"))
            return err_set(e, ERR_INVALID, "--dns-search: %.100s is not a valid domain",
                           s->dns_search.v[i]);
    for (size_t i = 0; i < s->dns_option.n; i++)
        if (!s->dns_option.v[i][0] || strpbrk(s->dns_option.v[i], " \t\n"))
            return err_set(e, ERR_INVALID, "--dns-option: invalid option \"%.100s\"",
                           s->dns_option.v[i]);
    return 0;
}

/* One "3" or "0-1" of a list. */
static bool cpu_range(const char *text, size_t len, uint64_t *ret_last)
{
    autofree char *first = strndup(text, len);
    uint64_t from = 0;
    struct err why;
    char *dash = first ? strchr(first, '-') : NULL;

    if (!first)
        return false;
    if (dash)
        *dash++ = '\0';
    return parse_u64(first, 0, UINT32_MAX, &from, &why) == 0 &&
           parse_u64(dash ? dash : first, from, UINT32_MAX, ret_last, &why) == 0;
}

static int check_cpuset(const struct box_spec *s, struct err *e)
{
    const char *text = s->limits.cpuset;

    for (const char *p = text ? text : ""; *p;) {
        size_t len = strcspn(p, ",");
        uint64_t last = 0;

        if (!cpu_range(p, len, &last))
            return err_set(e, ERR_INVALID, "Invalid value %.60s for cpuset cpus", text);
        if (last >= s->cpus)
            return err_set(
                e, ERR_INVALID,
                "Requested CPUs are not available - requested %.60s, available: 0-%llu", text,
                (unsigned long long)s->cpus - 1);
        p += len + (p[len] == ',');
    }
    return 0;
}

static int check_security(const struct box_spec *s, struct err *e)
{
    struct security_options options;
    uint64_t caps;
    int r;

    r = caps_of(s, &caps, e);
    return r < 0 ? r : security_options(s, &options, e);
}

static int check_keeping(const struct box_spec *s, struct err *e)
{
    struct log_config log;
    int r;

    r = log_config_read(s, "", "", &log, e); /* any names will do */
    log_config_done(&log);
    if (r < 0)
        return r;
    if (s->network && strcmp(s->network, "none") != 0)
        return err_set(e, ERR_UNSUPPORTED, "--network %.100s is not supported yet", s->network);
    return 0;
}

static int check_health(const struct box_spec *s, struct err *e)
{
    const struct strv *test = &s->health_test;
    const char *kind = test->n ? test->v[0] : "NONE";

    if (strcmp(kind, "NONE") != 0 && strcmp(kind, "CMD") != 0 && strcmp(kind, "CMD-SHELL") != 0)
        return err_set(e, ERR_INVALID, "health check: unknown form '%.40s'", kind);
    if (strcmp(kind, "CMD-SHELL") == 0 && test->n != 2)
        return err_set(e, ERR_INVALID, "health check: CMD-SHELL takes one line");
    if (!health_enabled(s))
        return 0;
    if (s->health_interval_ns > TIME_MAX || s->health_timeout_ns > TIME_MAX ||
        s->health_start_interval_ns > TIME_MAX || s->health_start_period_ns > TIME_MAX)
        return err_set(e, ERR_INVALID, "The times of a health check are longer than a year");
    if (s->health_interval_ns < NS_PER_MS || s->health_timeout_ns < NS_PER_MS ||
        s->health_start_interval_ns < NS_PER_MS)
        return err_set(e, ERR_INVALID,
                       "Interval and timeout of a health check cannot be less than 1ms");
    if (!s->health_retries || s->health_retries > INT32_MAX)
        return err_set(e, ERR_INVALID, "--health-retries %llu is not between 1 and 2147483647",
                       (unsigned long long)s->health_retries);
    return 0;
}

static int check_policy(const struct box_spec *s, struct err *e)
{
    if (s->restart_policy && s->auto_remove)
        return err_set(e, ERR_INVALID, "Conflicting options: --restart and --rm");
    return check_health(s, e);
}

int box_spec_check(const struct box_spec *spec, struct err *e)
{
    static int (*const checks[])(const struct box_spec *s, struct err *e) = {
        check_machine, check_process,  check_ulimits, check_tmpfs,  check_names,
        check_cpuset,  check_security, check_keeping, check_policy,
    };

    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        int r = checks[i](spec, e);

        if (r < 0)
            return r;
    }
    return 0;
}
