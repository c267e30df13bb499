/* Internal to tar_read.c and tar_write.c: what the bytes of an archive are (POSIX.1-2017, pax,
 * "ustar Interchange Format"). */
#pragma once

/* Where the fields of a header begin, and how long some are. */
#define TAR_AT_NAME     0
#define TAR_AT_MODE     100
#define TAR_AT_UID      108
#define TAR_AT_GID      116
#define TAR_AT_SIZE     124
#define TAR_AT_MTIME    136
#define TAR_AT_CHECKSUM 148
#define TAR_AT_TYPE     156
#define TAR_AT_LINKNAME 157
#define TAR_AT_MAGIC    257
#define TAR_AT_MAJOR    329
#define TAR_AT_MINOR    337
#define TAR_AT_PREFIX   345
#define TAR_LEN_NAME    100
#define TAR_LEN_PREFIX  155

/* A pax record that holds an extended attribute. */
#define TAR_XATTR_PREFIX "SCHILY.xattr."
