#include "box/security.h"

#include "box/lifecycle.h"

#include <string.h>

/* Paths docker hides, and paths it makes read-only. */
static const char *const masked[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
};
static const char *const readonly[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

/* "key=value" or, as docker once wrote it, "key:value". */
static const char *value_of(const char *text, const char *key)
{
    size_t len = strlen(key);

    if (strncmp(text, key, len) != 0 || (text[len] != '=' && text[len] != ':'))
        return NULL;
    return text + len + 1;
}

static int parse_bool(const char *text, bool *ret)
{
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return -1;
    *ret = text[0] == 't';
    return 0;
}

static int parse_option(const char *text, struct security_options *o, struct err *e)
{
    const char *value;

    if (!strcmp(text, "no-new-privileges")) {
        o->no_new_privs = true;
        return 0;
    }
    value = value_of(text, "no-new-privileges");
    if (value && parse_bool(value, &o->no_new_privs) == 0)
        return 0;
    value = value_of(text, "systempaths");
    if (value && !strcmp(value, "unconfined")) {
        o->open_systempaths = true;
        return 0;
    }
    if (value_of(text, "apparmor") || value_of(text, "label"))
        return 0;
    value = value_of(text, "seccomp");
    if (!value)
        return err_set(e, ERR_INVALID, "invalid --security-opt: \"%.100s\"", text);
    if (!strcmp(value, "unconfined") || !strcmp(value, "default") || !strcmp(value, "builtin")) {
        o->unconfined = value[0] == 'u';
        return 0;
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "--security-opt seccomp=%.100s: profiles in files are not supported yet, use "
                   "seccomp=default or seccomp=unconfined",
                   value);
}

int security_options(const struct box_spec *spec, struct security_options *ret, struct err *e)
{
    struct security_options o = { 0 };

    for (size_t i = 0; i < spec->security_opt.n; i++) {
        int r = parse_option(spec->security_opt.v[i], &o, e);

        if (r < 0)
            return r;
    }
    *ret = o;
    return 0;
}

static int add_all(struct strv *to, const char *const *paths, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!strv_add(to, paths[i]))
            return err_set(e, ERR_LIMIT, "security of the box: out of memory");
    return 0;
}

int box_security(const struct box_spec *spec, struct security *ret, struct err *e)
{
    struct security_options o = { 0 };
    struct security s = { .privileged = spec->privileged };
    int r;

    r = security_options(spec, &o, e);
    if (r == 0)
        r = caps_of(spec, &s.caps, e);
    if (r == 0 && !spec->privileged && !o.open_systempaths)
        r = add_all(&s.masked, masked, ARRAY_LEN(masked), e);
    if (r == 0 && !spec->privileged && !o.open_systempaths)
        r = add_all(&s.readonly, readonly, ARRAY_LEN(readonly), e);
    if (r == 0 && !spec->privileged && !o.unconfined)
        r = seccomp_default(s.caps, &s.seccomp, e);
    if (r < 0) {
        strv_done(&s.masked);
        strv_done(&s.readonly);
        return r;
    }
    s.no_new_privs = o.no_new_privs;
    *ret = s;
    return 0;
}
