#include "box/lifecycle.h"
#include "box/security.h"

#include "unit.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CAP(name) (UINT64_C(1) << CAP_##name)

static struct box_spec spec_with(const char *add, const char *drop, const char *opt)
{
    struct box_spec s = { 0 };

    assert_true(!add || strv_add(&s.cap_add, add));
    assert_true(!drop || strv_add(&s.cap_drop, drop));
    assert_true(!opt || strv_add(&s.security_opt, opt));
    return s;
}

static uint64_t caps(const char *add, const char *drop)
{
    struct box_spec s = spec_with(add, drop, NULL);
    uint64_t ret = 0;
    struct err e = { 0 };

    assert_int_equal(caps_of(&s, &ret, &e), 0);
    box_spec_done(&s);
    return ret;
}

static void capabilities_are_dockers(void **state UNUSED)
{
    struct box_spec bad = spec_with("NO_SUCH", NULL, NULL), all = { .privileged = true };
    uint64_t ret;
    struct err e;

    assert_true(caps(NULL, NULL) == UINT64_C(0xa80425fb));
    assert_true(caps("NET_ADMIN", NULL) == (UINT64_C(0xa80425fb) | CAP(NET_ADMIN)));
    assert_true(caps("cap_net_admin", NULL) == (UINT64_C(0xa80425fb) | CAP(NET_ADMIN)));
    assert_true(caps(NULL, "CHOWN") == (UINT64_C(0xa80425fb) & ~CAP(CHOWN)));
    assert_true(caps("SYS_TIME", "ALL") == CAP(SYS_TIME));
    assert_true(caps("ALL", NULL) == (UINT64_C(1) << 41) - 1);
    assert_true(caps("ALL", "NET_RAW") == (((UINT64_C(1) << 41) - 1) & ~CAP(NET_RAW)));
    assert_int_equal(caps_of(&all, &ret, &e), 0);
    assert_true(ret == (UINT64_C(1) << 41) - 1);
    assert_int_equal(caps_of(&bad, &ret, &e), -ERR_INVALID);
    box_spec_done(&bad);
}

static int options(const char *text, struct security_options *o)
{
    struct box_spec s = spec_with(NULL, NULL, text);
    struct err e;
    int r = security_options(&s, o, &e);

    box_spec_done(&s);
    return r;
}

static void security_options_are_understood_or_refused(void **state UNUSED)
{
    struct security_options o;

    assert_int_equal(options("seccomp=unconfined", &o), 0);
    assert_true(o.unconfined);
    assert_int_equal(options("seccomp:unconfined", &o), 0);
    assert_true(o.unconfined);
    assert_int_equal(options("seccomp=default", &o), 0);
    assert_false(o.unconfined);
    assert_int_equal(options("no-new-privileges", &o), 0);
    assert_true(o.no_new_privs);
    assert_int_equal(options("no-new-privileges:true", &o), 0);
    assert_true(o.no_new_privs);
    assert_int_equal(options("no-new-privileges=false", &o), 0);
    assert_false(o.no_new_privs);
    assert_int_equal(options("apparmor=unconfined", &o), 0);
    assert_int_equal(options("label=disable", &o), 0);
    assert_int_equal(options("seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}", &o), 0);
    assert_false(o.unconfined);
    assert_int_equal(options("seccomp=/tmp/profile.json", &o), -ERR_INVALID);
    assert_int_equal(options("no-new-privileges=maybe", &o), -ERR_INVALID);
    assert_int_equal(options("whatever", &o), -ERR_INVALID);
}

static void privileged_means_no_limits(void **state UNUSED)
{
    struct box_spec s = { .privileged = true }, plain = { 0 };
    struct security sec = { 0 };
    struct err e = { 0 };

    assert_int_equal(box_security(&s, &sec, &e), 0);
    assert_true(sec.privileged && !sec.seccomp.len && !sec.masked.n && !sec.readonly.n);
    assert_int_equal(box_security(&plain, &sec, &e), 0);
    assert_true(sec.seccomp.len > 0 && sec.seccomp.len % sizeof(struct sock_filter) == 0);
    assert_true(sec.seccomp.len / sizeof(struct sock_filter) <= BPF_MAXINSNS);
    assert_true(sec.masked.n > 5 && sec.readonly.n == 5);
    assert_false(sec.no_new_privs);
    free(sec.seccomp.p);
    strv_done(&sec.masked);
    strv_done(&sec.readonly);
}

/* ---- the filter, loaded ----------------------------------------------- */

#define KILLED (-1000)

/* The errno of a system call made under the filter for these capabilities; 0: it was let through
 * (it may have failed for other reasons than the two the filter gives); KILLED. */
static int try(uint64_t with, long nr, long a0, long a1, long a2)
{
    struct bytes program = { 0 };
    struct sock_fprog prog;
    struct err e = { 0 };
    int status;
    pid_t pid;

    assert_int_equal(seccomp_default(with, &program, &e), 0);
    prog = (struct sock_fprog){ .len = (unsigned short)(program.len / sizeof(struct sock_filter)),
                                .filter = program.p };
    pid = fork();
    if (pid == 0) {
        long r;

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
            _exit(99);
        r = syscall(nr, a0, a1, a2, 0, 0, 0);
        _exit(r < 0 ? errno : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    free(program.p);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : -1;
    assert_int_not_equal(WEXITSTATUS(status), 99);
    return WEXITSTATUS(status);
}

/* Arguments that the kernel itself would answer with EFAULT, EINVAL, EBADF ..., never EPERM, so
 * that an EPERM can only be the filter's. */
static void known_calls_are_denied(void **state UNUSED)
{
    static const long calls[] = {
        SYS_add_key,
        SYS_keyctl,
        SYS_request_key,
        SYS_userfaultfd,
        SYS_io_uring_setup,
        SYS_kexec_load,
        SYS_bpf,
        SYS_init_module,
        SYS_finit_module,
        SYS_delete_module,
        SYS_acct,
        SYS_perf_event_open,
        SYS_swapon,
        SYS_swapoff,
        SYS_reboot,
        SYS_settimeofday,
        SYS_clock_settime,
        SYS_quotactl,
        SYS_lookup_dcookie,
        SYS_open_by_handle_at,
        SYS_fanotify_init,
        SYS_syslog,
        SYS_move_pages,
        SYS_set_mempolicy,
#ifdef SYS_iopl
        SYS_iopl,
        SYS_ioperm,
        SYS_uselib,
        SYS_ustat,
        SYS_sysfs,
#endif
    };

    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        if (try(UINT64_C(0xa80425fb), calls[i], -1, -1, -1) != EPERM)
            fail_msg("system call %ld was not denied", calls[i]);
}

static void capabilities_open_them(void **state UNUSED)
{
    static const struct {
        long nr;
        uint64_t caps;
    } calls[] = {
        { SYS_bpf, CAP(BPF) },
        { SYS_open_by_handle_at, CAP(DAC_READ_SEARCH) },
        { SYS_set_mempolicy, CAP(SYS_NICE) },
        { SYS_clock_settime, CAP(SYS_TIME) },
    };

    /* Made without the capability the kernel says EPERM too: only those that check their
     * arguments first can be told apart. */
    assert_int_equal(try(CAP(SYS_NICE), SYS_set_mempolicy, -1, 0, 0), EINVAL);
    assert_int_not_equal(try(CAP(SYS_TIME), SYS_clock_settime, -1, 0, 0), EPERM);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        assert_int_equal(try(0, calls[i].nr, -1, -1, -1), EPERM);
}

static void what_programs_need_works(void **state UNUSED)
{
    uint64_t with = UINT64_C(0xa80425fb);

    assert_int_equal(try(with, SYS_getpid, 0, 0, 0), 0);
    assert_int_equal(try(with, SYS_personality, 0xffffffff, 0, 0), 0);
    assert_int_equal(try(with, SYS_socket, AF_UNIX, SOCK_STREAM, 0), 0);
    assert_int_equal(try(with, SYS_unshare, 0, 0, 0), 0);
    assert_int_equal(try(with, SYS_setns, -1, 0, 0), EBADF);
    assert_int_equal(try(with, SYS_memfd_create, (long)(uintptr_t) "x", 0, 0), 0);
    assert_int_not_equal(try(with, SYS_mount, 0, 0, 0), ENOSYS);
    assert_int_equal(try(with, SYS_clone3, 0, 0, 0), EINVAL);
}

static void arguments_are_looked_at(void **state UNUSED)
{
    assert_int_equal(try(0, SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */, 0, 0), ENOSYS);
}

static void newer_calls_do_not_exist(void **state UNUSED)
{
    assert_int_equal(try(0, 1000, 0, 0, 0), ENOSYS);
}

#ifdef __x86_64__
static void another_architecture_is_killed(void **state UNUSED)
{
    assert_int_equal(try(0, 0x40000000 | SYS_getpid, 0, 0, 0), KILLED); /* x32 */
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_dockers),
        cmocka_unit_test(security_options_are_understood_or_refused),
        cmocka_unit_test(privileged_means_no_limits),
        cmocka_unit_test(known_calls_are_denied),
        cmocka_unit_test(capabilities_open_them),
        cmocka_unit_test(what_programs_need_works),
        cmocka_unit_test(arguments_are_looked_at),
        cmocka_unit_test(newer_calls_do_not_exist),
#ifdef __x86_64__
        cmocka_unit_test(another_architecture_is_killed),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
