#include "vmm/qemu/args.h"

#include "unit.h"

#include <unistd.h>

static const struct vm_disk disks[] = {
    { .id = "rootfs", .path = "/a,b.ext4", .lun = 0, .read_only = true },
    { .id = "disk", .path = "/rw", .lun = 3 },
};

static struct vm_config config(void)
{
    return (struct vm_config){
        .name = "box",
        .memory_bytes = ((uint64_t)256 << 20) + 1,
        .vcpus = 2,
        .kernel = "/k,1",
        .initramfs = "/i",
        .disks = disks,
        .disks_n = 2,
    };
}

/* The value that follows `option` for the nth time, or NULL. */
static const char *value(const struct qemu_args *a, const char *option, int nth)
{
    for (size_t i = 1; i + 1 < a->n; i++)
        if (strcmp(a->argv[i], option) == 0 && nth-- == 0)
            return a->argv[i + 1];
    return NULL;
}

static bool has(const struct qemu_args *a, const char *option, const char *part)
{
    const char *v;

    for (int nth = 0; (v = value(a, option, nth)); nth++)
        if (strstr(v, part))
            return true;
    return false;
}

static void build(const struct vm_config *c, enum vm_accel accel, struct qemu_args *ret)
{
    struct err e;

    assert_int_equal(qemu_args_build(c, accel, 2500000, ret, &e), 0);
}

static void every_machine_is_jailed_and_bare(void **state UNUSED)
{
    struct vm_config c = config();
    struct qemu_args a;

    build(&c, VM_ACCEL_TCG, &a);
    assert_string_equal(value(&a, "-sandbox", 0), "on,obsolete=deny,elevateprivileges=deny,"
                                                  "spawn=deny,resourcecontrol=deny");
    assert_string_equal(value(&a, "-kernel", 0), "/k,1");
    assert_string_equal(value(&a, "-m", 0), "257M"); /* rounded up */
    assert_true(has(&a, "-device", "name=" VM_CHANNEL_PORT));
    assert_true(has(&a, "-global", "virtio-mmio.force-legacy=false"));
    assert_true(has(&a, "-add-fd", "opaque=/a,,b.ext4"));
    qemu_args_done(&a);
}

static void the_rate_of_the_tsc_is_stated_under_tcg_only(void **state UNUSED)
{
    struct vm_config c = config();
    struct qemu_args a;

    build(&c, VM_ACCEL_TCG, &a);
    assert_true(has(&a, "-append", " tsc=reliable tsc_early_khz=2500000 lpj=10000000"));
    assert_true(has(&a, "-append", "console=ttyS0 quiet initcall_blacklist="));
    assert_true(has(&a, "-append", " reboot=t panic=-1 "));
    qemu_args_done(&a);
    build(&c, VM_ACCEL_KVM, &a);
    assert_false(has(&a, "-append", "tsc_early_khz"));
    assert_false(has(&a, "-append", "mitigations"));
    assert_string_equal(value(&a, "-accel", 0), "kvm");
    qemu_args_done(&a);
}

static void disks_are_descriptors(void **state UNUSED)
{
    static const struct vm_disk many[VM_BOOT_DISKS + 1] = {
        { .id = "a", .path = "/a", .lun = 0 },
        { .id = "b", .path = "/b", .lun = 1 },
        { .id = "c", .path = "/c", .lun = 2 },
    };
    struct vm_config c = config();
    struct qemu_args a;
    json_t *node;

    build(&c, VM_ACCEL_TCG, &a);
    node = json_loads(value(&a, "-blockdev", 0), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(node, "filename")), "/dev/fdset/7");
    assert_true(json_is_true(json_object_get(node, "read-only")));
    json_decref(node);
    node = json_loads(value(&a, "-blockdev", 3), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(node, "node-name")), "disk-disk");
    assert_string_equal(json_string_value(json_object_get(node, "discard")), "unmap");
    json_decref(node);
    assert_true(has(&a, "-device", "\"serial\":\"disk-3\""));
    assert_null(value(&a, "-blockdev", 4));
    qemu_args_done(&a);
    c.disks = many; /* the third is on the controller */
    c.disks_n = VM_BOOT_DISKS + 1;
    build(&c, VM_ACCEL_TCG, &a);
    assert_true(has(&a, "-device", "\"serial\":\"disk-1\""));
    assert_true(has(&a, "-device", "\"lun\":2"));
    assert_false(has(&a, "-device", "\"lun\":1"));
    qemu_args_done(&a);
}

static void the_card_is_always_there(void **state UNUSED)
{
    struct vm_config c = config();
    struct qemu_args a;

    build(&c, VM_ACCEL_TCG, &a);
    assert_true(has(&a, "-device", "virtio-net-device,id=nic"));
    assert_false(has(&a, "-netdev", "stream"));
    qemu_args_done(&a);
    c.net = VM_NET_STREAM;
    memcpy(c.mac, "\x02\x00\x00\x00\x00\xff", 6);
    build(&c, VM_ACCEL_TCG, &a);
    assert_true(has(&a, "-netdev", "stream,id=net,server=off,addr.type=fd,addr.str=6"));
    assert_true(has(&a, "-device", "mac=02:00:00:00:00:ff"));
    qemu_args_done(&a);
}

/* As many as cost nothing, none of them brought up. */
static void cpus_for_later_are_there_from_the_start(void **state UNUSED)
{
    long host = sysconf(_SC_NPROCESSORS_ONLN);
    struct vm_config c = config();
    struct qemu_args a;
    char want[32];

    build(&c, VM_ACCEL_TCG, &a);
    assert_string_equal(value(&a, "-smp", 0), "cpus=2");
    assert_false(has(&a, "-append", "maxcpus="));
    qemu_args_done(&a);
    c.vcpus_max = 64;
    build(&c, VM_ACCEL_TCG, &a);
    assert_string_equal(value(&a, "-smp", 0), "cpus=4");
    assert_true(has(&a, "-append", " maxcpus=2"));
    qemu_args_done(&a);
    build(&c, VM_ACCEL_KVM, &a);
    (void)snprintf(want, sizeof(want), "cpus=%ld", host < 2 ? 2 : host < 16 ? host : 16);
    assert_string_equal(value(&a, "-smp", 0), want);
    qemu_args_done(&a);
    c.vcpus = 24;
    build(&c, VM_ACCEL_KVM, &a);
    assert_string_equal(value(&a, "-smp", 0), "cpus=24");
    assert_false(has(&a, "-append", "maxcpus="));
    qemu_args_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_machine_is_jailed_and_bare),
        cmocka_unit_test(the_rate_of_the_tsc_is_stated_under_tcg_only),
        cmocka_unit_test(disks_are_descriptors),
        cmocka_unit_test(the_card_is_always_there),
        cmocka_unit_test(cpus_for_later_are_there_from_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
