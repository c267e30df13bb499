/* The QEMU command line of a machine: design.md, "The QEMU machine". Internal to the engine. */
#pragma once

#include "util/str.h"
#include "vmm/engine.h"

#include <jansson.h>

/* Where the child finds its descriptors. */
enum {
    QEMU_FD_CHANNEL = 3,
    QEMU_FD_QMP,
    QEMU_FD_CONSOLE,
    QEMU_FD_NET,
    QEMU_FD_DISK, /* and the following: one for each boot disk, in their order */
};

#define QEMU_ARGS_MAX 128

#if defined(__x86_64__)
#define QEMU_PROGRAM "qemu-system-x86_64"
#elif defined(__aarch64__)
#define QEMU_PROGRAM "qemu-system-aarch64"
#else
#error "No guest for this architecture"
#endif

struct qemu_args {
    const char *argv[QEMU_ARGS_MAX + 1]; /* NULL-terminated, each one owned */
    size_t n;
    bool failed;
};

void qemu_args_done(struct qemu_args *a);

/* Everything decided: `config` has been checked, `accel` is KVM or TCG, tsc_khz is the rate of
 * this host's TSC (TCG only, 0 when unknown). */
int qemu_args_build(const struct vm_config *config, enum vm_accel accel, uint64_t tsc_khz,
                    struct qemu_args *ret, struct err *e) MUST_CHECK;

/* How many CPUs the machine gets, those for later included. */
unsigned qemu_cpus_max(const struct vm_config *config, enum vm_accel accel);

/* Node names of a disk: block nodes and devices share no name space with each other, both are
 * made of the disk's id. */
#define QEMU_NODE_PREFIX "disk-"
#define QEMU_FILE_PREFIX "file-"

/* Options of -blockdev / blockdev-add for a disk whose image is in descriptor set `fdset`, and
 * of -device / device_add scsi-hd. New references. NULL without memory. */
json_t *qemu_file_node(const struct vm_disk *disk, int fdset);
json_t *qemu_raw_node(const struct vm_disk *disk);
json_t *qemu_disk_device(const struct vm_disk *disk);
