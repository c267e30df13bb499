/* What a program that is started as QEMU is may open: seen through cat and touch. */
#include "util/landlock.h"
#include "util/own.h"
#include "util/spawn.h"
#include "util/str.h"
#include "vmm/qemu/vm.h"

#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

static char dir[] = "/tmp/a3s-unit-confine-XXXXXX";
static char kernel[64], secret[64], fresh[64];

static int make_files(void **state UNUSED)
{
    const char *const names[] = { kernel, secret };

    assert_non_null(mkdtemp(dir));
    (void)snprintf(kernel, sizeof(kernel), "%s/vmlinux", dir);
    (void)snprintf(secret, sizeof(secret), "%s/state.db", dir);
    (void)snprintf(fresh, sizeof(fresh), "%s/new", dir);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        close(open(names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    return 0;
}

static int remove_files(void **state UNUSED)
{
    (void)unlink(kernel);
    (void)unlink(secret);
    (void)unlink(fresh);
    return rmdir(dir);
}

/* The exit status of `program file`, or of its start (127). */
static int run(int rules, const char *program, const char *file)
{
    const char *argv[] = { program, file, NULL };
    struct spawn s = { .argv = argv, .no_new_privs = true, .landlock_rules = rules };
    struct err e;
    int status;
    pid_t pid;

    if (spawn_start(&s, &pid, NULL, &e) < 0)
        return 127;
    assert_int_equal(spawn_wait(pid, &status, &e), 0);
    return status;
}

static int rules_for(const char *program)
{
    struct vm_config c = { .kernel = kernel };
    struct err e;
    int rules = -1;

    assert_int_equal(qemu_confine(&c, program, &rules, &e), 0);
    if (rules < 0)
        skip(); /* this kernel has no Landlock */
    return rules;
}

static void the_installation_and_the_kernel_are_read(void **state UNUSED)
{
    autofd int rules = rules_for("/usr/bin/env");

    assert_int_equal(run(rules, "/usr/bin/cat", kernel), 0);
    assert_int_equal(run(rules, "/usr/bin/cat", "/usr/bin/env"), 0);
    assert_int_equal(run(rules, "/usr/bin/cat", "/dev/null"), 0);
}

static void nothing_else_is(void **state UNUSED)
{
    autofd int rules = rules_for("/usr/bin/env");

    assert_int_equal(run(rules, "/usr/bin/cat", secret), 1);
    assert_int_equal(run(rules, "/usr/bin/cat", "/etc/passwd"), 1);
    assert_int_equal(run(rules, "/usr/bin/ls", dir), 2);
    assert_int_equal(run(rules, "/usr/bin/touch", fresh), 1);
    assert_int_equal(access(fresh, F_OK), -1);
    assert_int_equal(run(0, "/usr/bin/cat", secret), 0); /* it is the rules */
}

/* One outside of /usr may have its parts anywhere; it writes nowhere all the same. */
static void a_program_from_elsewhere_only_reads(void **state UNUSED)
{
    autofd int rules = rules_for(secret);

    assert_int_equal(run(rules, "/usr/bin/cat", secret), 0);
    assert_int_equal(run(rules, "/usr/bin/touch", fresh), 1);
    assert_int_equal(access(fresh, F_OK), -1);
}

static void what_is_not_allowed_is_not_executed(void **state UNUSED)
{
    struct err e;
    autofd int rules = -1;

    assert_int_equal(landlock_new(&rules, &e), 0);
    if (rules < 0)
        skip();
    assert_int_equal(landlock_allow(rules, "/nowhere/at/all", MAY_READ, &e), 0);
    assert_int_equal(landlock_allow(rules, dir, MAY_WRITE, &e), 0);
    assert_int_equal(run(rules, "/usr/bin/cat", kernel), 127);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_installation_and_the_kernel_are_read),
        cmocka_unit_test(nothing_else_is),
        cmocka_unit_test(a_program_from_elsewhere_only_reads),
        cmocka_unit_test(what_is_not_allowed_is_not_executed),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
