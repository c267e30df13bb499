/*
 * $A3S_HOME/state.db: the truth about boxes and images.
 *
 * SQLite in WAL mode: readers never wait, writers wait for each other (up to
 * DB_BUSY_MS), every transition is one IMMEDIATE transaction. A file that is
 * damaged, or from a newer version, is an error that says what to do; it is
 * never replaced. The schema is in schema.c, docs/protocols.md section 6.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DB_BUSY_MS   30000 /* 100 concurrent starts on a slow disk took 4 s at most */
#define DB_LOG_PAGES 64    /* of 4 KiB: a command writes 5 to 10 */

struct db {
    sqlite3 *sql; /* owned */
    dev_t home_dev;
    ino_t home_ino; /* of the directory that it is in */
};

/* Create `home` (0700) and the database if they are missing, and bring the schema up to date. */
int db_open(const char *home, struct db **ret, struct err *e) MUST_CHECK;
void db_free(struct db *db);
DEFINE_AUTOPTR(db)

/* For what is worth no wait for the disk: commits of this connection are seen by everybody at
 * once and are in order, but a power cut may take those back that came after the last commit of a
 * connection that waits. */
int db_no_sync(struct db *db, struct err *e) MUST_CHECK;

/* Opens the directory that the database is in, for whoever removes what the database does not
 * know. STATE when `home` is another one by now: a file system was mounted over it, say. */
int db_open_home(struct db *db, const char *home, struct err *e) MUST_CHECK;

/* One transaction: `fn` < 0 rolls back, else commit. Not nested. */
int db_transaction(struct db *db, int (*fn)(struct db *db, void *user, struct err *e), void *user,
                   struct err *e) MUST_CHECK;

/* A prepared statement with its arguments bound: one character of `types` per argument:
 *   s const char * (NULL is NULL), i int, l int64_t, n no argument, NULL.
 * Text is copied. Finish with stmt_done(). */
struct stmt {
    struct db *db; /* borrowed */
    sqlite3_stmt *s;
};
#define autostmt __attribute__((cleanup(stmt_done))) struct stmt

int stmt_open(struct db *db, struct stmt *ret, struct err *e, const char *sql, const char *types,
              ...) MUST_CHECK;
/* 1: there is a row; 0: no more. */
int stmt_step(struct stmt *st, struct err *e) MUST_CHECK;
void stmt_done(struct stmt *st);
/* Columns of the current row, counted from 0. Text is borrowed until the next step; NULL is "".
 */
const char *stmt_text(struct stmt *st, int column);
int64_t stmt_i64(struct stmt *st, int column);
bool stmt_is_null(struct stmt *st, int column);

/* Run a statement that returns no rows. Returns the number of rows changed. EXISTS when a UNIQUE
 * constraint refused it. */
int db_exec(struct db *db, struct err *e, const char *sql, const char *types, ...) MUST_CHECK;

/* The error of the last SQLite call, as struct err. */
int db_error(struct db *db, struct err *e, const char *what);
