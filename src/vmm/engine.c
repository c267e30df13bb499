#include "vmm/engine.h"

#include <string.h>

static const char *const accel_names[] = {
#define X(name, text) [VM_ACCEL_##name] = text,
    VM_ACCELS(X)
#undef X
};

static const char *const end_names[] = {
#define X(name, text) [VM_END_##name] = text,
    VM_ENDS(X)
#undef X
};

const char *vm_accel_name(enum vm_accel accel)
{
    return accel_names[accel];
}

const char *vm_end_name(enum vm_end end)
{
    return end_names[end];
}

int vm_accel_parse(const char *text, enum vm_accel *ret, struct err *e)
{
    for (size_t i = 0; i < VM_ACCEL_N; i++)
        if (strcmp(text, accel_names[i]) == 0) {
            *ret = (enum vm_accel)i;
            return 0;
        }
    return err_set(e, ERR_INVALID, "Unknown accelerator '%s' (auto, kvm or tcg)", text);
}

static bool disk_id_ok(const char *id)
{
    size_t len = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return len > 0 && len <= VM_DISK_ID_MAX && id[len] == '\0' && id[0] != '-';
}

int vm_disk_check(const struct vm_disk *disk, struct err *e)
{
    if (!disk->id || !disk_id_ok(disk->id))
        return err_set(e, ERR_INVALID, "Invalid disk id '%s'", disk->id ? disk->id : "");
    if (!disk->path)
        return err_set(e, ERR_INVALID, "Disk %s has no image", disk->id);
    if (disk->lun > VM_LUN_MAX)
        return err_set(e, ERR_INVALID, "Disk %s: no such address %u", disk->id, disk->lun);
    return 0;
}

/* It ends up in an option list of the engine's program. */
static bool name_ok(const char *name)
{
    return name[strspn(name,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
           '\0';
}

static int check_disks(const struct vm_config *c, struct err *e)
{
    int r;

    if (c->disks_n > VM_DISKS_MAX)
        return err_set(e, ERR_LIMIT, "More than %d disks at boot", VM_DISKS_MAX);
    for (size_t i = 0; i < c->disks_n; i++) {
        const struct vm_disk *d = &c->disks[i];

        r = vm_disk_check(d, e);
        if (r < 0)
            return r;
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->disks[j].id, d->id) == 0 || c->disks[j].lun == d->lun)
                return err_set(e, ERR_INVALID, "Disks %s and %s have the same id or address",
                               c->disks[j].id, d->id);
    }
    return 0;
}

int vm_config_check(const struct vm_config *c, struct err *e)
{
    if (!c->kernel)
        return err_set(e, ERR_INVALID, "No kernel");
    if (c->name && !name_ok(c->name))
        return err_set(e, ERR_INVALID, "Invalid machine name '%s'", c->name);
    if (c->memory_bytes < VM_MEMORY_MIN)
        return err_set(e, ERR_INVALID,
                       "Memory of %ju MiB is too little for a machine (minimum %ju)",
                       (uintmax_t)(c->memory_bytes >> 20), (uintmax_t)(VM_MEMORY_MIN >> 20));
    if (c->memory_bytes > VM_MEMORY_MAX)
        return err_set(e, ERR_LIMIT, "Memory of %ju MiB is more than a machine can have (%ju)",
                       (uintmax_t)(c->memory_bytes >> 20), (uintmax_t)(VM_MEMORY_MAX >> 20));
    if (c->vcpus < 1 || c->vcpus > VM_VCPUS_MAX)
        return err_set(e, ERR_INVALID, "%u CPUs: must be 1 to %d", c->vcpus, VM_VCPUS_MAX);
    if (c->vcpus_max && (c->vcpus_max < c->vcpus || c->vcpus_max > VM_VCPUS_MAX))
        return err_set(e, ERR_INVALID, "%u CPUs at most: must be %u to %d", c->vcpus_max,
                       c->vcpus, VM_VCPUS_MAX);
    if (c->channel_fd < 0)
        return err_set(e, ERR_INVALID, "No channel");
    if (c->net == VM_NET_STREAM && c->net_fd < 0)
        return err_set(e, ERR_INVALID, "No network descriptor");
    return check_disks(c, e);
}
