/* What the guest is told to confine the workload with. Links libseccomp, so only the shim has it.
 */
#include "box/lifecycle.h"
#include "box/security.h"

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
    if (r == 0 && o.profile) /* docker: for privileged ones, too */
        r = seccomp_compile(o.profile, s.caps, &s.seccomp, e);
    else if (r == 0 && !spec->privileged && !o.unconfined)
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
