#include "vmm/qemu/args.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

void qemu_args_done(struct qemu_args *a)
{
    for (size_t i = 0; i < a->n; i++)
        free((char *)a->argv[i]);
    a->n = 0;
    a->argv[0] = NULL;
}

static void add_own(struct qemu_args *a, char *own)
{
    if (!own || a->n == QEMU_ARGS_MAX) {
        a->failed = true;
        free(own);
        return;
    }
    a->argv[a->n++] = own;
    a->argv[a->n] = NULL;
}

static void add(struct qemu_args *a, const char *option, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void add(struct qemu_args *a, const char *option, const char *fmt, ...)
{
    struct str value = STR_INIT(65536);
    va_list ap;

    add_own(a, strdup(option));
    va_start(ap, fmt);
    (void)str_vaddf(&value, fmt, ap);
    va_end(ap);
    add_own(a, str_take(&value));
    str_done(&value);
}

static void add_json(struct qemu_args *a, const char *option, json_t *own)
{
    add_own(a, strdup(option));
    add_own(a, own ? json_dumps(own, JSON_COMPACT) : NULL);
    json_decref(own);
}

/* Host page cache, and the guest's flushes reach the disk: what docker's overlay on a host file
 * system promises. Locking keeps a writable image from two machines; readers share. */
json_t *qemu_file_node(const struct vm_disk *disk, int fdset)
{
    char file[64], node[64];

    (void)snprintf(file, sizeof(file), "/dev/fdset/%d", fdset);
    (void)snprintf(node, sizeof(node), QEMU_FILE_PREFIX "%s", disk->id);
    return json_pack("{ssssssssssso*so*}", "driver", "file", "filename", file, "node-name", node,
                     "locking", "on", "discard", disk->read_only ? "ignore" : "unmap",
                     "read-only", json_boolean(disk->read_only), "cache",
                     json_pack("{sbsb}", "direct", 0, "no-flush", 0));
}

json_t *qemu_raw_node(const struct vm_disk *disk)
{
    char file[64], node[64];

    (void)snprintf(file, sizeof(file), QEMU_FILE_PREFIX "%s", disk->id);
    (void)snprintf(node, sizeof(node), QEMU_NODE_PREFIX "%s", disk->id);
    return json_pack("{ssssssssso*}", "driver", "raw", "node-name", node, "file", file, "discard",
                     disk->read_only ? "ignore" : "unmap", "read-only",
                     json_boolean(disk->read_only));
}

json_t *qemu_disk_device(const struct vm_disk *disk)
{
    char node[64];

    (void)snprintf(node, sizeof(node), QEMU_NODE_PREFIX "%s", disk->id);
    /* A full host is the guest's I/O error. The default would stop the machine without a word. */
    return json_pack("{sssssssisisisssssissss}", "driver", "scsi-hd", "bus", "scsi.0", "drive",
                     node, "channel", 0, "scsi-id", 0, "lun", (int)disk->lun, "id", disk->id,
                     "serial", disk->id, "rotation_rate", 1, "werror", "report", "rerror",
                     "report");
}

/* Found without a scan and without the dozen commands that a SCSI disk is asked before its first
 * block is read: 60 ms of a start. Cannot be removed. */
static json_t *boot_disk_device(const struct vm_disk *disk)
{
    char node[64], serial[16];

    (void)snprintf(node, sizeof(node), QEMU_NODE_PREFIX "%s", disk->id);
    (void)snprintf(serial, sizeof(serial), VM_BOOT_DISK_SERIAL, disk->lun);
    return json_pack("{sssssssssbssss}", "driver", "virtio-blk-device", "drive", node, "id",
                     disk->id, "serial", serial, "discard", 1, "werror", "report", "rerror",
                     "report");
}

/* Without ERMS: with it the kernel copies by REP MOVSB, which TCG emulates byte by byte. Without,
 * booting takes a quarter less CPU time, output from the guest a third. */
#define QEMU_TCG_CPU "max,la57=off,erms=off"

/* microvm cannot plug CPUs in: those for later are there from the start, and the kernel does not
 * bring them up (maxcpus=). Under KVM each costs a thread that waits and 250 KiB of the guest's
 * memory, and more than the host has are of no use. Under TCG every change of code empties the
 * jump caches of all of them. */
#define SPARE_KVM 16
#define SPARE_TCG 4

unsigned qemu_cpus_max(const struct vm_config *c, enum vm_accel accel)
{
    long host = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned most = host > 0 && host < SPARE_KVM ? (unsigned)host : SPARE_KVM;
    unsigned max;

    if (accel == VM_ACCEL_TCG)
        most = SPARE_TCG;
    max = c->vcpus_max < most ? c->vcpus_max : most;
    return max > c->vcpus ? max : c->vcpus;
}

/* -M microvm: fixed for boot and restore. reboot=t and panic=-1 make every end of the guest a
 * reset, which -no-reboot makes the end of QEMU. */
static void add_machine(struct qemu_args *a, const struct vm_config *c, enum vm_accel accel)
{
    if (c->name)
        add(a, "-name", "%s", c->name);
    add(a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    add_own(a, strdup("-nodefaults"));
    add_own(a, strdup("-no-user-config"));
    add_own(a, strdup("-no-reboot"));
    add(a, "-display", "none");
    add(a, "-accel", accel == VM_ACCEL_KVM ? "kvm" : "tcg,thread=multi");
    add(a, "-M", "microvm,x-option-roms=off,rtc=on,mem-merge=off,dump-guest-core=off");
    /* The default, SeaBIOS, never reaches the kernel with QEMU 10 (Debian 13). */
    add(a, "-bios", "qboot.rom");
    add(a, "-cpu", accel == VM_ACCEL_KVM ? "host" : QEMU_TCG_CPU);
    add(a, "-smp", "cpus=%u", qemu_cpus_max(c, accel));
    add(a, "-m", "%juM", (uintmax_t)((c->memory_bytes + ((1 << 20) - 1)) >> 20));
    add(a, "-global", "virtio-mmio.force-legacy=false");
}

/* What no box uses and every boot pays for: trace events and their files, and the self-tests of
 * the kernel's crypto. docs/measurements-vmm.md has the numbers. */
#define NO_TRACING                                                                               \
    "initcall_blacklist=trace_eval_init,trace_eval_sync,tracer_init_tracefs,init_kprobe_trace,"  \
    "init_blk_tracer,ftrace_check_for_weak_functions"

/* Under TCG the kernel would measure its TSC against an emulated PIT, which fails on a busy host
 * and hangs the boot: state the rate. All of QEMU's CPUs read the host's counter, so it is
 * reliable: without that word the guest's clock has steps of 4 ms. With lpj the further CPUs need
 * not count loops against the timer, which takes 50 ms each and can hang on a busy host, too.
 * Mitigations of speculation have no meaning for a translated CPU. */
#define GUEST_HZ 250 /* Debian's; with another one only the shortest delays are off */

static void add_tcg_words(struct str *line, const struct vm_config *c, uint64_t tsc_khz)
{
    (void)str_adds(line, " mitigations=off");
    if (c->vcpus == 1) /* else every LOCK prefix is patched out: 17,000 flushes of the TLB */
        (void)str_adds(line, " noreplace-smp");
    if (tsc_khz > 0)
        (void)str_addf(line, " tsc=reliable tsc_early_khz=%ju lpj=%ju", (uintmax_t)tsc_khz,
                       (uintmax_t)tsc_khz * 1000 / GUEST_HZ);
}

/* The console is the ISA UART: it costs no more than a virtio console as long as the kernel is
 * quiet, and shows a panic or a hang that comes before the virtio modules are loaded. */
static void add_kernel(struct qemu_args *a, const struct vm_config *c, enum vm_accel accel,
                       uint64_t tsc_khz)
{
    struct str line = STR_INIT(2000); /* COMMAND_LINE_SIZE is 2048 */

    (void)str_addf(&line, "console=ttyS0 %s reboot=t panic=-1 pci=off cryptomgr.notests",
                   c->debug ? "earlyprintk=serial,ttyS0 ignore_loglevel" : "quiet " NO_TRACING);
    if (qemu_cpus_max(c, accel) > c->vcpus)
        (void)str_addf(&line, " maxcpus=%u", c->vcpus);
    if (accel == VM_ACCEL_TCG)
        add_tcg_words(&line, c, tsc_khz);
    if (c->cmdline_extra && c->cmdline_extra[0])
        (void)str_addf(&line, " %s", c->cmdline_extra);
    add(a, "-kernel", "%s", c->kernel);
    if (c->initramfs)
        add(a, "-initrd", "%s", c->initramfs);
    add_own(a, strdup("-append"));
    add_own(a, str_take(&line));
    str_done(&line);
}

static void add_channel(struct qemu_args *a)
{
    add(a, "-chardev", "socket,id=qmp,fd=%d", QEMU_FD_QMP);
    add(a, "-mon", "chardev=qmp,mode=control");
    add(a, "-chardev", "socket,id=channel,fd=%d", QEMU_FD_CHANNEL);
    add(a, "-chardev", "socket,id=console,fd=%d", QEMU_FD_CONSOLE);
    add(a, "-device", "virtio-serial-device,id=serial,max_ports=2");
    add(a, "-serial", "chardev:console");
    add(a, "-device", "virtserialport,bus=serial.0,nr=1,chardev=channel,name=" VM_CHANNEL_PORT);
}

/* The path is for people who look at the process list. */
static void add_fd(struct qemu_args *a, int fd, const char *path)
{
    struct str value = STR_INIT(65536);

    (void)str_addf(&value, "fd=%d,set=%d,opaque=", fd, fd);
    for (const char *p = path; *p; p++) /* QEMU's options escape a comma by a comma */
        (void)str_adds(&value, *p == ',' ? ",," : (char[]){ *p, '\0' });
    add_own(a, strdup("-add-fd"));
    add_own(a, str_take(&value));
    str_done(&value);
}

static void add_disks(struct qemu_args *a, const struct vm_config *c)
{
    add(a, "-device", "virtio-scsi-device,id=scsi");
    for (size_t i = 0; i < c->disks_n; i++) {
        const struct vm_disk *d = &c->disks[i];
        int fd = QEMU_FD_DISK + (int)i;

        add_fd(a, fd, d->path);
        add_json(a, "-blockdev", qemu_file_node(d, fd));
        add_json(a, "-blockdev", qemu_raw_node(d));
        add_json(a, "-device", i < VM_BOOT_DISKS ? boot_disk_device(d) : qemu_disk_device(d));
    }
}

static void add_net(struct qemu_args *a, const struct vm_config *c)
{
    static const uint8_t unset[6];
    static const uint8_t usual[6] = { 0x52, 0x54, 0x00, 0xa3, 0x50, 0x01 };
    const uint8_t *m = memcmp(c->mac, unset, sizeof(unset)) == 0 ? usual : c->mac;

    if (c->net == VM_NET_STREAM)
        add(a, "-netdev", "stream,id=net,server=off,addr.type=fd,addr.str=%d", QEMU_FD_NET);
    else
        add(a, "-netdev", "hubport,id=net,hubid=0");
    add(a, "-device", "virtio-net-device,id=nic,netdev=net,mac=%02x:%02x:%02x:%02x:%02x:%02x",
        m[0], m[1], m[2], m[3], m[4], m[5]);
}

int qemu_args_build(const struct vm_config *c, enum vm_accel accel, uint64_t tsc_khz,
                    struct qemu_args *ret, struct err *e)
{
    struct qemu_args a = { .n = 0 };

    /* argv[0] is looked up in PATH by spawn. */
    add_own(&a, strdup(c->vmm ? c->vmm : QEMU_PROGRAM));
    add_machine(&a, c, accel);
    add_kernel(&a, c, accel, tsc_khz);
    add_channel(&a);
    add_disks(&a, c);
    add_net(&a, c);
    add(&a, "-device", "virtio-balloon-device,id=balloon,deflate-on-oom=on");
    add(&a, "-object", "rng-builtin,id=entropy");
    add(&a, "-device", "virtio-rng-device,id=rng,rng=entropy");
    if (a.failed) {
        qemu_args_done(&a);
        return err_set(e, ERR_INVALID, "QEMU's command line is too long");
    }
    *ret = a;
    return 0;
}
