#include "guest/disk.h"

#include "util/fs.h"
#include "util/own.h"
#include "util/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define DEVICES "/sys/class/scsi_device"
#define HOSTS   "/sys/class/scsi_host"

#define BLOCK "/sys/block"

/* The machine's own disks are virtio's: their serial number says which one it is. */
static bool find_own(uint64_t lun, char *ret, size_t size)
{
    char want[32], path[64];
    bool found = false;
    DIR *dir = opendir(BLOCK);
    struct dirent *entry;

    (void)snprintf(want, sizeof(want), "disk-%llu", (unsigned long long)lun);
    while (dir && !found && (entry = readdir(dir))) {
        autostr serial = STR_INIT(64);
        struct err ignored;

        if (strncmp(entry->d_name, "vd", 2) != 0 || strlen(entry->d_name) > 16)
            continue;
        (void)snprintf(path, sizeof(path), BLOCK "/%s/serial", entry->d_name);
        found = fs_read_file(AT_FDCWD, path, &serial, &ignored) >= 0 &&
                strcmp(str_c(&serial), want) == 0 &&
                snprintf(ret, size, "/dev/%s", entry->d_name) < (int)size;
    }
    if (dir)
        (void)closedir(dir);
    return found;
}

/* Is `name` "HOST:0:0:LUN"? */
static bool address_is(const char *name, uint64_t lun)
{
    size_t host = strspn(name, "0123456789");
    char want[32];

    (void)snprintf(want, sizeof(want), ":0:0:%llu", (unsigned long long)lun);
    return host > 0 && strcmp(name + host, want) == 0;
}

/* The name and even the node are there before the disk can be opened; the event comes after. */
static bool can_open(const char *path)
{
    autofd int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd >= 0;
}

/* The only entry of DEVICES/<address>/device/block is the disk's name. */
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
            found = snprintf(ret, size, "/dev/%s", entry->d_name) < (int)size && can_open(ret);
    (void)closedir(dir);
    return found;
}

void disk_scan(uint64_t lun)
{
    DIR *dir = opendir(HOSTS);
    struct dirent *entry;
    struct err ignored;
    char path[64], text[32];

    (void)snprintf(text, sizeof(text), "0 0 %llu", (unsigned long long)lun);
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) > 16)
            continue;
        (void)snprintf(path, sizeof(path), HOSTS "/%s/scan", entry->d_name);
        if (fs_write_kernel(AT_FDCWD, path, text, &ignored) < 0)
            continue; /* the wait for the disk will tell */
    }
    if (dir)
        (void)closedir(dir);
}

bool disk_find(uint64_t lun, char *ret, size_t size)
{
    bool found = find_own(lun, ret, size);
    DIR *dir = found ? NULL : opendir(DEVICES);
    struct dirent *entry;

    if (!dir)
        return found;
    while (!found && (entry = readdir(dir)))
        found = address_is(entry->d_name, lun) && read_name(entry->d_name, ret, size);
    (void)closedir(dir);
    return found;
}
