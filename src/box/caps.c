#include "box/security.h"

#include <string.h>
#include <strings.h>

static const char *const names[CAP_N] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

#define CAPS_ALL ((UINT64_C(1) << CAP_N) - 1)

int cap_number(const char *name, unsigned *ret, struct err *e)
{
    const char *plain = strncasecmp(name, "CAP_", 4) == 0 ? name + 4 : name;

    for (unsigned i = 0; i < CAP_N; i++) {
        if (!strcasecmp(plain, names[i])) {
            *ret = i;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "invalid capability: unknown capability \"%.64s\"", name);
}

static int parse_list(const struct strv *list, uint64_t *ret_set, bool *ret_all, struct err *e)
{
    uint64_t set = 0;
    bool all = false;

    for (size_t i = 0; i < list->n; i++) {
        unsigned n = 0;

        if (!strcasecmp(list->v[i], "ALL") || !strcasecmp(list->v[i], "CAP_ALL")) {
            all = true;
            continue;
        }
        if (cap_number(list->v[i], &n, e) < 0)
            return -(int)e->kind;
        set |= UINT64_C(1) << n;
    }
    *ret_set = set;
    *ret_all = all;
    return 0;
}

int caps_of(const struct box_spec *spec, uint64_t *ret, struct err *e)
{
    uint64_t add = 0, drop = 0, base;
    bool add_all = false, drop_all = false;
    int r;

    r = parse_list(&spec->cap_add, &add, &add_all, e);
    if (r == 0)
        r = parse_list(&spec->cap_drop, &drop, &drop_all, e);
    if (r < 0)
        return r;
    if (spec->privileged)
        base = CAPS_ALL;
    else if (add_all) /* docker: ALL added, and some of them dropped again */
        base = drop_all ? add : CAPS_ALL & ~drop;
    else
        base = ((drop_all ? 0 : CAPS_DEFAULT) & ~drop) | add;
    *ret = base;
    return 0;
}
