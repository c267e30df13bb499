/* The probe itself, without cache. Internal to this directory. */
#pragma once

#include "vmm/probe.h"

/* Runs the tiny guest in a forked child and judges. Takes 10 ms on hardware, at most
 * KVM_PROBE_LIMIT_MS. */
void kvm_probe_run(struct kvm_probe *ret);

#define KVM_PROBE_LIMIT_MS 3000 /* nested software emulation of our loop; hardware needs 1 ms */
