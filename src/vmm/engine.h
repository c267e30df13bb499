/*
 * The VMM seam: nothing above this header knows which program or which kernel interface runs a
 * virtual machine.
 *
 * An engine is a table of operations. `start` returns a `struct vm` that the caller owns; from
 * then on everything happens on the caller's loop, in the caller's thread, and nothing blocks:
 * what takes time has a `struct vm_reply` that is answered later.
 *
 * A machine has, always in this order and the same for a boot and a restore: one virtio-serial
 * port named VM_CHANNEL_PORT, the console, one virtio-scsi controller, one network card, a
 * balloon, a source of entropy. Up to VM_BOOT_DISKS disks of a boot are virtio-blk, which the
 * guest finds faster; all others are on the controller and may come and go.
 *
 * This directory knows nothing of boxes, images or containers.
 */
#pragma once

#include "util/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define VM_CHANNEL_PORT     "a3s.channel" /* /sys/class/virtio-ports/<port>/name in the guest */
#define VM_DISKS_MAX        8             /* at boot; more can be plugged in later */
#define VM_BOOT_DISKS       2             /* the first of a boot: virtio-mmio has eight places */
#define VM_BOOT_DISK_SERIAL "disk-%u"     /* their serial numbers; the argument is the lun */
#define VM_LUN_MAX          255 /* QEMU's virtio-scsi has 16384; 8 bits need no thought */
#define VM_DISK_ID_MAX      31
#define VM_VCPUS_MAX        255
#define VM_MEMORY_MIN       ((uint64_t)80 << 20) /* Debian's kernel panics with 64 MiB */
#define VM_MEMORY_MAX       ((uint64_t)4 << 40) /* well below any guest's physical address width */
#define VM_CONSOLE_MAX      ((size_t)1 << 20)   /* kept of it: a guest must not fill disks */

#define VM_ACCELS(X) X(AUTO, "auto") X(KVM, "kvm") X(TCG, "tcg")
enum vm_accel {
#define X(name, text) VM_ACCEL_##name,
    VM_ACCELS(X)
#undef X
        VM_ACCEL_N,
};

const char *vm_accel_name(enum vm_accel accel);
/* INVALID, naming the text. */
int vm_accel_parse(const char *text, enum vm_accel *ret, struct err *e) MUST_CHECK;

/* A raw disk image. The guest sees the first VM_BOOT_DISKS of a boot by their serial number, any
 * other at SCSI address 0:0:<target>:<lun> with target = 0, serial number = id. Read-only images
 * may be shared by any number of machines; a writable one that is in use elsewhere is refused. */
struct vm_disk {
    const char *id;   /* [a-z0-9][a-z0-9-]*, at most VM_DISK_ID_MAX, unique in the machine */
    const char *path; /* a regular file or block device */
    unsigned lun;     /* 0 to VM_LUN_MAX, unique in the machine: how the guest finds it */
    bool read_only;
};

enum vm_net {
    VM_NET_NONE,   /* the card is there, its link is down */
    VM_NET_STREAM, /* Ethernet frames over net_fd: u32 big-endian length, frame */
};

struct vm_config {
    const char *vmm;  /* the engine's program; NULL: the usual one from PATH */
    const char *name; /* [a-zA-Z0-9._-]*, shown in process lists; NULL for none */
    enum vm_accel accel;
    const char *accel_cache_dir; /* where the probe's verdict is kept; NULL: probe each time */
    uint64_t memory_bytes;
    unsigned vcpus;        /* that the guest's kernel brings up as it boots */
    unsigned vcpus_max;    /* ... and may bring up later, as far as that does not cost the start;
                              0: no more than vcpus. vm_engine.vcpus_max() says what became of it */
    const char *kernel;    /* vmlinux, ELF with a PVH entry */
    const char *initramfs; /* NULL for none */
    const char *cmdline_extra; /* appended to the engine's own kernel command line; may be NULL */
    int channel_fd;            /* stream socket: the host end of the channel port. Borrowed: the
                                  engine passes a copy on, the caller closes its own after start */
    int console_fd;            /* what the kernel prints is written here, at most VM_CONSOLE_MAX
                                  bytes; -1: nowhere. Borrowed until the end of the machine */
    const struct vm_disk *disks;
    size_t disks_n;
    enum vm_net net;
    int net_fd;     /* with VM_NET_STREAM. Borrowed as above */
    uint8_t mac[6]; /* all zero: the engine's default */
    bool debug;     /* kernel messages on the console from its first instruction (slower) */
};

#define VM_ENDS(X)                                                                               \
    X(GUEST, "guest ended") /* the guest reset or powered off: the regular end */                \
    X(PANIC, "guest panic") /* the guest kernel panicked; text has its line */                   \
    X(KILLED, "killed")     /* by vm_kill() or vm_quit() */                                      \
    X(FAILED, "VMM failed") /* the VMM did not start or broke down; text has its message */
enum vm_end {
#define X(name, text) VM_END_##name,
    VM_ENDS(X)
#undef X
        VM_END_N,
};

struct vm_exit {
    enum vm_end end;
    char text[512]; /* for people; "" with VM_END_GUEST */
};

/* Who is told. Embedded in the caller's object; borrowed by the machine for its life. */
struct vm_listener {
    /* Once, when the VMM is gone and reaped. The handler may call vm_free(). */
    void (*exited)(struct vm_listener *l, const struct vm_exit *exit);
};

/* An answer to come. Embedded in the caller's object, borrowed until answered; a machine that
 * ends or is freed answers everything outstanding first. */
struct vm_reply {
    void (*done)(struct vm_reply *reply, const struct err *failure); /* failure NULL: it worked */
};

struct vm_stats {
    uint64_t resident_bytes; /* host memory held by the VMM, guest memory included */
    uint64_t cpu_ns;         /* host CPU time used */
};

struct vm;

struct vm_engine {
    const char *name;

    /* Starts a machine. What is wrong with the configuration or with this host fails here;
     * what the VMM finds out later comes as VM_END_FAILED. */
    int (*start)(const struct vm_config *config, struct loop *loop, struct vm_listener *listener,
                 struct vm **ret, struct err *e);
    /* Kills what still runs, without calling the listener. NULL is fine. */
    void (*free)(struct vm *vm);

    void (*pause)(struct vm *vm, struct vm_reply *reply); /* all vCPUs stop */
    void (*resume)(struct vm *vm, struct vm_reply *reply);
    void (*kill)(struct vm *vm); /* SIGKILL to the VMM; `exited` follows */
    void (*quit)(struct vm *vm); /* the VMM ends by itself, disks flushed; `exited` follows */
    void (*set_link)(struct vm *vm, bool up, struct vm_reply *reply);
    /* Take memory from the guest, or give it back, up to what the machine was started with. The
     * answer says that the balloon knows its size; the guest follows as it finds pages. */
    void (*set_memory)(struct vm *vm, uint64_t bytes, struct vm_reply *reply);
    /* Hot-plug. `disk` is read during the call only. */
    void (*disk_add)(struct vm *vm, const struct vm_disk *disk, struct vm_reply *reply);
    /* Answered when the guest has let go of it and the image is closed. Not for the first disks
     * of a boot: UNSUPPORTED or what the VMM says. */
    void (*disk_remove)(struct vm *vm, const char *id, struct vm_reply *reply);

    unsigned (*vcpus_max)(const struct vm *vm);  /* that the machine has, started or not */
    pid_t (*pid)(const struct vm *vm);           /* of the VMM process */
    enum vm_accel (*accel)(const struct vm *vm); /* KVM or TCG: what it runs on */
    int (*stats)(const struct vm *vm, struct vm_stats *ret, struct err *e);
    /* The last bytes of the console, as a string: why a guest hangs at boot. */
    void (*console_tail)(const struct vm *vm, char *ret, size_t size);
};

/* The head of every engine's machine. */
struct vm {
    const struct vm_engine *engine;
};

extern const struct vm_engine vm_engine_qemu;

const char *vm_end_name(enum vm_end end);

/* Checks what every engine needs (sizes, ids, duplicates); INVALID or LIMIT name the culprit. */
int vm_config_check(const struct vm_config *config, struct err *e) MUST_CHECK;
int vm_disk_check(const struct vm_disk *disk, struct err *e) MUST_CHECK;

static inline void vm_free(struct vm *vm)
{
    if (vm)
        vm->engine->free(vm);
}

static inline void vm_pause(struct vm *vm, struct vm_reply *reply)
{
    vm->engine->pause(vm, reply);
}

static inline void vm_resume(struct vm *vm, struct vm_reply *reply)
{
    vm->engine->resume(vm, reply);
}

static inline void vm_kill(struct vm *vm)
{
    vm->engine->kill(vm);
}

static inline void vm_quit(struct vm *vm)
{
    vm->engine->quit(vm);
}

static inline void vm_set_link(struct vm *vm, bool up, struct vm_reply *reply)
{
    vm->engine->set_link(vm, up, reply);
}

static inline void vm_set_memory(struct vm *vm, uint64_t bytes, struct vm_reply *reply)
{
    vm->engine->set_memory(vm, bytes, reply);
}

static inline void vm_disk_add(struct vm *vm, const struct vm_disk *disk, struct vm_reply *reply)
{
    vm->engine->disk_add(vm, disk, reply);
}

static inline void vm_disk_remove(struct vm *vm, const char *id, struct vm_reply *reply)
{
    vm->engine->disk_remove(vm, id, reply);
}
