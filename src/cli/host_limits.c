#include "cli/host_limits.h"

#include "cli/output.h"
#include "util/fs.h"
#include "util/parse.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif
#define LANDLOCK_ASK_VERSION 1

static json_t *verdict(bool available, const char *reason)
{
    return json_pack("{s:b, s:s}", "Available", available, "Reason", reason);
}

static json_t *landlock(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
    char text[64];

    if (version < 0)
        return verdict(false, errno == EOPNOTSUPP ? "disabled at boot of the host's kernel"
                                                  : "not in the host's kernel");
    (void)snprintf(text, sizeof(text), "ABI version %ld", version);
    return verdict(true, text);
}

static json_t *seccomp(void)
{
    unsigned int action = SECCOMP_RET_ERRNO;
    bool works = !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);

    return verdict(works, works ? "filters" : "not in the host's kernel");
}

/* A number in /proc/sys; `missing` when the file is not there. */
static uint64_t setting(const char *path, uint64_t missing)
{
    autostr text = STR_INIT(64);
    struct err ignored;
    uint64_t n;

    if (fs_read_file(AT_FDCWD, path, &text, &ignored) < 0)
        return missing;
    while (text.len && text.p[text.len - 1] == '\n')
        text.p[--text.len] = '\0';
    return parse_u64(str_c(&text), 0, UINT64_MAX, &n, &ignored) < 0 ? missing : n;
}

static json_t *user_namespaces(void)
{
    if (!setting("/proc/sys/user/max_user_namespaces", 0))
        return verdict(false, "user.max_user_namespaces is 0");
    if (geteuid() != 0 && !setting("/proc/sys/kernel/unprivileged_userns_clone", 1))
        return verdict(false, "kernel.unprivileged_userns_clone is 0");
    if (geteuid() != 0 && setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0))
        return verdict(false, "kernel.apparmor_restrict_unprivileged_userns is 1");
    return verdict(true, "allowed");
}

json_t *host_limits(void)
{
    json_t *o = json_object();

    cli_set(o, "Landlock", landlock());
    cli_set(o, "NoNewPrivileges", verdict(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0, "prctl"));
    cli_set(o, "Seccomp", seccomp());
    cli_set(o, "UserNamespaces", user_namespaces());
    return o;
}
