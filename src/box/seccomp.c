/* Seccomp profiles of the user's own, compiled by libseccomp. */
#include "box/security.h"

#include "box/seccomp_profile.h"
#include "util/fd.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

static int export(scmp_filter_ctx ctx, struct bytes *ret, struct err *e)
{
    autofd int fd = memfd_create("seccomp", MFD_CLOEXEC);
    autostr program = STR_INIT(1 << 20);
    int r;

    if (fd < 0)
        return err_os(e, "memfd");
    r = seccomp_export_bpf(ctx, fd);
    if (r < 0)
        return err_os_at(e, -r, "seccomp profile");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_os(e, "seccomp profile");
    r = fd_read_all(fd, &program, e);
    if (r < 0)
        return r;
    if (program.len > BPF_MAXINSNS * sizeof(struct sock_filter))
        return err_set(e, ERR_LIMIT,
                       "seccomp profile: too big for the kernel: %zu instructions of at most %d",
                       program.len / sizeof(struct sock_filter), BPF_MAXINSNS);
    ret->len = program.len;
    ret->p = str_take(&program);
    return ret->p ? 0 : err_set(e, ERR_LIMIT, "seccomp profile: out of memory");
}

/* docker: names that libseccomp does not know are skipped. */
static int add_name(scmp_filter_ctx ctx, const struct seccomp_rule *rule, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name), r = 0;

    if (nr == __NR_SCMP_ERROR)
        return 0;
    if (!rule->any_arg)
        return seccomp_rule_add_array(ctx, rule->action, nr, rule->args_n, rule->args);
    for (unsigned i = 0; r == 0 && i < rule->args_n; i++)
        r = seccomp_rule_add_array(ctx, rule->action, nr, 1, &rule->args[i]);
    return r;
}

static int add_rule(scmp_filter_ctx ctx, const struct seccomp_rule *rule, struct err *e)
{
    size_t n = json_is_array(rule->names) ? json_array_size(rule->names) : rule->names != NULL;

    for (size_t i = 0; i < n; i++) {
        int r = add_name(ctx, rule, seccomp_rule_name(rule, i));

        if (r == -EEXIST)
            return err_set(e, ERR_INVALID,
                           "seccomp profile: syscalls[%zu] (%.32s): contradicts a rule before it",
                           rule->at, seccomp_rule_name(rule, i));
        if (r < 0)
            return err_os_at(e, -r, "seccomp profile: syscalls[%zu] (%.32s)", rule->at,
                             seccomp_rule_name(rule, i));
    }
    return 0;
}

static int fill_profile(scmp_filter_ctx ctx, const struct seccomp_profile *p)
{
    int r;

    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0 && p->arch_x86)
        r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
    if (r == 0 && p->arch_x32)
        r = seccomp_arch_add(ctx, SCMP_ARCH_X32);
    if (r == 0 && p->arch_arm)
        r = seccomp_arch_add(ctx, SCMP_ARCH_ARM);
    return r;
}

static int compile(scmp_filter_ctx ctx, const struct seccomp_profile *p, uint64_t caps,
                   struct bytes *ret, struct err *e)
{
    int r = fill_profile(ctx, p);

    if (r < 0)
        return err_os_at(e, -r, "seccomp profile");
    for (size_t i = 0; i < p->rules_n; i++) {
        const struct seccomp_rule *rule = &p->rules[i];

        if (rule->other || (rule->need_caps & ~caps) || (rule->unless_caps & caps) ||
            rule->action == p->fallback)
            continue;
        r = add_rule(ctx, rule, e);
        if (r < 0)
            return r;
    }
    return export(ctx, ret, e);
}

int seccomp_compile(const char *text, uint64_t caps, struct bytes *ret, struct err *e)
{
    struct seccomp_profile p = { 0 };
    scmp_filter_ctx ctx;
    int r;

    r = seccomp_profile_parse(text, strlen(text), &p, e);
    if (r < 0)
        return r;
    ctx = seccomp_init(p.fallback);
    r = ctx ? compile(ctx, &p, caps, ret, e)
            : err_set(e, ERR_SYSTEM, "seccomp profile: libseccomp refuses its default action");
    seccomp_release(ctx);
    seccomp_profile_done(&p);
    return r;
}
