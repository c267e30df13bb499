#include "guest/disk.h"

#include "util/own.h"
#include "util/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define DEVICES "/sys/class/scsi_device"

/* Is `name` "HOST:0:0:LUN"? */
static bool address_is(const char *name, uint64_t lun)
{
    size_t host = strspn(name, "0123456789");
    char want[32];

    (void)snprintf(want, sizeof(want), ":0:0:%llu", (unsigned long long)lun);
    return host > 0 && strcmp(name + host, want) == 0;
}

/* The only entry of DEVICES/<address>/device/block is the disk's name. It is there before the
 * device node is, so the node is checked, too. */
static bool read_name(const char *address, char *ret, size_t size)
{
    autofree char *path = str_format(DEVICES "/%s/device/block", address);
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;
    bool found = false;

    if (!dir)
        return false;
    while (!found && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            found = snprintf(ret, size, "/dev/%s", entry->d_name) < (int)size &&
                    access(ret, F_OK) == 0;
    (void)closedir(dir);
    return found;
}

bool disk_find(uint64_t lun, char *ret, size_t size)
{
    DIR *dir = opendir(DEVICES);
    struct dirent *entry;
    bool found = false;

    if (!dir)
        return false;
    while (!found && (entry = readdir(dir)))
        found = address_is(entry->d_name, lun) && read_name(entry->d_name, ret, size);
    (void)closedir(dir);
    return found;
}
