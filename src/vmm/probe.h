/*
 * Does /dev/kvm really run a guest here?
 *
 * A /dev/kvm that opens and creates a vCPU may still not run a stock kernel (nested software
 * virtualisation that emulates instruction by instruction). So a forked child runs a few hundred
 * real instructions in a tiny guest, within a time limit.
 */
#pragma once

#include "util/err.h"
#include "vmm/engine.h"

#include <stdbool.h>

struct kvm_probe {
    bool works;
    char reason[256]; /* one line for people, also when it works */
};

/* The verdict for this boot of this host. `cache_dir` (may be NULL) keeps it in the file
 * "kvm-probe", valid for this boot id, this /dev/kvm and this user; a cache that cannot be
 * read or written is no error. */
void kvm_probe(const char *cache_dir, struct kvm_probe *ret);

/* What --accel asks for becomes KVM or TCG. UNAVAILABLE with the probe's reason when KVM was
 * asked for and does not work. `ret_probe` may be NULL. */
int vm_accel_resolve(enum vm_accel wanted, const char *cache_dir, enum vm_accel *ret,
                     struct kvm_probe *ret_probe, struct err *e) MUST_CHECK;

/* What `info` shows about this host's VMM. */
struct vmm_host_info {
    enum vm_accel accel; /* what `auto` means here */
    struct kvm_probe kvm;
    char kvm_device[128];  /* "present", "missing", "no permission" ... */
    char qemu_path[512];   /* "" when there is none */
    char qemu_version[64]; /* "7.2.22", "" when unknown */
};

void vmm_host_info(const char *cache_dir, struct vmm_host_info *ret);
