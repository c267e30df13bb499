/*
 * A box's files, for cp, diff, export and commit: one session of proto/archive.h, with the guest
 * of a box that runs, with a3s-box-image for any other. What comes back is by strangers.
 */
#pragma once

#include "cli/boxes.h"
#include "proto/archive.h"
#include "proto/msg.h"

struct files;

/* `write`: for a PUT. Consumes nothing; `box` is looked at again. A box that does not run cannot
 * be started before files_free(). STATE for one that is paused or
 * waits for its restart. */
int files_open(struct cli *cli, struct db *db, struct box *box, bool write, struct files **ret,
               struct err *e) MUST_CHECK;
void files_free(struct files *f);
DEFINE_AUTOPTR(files)
/* Is it the guest that answers? */
bool files_live(const struct files *f);

/* Ask for something; .container is filled in. */
int files_ask(struct files *f, const struct archive_request *req, struct err *e) MUST_CHECK;
/* 1: the next message of the answer, 0: that was all. The server's error comes back as ours. */
int files_next(struct files *f, struct msg *ret, struct err *e) MUST_CHECK;
/* Send a part of a PUT. When the server has failed meanwhile, its error. */
int files_send(struct files *f, enum msg_type type, const void *data, size_t len,
               struct err *e) MUST_CHECK;

/* The answer to STAT; the caller calls config_done(archive_stat, ret). */
int files_stat(struct files *f, const char *path, struct archive_stat *ret,
               struct err *e) MUST_CHECK;
/* Everything of MSG_ARCHIVE_OUT goes to `fd`. */
int files_copy_out(struct files *f, int fd, struct err *e) MUST_CHECK;
