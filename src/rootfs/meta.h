/* From a tar entry's header to an inode: owner, mode, times, device numbers, xattrs, ACLs. */
#pragma once

#include "rootfs/tree.h"

struct archive_entry;

/* Fill everything but the file type's own data. INVALID for what ext4 or Linux cannot hold. */
int meta_fill(struct inode *inode, struct archive_entry *entry, struct err *e) MUST_CHECK;
