/* The verbs of a3s-box-image. argv are the words behind the verb. */
#pragma once

#include "util/err.h"

struct db;

/* $A3S_HOME and its state.db. */
int image_open_home(const char **ret_home, struct db **ret_db, struct err *e) MUST_CHECK;

/* load [--input FILE] [--tag REFERENCE] [--platform OS/ARCH]: an image archive into the store. */
int verb_load(int argc, char **argv, struct err *e);

/* import [--input FILE] [--reference REF] [--message TEXT] [--change INSTRUCTION]...
 * [--platform OS/ARCH]: a root file system tar as an image of one layer. */
int verb_import(int argc, char **argv, struct err *e);

/* flatten OUT.ext4 LAYER...: layer tars to one image; for tests and benchmarks. */
int verb_flatten(int argc, char **argv, struct err *e);

/* disk-template SIZE PATH: the file system that new boxes' disks are copied from. */
int verb_disk_template(int argc, char **argv, struct err *e);
