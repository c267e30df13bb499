#include "db/db.h"

#include "db/schema.h"
#include "util/fs.h"
#include "util/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Why the file, or its directory, which gets two more, cannot be written; 0: it can be. */
static int why_not_written(const char *file)
{
    autofree char *dir = file ? strdup(file) : NULL;
    char *slash = dir ? strrchr(dir, '/') : NULL;

    if (!slash)
        return 0;
    *slash = '\0';
    if (access(dir, W_OK | X_OK) < 0 || (access(file, W_OK) < 0 && errno != ENOENT))
        return errno;
    return 0;
}

/* SQLite says what it could not do, the system why: "Read-only file system". */
static int denied(struct db *db, struct err *e, const char *what, const char *text)
{
    int os = why_not_written(sqlite3_db_filename(db->sql, "main"));

    if (!os && !sqlite3_db_filename(db->sql, "main")) /* it was not opened */
        os = sqlite3_system_errno(db->sql);
    return os ? err_set(e, ERR_DENIED, "%s: %s: %s", what, text, strerror(os))
              : err_set(e, ERR_DENIED, "%s: %s", what, text);
}

int db_error(struct db *db, struct err *e, const char *what)
{
    int code = db && db->sql ? sqlite3_errcode(db->sql) : SQLITE_NOMEM;
    const char *text = db && db->sql ? sqlite3_errmsg(db->sql) : "out of memory";

    switch (code) {
    case SQLITE_CONSTRAINT:
        return err_set(e, ERR_EXISTS, "%s: %s", what, text);
    case SQLITE_BUSY:
        return err_set(e, ERR_TIMEOUT, "%s: another process holds state.db", what);
    case SQLITE_FULL:
        return err_set(e, ERR_LIMIT, "%s: no space left for state.db", what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        (void)err_set(e, ERR_CORRUPT, "%s: state.db is damaged: %s", what, text);
        e->hint = "Nothing was changed. Move state.db away to start afresh, or recover it with "
                  "`sqlite3 state.db .recover`";
        return -(int)e->kind;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return denied(db, e, what, text);
    default:
        return err_set(e, ERR_SYSTEM, "%s: %s", what, text);
    }
}

static int run_script(struct db *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db->sql, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : db_error(db, e, "state.db");
}

static int read_version(struct db *db, int *ret, struct err *e)
{
    autostmt st = { 0 };
    int r;

    r = stmt_open(db, &st, e, "PRAGMA user_version", "");
    if (r < 0)
        return r;
    r = stmt_step(&st, e);
    if (r < 0)
        return r;
    *ret = (int)stmt_i64(&st, 0);
    return 0;
}

static int migrate(struct db *db, void *user UNUSED, struct err *e)
{
    char pragma[64];
    int version = 0, r;

    r = read_version(db, &version, e);
    for (; r == 0 && version < schema_version; version++)
        r = run_script(db, schema_scripts[version], e);
    if (r < 0)
        return r;
    (void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", schema_version);
    return run_script(db, pragma, e);
}

static int prepare(struct db *db, struct err *e)
{
    int version = 0, r;

    (void)sqlite3_busy_timeout(db->sql, DB_BUSY_MS);
    (void)sqlite3_extended_result_codes(db->sql, 0);
    /* The last to close would write the log back and delete it, and the next to write make it
     * anew: five waits for the disk in each command. So it stays, and goes back when it is long;
     * whoever opens the database first has to read it. A commit waits once (FULL): what a command
     * has answered is there after a power cut. */
    (void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)sqlite3_wal_autocheckpoint(db->sql, DB_LOG_PAGES);
    r = run_script(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", e);
    if (r == 0)
        r = read_version(db, &version, e);
    if (r < 0)
        return r;
    if (version > schema_version)
        return err_set(e, ERR_UNSUPPORTED, "state.db is of a newer version of a3s-box (%d > %d)",
                       version, schema_version);
    return version < schema_version ? db_transaction(db, migrate, NULL, e) : 0;
}

int db_no_sync(struct db *db, struct err *e)
{
    return run_script(db, "PRAGMA synchronous = NORMAL;", e);
}

int db_open(const char *home, struct db **ret, struct err *e)
{
    autoptr(db) db = calloc(1, sizeof(*db));
    autofree char *path = str_format("%s/state.db", home);
    struct stat st;
    int r;

    if (!db || !path)
        return err_os(e, "state.db");
    r = fs_mkdirs(home, e);
    if (r < 0)
        return r;
    if (stat(home, &st) < 0)
        return err_os(e, "%s", home);
    db->home_dev = st.st_dev;
    db->home_ino = st.st_ino;
    if (sqlite3_open_v2(path, &db->sql,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                            SQLITE_OPEN_NOFOLLOW,
                        NULL) != SQLITE_OK) {
        (void)db_error(db, e, "open");
        return err_ctx(e, "%s", path);
    }
    r = prepare(db, e);
    if (r < 0)
        return err_ctx(e, "%s", path);
    *ret = take_ptr(db);
    return 0;
}

void db_free(struct db *db)
{
    if (!db)
        return;
    (void)sqlite3_close(db->sql); /* every statement is an autostmt, so it cannot be busy */
    free(db);
}

int db_open_home(struct db *db, const char *home, struct err *e)
{
    autofd int fd = fs_open_dir(AT_FDCWD, home, e);
    struct stat st;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return err_os(e, "%s", home);
    if (st.st_dev != db->home_dev || st.st_ino != db->home_ino)
        return err_set(e, ERR_STATE,
                       "%s is not the directory it was a moment ago (was something mounted over "
                       "it?); try again",
                       home);
    return take_fd(&fd);
}

int db_transaction(struct db *db, int (*fn)(struct db *db, void *user, struct err *e), void *user,
                   struct err *e)
{
    struct err ignored;
    int r;

    r = run_script(db, "BEGIN IMMEDIATE", e);
    if (r < 0)
        return r;
    r = fn(db, user, e);
    if (r >= 0 && run_script(db, "COMMIT", e) < 0)
        r = -(int)e->kind;
    if (r < 0)
        (void)run_script(db, "ROLLBACK", &ignored); /* the first error is the one to report */
    return r;
}

static int bind(struct db *db, sqlite3_stmt *s, const char *types, va_list ap, struct err *e)
{
    for (int i = 1; types[i - 1]; i++) {
        const char *text;
        int rc = SQLITE_OK;

        switch (types[i - 1]) {
        case 's':
            text = va_arg(ap, const char *);
            rc = text ? sqlite3_bind_text(s, i, text, -1, SQLITE_TRANSIENT)
                      : sqlite3_bind_null(s, i);
            break;
        case 'i':
            rc = sqlite3_bind_int(s, i, va_arg(ap, int));
            break;
        case 'l':
            rc = sqlite3_bind_int64(s, i, va_arg(ap, int64_t));
            break;
        case 'n':
            rc = sqlite3_bind_null(s, i);
            break;
        default:
            return err_set(e, ERR_INTERNAL, "bad bind type '%c'", types[i - 1]);
        }
        if (rc != SQLITE_OK)
            return db_error(db, e, "state.db");
    }
    return 0;
}

static int stmt_vopen(struct db *db, struct stmt *ret, struct err *e, const char *sql,
                      const char *types, va_list ap)
{
    autostmt st = { .db = db };
    int r;

    if (sqlite3_prepare_v2(db->sql, sql, -1, &st.s, NULL) != SQLITE_OK)
        return db_error(db, e, "state.db");
    r = bind(db, st.s, types, ap, e);
    if (r < 0)
        return r;
    *ret = st;
    st.s = NULL;
    return 0;
}

int stmt_open(struct db *db, struct stmt *ret, struct err *e, const char *sql, const char *types,
              ...)
{
    va_list ap;
    int r;

    va_start(ap, types);
    r = stmt_vopen(db, ret, e, sql, types, ap);
    va_end(ap);
    return r;
}

int stmt_step(struct stmt *st, struct err *e)
{
    switch (sqlite3_step(st->s)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return db_error(st->db, e, "state.db");
    }
}

void stmt_done(struct stmt *st)
{
    (void)sqlite3_finalize(st->s); /* repeats the error that stmt_step() has returned */
    st->s = NULL;
}

const char *stmt_text(struct stmt *st, int column)
{
    const unsigned char *text = sqlite3_column_text(st->s, column);

    return text ? (const char *)text : "";
}

int64_t stmt_i64(struct stmt *st, int column)
{
    return sqlite3_column_int64(st->s, column);
}

bool stmt_is_null(struct stmt *st, int column)
{
    return sqlite3_column_type(st->s, column) == SQLITE_NULL;
}

int db_exec(struct db *db, struct err *e, const char *sql, const char *types, ...)
{
    autostmt st = { 0 };
    va_list ap;
    int r;

    va_start(ap, types);
    r = stmt_vopen(db, &st, e, sql, types, ap);
    va_end(ap);
    if (r < 0)
        return r;
    r = stmt_step(&st, e);
    return r < 0 ? r : sqlite3_changes(db->sql);
}
