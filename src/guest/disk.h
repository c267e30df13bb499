/* Disks by their number ("LUN"): the machine's first ones are virtio's and have it in their
 * serial number, those that come later are on the one SCSI controller. */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Ask the SCSI controllers, where there are any already, for a disk that was there at boot
 * (hot-plugged ones announce themselves). It appears soon after, with a uevent. */
void disk_scan(uint64_t lun);

/* Writes the device's path ("/dev/vda") when the disk with that LUN is there. */
bool disk_find(uint64_t lun, char *ret, size_t size);
