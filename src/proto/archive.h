/*
 * Files of a box in and out: what `cp`, `diff`, `export` and `commit` ask for.
 *
 * The same messages (proto/msg.h framing) whoever serves them:
 *
 *   a box that runs   boxes/<id>/sockets/files.sock, relayed to PORT_FILES; src/guest/files.c
 *   any other         stdin and stdout of the confined program
 *                       a3s-box-image archive --disk PATH --rootfs PATH [--write]
 *                     PATHs relative to $A3S_HOME: boxes/<id>/disk.ext4 and rootfs/<hex>.ext4.
 *                     Without --write nothing is changed, not even a journal replayed, and PUT
 *                     is refused (STATE). Descriptor 3 is the box's directory, flock()ed by who
 *                     started the program: while it is open no shim starts the box. The program
 *                     only keeps it open.
 *
 * A session is a sequence of requests, each answered before the next one is sent; closing the
 * connection (or stdin) ends it. Bytes from the server are hostile to the client, and the other
 * way round.
 *
 *   STAT     -> MSG_ARCHIVE_STAT, DONE
 *   GET      -> MSG_ARCHIVE_STAT, MSG_ARCHIVE_OUT..., DONE     the tree at `path` as a tar
 *   PUT      <- MSG_ARCHIVE_IN..., MSG_ARCHIVE_IN_END          a tar, unpacked in directory
 * `path`
 *            -> DONE
 *   CHANGES  -> MSG_ARCHIVE_CHANGE..., DONE                    what differs from the image
 *   LAYER    -> MSG_ARCHIVE_OUT..., DONE                       the same as a tar, OCI whiteouts
 *   EXPORT   -> MSG_ARCHIVE_OUT..., DONE                       the whole root file system as a
 * tar
 *
 * Instead of DONE, at any time, MSG_ARCHIVE_FAILED (struct error_info): the request has failed.
 * A server that fails a PUT goes on reading and drops what comes until IN_END, so that its answer
 * arrives; a client that sees it early may hang up. A PUT whose client hangs up before IN_END
 * leaves what was unpacked until then.
 *
 * Paths. `path` is taken as absolute in the container's root and never leaves it: symbolic links
 * are followed as if that root were "/", ".." stops there. All components but the last are
 * followed; the last one too when `path` ends in "/" or "/." (then it must be a directory), and
 * for PUT always. A component that is not there: NOT_FOUND, text "PATH: no such file or
 * directory" (clients make docker's words of the kind). A component that is no directory, or a
 * last one that had to be: INVALID, "lstat PATH: not a directory".
 *
 * Tars. POSIX pax, ending in two zero blocks. Ids are numeric, uname and gname empty. mtime with
 * nanoseconds in pax "mtime" unless they are 0; no atime and ctime. Extended attributes as
 * "SCHILY.xattr.NAME": user.* and security.capability; attributes that the destination does not
 * take are dropped. Second and later names of an inode are hard links to the
 * first one in the archive. Devices and FIFOs are members, sockets are left out. Directories come
 * before what is in them, in byte order of their names; a directory's name ends in "/". Only
 * regular files have data. Readers also take GNU long names (L, K), base-256 numbers, the v7 and
 * the ustar format; of global pax headers nothing counts.
 *
 * GET. The member for `path` itself is called `name` (nothing given: the last component of
 * `path`; "/" for the root), a directory's followed by "/"; what is beneath it is NAME/REST, or
 * "/REST" when `name` is "/". Where a box runs its mounts are seen, but what the kernel makes
 * (/proc, /sys, /dev/pts...) is not descended into from above.
 *
 * PUT. As docker: the directory `path` must exist (NOT_FOUND; INVALID "extraction point is not a
 * directory"). Missing parents are made (0755, root). A member replaces what is there, a
 * directory is merged with a directory; INVALID "cannot overwrite directory \"P\" with
 * non-directory \"D\"" and "cannot overwrite non-directory \"P\" with directory \"D\"" otherwise
 * (P the full path, D `path`). A member "." or "./" that is a directory is the destination
 * itself: left as it is. Names with a ".." that leaves `path`: INVALID. Owner is root (0:0), with
 * `keep_owner` what the tar says. Modes and times are set, those of directories at the end.
 * Whiteouts mean nothing here: ".wh.x" is a file of that name.
 *
 * CHANGES. A text per message: 'A', 'C' or 'D', then the absolute path. Against the image:
 *   A  the image has nothing there
 *   C  it has, and type, mode, uid, gid, device number, link target, size or mtime (both of
 *      non-directories), or an extended attribute differ; also every directory (but not "/")
 *      that has an A, C or D somewhere beneath it
 *   D  the image has it and the box has not; of a removed tree only its top
 * Another type in the same place is C; what the new directory has is A. A file that overlayfs has
 * copied up and in which none of the above differs is not reported. Any order; clients sort.
 *
 * LAYER. The same set as an OCI layer: A and C as members without a leading "/" ("etc/",
 * "etc/new"), D as an empty file DIR/.wh.NAME; a directory that replaced whatever the image had
 * there (removed and made again: overlay's opaque) is a directory with DIR/.wh..wh..opq as its
 * first member. "freeze": the container's processes stand still meanwhile (running boxes only).
 *
 * EXPORT. The merged tree without what is mounted in it; names relative, without a member for the
 * root itself.
 */
#pragma once

#include "proto/config.h"

#define ARCHIVE_LOCK_FD  3
#define ARCHIVE_DATA_MAX (UINT32_C(64) << 10) /* what we put into one IN or OUT */
#define ARCHIVE_PATH_MAX 4095                 /* of any path or name, without the NUL */

enum archive_op {
    ARCHIVE_STAT = 1,
    ARCHIVE_GET = 2,
    ARCHIVE_PUT = 3,
    ARCHIVE_CHANGES = 4,
    ARCHIVE_LAYER = 5,
    ARCHIVE_EXPORT = 6,
};

/* MSG_ARCHIVE_REQUEST */
struct archive_request {
    uint64_t op;     /* enum archive_op */
    char *container; /* id; a3s-box-image does not look at it */
    char *path;      /* STAT, GET, PUT; NULL: "/" */
    char *name;      /* GET: what the member for `path` is called */
    bool keep_owner; /* PUT: uid and gid of the tar, else 0:0 */
    bool freeze;     /* LAYER: stop the container's processes meanwhile */
};

/* MSG_ARCHIVE_STAT, of the thing itself, not of what a symbolic link points to */
struct archive_stat {
    char *name;        /* last component of the path, "/" for the root */
    uint64_t size;     /* bytes */
    uint64_t mode;     /* st_mode of Linux */
    int64_t mtime_ns;  /* since 1970 */
    uint64_t uid, gid; /* numeric */
    char *target;      /* symbolic link: where it leads, absolute, as far as that exists */
};

extern const struct tlv_row archive_request_rows[], archive_stat_rows[];

/*
 * a3s-box-image commit --image ID [--reference REF] [--author TEXT] [--message TEXT]
 *                      [--change INSTRUCTION]...
 *
 * A new image: that image's layers, one more, and its configuration with `config` of the box over
 * it, then the changes. stdin: MSG_ARCHIVE_CONFIG (JSON: docker's Config object of the box, the
 * members Cmd, Entrypoint, Env, ExposedPorts, Labels, StopSignal, User, Volumes, WorkingDir,
 * Healthcheck that are set), then MSG_ARCHIVE_IN... (LAYER's tar) and MSG_ARCHIVE_IN_END: without
 * it the layer is not complete, and nothing is stored. stdout: a line of JSON as `import`'s.
 */
