/* Docker's seccomp profiles: what is read, what is refused, what the kernel then does. */
#include "box/seccomp_profile.h"
#include "box/security.h"

#include "unit.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CAP(name) (UINT64_C(1) << CAP_##name)

static const struct {
    const char *text, *why;
} rows[] = {
    { "", "seccomp profile: line" },
    { "{", "seccomp profile: line 1:" },
    { "[]", "seccomp profile: not an object" },
    { "{}", "defaultAction: unknown action \"nothing\"" },
    { "{\"defaultAction\":\"SCMP_ACT_NONE\"}", "unknown action \"SCMP_ACT_NONE\"" },
    { "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "SCMP_ACT_NOTIFY is not supported" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}", "returns none" },
    { "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5000}", "not an errno" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\"}",
      "\"listenerPath\" is not supported" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"\":0}", "\"\" is not supported" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags syscalls\":[]}",
      "\"flags syscalls\" is not supported" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"]}",
      "flags[0]: SECCOMP_FILTER_FLAG_LOG is not supported" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_VAX\"]}",
      "architectures[0]: unknown architecture \"SCMP_ARCH_VAX\"" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],"
      "\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86\"}]}",
      "both 'architectures' and 'archMap'" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"archMap\":[{\"architecture\":\"VAX\"}]}",
      "archMap[0]: unknown architecture" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}", "syscalls: not a list" },
};
static const struct {
    const char *rule, *why;
} rules[] = {
    { "7", "syscalls[1] (?): not an object" },
    { "{\"names\":[\"mkdir\"]}", "syscalls[1] (mkdir): action: unknown action \"nothing\"" },
    { "{\"name\":\"a\",\"names\":[\"b\"],\"action\":\"SCMP_ACT_ALLOW\"}", "both 'name'" },
    { "{\"names\":[1],\"action\":\"SCMP_ACT_ALLOW\"}", "names[0]: not a string" },
    { "{\"names\":\"x\",\"action\":\"SCMP_ACT_ALLOW\"}", "names: not a list" },
    { "{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"arg\":[]}",
      "syscalls[1] (x): \"arg\" is not supported" },
    { "{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":6,\"op\":"
      "\"SCMP_CMP_EQ\"}]}",
      "args[0]: index: not 0 to 5" },
    { "{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"op\":"
      "\"==\"}]}",
      "args[0]: unknown operator \"==\"" },
    { "{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":"
      "\"1\",\"op\":\"SCMP_CMP_EQ\"}]}",
      "not a number" },
    { "{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_X\"]}}",
      "includes: caps[0]: unknown capability \"CAP_X\"" },
    { "{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"minKernel\":\"5\"}}",
      "excludes: minKernel: \"5\" is not MAJOR.MINOR" },
    { "{\"names\":[\"x\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"os\":[]}}",
      "includes: \"os\" is not supported" },
};

static void what_would_not_take_effect_is_refused(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(rows) + ARRAY_LEN(rules); i++) {
        const char *rule = i < ARRAY_LEN(rows) ? NULL : rules[i - ARRAY_LEN(rows)].rule;
        const char *why = rule ? rules[i - ARRAY_LEN(rows)].why : rows[i].why;
        autofree char *text =
            rule ? str_format("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
                              "{\"names\":[],\"action\":\"SCMP_ACT_ALLOW\"},%s]}",
                              rule)
                 : strdup(rows[i].text);
        struct seccomp_profile p = { 0 };
        struct err e = { 0 };

        assert_non_null(text);
        if (seccomp_profile_parse(text, strlen(text), &p, &e) >= 0)
            fail_msg("%s was accepted", text);
        if (!strstr(e.text, why))
            fail_msg("%s: \"%s\" instead of \"%s\"", text, e.text, why);
    }
}

#define KILLED (-1000)

/* What a call fails with under the profile; 0: it succeeds. */
static int try(const char *profile, uint64_t caps, long nr, long a0, long a1)
{
    struct bytes program = { 0 };
    struct sock_fprog prog;
    struct err e = { 0 };
    int status;
    pid_t pid;

    if (seccomp_compile(profile, caps, &program, &e) < 0)
        fail_msg("%s", e.text);
    prog = (struct sock_fprog){ .len = (unsigned short)(program.len / sizeof(struct sock_filter)),
                                .filter = program.p };
    pid = fork();
    if (pid == 0) {
        long r;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
            _exit(99);
        r = syscall(nr, a0, a1, 0, 0, 0, 0);
        (void)syscall(SYS_exit_group, r < 0 ? errno : 0); /* the sanitizer's needs more */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    free(program.p);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : -1;
    return WEXITSTATUS(status);
}

static const char denying[] =
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],\"syscalls\":["
    "{\"names\":[\"getppid\",\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38},"
    "{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38},"
    "{\"name\":\"getpgid\",\"action\":\"SCMP_ACT_ERRNO\",\"comment\":\"EPERM\","
    "\"args\":[{\"index\":0,\"value\":1000000,\"op\":\"SCMP_CMP_GT\"}]},"
    "{\"names\":[\"getsid\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":7,\"args\":["
    "{\"index\":0,\"value\":4,\"op\":\"SCMP_CMP_EQ\"},"
    "{\"index\":0,\"value\":15,\"valueTwo\":5,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
    "{\"names\":[\"umask\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},"
    "{\"names\":[\"getuid\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"caps\":[\"CAP_BPF\"]}}"
    ","
    "{\"names\":[\"getgid\"],\"action\":\"SCMP_ACT_ERRNO\",\"excludes\":{\"caps\":[\"CAP_BPF\"]}}"
    ","
    "{\"names\":[\"geteuid\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"4.8\"}}"
    ","
    "{\"names\":[\"getegid\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"99.0\"}"
    "},"
    "{\"names\":[\"gettid\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"arches\":[\"s390\"]}}]"
    "}";

static void rules_take_effect(void **state UNUSED)
{
    assert_int_equal(try(denying, 0, SYS_getpid, 0, 0), 0);
    assert_int_equal(try(denying, 0, SYS_getppid, 0, 0), ENOSYS);
    assert_int_equal(try(denying, 0, SYS_getpgid, 0, 0), 0);
    assert_int_equal(try(denying, 0, SYS_getpgid, 1000001, 0), EPERM);
    assert_int_equal(try(denying, 0, SYS_getsid, 0, 0), 0);
    assert_int_equal(try(denying, 0, SYS_getsid, 4, 0), 7);
    assert_int_equal(try(denying, 0, SYS_getsid, 0x35, 0), 7);
    assert_int_equal(try(denying, 0, SYS_umask, 0, 0), KILLED);
    assert_int_equal(try(denying, 0, SYS_getuid, 0, 0), 0);
    assert_int_equal(try(denying, CAP(BPF), SYS_getuid, 0, 0), EPERM);
    assert_int_equal(try(denying, 0, SYS_getgid, 0, 0), EPERM);
    assert_int_equal(try(denying, CAP(BPF), SYS_getgid, 0, 0), 0);
    assert_int_equal(try(denying, 0, SYS_geteuid, 0, 0), EPERM);
    assert_int_equal(try(denying, 0, SYS_getegid, 0, 0), 0);
    assert_int_equal(try(denying, 0, SYS_gettid, 0, 0), 0);
}

static void only_what_is_listed_is_allowed(void **state UNUSED)
{
    static const char allowing[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
        "\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":"
        "[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]},{\"architecture\":\"SCMP_ARCH_RISCV64\","
        "\"subArchitectures\":null}],\"syscalls\":[{\"names\":[\"exit\",\"exit_group\",\"write\","
        "\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";

    assert_int_equal(try(allowing, 0, SYS_getpid, 0, 0), 0);
    assert_int_equal(try(allowing, 0, SYS_getppid, 0, 0), ENOSYS);
}

static void contradictions_are_named(void **state UNUSED)
{
    static const char text[] =
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getsid\"],\"action\":"
        "\"SCMP_ACT_LOG\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]},"
        "{\"names\":[\"getpid\",\"getsid\"],\"action\":\"SCMP_ACT_ERRNO\","
        "\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}";
    struct bytes program = { 0 };
    struct err e = { 0 };

    assert_int_equal(seccomp_compile(text, 0, &program, &e), -ERR_INVALID);
    assert_non_null(strstr(e.text, "syscalls[1] (getsid): contradicts a rule before it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_not_take_effect_is_refused),
        cmocka_unit_test(rules_take_effect),
        cmocka_unit_test(only_what_is_listed_is_allowed),
        cmocka_unit_test(contradictions_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
