/*
 * The verbs of a3s-box-registry. argv are the words behind the verb. Secrets come in on stdin,
 * never as arguments; results go out on stdout, one JSON object per line.
 */
#pragma once

#include "util/err.h"

#include <jansson.h>

struct db;

/* $A3S_HOME and, unless ret_db is NULL, its state.db. */
int registry_open_home(const char **ret_home, struct db **ret_db, struct err *e) MUST_CHECK;

/* One line on stdout. NULL is what json_pack() returns without memory. */
int registry_emit(json_t *own_event, struct err *e) MUST_CHECK;

/* login SERVER [USER]: with USER, the password is read from stdin, tried at the registry, and
 * stored: {"event":"stored","file":PATH} (no file: a credential helper has it). Without, those
 * that are stored are tried: {"event":"accepted"|"refused"|"none"}. */
int verb_login(int argc, char **argv, struct err *e);

/* logout SERVER: {"event":"logout","found":BOOL,"server":KEY}. */
int verb_logout(int argc, char **argv, struct err *e);

/* pull [--platform OS/ARCH] [--verify-key FILE] [--verify-issuer URL] [--verify-identity NAME]
 * REFERENCE: an image into the store. Events on stdout: pull_events.c. */
int verb_pull(int argc, char **argv, struct err *e);

/* push [--sign-key FILE] REFERENCE: {"event":"pushing","repository":NAME},
 * {"event":"layer","id":...,"state":
 * "preparing"|"pushing"|"pushed"|"present"|"mounted","bytes":N,"total":N,"from":REPOSITORY},
 * {"event":"signed","tag":...,"new":BOOL},
 * {"event":"done","reference":...,"tag":...,"digest":...,"size":N}. */
int verb_push(int argc, char **argv, struct err *e);
