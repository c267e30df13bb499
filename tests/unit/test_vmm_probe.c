#include "util/fs.h"
#include "util/own.h"
#include "vmm/boot_cache.h"
#include "vmm/probe.h"
#include "vmm/tsc.h"

#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int setup(void **state)
{
    char *dir = strdup("/tmp/a3s-unit.XXXXXX");

    *state = dir;
    return dir && mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    struct err e;
    int r = fs_remove_tree(AT_FDCWD, *state, &e);

    free(*state);
    return r;
}

static void write_cache(const char *dir, const char *text)
{
    autofree char *path = str_format("%s/fact", dir);
    struct err e;

    assert_int_equal(fs_write_file(AT_FDCWD, path, text, strlen(text), 0600, &e), 0);
}

static void facts_are_kept_for_their_key(void **state)
{
    char got[64];

    assert_false(boot_cache_get(*state, "fact", "key", got, sizeof(got)));
    boot_cache_put(*state, "fact", "key", "the value");
    assert_true(boot_cache_get(*state, "fact", "key", got, sizeof(got)));
    assert_string_equal(got, "the value");
    assert_false(boot_cache_get(*state, "fact", "key2", got, sizeof(got)));
    assert_false(boot_cache_get(*state, "fact", "ke", got, sizeof(got)));
    assert_false(boot_cache_get(*state, "fact", "key", got, 9)); /* no room for the NUL */
    assert_false(boot_cache_get(NULL, "fact", "key", got, sizeof(got)));
}

static void damaged_facts_do_not_count(void **state)
{
    autostr text = STR_INIT(4096);
    autofree char *path = str_format("%s/fact", (char *)*state);
    struct err e;
    char got[64];

    boot_cache_put(*state, "fact", "key", "value");
    assert_int_equal(fs_read_file(AT_FDCWD, path, &text, &e), 0);
    for (size_t len = 0; len < text.len; len++) {
        assert_int_equal(fs_write_file(AT_FDCWD, path, text.p, len, 0600, &e), 0);
        assert_false(boot_cache_get(*state, "fact", "key", got, sizeof(got)));
    }
    write_cache(*state, "00000000-0000-0000-0000-000000000000\nkey\nvalue\n"); /* another boot */
    assert_false(boot_cache_get(*state, "fact", "key", got, sizeof(got)));
}

static void the_verdict_is_the_same_from_the_cache(void **state)
{
    struct kvm_probe first, second;

    kvm_probe(*state, &first);
    kvm_probe(*state, &second);
    assert_int_equal(first.works, second.works);
    assert_string_equal(first.reason, second.reason);
    assert_true(first.reason[0] != '\0');
}

static void kvm_is_never_downgraded(void **state)
{
    struct kvm_probe probe;
    enum vm_accel accel;
    struct err e;
    int r;

    assert_int_equal(vm_accel_resolve(VM_ACCEL_AUTO, *state, &accel, &probe, &e), 0);
    assert_int_equal(accel, probe.works ? VM_ACCEL_KVM : VM_ACCEL_TCG);
    r = vm_accel_resolve(VM_ACCEL_KVM, *state, &accel, NULL, &e);
    assert_int_equal(r, probe.works ? 0 : -ERR_UNAVAILABLE);
    if (r < 0)
        assert_non_null(strstr(e.text, probe.reason));
    assert_int_equal(vm_accel_resolve(VM_ACCEL_TCG, *state, &accel, NULL, &e), 0);
    assert_int_equal(accel, VM_ACCEL_TCG);
}

static void accelerators_have_names(void **state UNUSED)
{
    enum vm_accel accel;
    struct err e;

    for (int i = 0; i < VM_ACCEL_N; i++) {
        assert_int_equal(vm_accel_parse(vm_accel_name((enum vm_accel)i), &accel, &e), 0);
        assert_int_equal(accel, i);
    }
    assert_int_equal(vm_accel_parse("xen", &accel, &e), -ERR_INVALID);
}

/* Two measurements agree to 1 in 1000, or there is no counter. */
static void the_rate_of_the_tsc_is_stable(void **state)
{
    uint64_t a = tsc_khz(NULL), b = tsc_khz(NULL), kept = tsc_khz(*state);

    if (a == 0)
        skip();
    assert_in_range(b, a - a / 1000, a + a / 1000);
    assert_int_equal(tsc_khz(*state), kept);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(facts_are_kept_for_their_key),
        T(damaged_facts_do_not_count),
        T(the_verdict_is_the_same_from_the_cache),
        T(kvm_is_never_downgraded),
        T(accelerators_have_names),
        T(the_rate_of_the_tsc_is_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
