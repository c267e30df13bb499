#include "box/lifecycle.h"
#include "shim/shim.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#define SEED_LEN 64 /* twice what the kernel's generator takes in */

static int put_message(struct str *out, enum msg_type type, const struct tlv_row *rows,
                       const void *from, struct err *e)
{
    autostr body = STR_INIT(0);
    int r;

    r = tlv_encode(rows, from, &body, e);
    if (r < 0)
        return r;
    if (!msg_put(out, type, body.p, body.len))
        return err_set(e, ERR_LIMIT, "configuration of the box is too long");
    return 0;
}

int config_put_vm(struct str *out, struct err *e)
{
    uint8_t seed[SEED_LEN];
    struct vm_setup setup = {
        .clock_ns = time_real_ns(),
        .seed = { seed, sizeof(seed) },
        .debug = log_wants(LOG_LEVEL_DEBUG),
    };
    int r;

    if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return err_os(e, "getrandom");
    r = put_message(out, MSG_VM_CONFIG, vm_setup_rows, &setup, e);
    explicit_bzero(seed, sizeof(seed));
    return r;
}

static int rlimit_number(const char *name, uint64_t *ret, struct err *e)
{
    static const struct {
        const char *name;
        int resource;
    } names[] = {
        { "as", RLIMIT_AS },
        { "core", RLIMIT_CORE },
        { "cpu", RLIMIT_CPU },
        { "data", RLIMIT_DATA },
        { "fsize", RLIMIT_FSIZE },
        { "locks", RLIMIT_LOCKS },
        { "memlock", RLIMIT_MEMLOCK },
        { "msgqueue", RLIMIT_MSGQUEUE },
        { "nice", RLIMIT_NICE },
        { "nofile", RLIMIT_NOFILE },
        { "nproc", RLIMIT_NPROC },
        { "rss", RLIMIT_RSS },
        { "rtprio", RLIMIT_RTPRIO },
        { "rttime", RLIMIT_RTTIME },
        { "sigpending", RLIMIT_SIGPENDING },
        { "stack", RLIMIT_STACK },
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            *ret = (uint64_t)names[i].resource;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "unknown resource limit '%s'", name);
}

static int fill_rlimits(const struct box_spec *spec, struct tlv_list *ret, struct err *e)
{
    for (size_t i = 0; i < spec->ulimits.n; i++) {
        const struct box_ulimit *from = TLV_AT(&spec->ulimits, struct box_ulimit, i);
        struct rlimit_setting *to = tlv_list_add(ret, sizeof(*to));
        int r;

        if (!to)
            return err_os(e, "resource limits");
        r = rlimit_number(from->name, &to->resource, e);
        if (r < 0)
            return r;
        to->soft = from->soft;
        to->hard = from->hard;
    }
    return 0;
}

/* As docker's, with the box's own name on the loopback device: it has no other yet. */
static char *make_hosts(const struct box_spec *spec, const char *hostname)
{
    autostr text = STR_INIT(0);

    (void)str_adds(&text, "127.0.0.1\tlocalhost\n"
                          "::1\tlocalhost ip6-localhost ip6-loopback\n"
                          "fe00::\tip6-localnet\n"
                          "ff00::\tip6-mcastprefix\n"
                          "ff02::1\tip6-allnodes\n"
                          "ff02::2\tip6-allrouters\n");
    if (spec->domainname && *spec->domainname)
        (void)str_addf(&text, "127.0.1.1\t%s.%s %s\n", hostname, spec->domainname, hostname);
    else
        (void)str_addf(&text, "127.0.1.1\t%s\n", hostname);
    for (size_t i = 0; i < spec->add_host.n; i++) {
        const char *entry = spec->add_host.v[i], *colon = strchr(entry, ':');

        if (colon) /* box_spec_check() has seen to it */
            (void)str_addf(&text, "%s\t%.*s\n", colon + 1, (int)(colon - entry), entry);
    }
    return str_take(&text);
}

static void add_words(struct str *text, const char *key, const struct strv *words)
{
    if (!words->n)
        return;
    (void)str_adds(text, key);
    for (size_t i = 0; i < words->n; i++)
        (void)str_addf(text, " %s", words->v[i]);
    (void)str_addc(text, '\n');
}

static char *make_resolv_conf(const struct box_spec *spec)
{
    autostr text = STR_INIT(0);

    for (size_t i = 0; i < spec->dns.n; i++)
        (void)str_addf(&text, "nameserver %s\n", spec->dns.v[i]);
    add_words(&text, "search", &spec->dns_search);
    add_words(&text, "options", &spec->dns_option);
    return str_take(&text);
}

int config_put_container(const struct box *box, struct str *out, struct err *e)
{
    const struct box_spec *spec = &box->spec;
    autofree char *short_id = strndup(box->id, 12);
    autofree char *hosts = NULL, *resolv = NULL;
    struct container_config c = {
        .id = (char *)(uintptr_t)box->id,
        .hostname = spec->hostname ? spec->hostname : short_id,
        .domainname = spec->domainname,
        .lower_lun = 1, /* LUN + 1, as launch.c numbers the disks */
        .upper_lun = 2,
        .read_only = spec->read_only,
        .tmpfs = spec->tmpfs, /* borrowed, as all but what is freed below */
        .shm_bytes = spec->shm_bytes,
        .cgroup = spec->limits,
        .init = spec->init,
    };
    int r;

    if (!short_id)
        return err_os(e, "configuration of the box");
    hosts = make_hosts(spec, c.hostname);
    resolv = make_resolv_conf(spec);
    if (!hosts || !resolv)
        return err_os(e, "configuration of the box");
    c.etc_hosts = hosts;
    c.etc_resolv_conf = resolv;
    r = fill_rlimits(spec, &c.rlimits, e);
    if (r == 0)
        r = box_security(spec, &c.security, e);
    if (r == 0)
        r = put_message(out, MSG_CONTAINER_CREATE, container_config_rows, &c, e);
    free(c.rlimits.v);
    free(c.security.seccomp.p);
    strv_done(&c.security.masked);
    strv_done(&c.security.readonly);
    return r;
}

static int add_all(struct strv *to, const struct strv *from, struct err *e)
{
    for (size_t i = 0; i < from->n; i++)
        if (!strv_add(to, from->v[i]))
            return err_os(e, "command of the box");
    return 0;
}

int config_put_main(const struct box *box, struct str *out, struct err *e)
{
    const struct box_spec *spec = &box->spec;
    struct exec_request req = {
        .container = (char *)(uintptr_t)box->id,
        .main = true,
        .env = spec->env,
        .cwd = spec->cwd,
        .user = spec->user,
        .groups = spec->groups,
        .tty = spec->tty,
        .stdin_open = spec->open_stdin,
    };
    int r;

    r = add_all(&req.argv, &spec->entrypoint, e);
    if (r == 0)
        r = add_all(&req.argv, &spec->cmd, e);
    if (r == 0)
        r = put_message(out, MSG_START, exec_request_rows, &req, e);
    strv_done(&req.argv);
    return r;
}
