/*
 * The verbs of a3s-box-registry. argv are the words behind the verb. Secrets come in on stdin,
 * never as arguments; results go out on stdout, one JSON object per line.
 */
#pragma once

#include "util/err.h"

struct db;

/* $A3S_HOME and its state.db. */
int registry_open_home(const char **ret_home, struct db **ret_db, struct err *e) MUST_CHECK;

/* pull [--platform OS/ARCH] [--verify-key FILE] [--verify-issuer URL] [--verify-identity NAME]
 * REFERENCE: an image into the store. Events on stdout: pull_events.c. */
int verb_pull(int argc, char **argv, struct err *e);
