#include "vmm/probe.h"

#include "vmm/boot_cache.h"
#include "vmm/probe_kvm.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The verdict may differ by user (permissions), by device and by what we look for. */
static void cache_key(char *ret, size_t size)
{
    struct stat st = { .st_rdev = 0 };

    (void)stat("/dev/kvm", &st); /* 0 says there is none */
    (void)snprintf(ret, size, "probe 1 uid %d gid %d dev %ju mode %o", (int)geteuid(),
                   (int)getegid(), (uintmax_t)st.st_rdev, (unsigned)st.st_mode);
}

/* "yes REASON" or "no REASON" */
static bool cached(const char *dir, const char *key, struct kvm_probe *ret)
{
    char text[BOOT_CACHE_VALUE_MAX];

    if (!boot_cache_get(dir, "kvm-probe", key, text, sizeof(text)))
        return false;
    ret->works = strncmp(text, "yes ", 4) == 0;
    if (!ret->works && strncmp(text, "no ", 3) != 0)
        return false;
    (void)snprintf(ret->reason, sizeof(ret->reason), "%s", text + (ret->works ? 4 : 3));
    return true;
}

void kvm_probe(const char *cache_dir, struct kvm_probe *ret)
{
    char key[128], text[BOOT_CACHE_VALUE_MAX];

    *ret = (struct kvm_probe){ .works = false };
    cache_key(key, sizeof(key));
    if (cached(cache_dir, key, ret))
        return;
    kvm_probe_run(ret);
    (void)snprintf(text, sizeof(text), "%s %s", ret->works ? "yes" : "no", ret->reason);
    boot_cache_put(cache_dir, "kvm-probe", key, text);
}

int vm_accel_resolve(enum vm_accel wanted, const char *cache_dir, enum vm_accel *ret,
                     struct kvm_probe *ret_probe, struct err *e)
{
    struct kvm_probe probe = { .works = false };

    if (wanted != VM_ACCEL_TCG || ret_probe)
        kvm_probe(cache_dir, &probe);
    if (wanted == VM_ACCEL_KVM && !probe.works) {
        (void)err_set(e, ERR_UNAVAILABLE, "KVM does not work here: %s", probe.reason);
        e->hint = "Use --accel tcg (or auto) for software emulation";
        return -ERR_UNAVAILABLE;
    }
    *ret = wanted != VM_ACCEL_TCG && probe.works ? VM_ACCEL_KVM : VM_ACCEL_TCG;
    if (ret_probe)
        *ret_probe = probe;
    return 0;
}
