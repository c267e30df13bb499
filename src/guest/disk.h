/* Disks by their address on the one SCSI controller. */
#pragma once

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Writes the device's path ("/dev/sda") when the disk with that LUN is there. */
bool disk_find(uint64_t lun, char *ret, size_t size);
