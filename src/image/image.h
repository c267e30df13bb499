/* The verbs of a3s-box-image. argv are the words behind the verb. */
#pragma once

#include "oci/install.h"

#define ASSEMBLE_SOCKET 3

/* $A3S_HOME and its state.db. */
int image_open_home(const char **ret_home, struct db **ret_db, struct err *e) MUST_CHECK;

/* A3S_BOX_MAX_LAYER_BYTES, default 16g. */
int image_read_limits(struct store_limits *ret, struct err *e) MUST_CHECK;

/* load [--input FILE] [--tag REFERENCE] [--platform OS/ARCH]: an image archive into the store. */
int verb_load(int argc, char **argv, struct err *e);

/* assemble --stage DIR --reference REF --digest DIGEST: an image that is being downloaded. DIR is
 * in images/tmp, locked by who started us, and has the files manifest and config; the layers grow
 * in it (oci/growing.h), announced on descriptor 3, which gets the result, too. */
int verb_assemble(int argc, char **argv, struct err *e);

/* import [--input FILE] [--reference REF] [--message TEXT] [--change INSTRUCTION]...
 * [--platform OS/ARCH]: a root file system tar as an image of one layer. */
int verb_import(int argc, char **argv, struct err *e);

/* flatten OUT.ext4 LAYER...: layer tars to one image; for tests and benchmarks. */
int verb_flatten(int argc, char **argv, struct err *e);

/* rebuild ID: an image's root file system from its layers, which are in the store. */
int verb_rebuild(int argc, char **argv, struct err *e);

/* save IMAGE...: an archive of images to stdout. */
int verb_save(int argc, char **argv, struct err *e);

/* fsck [--repair]: is the store what its records say? A line per finding; 1 when some remain. */
int verb_fsck(int argc, char **argv, struct err *e);

/* disk-template SIZE PATH: the file system that new boxes' disks are copied from. */
int verb_disk_template(int argc, char **argv, struct err *e);

/* archive --disk PATH --rootfs PATH [--write]: the files of a box that does not run, by
 * proto/archive.h on stdin and stdout. */
int verb_archive(int argc, char **argv, struct err *e);

/* commit --image ID [--reference REF] [--author TEXT] [--message TEXT] [--change INSTRUCTION]...:
 * that image and a layer more; proto/archive.h. */
int verb_commit(int argc, char **argv, struct err *e);
